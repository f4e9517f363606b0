"""Studies in the spool: revisions, completion, what waits for it; over restarts, compaction and clocks that jump."""

import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spools import CT, EXPLICIT, counts, delivered, journal, open_spool, received
from studies import instance as made

from dicomroute_gateway.configuration.study import OnRevision, Studies, Wait, WaitPlan
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.measures import StudyMeasures
from dicomroute_gateway.rules.expression import ExpressionError, compile_expression
from dicomroute_gateway.rules.study import compile_condition
from dicomroute_gateway.spool import formats
from dicomroute_gateway.spool.errors import SpoolError
from dicomroute_gateway.spool.ledger import Ledger
from dicomroute_gateway.spool.records import DeliveryState, Received, Release, StudyBasis, StudyRecord, StudyState
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.studies import StudyBook
from dicomroute_gateway.spool.views import Drop, Owed, Rerouting
from dicomroute_gateway.studies.completion import Activity
from dicomroute_gateway.studies.tracker import Tracker

A, B = Destination("CloudTarget/a"), Destination("CloudTarget/b")
STUDY = "1.2.4"
SETTINGS = Studies(idle_seconds=60, max_open_seconds=600)


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def plan(condition: str = "", on_revision: OnRevision = OnRevision.SEND_NEW) -> WaitPlan:
    return WaitPlan((Wait(rule="whole", when_complete=condition, on_revision=on_revision),))


def come(
    spool: Spool,
    number: int,
    *,
    waits: WaitPlan | None = None,
    destinations: Sequence[Destination] = (A,),
    study: str = STUDY,
    modality: str | None = "CT",
    content: bytes = b"ab",
    time: float | None = None,
    open_seconds: int = 0,
) -> Received:
    """Let an instance come, and be committed; only its deliveries to A wait."""
    incoming = spool.begin(CT, f"1.2.{number}", EXPLICIT)
    incoming.write(memoryview(content))
    incoming.flush()
    record = replace(
        received(incoming.id, tuple(destinations)),
        sop_instance_uid=f"1.2.{number}",
        study_instance_uid=study,
        series_instance_uid=f"{study}.{number % 2}",
        length=len(content),
        digest=incoming.digest,
        modality=modality,
        waits={A: waits.id} if waits is not None else {},
        open_seconds=open_seconds,
    )
    if time is not None:
        record = replace(record, time=time)
    if waits is not None:
        spool.studies.keep_plans([waits])
    if spool.repeat(record) is None:
        spool.receive(incoming, record)
    else:
        incoming.discard()
    return record


def complete(spool: Spool, clock: Clock | None = None) -> int:
    """Complete what is open, by the time that a study has to be idle."""
    clock = clock or Clock()
    tracker = Tracker(spool, lambda: SETTINGS, StudyMeasures(), clock)
    assert tracker.look() == 0, "nothing is complete before it has been idle"
    clock.seconds += SETTINGS.idle_seconds
    return tracker.look()


def state(spool: Spool, record: Received, destination: Destination = A) -> tuple[DeliveryState, str]:
    (entry,) = spool.entries(lambda one: one.received.sop_instance_uid == record.sop_instance_uid)
    return entry.deliveries[destination].state, entry.deliveries[destination].reason


def settled(spool: Spool, to: Destination | None = None) -> None:
    """Deliver what is due, to one destination alone if one is given."""
    due = [one for one in spool.take_fresh() if to in (None, one.destination)]
    spool.settle([replace(found[1], state=DeliveryState.DELIVERED) for one in due if (found := spool.pending(one))])


def known(spool: Spool) -> StudyRecord:
    found = spool.studies.get(STUDY)
    assert found is not None
    return found


