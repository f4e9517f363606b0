"""A modality of pynetdicom that stores, asks for storage commitment, and takes reports as a test tells it."""

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pydicom
from committing import PUSH_MODEL, PUSH_MODEL_INSTANCE, SYNTAXES
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context

CT: Final = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True)
class Reported:
    """A report as it came: on which association, and with which Failure Reason of each instance; 0: committed."""

    transaction_uid: str
    event_type: int
    reasons: dict[str, int]
    on_own: bool
    caller: str
    roles: dict[str, tuple[bool, bool]]


class Scanner:
    """Calls as CT1, and listens for reports: over TLS where it is given what it `calls` and `listens` with."""

    def __init__(
        self,
        gateway_port: int,
        *,
        port: int = 0,
        calls: ssl.SSLContext | None = None,
        listens: ssl.SSLContext | None = None,
    ) -> None:
        self._gateway_port = gateway_port
        self._tls = (calls, "127.0.0.1") if calls else None
        self.reports: list[Reported] = []
        self.answer: Callable[[int], int] = lambda number: 0
        """The status that answers the report of that number, from 1 on."""
        self._mutex = threading.Lock()
        self._sent = 0
        """How many P-DATA-TF PDUs have been sent on own associations."""
        self._ae = AE(ae_title="CT1")
        self._ae.require_called_aet = True
        self._ae.add_supported_context(PUSH_MODEL, SYNTAXES, scu_role=False, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take)]
        self._server = self._ae.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=listens
        )
        assert self._server is not None
        self.port = int(self._server.socket.getsockname()[1])

    def close(self) -> None:
        self._ae.shutdown()

    def associate(self, *contexts: str) -> Any:
        """Return an association with the gateway, for commitment and these SOP classes."""
        caller = AE(ae_title="CT1")
        proposed = [build_context(one, SYNTAXES) for one in (PUSH_MODEL, *contexts)]
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take_on_own), (evt.EVT_PDU_SENT, self._count)]
        association = caller.associate(
            "127.0.0.1",
            self._gateway_port,
            contexts=proposed,
            ae_title="CTGATE",
            evt_handlers=handlers,
            tls_args=self._tls,
        )
        assert association.is_established
        return association

    def ask(
        self,
        uids: Sequence[str],
        *,
        transaction_uid: str = "",
        stays: float = 0.0,
        sop_class: str = CT,
        association: Any = None,
    ) -> tuple[int, str]:
        """Ask for commitment, and stay on the association for so long; return the status and the transaction UID."""
        own = association or self.associate()
        transaction = transaction_uid or str(generate_uid())
        information = Dataset()
        information.TransactionUID = transaction
        items = []
        for uid in uids:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
            items.append(item)
        information.ReferencedSOPSequence = DicomSequence(items)
        status, _ = own.send_n_action(information, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        ends, sent = time.monotonic() + stays, self._sent
        # Until the report is answered, too: pynetdicom cannot release before.
        while time.monotonic() < ends and not (self.report_on(transaction) and self._sent > sent):
            time.sleep(0.05)
        if association is None:
            own.release()
        return int(status.Status), transaction

    def try_to_ask(self, uids: Sequence[str], transaction_uid: str) -> int | None:
        """Ask a gateway that may not live to answer; return the status, None without an answer."""
        association = self.associate()
        try:
            status, _ = self.ask(uids, transaction_uid=transaction_uid, association=association)
        except AttributeError:  # pynetdicom returns an empty data set in place of a status
            return None
        association.abort()
        return status

    def report_on(self, transaction_uid: str) -> Reported | None:
        """Return the last report on a transaction."""
        with self._mutex:
            return next((one for one in reversed(self.reports) if one.transaction_uid == transaction_uid), None)

    def _count(self, event: Any) -> None:
        self._sent += isinstance(event.pdu, P_DATA_TF)

    def _take_on_own(self, event: Any) -> tuple[int, None]:
        return self._take(event, on_own=True)

    def _take(self, event: Any, on_own: bool = False) -> tuple[int, None]:
        information = event.event_information
        reasons = {str(item.ReferencedSOPInstanceUID): 0 for item in information.get("ReferencedSOPSequence") or ()}
        for item in information.get("FailedSOPSequence") or ():
            assert str(item.ReferencedSOPInstanceUID) not in reasons
            reasons[str(item.ReferencedSOPInstanceUID)] = int(item.FailureReason)
        roles = {} if on_own else event.assoc.requestor.role_selection
        with self._mutex:
            self.reports.append(
                Reported(
                    str(information.TransactionUID),
                    int(event.event_type),
                    reasons,
                    on_own,
                    str(event.assoc.requestor.ae_title),
                    {str(uid): (bool(role.scu_role), bool(role.scp_role)) for uid, role in roles.items()},
                )
            )
            number = len(self.reports)
        return self.answer(number), None


def read(files: Sequence[Path]) -> list[Dataset]:
    """Return the data sets of files."""
    return [pydicom.dcmread(file) for file in files]
