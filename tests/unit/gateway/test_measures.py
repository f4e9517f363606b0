"""What is measured is bounded, whatever comes: buckets, reasons, refused callers, instances that wait."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.dimse.refused import RefusedCaller, RefusedCallers
from dicomroute_gateway.measures import OTHER, DestinationMeasures, Histogram, MeasuredAttempt, Measures
from dicomroute_gateway.spool.deliveries import AWAITED
from dicomroute_gateway.spool.ledger import Ledger
from dicomroute_gateway.spool.oldest import OldestPending
from dicomroute_gateway.spool.records import (
    AgainRecord,
    DeliveryRecord,
    DeliveryState,
    DroppedRecord,
    HoldRecord,
    Received,
    Sender,
)


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_what_is_up_to_each_bound(values: list[float]) -> None:
    histogram = Histogram((1, 5, 20))
    for value in values:
        histogram.observe(value)
    seen = histogram.snapshot()
    assert seen.cumulative == tuple(sum(value <= bound for value in values) for bound in (1, 5, 20, float("inf")))
    assert seen.sum == pytest.approx(sum(values))


def test_reasons_beyond_the_bound_are_counted_together() -> None:
    measures = DestinationMeasures()
    for number in range(1000):
        measures.attempted(0.1, [MeasuredAttempt(f"Reason{number}", False, 10, 1.0)])
    found = measures.attempts()
    assert len(found) == 65
    assert found[OTHER] == 1000 - 64
    assert measures.delivered_bytes == 0


def test_only_what_was_delivered_counts_as_delivered() -> None:
    measures = Measures()
    attempts = [
        MeasuredAttempt("Stored", True, 10, 2.0),
        MeasuredAttempt("Busy", False, 20, 3.0),
        MeasuredAttempt("Stored", True, 30, -1.0),
    ]
    measures.attempted("CloudTarget/a", 0.5, attempts)
    found = measures.destinations()["CloudTarget/a"]
    assert (found.delivered_bytes, found.attempts()) == (40, {"Stored": 2, "Busy": 1})
    assert found.delivery_seconds.snapshot().sum == 2.0, "a clock that was put back makes no negative age"
    assert found.attempt_seconds.snapshot().cumulative[-1] == 1


def caller(number: int, address: str | None = None) -> RefusedCaller:
    host = address or f"192.0.2.{number}"
    return RefusedCaller(f"AE{number}", "GATE", host, "dicom", "CallingAETitle")


def test_the_callers_that_were_seen_last_are_remembered() -> None:
    callers = RefusedCallers()
    for number in range(200):
        callers.note(caller(number))
    callers.note(caller(0))
    callers.note(caller(1000))
    latest = callers.latest()
    assert len(latest) == 200
    assert [one.caller for one in latest[:2]] == [caller(1000), caller(0)]
    assert (latest[1].count, latest[1].first_time <= latest[1].last_time) == (2, True)
    assert caller(1) not in [one.caller for one in latest], "the least recently seen has gone"


def test_one_address_with_many_titles_pushes_nobody_else_out() -> None:
    callers = RefusedCallers()
    callers.note(caller(1))
    for number in range(10_000):
        callers.note(caller(number, "198.51.100.1"))
    seen = [one.caller for one in callers.latest()]
    assert len(seen) == 51
    assert caller(1) in seen
    assert caller(9999, "198.51.100.1") in seen


DESTINATIONS = ("CloudTarget/a", "CloudTarget/b")


def received(identifier: int, destinations: tuple[str, ...]) -> Received:
    sender = Sender("a-1", "dicom", "CT1", "GATE", "192.0.2.1")
    uid = f"1.2.{identifier}"
    return Received(identifier, 1000.0 + identifier, "1", uid, "1", "1", "1", 8, "d", sender, 1, destinations)


@st.composite
def histories(draw: st.DrawFn) -> list[object]:
    """Return what may happen to some instances, in any order."""
    numbers = st.integers(1, 8)
    destination, state = st.sampled_from(DESTINATIONS), st.sampled_from(DeliveryState)
    some = st.lists(destination, unique=True, min_size=1).map(tuple)
    event = st.one_of(
        st.builds(DeliveryRecord, id=numbers, destination=destination, state=state),
        st.builds(AgainRecord, numbers, some),
        st.builds(HoldRecord, numbers, st.sampled_from(["", "Unmatched"])),
        st.builds(DroppedRecord, numbers),
        st.builds(received, numbers, st.just(DESTINATIONS)),
    )
    return draw(st.lists(event, max_size=60))


@given(histories())
def test_the_oldest_that_is_owed_to_a_destination_is_the_oldest_of_all_that_are(history: list[object]) -> None:
    ledger = Ledger()
    seen = set()
    for record in history:
        if isinstance(record, Received):
            if record.id in seen:
                continue
            seen.add(record.id)
        ledger.apply(record)  # type: ignore[arg-type]
        for destination in DESTINATIONS:
            times = [
                entry.received.time
                for entry in ledger.entries.values()
                if (one := entry.deliveries.get(destination)) and one.state in AWAITED
            ]
            assert ledger.oldest_owed_time_to(destination) == min(times, default=None)


def test_what_is_delivered_behind_an_old_instance_is_forgotten() -> None:
    pending = {0}
    is_pending: Callable[[int], bool] = pending.__contains__
    waiting = OldestPending(is_pending)
    waiting.add(0, 1)
    for number in range(1, 100_000):
        waiting.add(number, len(pending))
    assert waiting.first() == 0
    assert len(waiting) <= 1025