def test_what_waits_goes_out_once_its_study_is_complete(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = come(spool, 1, waits=plan(), destinations=(A, B))
    come(spool, 2, waits=plan(), destinations=(A, B), modality="SR")
    assert state(spool, first) == (DeliveryState.WAITING, "StudyNotComplete")
    assert {one.destination for one in spool.take_fresh()} == {B}, "what waits is not made"
    assert (spool.owed_bytes(A), counts(spool).owed) == (4, 2)
    assert complete(spool) == 1
    assert [one.destination for one in spool.take_fresh()] == [A, A]
    assert state(spool, first) == (DeliveryState.PENDING, "")
    study = known(spool)
    assert (study.revision, study.state, study.basis) == (1, StudyState.COMPLETE, StudyBasis.IDLE)
    assert (study.instances, study.total, len(study.series), study.modalities) == (2, 2, 2, ("CT", "SR"))
    assert complete(spool) == 0, "a revision is completed once"
    spool.close()


@pytest.mark.parametrize(
    ("on_revision", "late", "earlier"),
    [
        (OnRevision.SEND_NEW, (DeliveryState.PENDING, ""), (DeliveryState.DELIVERED, "")),
        (OnRevision.SEND_ALL, (DeliveryState.PENDING, ""), (DeliveryState.PENDING, "CameAgain")),
        (OnRevision.HOLD, (DeliveryState.HELD, "StudyRevised"), (DeliveryState.DELIVERED, "")),
    ],
)
def test_a_late_instance_opens_a_revision(
    tmp_path: Path, on_revision: OnRevision, late: tuple[DeliveryState, str], earlier: tuple[DeliveryState, str]
) -> None:
    spool = open_spool(tmp_path)
    waits = plan(on_revision=on_revision)
    first = come(spool, 1, waits=waits, destinations=(A, B))  # B keeps it in the spool
    assert complete(spool) == 1
    spool.settle([delivered(first.id)])
    spool.take_fresh()
    second = come(spool, 2, waits=waits)
    assert (known(spool).revision, known(spool).state) == (2, StudyState.OPEN)
    assert state(spool, second)[0] is DeliveryState.WAITING
    spool.close()
    spool = open_spool(tmp_path)
    assert complete(spool) == 1
    assert (known(spool).revision, known(spool).instances, known(spool).total) == (2, 1, 2)
    assert state(spool, second) == late
    assert state(spool, first) == earlier
    spool.close()
    again = open_spool(tmp_path)
    assert (state(again, second), state(again, first)) == (late, earlier), "after a restart too"
    again.close()


def test_what_is_sent_again_as_a_whole_says_what_had_left_the_spool(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    waits = plan(on_revision=OnRevision.SEND_ALL)
    for number in (1, 2):
        come(spool, number, waits=waits)
    kept = come(spool, 3, waits=waits, destinations=(A, B))  # B keeps it in the spool
    for revision, not_sent_again in ((1, 0), (2, 2), (3, 3)):
        spool.close()
        spool = open_spool(tmp_path)
        assert complete(spool) == 1
        assert (known(spool).revision, known(spool).not_sent_again) == (revision, not_sent_again)
        settled(spool, A)
        come(spool, 10 + revision, waits=waits)
    assert state(spool, kept)[0] is DeliveryState.DELIVERED
    spool.close()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("study.instances >= 1 && 'CT' in study.modalities", (DeliveryState.PENDING, "")),
        ("study.basis == 'Idle' && study.revision == 1 && study.lastArrival >= study.firstArrival",
         (DeliveryState.PENDING, "")),
        ("study.series > 5", (DeliveryState.SKIPPED, "StudyConditionFalse")),
        ("study.modalities[7] == 'CT'", (DeliveryState.HELD, "StudyRuleError")),
    ],
)  # fmt: skip
def test_a_condition_over_the_study_is_asked_at_its_completion(
    tmp_path: Path, condition: str, expected: tuple[DeliveryState, str]
) -> None:
    spool = open_spool(tmp_path)
    one = come(spool, 1, waits=plan(condition), destinations=(A, B))
    complete(spool)
    assert state(spool, one) == expected
    spool.close()


