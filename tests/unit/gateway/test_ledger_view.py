"""What the ledger says when it is asked: of instances in the spool, of finished ones, and of each source on a day."""

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from dicomroute_gateway.admin.ledger import OTHERS, LedgerView, Question
from dicomroute_gateway.configuration.load import load
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.rules.routing import compile_rules
from dicomroute_gateway.spool.entries import Entry
from dicomroute_gateway.spool.history import Day
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, FinishedRecord, Received, Sender
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.upkeep import Upkeep
from dicomroute_gateway.spool.views import Drop

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
ARCHIVE = "CloudTarget/archive"
GOLDEN = (Path(__file__).parents[2] / "golden/full/configuration.json").read_text()


@pytest.fixture
def today() -> date:
    """A day that does not end during a test."""
    now = datetime.now(UTC)
    left = (now.replace(hour=0, minute=0, second=0) + timedelta(days=1) - now).total_seconds()
    if left < 20:
        time.sleep(left)
    return datetime.now(UTC).date()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    one = Spool(tmp_path / "spool", 1 << 30, 90, history_seconds=30 * 86_400)
    yield one
    one.close()


@pytest.fixture
def view(spool: Spool) -> LedgerView:
    configuration = load(json.dumps({**json.loads(GOLDEN), "mode": "Running"}), compile_rules).configuration
    active = Active(configuration, compile_rules(configuration.rules))
    return LedgerView(spool, lambda: active)


def received(identifier: int, *, seconds: float | None = None, title: str = "CT1", study: str = "1.4") -> Received:
    sender = Sender("a-1", "dicom", title, "GATE", "192.0.2.1")
    moment = time.time() if seconds is None else seconds
    uid = f"1.2.{identifier}"
    return Received(identifier, moment, CT, uid, "1.3", study, EXPLICIT, 100, "blake3:00", sender, 1, (ARCHIVE,))


def store(spool: Spool, *, title: str = "CT1", study: str = "1.4", hold: str = "") -> int:
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(bytes(100)))
    incoming.flush()
    one = received(incoming.id, title=title, study=study)
    changes = {"digest": incoming.digest, "hold": hold, "destinations": () if hold else one.destinations}
    spool.receive(incoming, Received(**{name: changes.get(name, getattr(one, name)) for name in one.__slots__}))
    return incoming.id


def settle(spool: Spool, identifier: int, state: DeliveryState) -> None:
    spool.settle([DeliveryRecord(identifier, ARCHIVE, state, attempts=1, time=time.time())])


def outcomes(view: LedgerView, question: Question = Question()) -> dict[int, str]:  # noqa: B008  it is frozen
    return {item.instance: item.outcome for item in view.find(question, 1000).items}


def at_noon(day: date) -> float:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()


def test_every_moment_of_an_instance_is_known(spool: Spool, view: LedgerView, today: date) -> None:
    """Also the one between its last delivery and the line in the history, which waits for the volume."""
    with patch.object(Upkeep, "archive"):
        delivered, dead, owed = store(spool), store(spool), store(spool)
        settle(spool, delivered, DeliveryState.DELIVERED)
        settle(spool, dead, DeliveryState.DEAD_LETTERED)
        assert outcomes(view) == {owed: "Owed", dead: "DeadLettered", delivered: "Delivered"}
        (item,) = view.find(Question(sop_instance_uid=f"1.2.{delivered}"), 10).items
        assert item.finished_time is not None
        total = view.report(today).total
        assert (total.received_total, total.delivered_total, total.owed, total.dead_lettered) == (3, 1, 1, 1)
    deadline = time.monotonic() + 10
    while not spool.history.days():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert outcomes(view) == {owed: "Owed", dead: "DeadLettered", delivered: "Delivered"}
    assert view.report(today).total == total
    assert view.report(today).complete


def test_what_is_asked_for_is_what_fits_all_of_the_question(spool: Spool, view: LedgerView, today: date) -> None:
    days = [today - timedelta(days=number) for number in range(4)]
    for number, day in enumerate(days):
        done = DeliveryRecord(900 + number, ARCHIVE, DeliveryState.DELIVERED)
        past = received(900 + number, seconds=at_noon(day), title=f"CT{number % 2}", study=f"1.4.{number}")
        spool.history.add([FinishedRecord(past, (done,), at_noon(day) + 60)])
    assert list(outcomes(view)) == [900, 901, 902, 903], "the newest day first"
    assert list(outcomes(view, Question(study_instance_uid="1.4.2"))) == [902]
    assert list(outcomes(view, Question(calling_ae_title="CT1"))) == [901, 903]
    assert list(outcomes(view, Question(first_day=days[2], last_day=days[1]))) == [901, 902]
    assert list(outcomes(view, Question(sop_instance_uid="1.2.900", calling_ae_title="CT1"))) == []
    assert list(outcomes(view, Question(series_instance_uid="1.3", last_day=days[3]))) == [903]


