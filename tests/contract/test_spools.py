"""Spools of earlier releases, as they were written: this gateway opens them, and goes on where they stood.

`spools/format-3` was written by the last release before format 4: instances that wait, one that one of its destinations
has, one that no rule took, a dead letter, one that was tried.
"""

import shutil
from pathlib import Path

from dicomroute_gateway.spool.entries import InstanceCounts
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Owed

A, B = "CloudTarget/archive", "DicomNode/pacs"
WAITS, HALF, HELD, DEAD, TRIED = 1, 2, 3, 4, 6


def opened(tmp_path: Path) -> Spool:
    if not (tmp_path / "spool").exists():
        shutil.copytree(Path(__file__).parent / "spools" / "format-3", tmp_path / "spool")
    return Spool(tmp_path / "spool", 1 << 30, 90)


def test_a_spool_of_format_3_with_a_queue_in_flight_opens_and_drains(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    assert spool.snapshot().instances == InstanceCounts(owed=4, dead_lettered=1, skipped=0, delivered=1, discarded=0)
    assert set(spool.take_fresh()) == {Owed(WAITS, A), Owed(WAITS, B), Owed(HALF, B), Owed(TRIED, B)}
    found = {entry.received.id: entry for entry in spool.entries(lambda _: True)}
    assert found[HELD].hold == "Unmatched"
    assert found[DEAD].deliveries[A].reason == "Conflict"
    assert (found[TRIED].deliveries[B].attempts, found[TRIED].deliveries[B].may_have_arrived) == (3, True)
    assert all(delivery.recipe == "" for entry in found.values() for delivery in entry.deliveries.values())
    with spool.stored(found[WAITS].received).open() as content:
        assert content.read_at(found[WAITS].received.content_length - 8, 8) == b"P0000001"
    for owed in (Owed(WAITS, A), Owed(WAITS, B), Owed(HALF, B), Owed(TRIED, B)):
        spool.settle([DeliveryRecord(owed.id, owed.destination, DeliveryState.DELIVERED, attempts=1)])
    assert spool.snapshot().instances == InstanceCounts(owed=1, dead_lettered=1, skipped=0, delivered=4, discarded=0)
    spool.close()
    assert (tmp_path / "spool" / "format").read_text() == '{"format": 3}', "the release before opens it again"
    again = opened(tmp_path)
    assert again.snapshot().instances.owed == 1
    again.close()
