"""A PACS of pynetdicom that stores and commits, and reports as a test tells it (PS3.4 annex J)."""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.presentation import build_context

PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
SYNTAXES: Final = [ImplicitVRLittleEndian, ExplicitVRLittleEndian]


class Reporting(Enum):
    """When and where a PACS reports."""

    ANOTHER = "on another association"
    SAME = "on the association of the request"
    WITHOUT_ROLE = "on another association, without role selection"
    NEVER = "never"


@dataclass
class Asked:
    """A request for commitment: its transaction, and the SOP Instance UIDs that it refers to."""

    transaction_uid: str
    uids: list[str]
    time: float = field(default_factory=time.monotonic)


class CommittingPACS:
    """Stores what it is sent; `failing` says with which Failure Reason it does not commit to an instance.

    It speaks TLS where it is given what it `listens` and `calls` with.
    """

    def __init__(
        self,
        *,
        ae_title: str = "PACS",
        reporting: Reporting = Reporting.ANOTHER,
        port: int = 0,
        listens: ssl.SSLContext | None = None,
        calls: ssl.SSLContext | None = None,
    ) -> None:
        self.calls = calls
        self.reporting = reporting
        self.failing: Callable[[str, int], int] = lambda uid, transaction: 0
        self.action_status = 0
        self.gateway_port = 0
        self.stored: list[str] = []
        self.asked: list[Asked] = []
        self.report_statuses: list[int | None] = []
        self.report_comments: list[str] = []
        self._ae = AE(ae_title=ae_title)
        self._ae.supported_contexts = AllStoragePresentationContexts
        self._ae.add_supported_context(PUSH_MODEL, SYNTAXES)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._act)]
        self._server = self._ae.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=listens
        )
        assert self._server is not None
        self.port = int(self._server.socket.getsockname()[1])

    def close(self) -> None:
        self._ae.shutdown()

    def _store(self, event: Any) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    def _act(self, event: Any) -> tuple[int, None]:
        information = event.action_information
        uids = [str(item.ReferencedSOPInstanceUID) for item in information.ReferencedSOPSequence]
        self.asked.append(Asked(str(information.TransactionUID), uids))
        if self.action_status == 0 and self.reporting is not Reporting.NEVER:
            arguments = (information, len(self.asked), event.assoc)
            threading.Thread(target=self._report, args=arguments, daemon=True).start()
        return self.action_status, None

    def _report(self, request: Dataset, transaction: int, association: Any) -> None:
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        good, bad = [], []
        for item in request.ReferencedSOPSequence:
            reason = self.failing(str(item.ReferencedSOPInstanceUID), transaction)
            if reason:
                item.FailureReason = reason
            (bad if reason else good).append(item)
        if good:
            report.ReferencedSOPSequence = Sequence(good)
        if bad:
            report.FailedSOPSequence = Sequence(bad)
        time.sleep(0.3)
        if self.reporting is Reporting.SAME:
            self._send(association, report, bool(bad))
            return
        roles = [] if self.reporting is Reporting.WITHOUT_ROLE else [build_role(PUSH_MODEL, scp_role=True)]
        caller = AE(ae_title=self._ae.ae_title)
        another = caller.associate(
            "127.0.0.1",
            self.gateway_port,
            contexts=[build_context(PUSH_MODEL, SYNTAXES)],
            ae_title="CTGATE",
            ext_neg=roles,
            tls_args=(self.calls, "127.0.0.1") if self.calls else None,
        )
        if not another.is_established:
            self.report_statuses.append(None)
            return
        if self.reporting is Reporting.WITHOUT_ROLE:
            another.accepted_contexts[0]._as_scp = True  # who proposes no role reports all the same
        self._send(another, report, bool(bad))
        another.release()

    def _send(self, association: Any, report: Dataset, failures: bool) -> None:
        status, _ = association.send_n_event_report(report, 2 if failures else 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        self.report_statuses.append(status.get("Status") if status else None)
