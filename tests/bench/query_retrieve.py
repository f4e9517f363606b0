"""Measures queries, retrievals and what waits for storage commitment: how fast, beside what, and what it costs.

The client is pynetdicom's, in this process; what is moved goes to storescp with TCP_NODELAY, the same for every system.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import truediv
from pathlib import Path
from typing import Any, Final

import machine
import measure
from destinations import Storescp
from measure import Lost, Sample
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from servers import Gateway, Orthanc
from template import Template, uid

MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
IMPLICIT_VR: Final = "1.2.840.10008.1.2"
TIMEOUT_SECONDS: Final = 300
MOST_TRIES: Final = 120

_MEMORY: Final = "/dev/shm"
_RETRIEVED: Final = 200
_FIRST_SERIAL: Final = 1000
"""With which number the client of this benchmark begins the UIDs of instances."""

Answering = Gateway | Orthanc
"""What queries and retrievals are measured of."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client retrieves again and again, at most once in `every_seconds`, and how many instances that is."""

    identifier: Dataset
    count: int
    every_seconds: float = 0.0


@dataclass(slots=True)
class Moved:
    """What was retrieved in a while."""

    instances: int = 0
    seconds: float = 0.0


def move(server: Answering, folder: Path, template: Template, count: int) -> Sample:
    """Store so many instances of one study; return how fast a C-MOVE brings them to storescp, and what it costs."""
    filled = measure.stream(server, folder, template, 1, 1e9, count, warm_up=0)
    with _moved_to(server, folder) as destination:
        _wait_for_index(server, 1)
        idle = measure.settled_bytes(server)
        before, began = machine.cpu_seconds(server.roots), time.monotonic()
        with machine.MemoryPeak(server.roots) as peak, _associated(server.port) as client:
            _move(client, _study(), count)
        used = machine.cpu_seconds(server.roots) - before
        arrived = measure.wait_for(destination, count, template.length)
        return {
            **measure.rate(count, arrived.last - began, template),
            "server_cpu_ms": round(1000 * used / count, 3),
            "received_rate": filled["rate"],
            "destination_cpu_ms": round(1000 * arrived.cpu_seconds / count, 3),
            "idle_bytes": idle,
            "increase_bytes": max(0, peak.most_bytes - idle),
        }


def find(server: Answering, folder: Path, template: Template, studies: int) -> Sample:
    """Store so many studies of one instance; return when a query for all of them has its first answer, and its last."""
    measure.stream(server, folder, template, 8, 1e9, studies, warm_up=0, a_study_each=True)
    with _moved_to(server, folder), _associated(server.port) as client:
        _wait_for_index(server, studies)
        idle, before = measure.settled_bytes(server), machine.cpu_seconds(server.roots)
        began = time.monotonic()
        with machine.MemoryPeak(server.roots) as peak:
            times = _find(client)
        used = machine.cpu_seconds(server.roots) - before
    return {
        "matches": len(times),
        "first_ms": round(1000 * (times[0] - began), 1),
        "seconds": round(times[-1] - began, 3),
        "server_cpu_ms": round(1000 * used / len(times), 3),
        "idle_bytes": idle,
        "increase_bytes": max(0, peak.most_bytes - idle),
    }


def beside(
    gateway: Gateway, folder: Path, template: Template, seconds: float, most: int, *, retrievals: int, a_second: int
) -> Sample:
    """Receive beside so many retrievals of `a_second` instances a second each.

    By turns to one gateway: alone for `plain_rate`, and beside retrievals that begin anew as soon as they end, for
    `unbounded_rate`. What is retrieved is written to memory: the destination is another machine, whose disk this
    gateway's syncs do not wait for.
    """
    measure.stream(gateway, folder, template, 1, 1e9, _RETRIEVED, warm_up=0)
    turns: dict[str, list[Sample]] = {"alone": [], "beside": [], "unbounded": []}
    whole = Request(_study(), _RETRIEVED)
    paced = [Request(_images(number * a_second, a_second), a_second, every_seconds=1.0) for number in range(retrievals)]
    requests = {"alone": [], "beside": paced, "unbounded": [whole] * retrievals}
    with tempfile.TemporaryDirectory(dir=_MEMORY, prefix="bench-") as memory, _moved_to(gateway, Path(memory)):
        _wait_for_index(gateway, 1)
        for number, turn in enumerate((*turns, *reversed(turns))):
            with _moving(gateway, requests[turn]) as moved:
                one = measure.stream(
                    gateway, folder, template, 8, seconds, most, first=2 + 8 * number, already=gateway.count()
                )
            one["retrieved_rate"] = moved.instances / moved.seconds
            turns[turn].append(one)
    alone, paced_turns, unbounded = turns.values()
    return {
        **measure.rate(*_received(paced_turns), template),
        "p99_ms": _slowest(paced_turns),
        "retrieved_rate": _retrieved(paced_turns),
        "plain_rate": round(truediv(*_received(alone)), 1),
        "plain_p99_ms": _slowest(alone),
        "unbounded_rate": round(truediv(*_received(unbounded)), 1),
        "unbounded_p99_ms": _slowest(unbounded),
        "unbounded_retrieved_rate": _retrieved(unbounded),
    }