def test_the_newest_come_first_wherever_they_are(spool: Spool, view: LedgerView, today: date) -> None:
    """What is held for long is no newer for being in the spool, and lines of a day are in the order of their ends."""
    days = [today - timedelta(days=number) for number in range(3)]
    ends = [(900, days[2], 0), (903, days[1], 60), (902, days[1], 30), (904, days[1], 90)]
    for number, day, seconds in ends:
        past = received(number, seconds=at_noon(day) + seconds)
        spool.history.add([FinishedRecord(past, (), at_noon(day) + 600)])
    held = store(spool, hold="Unmatched")
    entry = spool._books.ledger.entries[held]
    old = received(held, seconds=at_noon(days[1]) + 45)
    spool._books.ledger.entries[held] = Entry(old, entry.hold, entry.deliveries)
    assert list(outcomes(view)) == [904, 903, held, 902, 900]
    page = view.find(Question(), 3)
    assert [item.instance for item in page.items] == [904, 903, held]
    assert page.truncated
    with patch.object(spool.history, "_lines", wraps=spool.history._lines) as lines:
        view.find(Question(), 2)
    assert [call.args for call in lines.call_args_list] == [(days[1],)], "an older day has none of them"


@pytest.mark.parametrize("limit, truncated", [(2, True), (3, False), (4, False)])
def test_a_page_says_whether_there_is_more(spool: Spool, view: LedgerView, limit: int, truncated: bool) -> None:
    for _ in range(3):
        store(spool)
    page = view.find(Question(), limit)
    assert (len(page.items), page.truncated) == (min(limit, 3), truncated)


def test_a_dropped_instance_without_a_destination_was_discarded(spool: Spool, view: LedgerView) -> None:
    held = store(spool, hold="Unmatched")
    assert outcomes(view) == {held: "Owed"}
    spool.decisions.drop([Drop(held)])
    assert outcomes(view) == {held: "Discarded"}


def test_a_report_counts_studies_bytes_and_outcomes_of_each_source(spool: Spool, view: LedgerView, today: date) -> None:
    for number in range(6):
        identifier = store(spool, title=f"CT{number % 2}", study=f"1.4.{number // 4}")
        if number % 2:
            settle(spool, identifier, DeliveryState.DELIVERED)
    report = view.report(today)
    found = {one.calling_ae_title: (one.studies, one.bytes, one.owed, one.delivered_total) for one in report.sources}
    assert found == {"CT0": (2, 300, 3, 0), "CT1": (2, 300, 0, 3)}
    assert (report.total.studies, report.total.bytes, report.total.received_total) == (2, 600, 6)
    assert view.report(today - timedelta(days=1)).total.received_total == 0


def test_beyond_a_thousand_sources_the_others_are_counted_together(spool: Spool, view: LedgerView, today: date) -> None:
    """Calling AE titles are the callers' own: with policy Any somebody may send a new one each time."""
    done: Callable[[int], DeliveryRecord] = lambda n: DeliveryRecord(n, ARCHIVE, DeliveryState.DELIVERED)  # noqa: E731
    spool.history.add(
        FinishedRecord(received(5000 + n, title=f"CT{n % 1500}", study=f"1.4.{n}"), (done(5000 + n),), time.time())
        for n in range(3000)
    )
    report = view.report(today)
    counted = {one.calling_ae_title: one.received_total for one in report.sources}
    assert len(counted) == 1001
    assert counted[OTHERS] == 1000, "500 titles, each twice"
    assert set(counted.values()) == {2, 1000}
    assert sum(counted.values()) == report.total.received_total == report.total.studies == 3000


def test_a_report_of_a_day_before_the_ledger_is_not_complete(spool: Spool, view: LedgerView, today: date) -> None:
    done = DeliveryRecord(7, ARCHIVE, DeliveryState.DELIVERED)
    spool.history.add([FinishedRecord(received(7), (done,), time.time())])
    assert view.report(today).complete
    assert not view.report(today - timedelta(days=1)).complete


def test_a_report_keeps_little_of_each_study(spool: Spool, view: LedgerView, today: date) -> None:
    studies = 50_000

    def found(*_: object) -> Iterator[FinishedRecord]:
        for number in range(studies):
            yield FinishedRecord(received(number, seconds=0, study=f"1.{number:062}"), (), 0.0)

    with (
        patch.object(type(spool.history), "days", lambda _: [Day(today, 1)]),
        patch.object(type(spool.history), "find", found),
    ):
        tracemalloc.start()
        total = view.report(today).total
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert total.studies == studies
    assert peak_bytes < 150 * studies


def test_what_is_not_asked_for_is_not_copied(spool: Spool) -> None:
    entries = 50_000
    wanted = store(spool)
    one = received(1)
    spool._books.ledger.entries.update((n, Entry(one, "", {})) for n in range(wanted + 1, wanted + entries))
    tracemalloc.start()
    found = spool.entries(lambda entry: entry.received.id == wanted and entry.received is not one)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [entry.received.id for entry in found] == [wanted]
    assert peak_bytes < 32 * entries
    assert len(spool.entries(lambda _: True)) == entries
    assert len(spool.entries(lambda _: True, 1500)) == 1500
    assert spool.entries(lambda _: True, 0) == []
