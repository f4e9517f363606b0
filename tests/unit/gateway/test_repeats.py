"""The same bytes again: whoever sends them again means it, whatever became of the first, also after a restart."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from spools import BEGUN, CT, EXPLICIT, counts, delivered, received

from dicomroute_gateway.deliver.line import Line, Turn
from dicomroute_gateway.spool.entries import Entry, InstanceCounts
from dicomroute_gateway.spool.keys import NO_KEYS, Keys, key_of
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, HoldRecord, Received
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Drop, Owed

A, B = "CloudTarget/a", "CloudTarget/b"
KEY = key_of(bytes(32))
Reopen = Callable[[Spool], Spool]


@pytest.fixture(params=["in clear", "encrypted"])
def keys(request: pytest.FixtureRequest) -> Keys:
    return NO_KEYS if request.param == "in clear" else Keys({KEY.id: KEY}, KEY)


@pytest.fixture
def spool(tmp_path: Path, keys: Keys) -> Spool:
    return Spool(tmp_path / "spool", 1 << 30, 90, keys=keys)


@pytest.fixture(params=["at once", "restarted", "compacted"])
def later(request: pytest.FixtureRequest, tmp_path: Path, keys: Keys) -> Reopen:
    """Return the spool as it is later."""

    def reopen(spool: Spool) -> Spool:
        if request.param == "at once":
            return spool
        if request.param == "compacted":
            spool._upkeep.reap()
            spool._upkeep.compact()
        spool.close()
        return Spool(tmp_path / "spool", 1 << 30, 90, keys=keys)

    return reopen


def send(
    spool: Spool, destinations: tuple[str, ...] = (A,), hold: str = "", skipped: tuple[str, ...] = ()
) -> tuple[int, Received]:
    """Let the one instance come, as reception does; return the number that it has in the spool."""
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(bytes(100)))
    incoming.end()
    record = replace(
        received(incoming.id, destinations, hold),
        sop_instance_uid="1.2.3",
        length=incoming.length,
        digest=incoming.digest,
        key=incoming.key,
        skipped=skipped,
    )
    kept = spool.repeat(record)
    if kept is None:
        spool.receive(incoming, record)
        return incoming.id, record
    incoming.discard()
    return kept, record


def only_entry(spool: Spool) -> Entry:
    (entry,) = spool.entries(lambda _: True)
    return entry


def judged(identifier: int, state: DeliveryState, destination: str = A) -> DeliveryRecord:
    return DeliveryRecord(identifier, destination, state, 3, 2, "CannotUnderstand", 0xC000, BEGUN)


@pytest.mark.parametrize("state", [DeliveryState.DEAD_LETTERED, DeliveryState.SKIPPED, DeliveryState.PENDING])
def test_a_delivery_that_was_refused_or_given_up_is_made_anew(
    spool: Spool, later: Reopen, state: DeliveryState
) -> None:
    first, _ = send(spool, (A, B))
    spool.settle([judged(first, state)])
    spool = later(spool)
    spool.take_fresh()
    assert send(spool, (A, B))[0] == first
    assert Owed(first, A) in spool.take_fresh()
    spool = later(spool)
    delivery = only_entry(spool).deliveries[A]
    assert (delivery.state, delivery.refusals) == (DeliveryState.PENDING, 0)
    assert counts(spool) == InstanceCounts(owed=1, dead_lettered=0, skipped=0, delivered=0, discarded=0)
    spool.settle([delivered(first, A), delivered(first, B)])
    assert counts(spool).delivered == 1
    spool.close()


def test_what_an_attempt_under_way_comes_to_does_not_undo_that_it_was_sent_again(spool: Spool) -> None:
    first, _ = send(spool)
    before = judged(first, DeliveryState.PENDING)
    spool.settle([replace(before, refusals=7, attempts=7)])
    send(spool)
    spool.settle([replace(before, state=DeliveryState.DEAD_LETTERED, refusals=8, attempts=8)])
    delivery = only_entry(spool).deliveries[A]
    assert (delivery.state, delivery.refusals, delivery.attempts) == (DeliveryState.PENDING, 0, 8)
    spool.close()


def test_what_was_dropped_is_made_anew(spool: Spool, later: Reopen) -> None:
    first, _ = send(spool, (A, B))
    assert spool.decisions.drop([Drop(first, [A])]) == [1]
    spool = later(spool)
    assert send(spool, (A, B))[0] == first
    assert only_entry(spool).deliveries[A].state is DeliveryState.PENDING
    spool.close()


@pytest.mark.parametrize("hold", ["Unmatched", "RuleError"])
def test_what_was_held_goes_where_the_rules_of_now_say(spool: Spool, later: Reopen, hold: str) -> None:
    first, _ = send(spool, (), hold)
    spool = later(spool)
    assert send(spool, (A,))[0] == first
    spool = later(spool)
    assert (only_entry(spool).hold, list(only_entry(spool).deliveries)) == ("", [A])
    assert Owed(first, A) in spool.take_fresh()
    assert counts(spool) == InstanceCounts(owed=1, dead_lettered=0, skipped=0, delivered=0, discarded=0)
    spool.settle([delivered(first)])
    assert spool.entries(lambda _: True) == []
    assert counts(spool).delivered == 1
    spool.close()


def test_what_was_held_beside_a_delivery_is_held_no_longer(spool: Spool, later: Reopen) -> None:
    first, _ = send(spool, (A,), "RuleError")
    spool.settle([delivered(first)])
    spool = later(spool)
    assert send(spool, (B,))[0] == first
    assert only_entry(spool).hold == ""
    assert only_entry(spool).deliveries[B].state is DeliveryState.PENDING
    spool.close()


def test_what_no_rule_takes_now_is_held_beside_what_it_is_owed(spool: Spool, later: Reopen) -> None:
    first, _ = send(spool, (A,))
    spool = later(spool)
    assert send(spool, (), "Unmatched")[0] == first
    spool = later(spool)
    assert only_entry(spool).hold == "Unmatched"
    assert only_entry(spool).deliveries[A].state is DeliveryState.PENDING
    spool.close()


def test_a_hold_that_no_rule_set_stays(spool: Spool, later: Reopen) -> None:
    first, _ = send(spool, (A,))
    with spool._books.mutex:
        spool._books.take_over(HoldRecord(first, "Quarantine"))
    spool = later(spool)
    assert send(spool, (A,))[0] == first
    assert only_entry(spool).hold == "Quarantine"
    spool.close()


def test_what_was_held_and_goes_only_where_the_quota_is_reached_is_skipped(spool: Spool, later: Reopen) -> None:
    first, _ = send(spool, (), "Unmatched")
    spool = later(spool)
    assert send(spool, (), "", skipped=(A,))[0] == first
    assert spool.entries(lambda _: True) == []
    assert counts(spool) == InstanceCounts(owed=0, dead_lettered=0, skipped=1, delivered=0, discarded=0)
    spool.close()


@pytest.mark.parametrize("was", ["held", "a dead letter"])
def test_a_copy_that_comes_while_a_long_journal_is_read_leaves_nothing_of_the_first_behind(
    tmp_path: Path, spool: Spool, keys: Keys, monkeypatch: pytest.MonkeyPatch, was: str
) -> None:
    first, _ = send(spool, () if was == "held" else (A,), "Unmatched" if was == "held" else "")
    if was != "held":
        spool.settle([judged(first, DeliveryState.DEAD_LETTERED)])
    spool.close()
    monkeypatch.setattr("dicomroute_gateway.spool.spool._READ_AT_ONCE_BYTES", 0)
    monkeypatch.setattr("dicomroute_gateway.spool.upkeep.Upkeep.start", lambda *_: None)
    monkeypatch.setattr("dicomroute_gateway.spool.upkeep.Upkeep.stop", lambda *_: None)
    spool = Spool(tmp_path / "spool", 1 << 30, 90, keys=keys)
    second, _ = send(spool, (A,))
    assert second != first
    spool._upkeep.load()
    assert only_entry(spool).received.id == second
    assert counts(spool) == InstanceCounts(owed=1, dead_lettered=0, skipped=1, delivered=0, discarded=0)
    spool.close()


def test_one_that_waits_for_a_time_and_is_offered_again_is_tried_at_once() -> None:
    line = Line()
    line.add_later(100.0, 7)
    line.add_later(50.0, 8)
    line.add([7])
    assert line.due(7) == 100.0
    line.hasten([7])
    assert (line.next_time, line.due(7)) == (50.0, None)
    assert line.take(0.0, 5, lambda _: Turn.TAKE) == [7]
    line.add_later(10.0, 7)
    assert line.next_time == 10.0
    line.hurry()
    assert line.next_time is None
    assert [line.take(0.0, 5, lambda _: Turn.TAKE) for _ in range(2)] == [[7], [8]]