def _received(turns: Sequence[Sample]) -> tuple[int, float]:
    """Return how many instances were received in how many seconds."""
    return sum(one["instances"] for one in turns), sum(one["seconds"] for one in turns)


def _slowest(turns: Sequence[Sample]) -> float:
    return max(float(one.get("p99_ms", 0.0)) for one in turns)


def _retrieved(turns: Sequence[Sample]) -> float:
    return round(statistics.fmean(one["retrieved_rate"] for one in turns), 1)


def _wait_for_index(server: Answering, studies: int) -> None:
    """Wait until a query finds so many studies, and ends with success: it does not before the index has everything."""
    with _associated(server.port) as client:
        for _ in range(MOST_TRIES):
            if len(_find(client)) == studies:
                return
            time.sleep(0.5)
    raise Lost(f"a query does not find {studies} studies")


@contextmanager
def _moved_to(server: Answering, folder: Path) -> Iterator[Storescp]:
    """Start what is moved to, and let a system move there, and be queried."""
    destination = Storescp(folder / "moved-to", no_delay=True)
    try:
        server.serve_retrievals(destination)
        yield destination
    finally:
        destination.close()


@contextmanager
def _associated(port: int) -> Iterator[Association]:
    entity = AE(ae_title="BENCHSENDER")
    entity.dimse_timeout = entity.network_timeout = entity.acse_timeout = TIMEOUT_SECONDS
    for model in (FIND, MOVE):
        entity.add_requested_context(model, [IMPLICIT_VR])
    association = entity.associate("127.0.0.1", port, ae_title="BENCH")
    if not association.is_established:
        raise Lost("the system accepts no association for queries")
    try:
        yield association
    finally:
        association.release()


@contextmanager
def _moving(gateway: Gateway, requests: Sequence[Request]) -> Iterator[Moved]:
    """Make these requests side by side, each again and again; what it yields is known once it has ended."""
    moved, told = Moved(), list[int]()
    is_over = threading.Event()

    def work(request: Request) -> None:
        with _associated(gateway.port) as client:
            while not is_over.is_set():
                begun = time.monotonic()
                told.append(_move(client, request.identifier, request.count, is_over.is_set))
                is_over.wait(max(0.0, request.every_seconds - (time.monotonic() - begun)))

    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in requests]
    begun = time.monotonic()
    for one in threads:
        one.start()
    try:
        yield moved
    finally:
        is_over.set()
        for one in threads:
            one.join(TIMEOUT_SECONDS)
        moved.instances, moved.seconds = sum(told), time.monotonic() - begun


def _study() -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", uid(1, 1).decode()
    return identifier


def _images(first: int, count: int) -> Dataset:
    """Return an identifier of so many instances of the first study."""
    identifier = _study()
    identifier.QueryRetrieveLevel, identifier.SeriesInstanceUID = "IMAGE", uid(1, 2).decode()
    identifier.SOPInstanceUID = [uid(1, _FIRST_SERIAL + first + one).decode() for one in range(count)]
    return identifier


def _move(client: Association, identifier: Dataset, count: int, is_over: Callable[[], bool] = lambda: False) -> int:
    """Move what is named; return how many instances that were. Raises Lost for another number, unless it `is_over`."""
    responses: list[Any] = [one for one, _ in client.send_c_move(identifier, "STORESCP", MOVE)]
    status = responses[-1]
    moved = int(status.get("NumberOfCompletedSuboperations", -1)) if status else -1
    if (not status or status.Status or moved != count) and not is_over():
        raise Lost(f"of {count} instances {moved} were moved, and the final status is {status}")
    return max(0, moved)


def _find(client: Association) -> list[float]:
    """Query for all studies; return when each answer came, on the monotonic clock. Nothing where it ends otherwise."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", ""
    for keyword in ("PatientName", "PatientID", "StudyDate", "StudyDescription", "AccessionNumber"):
        setattr(identifier, keyword, "")
    times, last = [], -1
    for status, match in client.send_c_find(identifier, FIND):
        last = int(status.Status) if status else -1
        if match is not None:
            times.append(time.monotonic())
    return times if last == 0 else []