def test_what_no_rule_reads_any_more_is_held_for_a_person(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    one = come(spool, 1, waits=plan(), destinations=(A, B))
    record = known(spool)
    spool.studies.complete(replace(record, state=StudyState.COMPLETE, basis=StudyBasis.IDLE, released={}))
    assert state(spool, one) == (DeliveryState.HELD, "StudyRuleError")
    assert spool.decisions.retry([Owed(one.id, A)]).count == 1
    assert state(spool, one)[0] is DeliveryState.PENDING
    spool.close()


def test_a_person_may_send_what_waits_at_once_or_drop_it(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first, second = (come(spool, n, waits=plan(), destinations=(A, B)) for n in (1, 2))
    assert spool.decisions.retry([Owed(first.id, A)]).count == 1
    assert state(spool, first) == (DeliveryState.PENDING, "")
    assert spool.decisions.drop([Drop(second.id, [A])]) == [1]
    assert state(spool, second) == (DeliveryState.SKIPPED, "Dropped")
    complete(spool)
    assert state(spool, second) == (DeliveryState.SKIPPED, "Dropped"), "a completion decides nothing anew"
    spool.close()


def test_what_came_again_in_an_open_study_counts_once_and_reopens_a_complete_one(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    one = come(spool, 1, waits=plan(), destinations=(A, B))
    come(spool, 1, waits=plan(), destinations=(A, B))
    assert known(spool).instances == 1
    complete(spool)
    spool.settle([delivered(one.id)])
    come(spool, 1, waits=plan(), destinations=(A, B))
    study = known(spool)
    assert (study.revision, study.state, study.instances, study.total) == (2, StudyState.OPEN, 1, 2)
    assert state(spool, one) == (DeliveryState.WAITING, "StudyNotComplete")
    complete(spool)
    assert state(spool, one) == (DeliveryState.PENDING, "CameAgain")
    spool.close()


def test_a_released_instance_waits_for_its_study_though_that_was_complete(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    held = replace(received(0, (), "Unmatched"), modality="CT")
    incoming = spool.begin(CT, held.sop_instance_uid, EXPLICIT)
    incoming.write(memoryview(b"ab"))
    incoming.flush()
    held = replace(held, id=incoming.id, length=2, digest=incoming.digest)
    spool.receive(incoming, held)
    complete(spool)
    waits = plan()
    spool.studies.keep_plans([waits])
    assert spool.decisions.reroute([Rerouting(held.id, [A], "", {}, {A: waits.id})]) == 1
    assert state(spool, held)[0] is DeliveryState.WAITING
    spool.close()
    spool = open_spool(tmp_path)
    assert known(spool).revision == 2
    complete(spool)
    assert state(spool, held)[0] is DeliveryState.PENDING
    spool.close()


def test_an_open_study_is_complete_after_a_restart_though_nothing_of_it_is_left_in_the_spool(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for number in range(3):
        come(spool, number)
    settled(spool)
    spool.close()
    spool = open_spool(tmp_path)
    assert spool.entries(lambda _: True) == []
    assert complete(spool) == 1
    assert (known(spool).instances, known(spool).basis) == (3, StudyBasis.IDLE)
    spool.close()
    again = open_spool(tmp_path)
    assert known(again).state is StudyState.COMPLETE
    assert complete(again) == 0
    come(again, 9)
    assert known(again).revision == 2
    again.close()


def test_compaction_keeps_studies_and_who_waits(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    come(spool, 3, study="1.2.9")
    complete(spool)
    one = come(spool, 1, waits=plan("study.instances == 2"), destinations=(A, B))
    spool._upkeep.compact()
    come(spool, 2, waits=plan("study.instances == 2"), destinations=(A, B))
    before = spool._books.ledger
    spool._upkeep.compact()
    compacted = Ledger()
    for record in before.records():
        compacted.apply(record)
    assert list(compacted.studies.records()) == list(before.studies.records())
    assert compacted.studies.open[STUDY].waiting == before.studies.open[STUDY].waiting
    spool.close()
    spool = open_spool(tmp_path)
    assert known(spool).instances == 2, "each is counted once, whatever was compacted when"
    complete(spool)
    assert state(spool, one) == (DeliveryState.PENDING, "")
    assert {record.study_instance_uid: record.revision for record in spool.studies.all()} == {"1.2.9": 1, STUDY: 1}
    spool.close()


def test_the_journal_says_completions_and_reopenings_in_order(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for number in (1, 2):
        come(spool, number)
        complete(spool)
    spool.close()
    lines = [json.loads(line[9:]) for line in journal(tmp_path).read_text().splitlines()]
    told = [(one["revision"], one["state"], one.get("reopens", False)) for one in lines if one["record"] == "study"]
    assert told == [(1, "Complete", False), (2, "Open", True), (2, "Complete", False)]


def test_a_gateway_of_before_opens_a_spool_without_studies_and_refuses_one_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    come(spool, 1, modality=None)
    assert json.loads((tmp_path / "spool" / "format").read_text()) == {"format": 3}
    come(spool, 2)
    spool.close()
    monkeypatch.setattr(formats, "LATEST", formats.CONFIRMATIONS)
    with pytest.raises(SpoolError, match="the spool has format 6, but this gateway supports formats up to 5"):
        open_spool(tmp_path)


def test_a_later_version_that_was_sent_at_once_is_not_overtaken(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = come(spool, 1, waits=plan(), destinations=(A, B))
    second = come(spool, 1, destinations=(A, B), content=b"cd")
    spool.settle([delivered(second.id)])
    complete(spool)
    entry = next(one for one in spool.entries(lambda _: True) if one.received.id == first.id)
    assert (entry.deliveries[A].state, entry.deliveries[A].reason) == (DeliveryState.SKIPPED, "Superseded")
    spool.close()


# -- when a study is complete --------------------------------------------------------------------------------


def head_of(study: int) -> memoryview:
    """Return the data set of an instance: what is behind its preamble and meta information."""
    file = made(study)
    return memoryview(file)[file.index(b"\x08\x00\x05\x00") :]


def test_nothing_is_complete_while_something_of_it_is_being_received(tmp_path: Path) -> None:
    spool, clock = open_spool(tmp_path), Clock()
    tracker = Tracker(spool, lambda: SETTINGS, StudyMeasures(), clock)
    come(spool, 1)
    assert tracker.look() == 0
    arriving = tracker.arriving(EXPLICIT)
    arriving.is_of(STUDY)
    clock.seconds += 500
    assert tracker.look() == 0
    arriving.end()
    clock.seconds += 59
    assert tracker.look() == 0, "the time begins when nothing of it comes any more"
    clock.seconds += 1
    assert tracker.look() == 1
    spool.close()


def test_an_instance_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    spool, clock = open_spool(tmp_path), Clock()
    tracker = Tracker(spool, lambda: SETTINGS, StudyMeasures(), clock)
    slow = tracker.arriving(EXPLICIT)
    assert slow.looks_like() is None
    slow.take(head_of(7)[:20])
    assert slow.looks_like() is None, "its study is not there yet"
    slow.take(head_of(7)[20:])
    study = slow.looks_like()
    assert study is not None
    come(spool, 1, study=study)
    come(spool, 2)
    assert tracker.look() == 0
    clock.seconds += 599
    assert tracker.look() == 1, "it holds up its own study, and no other"
    assert known(spool).state is StudyState.COMPLETE
    spool.close()


def test_who_sends_nothing_does_not_hold_up_studies_for_ever(tmp_path: Path) -> None:
    spool, clock = open_spool(tmp_path), Clock()
    tracker = Tracker(spool, lambda: SETTINGS, StudyMeasures(), clock)
    come(spool, 1)
    tracker.look()
    clock.seconds += 30
    silent = tracker.arriving(EXPLICIT)
    silent.begun = clock.seconds
    clock.seconds += 30
    assert tracker.look() == 0, "it may be one of the study"
    clock.seconds += 30
    assert tracker.look() == 1
    spool.close()


def test_a_study_that_goes_on_for_too_long_is_completed_and_says_so(tmp_path: Path) -> None:
    spool, clock = open_spool(tmp_path), Clock()
    tracker = Tracker(spool, lambda: SETTINGS, StudyMeasures(), clock)
    completed = 0
    for number in range(30):
        arriving = tracker.arriving(EXPLICIT)
        arriving.is_of(STUDY)
        come(spool, number)
        completed += tracker.look()
        arriving.end()
        clock.seconds += 30
    study = known(spool)
    assert completed == 1
    assert (study.revision, study.state) == (2, StudyState.OPEN)
    spool.close()
    lines = [json.loads(line[9:]) for line in journal(tmp_path).read_text().splitlines()]
    assert [one["basis"] for one in lines if one["record"] == "study" and one["state"] == "Complete"] == ["MaxOpen"]


def test_a_date_that_jumps_completes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, clock = open_spool(tmp_path), Clock()
    tracker = Tracker(spool, lambda: SETTINGS, StudyMeasures(), clock)
    come(spool, 1)
    tracker.look()
    for jump in (86_400, -2 * 86_400):
        monkeypatch.setattr("time.time", lambda jump=jump: 1_800_000_000.0 + jump)
        clock.seconds += 29
        assert tracker.look() == 0
    clock.seconds += 2
    assert tracker.look() == 1
    spool.close()


def test_restarts_do_not_keep_a_study_open_for_longer_than_it_may_be(tmp_path: Path) -> None:
    now, number, total = 1_780_000_000.0, 0, 0
    for _ in range(4):  # none of these processes lives for as long as a study may be open
        spool, clock = open_spool(tmp_path), Clock()
        tracker = Tracker(spool, lambda: SETTINGS, StudyMeasures(), clock)
        assert tracker.look() == 0, "it is complete earlier for a restart"
        for _ in range(6):
            arriving = tracker.arriving(EXPLICIT)
            arriving.is_of(STUDY)
            number += 1
            come(spool, number, time=now, open_seconds=arriving.open_seconds)
            arriving.end()
            if (completed := tracker.look()) or known(spool).revision > 1:
                assert completed == 1
                assert known(spool).basis is StudyBasis.MAX_OPEN
                # 30 seconds a process: what passed behind its latest instance.
                assert 600 <= total <= 600 + 3 * 30
                spool.close()
                return
            clock.seconds, now, total = clock.seconds + 30, now + 30, total + 30
        spool.close()
        now += 5 * 86_400  # nothing runs: that is no time in which it was open
    pytest.fail("it is open for ever")


def test_neither_a_date_that_jumps_nor_a_revision_before_makes_a_study_older() -> None:
    book = StudyBook()
    first = replace(received(1), study_instance_uid=STUDY, modality="CT")
    assert book.count(first, 1000.0, 0, 500) == 1
    assert book.open[STUDY].record.open_seconds == 0, "what began in the revision before says nothing of this one"
    book.count(replace(first, id=2), 1000.0 + 86_400, 0, 20)
    assert book.open[STUDY].record.open_seconds == 20
    book.count(replace(first, id=3), 1000.0 - 86_400, 0, 40)
    assert book.open[STUDY].record.open_seconds == 20, "it is complete later, never earlier"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(0, 2)),
        st.tuples(st.just("commit"), st.integers(0, 9)),
        st.tuples(st.just("break off"), st.integers(0, 9)),
        st.tuples(st.just("pass"), st.integers(1, 70)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_never_complete_by_idleness_while_it_comes_and_each_revision_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool, clock = open_spool(folder), Clock()
    tracker = Tracker(spool, lambda: SETTINGS, StudyMeasures(), clock)
    coming: list[tuple[int, object]] = []
    committed: dict[str, list[float]] = {}
    open_count: dict[str, int] = {}
    completed: set[tuple[str, int]] = set()
    number = 0
    for what, value in steps:
        if what == "begin":
            arriving = tracker.arriving(EXPLICIT)
            arriving.is_of(f"1.2.4{value}")
            coming.append((value, arriving))
        elif what in ("commit", "break off") and coming:
            study, arriving = coming.pop(value % len(coming))
            if what == "commit":
                number += 1
                come(spool, number, study=f"1.2.4{study}", waits=plan())
                committed.setdefault(f"1.2.4{study}", []).append(clock.seconds)
                open_count[f"1.2.4{study}"] = open_count.get(f"1.2.4{study}", 0) + 1
            arriving.end()  # type: ignore[attr-defined]
        elif what == "pass":
            clock.seconds += value
        elif what == "restart":
            coming.clear()
            spool.close()
            spool = open_spool(folder)
            tracker = Tracker(spool, lambda: SETTINGS, StudyMeasures(), clock)
        tracker.look()
        for record in spool.studies.all():
            key = (record.study_instance_uid, record.revision)
            if record.state is StudyState.COMPLETE and key not in completed:
                completed.add(key)
                assert record.instances == open_count.pop(record.study_instance_uid), "nothing is lost or counted twice"
                if record.basis is StudyBasis.IDLE:
                    assert record.study_instance_uid not in {f"1.2.4{one}" for one, _ in coming}
                    assert clock.seconds - committed[record.study_instance_uid][-1] >= SETTINGS.idle_seconds
        waiting = {
            one.received.study_instance_uid
            for one in spool.entries(lambda _: True)
            if one.deliveries[A].state is DeliveryState.WAITING
        }
        assert waiting == {one.study_instance_uid for one in spool.studies.all() if one.state is StudyState.OPEN}
    spool.close()


# -- conditions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("study.instance > 1", "did you mean study.instances"),
        ("study.patient == 'x'", "there are instances"),
        ("instance.Modality == 'CT'", "write it into when"),
        ("study.instances", "answers INT"),
        ("study.instances == '3'", "no matching overload"),
        ("study.instances >", "line 1"),
    ],
)
def test_a_condition_that_does_not_compile_says_what_to_write(text: str, sentence: str) -> None:
    with pytest.raises(ExpressionError) as found:
        compile_condition(text)
    assert sentence in str(found.value) or "a number is compared with a text" in str(found.value)


def test_when_says_that_studies_are_asked_elsewhere() -> None:
    with pytest.raises(ExpressionError, match="into whenComplete"):
        compile_expression("study.instances > 1")


def test_ten_thousand_open_studies_fit_into_32_mebibytes() -> None:
    tracemalloc.start()
    book, activities = StudyBook(), dict[str, Activity]()
    for number in range(10_000):
        study = f"1.2.826.0.1.3680043.8.498.{10**38 + number}"
        activities[study] = Activity(0.0, 0.0)
        for series in range(3):
            uid = f"{study[:-6]}.{number}.{series}"
            one = replace(received(number), study_instance_uid=study, series_instance_uid=uid, modality="CT")
            book.count(one, 1.0, 0)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(book.open) == len(activities) == 10_000
    assert used < 32 << 20


def test_what_comes_while_the_journal_is_read_counts_behind_what_that_says() -> None:
    ledger, waits = Ledger(read_before=10), plan()
    new = replace(received(10, (A,)), modality="CT", waits={A: waits.id})
    ledger.apply(new)
    everything = {waits.id: Release.SEND_ALL}
    old = StudyRecord(
        *(STUDY, 3, StudyState.COMPLETE, 1.0, 2.0, 5, 9, ("1.2.3",), ("MR",), 3.0, StudyBasis.IDLE), released=everything
    )
    ledger.apply(old)
    assert ledger.entries[10].deliveries[A].state is DeliveryState.WAITING, "it is not of the revision that is complete"
    ledger.finish_reading(10)
    (reopened,) = ledger.studies.take_reopened()
    assert (reopened.revision, reopened.instances, reopened.total, reopened.reopens) == (4, 1, 10, True)
    assert (reopened.series, reopened.modalities) == (("1.2.3",), ("CT", "MR"))
    assert ledger.studies.open[STUDY].waiting == {10}
