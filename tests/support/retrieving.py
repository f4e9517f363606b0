"""Clients that retrieve, and storage SCPs that they retrieve to."""

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pydicom
from manifests import Json, changed
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from querying import query_retrieve
from routes import all_to, local_node, local_route, pacs, to

MOVE: Final = {"P": "1.2.840.10008.5.1.4.1.2.1.2", "S": "1.2.840.10008.5.1.4.1.2.2.2"}
GET: Final = {"P": "1.2.840.10008.5.1.4.1.2.1.3", "S": "1.2.840.10008.5.1.4.1.2.2.3"}
CT: Final = "1.2.840.10008.5.1.4.1.1.2"
MR: Final = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
IMPLICIT: Final = "1.2.840.10008.1.2"
NOWHERE: Final = "http://127.0.0.1:9/dicom-web"
Counts = tuple[int | None, int | None, int | None, int | None]


def moving_route(*documents: Json, port: int, **query: Any) -> list[Json]:
    """Return a route whose instances stay in the spool, and that may move them to PACS on a port."""
    moved = {"moveDestinations": {"nodes": [{"name": "pacs"}]}, "pendingIntervalSeconds": 1, **query}
    served = query_retrieve(**moved)
    return [local_node(), to(NOWHERE), pacs(port), *documents,
            local_route(rules=all_to("archive"), queryRetrieve=served)]  # fmt: skip


def cloud_route(url: str, *, port: int, provider: str = "Generic", **query: Any) -> list[Json]:
    """Return the same with an archive beside the spool."""
    archive = changed(to(url, provider=provider), "metadata.name", "cloud")
    return moving_route(archive, port=port, archives=[{"kind": "CloudTarget", "name": "cloud"}], **query)


@dataclass
class Answers:
    """What a retrieval was answered: statuses and counts, when each came, and what the final one says more."""

    statuses: list[int] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    comment: str = ""
    failed: list[str] = field(default_factory=list)

    @property
    def final(self) -> tuple[int, Counts]:
        return self.statuses[-1], self.counts[-1]

    @property
    def longest_pause(self) -> float:
        return max(after - before for before, after in zip(self.times, self.times[1:], strict=False))


def identifier(level: str, **values: Any) -> Dataset:
    data_set = Dataset()
    data_set.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(data_set, keyword, value)
    return data_set


class Client:
    """A client of pynetdicom: it moves to others and gets to itself."""

    def __init__(
        self,
        port: int,
        *,
        models: Sequence[str] = (MOVE["S"], MOVE["P"], GET["S"], GET["P"]),
        storage: dict[str, list[str]] | None = None,
        calling: str = "CT1",
        status: Callable[[Dataset], int] = lambda _: 0x0000,
    ) -> None:
        self.received: list[tuple[str, bytes]] = []
        """Transfer syntax and data set of what it got."""
        self.status = status
        entity = AE(ae_title=calling)
        entity.dimse_timeout = entity.network_timeout = entity.acse_timeout = 60
        for model in models:
            entity.add_requested_context(model, [EXPLICIT, IMPLICIT])
        roles = []
        for sop_class, syntaxes in (storage or {}).items():
            for syntax in syntaxes:
                entity.add_requested_context(sop_class, [syntax])
            roles.append(build_role(sop_class, scp_role=True))
        handlers = [(evt.EVT_C_STORE, self._store)]
        self.association: Association = entity.associate(
            "127.0.0.1", port, ae_title="CTGATE", ext_neg=roles, evt_handlers=handlers
        )
        assert self.association.is_established

    def move(self, wanted: Dataset, destination: str = "PACS", model: str = "S", **options: Any) -> Answers:
        return self._answers(self.association.send_c_move(wanted, destination, MOVE[model], **options))

    def get(self, wanted: Dataset, model: str = "S", **options: Any) -> Answers:
        return self._answers(self.association.send_c_get(wanted, GET[model], **options))

    def uids(self) -> list[str]:
        return sorted(str(pydicom.dcmread(BytesIO(data), force=True).SOPInstanceUID) for _, data in self.received)

    def release(self) -> None:
        self.association.release()

    def _answers(self, responses: Any) -> Answers:
        answers = Answers(times=[time.monotonic()])
        for status, data_set in responses:
            names = ("Remaining", "Completed", "Failed", "Warning")
            numbers = [status.get(f"NumberOf{name}Suboperations") for name in names]
            answers.statuses.append(status.get("Status", -1))
            answers.counts.append((numbers[0], numbers[1], numbers[2], numbers[3]))
            answers.times.append(time.monotonic())
            answers.comment = status.get("ErrorComment", "")
            if data_set is not None and data_set.get("FailedSOPInstanceUIDList"):
                value = data_set.FailedSOPInstanceUIDList
                answers.failed = [value] if isinstance(value, str) else list(value)
        return answers

    def _store(self, event: Any) -> int:
        self.received.append((str(event.context.transfer_syntax), event.request.DataSet.getvalue()))
        return self.status(event.dataset)


class Receiver:
    """A storage SCP of pynetdicom that keeps what it gets and who asked for it."""

    def __init__(
        self,
        storage: dict[str, list[str]] | None = None,
        *,
        title: str = "PACS",
        status: Callable[[Dataset], int] = lambda _: 0x0000,
        pause_seconds: float = 0.0,
        most_associations: int = 10,
        on_store: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.originators: set[tuple[str, int]] = set()
        self.associations = self.refused = self.busy = self.most_busy = 0
        self._lock = threading.Lock()
        self.pause_seconds = pause_seconds
        self.has_begun = threading.Event()
        self._status = status
        self._on_store = on_store
        entity = AE(ae_title=title)
        entity.maximum_associations = most_associations
        for sop_class, syntaxes in (storage or {CT: [EXPLICIT, IMPLICIT], MR: [EXPLICIT, IMPLICIT]}).items():
            entity.add_supported_context(sop_class, syntaxes)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_REJECTED, self._rejected),
        ]
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(self._server.server_address[1])

    def uids(self) -> list[str]:
        return sorted(str(pydicom.dcmread(BytesIO(data), force=True).SOPInstanceUID) for _, data in self.received)

    def close(self) -> None:
        self._server.shutdown()

    def _accepted(self, _: Any) -> None:
        self.associations += 1

    def _rejected(self, _: Any) -> None:
        self.refused += 1

    def _store(self, event: Any) -> int:
        self.has_begun.set()
        with self._lock:
            self.busy += 1
            self.most_busy = max(self.busy, self.most_busy)
        time.sleep(self.pause_seconds)
        with self._lock:
            self.busy -= 1
        request = event.request
        self.received.append((str(event.context.transfer_syntax), request.DataSet.getvalue()))
        title = request.MoveOriginatorApplicationEntityTitle
        self.originators.add((str(title).strip(), request.MoveOriginatorMessageID))
        self._on_store(event)
        return self._status(event.dataset)


def dcmtk(program: str, port: int, *words: str, keys: Sequence[str], folder: Path | None = None) -> tuple[int, str]:
    """Run movescu or getscu; return its exit code and what it said."""
    command = [program, "-v", "-S", "-aet", "CT1", "-aec", "CTGATE", *words]
    for key in keys:
        command += ["-k", key]
    said = subprocess.run(
        [*command, "127.0.0.1", str(port)],
        check=False, capture_output=True, text=True, errors="replace", timeout=90, cwd=folder,
    )  # fmt: skip
    return said.returncode, said.stdout + said.stderr
