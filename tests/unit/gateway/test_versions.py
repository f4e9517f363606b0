"""Versions of one SOP Instance UID in a spool: the last that was accepted is what every destination has in the end."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from spools import CT, EXPLICIT, counts, delivered, open_spool, received

from dicomroute_gateway.spool.entries import Entry
from dicomroute_gateway.spool.incoming import Incoming
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, Received
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Owed, Rerouting

A, B = "CloudTarget/a", "CloudTarget/b"


def begun(spool: Spool) -> Incoming:
    return spool.begin(CT, "1.2.3", EXPLICIT)


def accept(spool: Spool, incoming: Incoming, byte: int, destinations: tuple[str, ...] = (A,), hold: str = "") -> int:
    """Let a version of the one instance be received; it consists of bytes with this value."""
    incoming.write(memoryview(bytes([byte]) * 100))
    incoming.flush()
    spool.receive(incoming, record_of(incoming, destinations, hold))
    return incoming.id


def record_of(incoming: Incoming, destinations: tuple[str, ...], hold: str = "") -> Received:
    record = received(incoming.id, destinations, hold)
    return replace(record, sop_instance_uid="1.2.3", length=incoming.length, digest=incoming.digest)


def refused(identifier: int, destination: str = A) -> DeliveryRecord:
    return DeliveryRecord(identifier, destination, DeliveryState.DEAD_LETTERED, 2, 2, "CannotUnderstand")


def entry_of(spool: Spool, identifier: int) -> Entry:
    (entry,) = spool.entries(lambda one: one.received.id == identifier)
    return entry


def again(spool: Spool, folder: Path, how: str) -> Spool:
    """Return the spool as it is later: at once, after a restart, or after what is done was forgotten, and a restart."""
    if how == "at once":
        return spool
    if how == "compacted":
        spool._upkeep.reap()
        spool._upkeep.compact()
    spool.close()
    return open_spool(folder)


LATER = pytest.mark.parametrize("how", ["at once", "restarted", "compacted"])


@LATER
def test_what_was_refused_is_not_sent_over_a_later_version(tmp_path: Path, how: str) -> None:
    spool = open_spool(tmp_path)
    old = accept(spool, begun(spool), 1, (A, B))
    spool.settle([refused(old)])
    new = accept(spool, begun(spool), 2, (A, B))
    spool.settle([delivered(new, A)])
    spool = again(spool, tmp_path, how)
    assert entry_of(spool, old).received.superseded == (A,)
    retried = spool.decisions.retry([Owed(old, A), Owed(old, B)])
    assert (retried.count, retried.superseded) == (1, [Owed(old, A)])
    assert spool.is_behind(Owed(new, B))
    spool.close()


@LATER
def test_what_is_released_is_not_sent_over_a_later_version(tmp_path: Path, how: str) -> None:
    spool = open_spool(tmp_path)
    old = accept(spool, begun(spool), 1, (), "Unmatched")
    new = accept(spool, begun(spool), 2)
    spool.settle([delivered(new)])
    spool = again(spool, tmp_path, how)
    assert spool.decisions.reroute([Rerouting(old, [A, B], "")])
    deliveries = entry_of(spool, old).deliveries
    assert {name: (one.state, one.reason) for name, one in deliveries.items()} == {
        A: (DeliveryState.SKIPPED, "Superseded"),
        B: (DeliveryState.PENDING, ""),
    }
    spool.close()


@LATER
def test_the_order_is_that_of_acceptance_and_not_of_numbers(tmp_path: Path, how: str) -> None:
    spool = open_spool(tmp_path)
    slow, quick = begun(spool), begun(spool)
    first, last = accept(spool, quick, 1, (A, B)), accept(spool, slow, 2, (A, B))
    assert last < first
    spool.settle([delivered(first, A)])
    spool = again(spool, tmp_path, how)
    assert spool.is_behind(Owed(last, B))
    assert not spool.is_behind(Owed(first, B))
    assert not spool.is_behind(Owed(last, A))
    assert entry_of(spool, last).received.follows
    assert not entry_of(spool, first).received.follows
    assert entry_of(spool, first).received.superseded == ()
    spool.close()


@LATER
def test_one_that_comes_again_after_a_later_version_is_the_last(tmp_path: Path, how: str) -> None:
    """Its sender says so; what a destination answers is then no answer to an earlier attempt."""
    spool = open_spool(tmp_path)
    old = accept(spool, begun(spool), 1, (A, B))
    spool.settle([delivered(old, A), refused(old, B)])
    new = accept(spool, begun(spool), 2, (A, B))
    spool.settle([delivered(new, A), delivered(new, B)])
    spool = again(spool, tmp_path, how)
    incoming = begun(spool)
    incoming.write(memoryview(bytes([1]) * 100))
    incoming.flush()
    assert spool.repeat(record_of(incoming, (A,))) == old
    entry = entry_of(spool, old)
    assert (entry.received.follows, entry.received.superseded) == (True, (B,))
    assert entry.deliveries[A].state is DeliveryState.PENDING
    spool.close()


def test_one_that_cannot_be_read_is_replaced_by_its_copy(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    damaged = accept(spool, begun(spool), 1, (A, B))
    spool.settle([delivered(damaged, B)])
    with spool.file(damaged).open("r+b") as file:
        file.truncate(20)
    incoming = begun(spool)
    incoming.write(memoryview(bytes([1]) * 100))
    incoming.flush()
    assert spool.repeat(record_of(incoming, (A,))) is None
    copy = accept(spool, begun(spool), 1)
    assert not spool.is_behind(Owed(copy, A))
    assert counts(spool).skipped == 1, "the damaged one is given up where the copy goes"
    assert spool.pending(Owed(damaged, A)) is None
    spool.close()


def test_one_whose_bytes_proved_broken_is_replaced_by_its_copy(tmp_path: Path) -> None:
    """The file has its length: only reading it has shown that it is not what it was."""
    spool = open_spool(tmp_path)
    damaged = accept(spool, begun(spool), 1, (A, B))
    spool.settle([DeliveryRecord(damaged, A, DeliveryState.PENDING, 1, reason="SpoolUnreadable")])
    copy = accept(spool, begun(spool), 1)
    assert spool.pending(Owed(damaged, A)) is None
    assert spool.pending(Owed(damaged, B)) is not None, "the copy does not go there"
    assert spool.pending(Owed(copy, A)) is not None
    spool.close()


def test_versions_that_come_while_a_long_journal_is_read_are_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    slow, quick = begun(spool), begun(spool)
    first, second = accept(spool, quick, 1), accept(spool, slow, 2)
    spool.close()
    monkeypatch.setattr("dicomroute_gateway.spool.spool._READ_AT_ONCE_BYTES", 0)
    monkeypatch.setattr("dicomroute_gateway.spool.upkeep.Upkeep.start", lambda *_: None)
    spool = open_spool(tmp_path)
    third = accept(spool, begun(spool), 3)
    spool._upkeep.load()
    assert [one.id for one in spool.take_fresh()] == [first, second, third]
    assert [spool.is_behind(Owed(one, A)) for one in (first, second, third)] == [False, True, True]
    assert [entry_of(spool, one).received.follows for one in (first, second, third)] == [False, True, True]
    monkeypatch.setattr("dicomroute_gateway.spool.upkeep.Upkeep.stop", lambda *_: None)
    spool.close()


def test_a_discarded_one_is_counted_when_its_sender_is_answered(tmp_path: Path) -> None:
    spool = open_spool(tmp_path / "running")
    incoming = begun(spool)
    incoming.discard()
    spool.count_discarded(replace(record_of(incoming, ()), digest=""))
    shutil.copytree(tmp_path / "running" / "spool", tmp_path / "spool")  # what kill -9 leaves
    spool.close()
    for folder in (tmp_path, tmp_path / "running"):
        after = open_spool(folder)
        assert counts(after).discarded == 1
        assert begun(after).id > incoming.id, "no number is given twice"
        after.close()
