"""Measures queries, retrievals and what waits for storage commitment: how fast, beside what, and what it costs.

The client is pynetdicom's, in this process; what is moved goes to storescp with TCP_NODELAY, the same for every system.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

Answering = Gateway | Orthanc
"""What queries and retrievals are measured of."""


def move(server: Answering, folder: Path, template: Template, count: int) -> Sample:
    """Store so many instances of one study; return how fast a C-MOVE brings them to storescp, and what it costs."""
    filled = measure.stream(server, folder, template, 1, 1e9, count, warm_up=0)
    with _moved_to(server, folder) as destination:
        _wait_for_index(server, 1)
        idle = measure.settled_bytes(server)
        before, began = machine.cpu_seconds(server.roots), time.monotonic()
        with machine.MemoryPeak(server.roots) as peak, _associated(server.port) as client:
            _move(client, uid(1, 1).decode(), count)
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
    gateway: Gateway, folder: Path, template: Template, seconds: float, most: int, *, retrievals: int, count: int
) -> Sample:
    """Receive beside so many retrievals of `count` instances, and alone for `plain_rate`, by turns to one gateway."""
    measure.stream(gateway, folder, template, 1, 1e9, count, warm_up=0)
    turns: dict[bool, list[Sample]] = {True: [], False: []}
    moved = 0
    with _moved_to(gateway, folder):
        _wait_for_index(gateway, 1)
        for number, is_beside in enumerate((True, False, False, True)):
            with _moving(gateway, retrievals if is_beside else 0, count) as told:
                turns[is_beside].append(
                    measure.stream(
                        gateway, folder, template, 8, seconds, most, first=2 + 8 * number, already=gateway.count()
                    )
                )
                moved += sum(told)
    rates = {
        key: sum(one["instances"] for one in turns[key]) / sum(one["seconds"] for one in turns[key]) for key in turns
    }
    return {
        **measure.rate(
            sum(one["instances"] for one in turns[True]), sum(one["seconds"] for one in turns[True]), template
        ),
        "p99_ms": max(one.get("p99_ms", 0.0) for one in turns[True]),
        "plain_rate": round(rates[False], 1),
        "retrieved_rate": round(moved / sum(one["seconds"] for one in turns[True]), 1),
    }


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
def _moving(gateway: Gateway, retrievals: int, count: int) -> Iterator[list[int]]:
    """Retrieve the first study again and again, so often side by side; yields how many were moved, once it ends."""
    told: list[int] = []
    is_over = threading.Event()

    def work() -> None:
        with _associated(gateway.port) as client:
            while not is_over.is_set():
                told.append(_move(client, uid(1, 1).decode(), count, is_over.is_set))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(retrievals)]
    for one in threads:
        one.start()
    try:
        yield told
    finally:
        is_over.set()
        for one in threads:
            one.join(TIMEOUT_SECONDS)


def _move(client: Association, study: str, count: int, is_over: Callable[[], bool] = lambda: False) -> int:
    """Move a study; return how many instances that were. Raises Lost for another number, unless it `is_over`."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study
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
