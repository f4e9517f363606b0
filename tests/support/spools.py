"""A spool that a test opens by itself, and what it puts into it."""

import time
from dataclasses import replace
from pathlib import Path

from dicomroute_gateway.spool.entries import InstanceCounts
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, Received, Sender
from dicomroute_gateway.spool.spool import Spool

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
BEGUN = time.time()
SENDER = Sender("a-1", "dicom", "CT1", "GATE", "192.0.2.1")


def open_spool(
    folder: Path, size: int = 1 << 30, percent: int = 90, *, history_seconds: int = 0, has_trail: bool = False
) -> Spool:
    """Open the spool in a folder, with the bounds that most tests need."""
    return Spool(folder / "spool", size, percent, history_seconds=history_seconds, has_trail=has_trail)


def received(identifier: int, destinations: tuple[str, ...] = ("CloudTarget/a",), hold: str = "") -> Received:
    """Return the record of an instance."""
    return Received(
        id=identifier,
        time=BEGUN + identifier / 1e6,
        sop_class_uid=CT,
        sop_instance_uid=f"1.2.{identifier}",
        series_instance_uid="1.2.3",
        study_instance_uid="1.2.4",
        transfer_syntax_uid=EXPLICIT,
        length=100,
        digest="0" * 64,
        sender=SENDER,
        generation=1,
        destinations=destinations,
        hold=hold,
    )


def store(spool: Spool, destinations: tuple[str, ...] = ("CloudTarget/a",), hold: str = "", size: int = 100) -> int:
    """Receive an instance of zeros; return its number."""
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(bytes(size)))
    incoming.flush()
    record = replace(
        received(incoming.id, destinations, hold), sop_instance_uid="1.2.3", length=size, digest=incoming.digest
    )
    spool.receive(incoming, record)
    return incoming.id


def delivered(identifier: int, destination: str = "CloudTarget/a") -> DeliveryRecord:
    """Return the record of a delivery that was made."""
    return DeliveryRecord(identifier, destination, DeliveryState.DELIVERED, attempts=1)


def counts(spool: Spool) -> InstanceCounts:
    """Return how many instances there are of each outcome."""
    return spool.snapshot().instances


def journal(folder: Path) -> Path:
    """Return the one segment that the journal of a spool has."""
    (path,) = (folder / "spool" / "journal").glob("*.jsonl")
    return path
