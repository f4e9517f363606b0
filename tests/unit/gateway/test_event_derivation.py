"""Events of the ledger: whatever is received, delivered, refused and retried, made anew they have the ids they had."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from spools import received

from dicomroute_gateway.destination import Destination
from dicomroute_gateway.events.derive import Batch, Derivation
from dicomroute_gateway.events.parts import Part, PartKey
from dicomroute_gateway.events.store import Store
from dicomroute_gateway.events.told import Teller
from dicomroute_gateway.spool.ledger import Ledger
from dicomroute_gateway.spool.records import (
    AgainRecord,
    DeliveryRecord,
    DeliveryState,
    HoldRecord,
    Record,
    Release,
    StudyBasis,
    StudyRecord,
    StudyState,
)

TELLER = Teller("/namespaces/n/dicomroutes/r/gateways/g")
ONE, OTHER = Destination("CloudTarget/a"), Destination("DicomNode/b")


class Told:
    """A derivation with what it remembers, as the store does."""

    def __init__(self) -> None:
        self.parts: dict[PartKey, Part] = {}
        self.events: dict[str, dict[str, object]] = {}
        self.derivation = Derivation(TELLER, self._of)

    def _of(self, keys: Iterable[PartKey]) -> Mapping[PartKey, Part]:
        return {key: self.parts[key] for key in keys if key in self.parts}

    def follow(self, *records: Record) -> list[str]:
        return self.take(self.derivation.follow(records))

    def quiet(self) -> list[str]:
        done = {
            key: part
            for key, part in self.parts.items()
            if part.owed + part.held + part.refused == 0 and part.delivered and part.newest > part.told
        }
        return self.take(self.derivation.delivered(done))

    def take(self, batch: Batch) -> list[str]:
        self.parts.update(batch.parts)
        new = [one for one in batch.told if one.id not in self.events]
        self.events.update((one.id, json.loads(one.document)) for one in new)
        return [one.name for one in new]


def settled(number: int, state: DeliveryState, destination: Destination = ONE, time: float = 5.0) -> DeliveryRecord:
    return DeliveryRecord(number, destination, state, attempts=1, reason="X", time=time)


def test_a_study_is_delivered_once_all_of_it_is_and_again_when_more_came() -> None:
    told = Told()
    assert told.follow(received(1, (ONE, OTHER)), received(2, (ONE, OTHER))) == ["study.received"]
    told.follow(settled(1, DeliveryState.DELIVERED), settled(1, DeliveryState.DELIVERED, OTHER))
    assert told.quiet() == []
    told.follow(settled(2, DeliveryState.DELIVERED))
    assert told.quiet() == ["study.delivered"]
    assert told.follow(settled(2, DeliveryState.DEAD_LETTERED, OTHER)) == ["delivery.deadlettered"]
    assert told.quiet() == []
    told.follow(settled(2, DeliveryState.PENDING, OTHER))
    told.follow(settled(2, DeliveryState.DELIVERED, OTHER))
    assert told.quiet() == ["study.delivered"]
    told.follow(received(3, (ONE,)))
    assert told.quiet() == []
    told.follow(settled(3, DeliveryState.DELIVERED))
    assert told.quiet() == ["study.delivered"]
    assert told.quiet() == []
    assert told.derivation.instances == 0, "nothing is remembered of what is finished"


def test_what_came_again_is_not_told_again() -> None:
    told = Told()
    told.follow(received(1), received(2, (), hold="Unmatched"), settled(1, DeliveryState.DEAD_LETTERED))
    told.follow(AgainRecord(1, (ONE,)), settled(1, DeliveryState.DELIVERED, time=9.0))
    assert told.quiet() == ["study.delivered"]
    assert told.follow(HoldRecord(2, ""), HoldRecord(2, "Unmatched")) == []


def test_a_study_is_complete_opened_again_and_what_waited_for_it_is_made() -> None:
    told = Told()
    waiting = replace(received(1, (ONE, OTHER)), modality="CT", waits={ONE: "p", OTHER: "q"})
    told.follow(waiting)
    assert told.quiet() == [], "what waits is owed"
    complete = StudyRecord("1.2.4", 1, StudyState.COMPLETE, 1.0, 2.0, 1, 1, ("1.2.3",), ("CT",), 60.0, StudyBasis.IDLE)
    released = replace(complete, released={"p": Release.SEND, "q": Release.HOLD})
    assert sorted(told.follow(released)) == ["delivery.held", "study.complete"]
    told.follow(settled(1, DeliveryState.DELIVERED, ONE, 70.0))
    assert told.quiet() == ["study.delivered"]
    assert told.follow(released) == [], "a segment that is begun says it again"
    opened = replace(complete, revision=2, state=StudyState.OPEN, basis=None, reopens=True)
    assert told.follow(opened) == ["study.reopened"]
    assert told.follow(replace(opened, reopens=False)) == []
    assert told.follow(replace(complete, revision=2)) == ["study.complete"]


def test_an_instance_whose_uids_are_none_is_in_no_study() -> None:
    told = Told()
    planted = replace(received(1, hold="Unmatched"), study_instance_uid="PLANTED^NAME", sop_instance_uid="PLANTED^UID")
    assert told.follow(planted, settled(1, DeliveryState.DELIVERED)) == ["delivery.held"]
    assert "PLANTED" not in str(told.events)


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Return records as a spool writes them: of some instances in two studies, to two destinations."""
    records: list[Record] = []
    count = draw(st.integers(1, 6))
    for number in range(1, count + 1):
        study = draw(st.sampled_from(("1.2.4", "1.2.5")))
        records.append(replace(received(number, (ONE, OTHER)), study_instance_uid=study))
    states = st.sampled_from(list(DeliveryState))
    for time in range(draw(st.integers(0, 30))):
        number, to = draw(st.integers(1, count)), draw(st.sampled_from((ONE, OTHER)))
        record: Record = settled(number, draw(states), to, float(time + 10))
        if draw(st.booleans()) and draw(st.booleans()):
            record = AgainRecord(number, (to,))
        records.append(record)
    return records


@settings(max_examples=200, deadline=None)
@given(histories(), st.data())
def test_made_anew_of_the_ledger_nothing_is_invented(records: list[Record], data: st.DataObject) -> None:
    """After a part of the records the feed is lost, and the journal was compacted: what it tells was told before."""
    cut = data.draw(st.integers(0, len(records)))
    told, ledger = Told(), Ledger()
    for record in records[:cut]:
        told.follow(record)
        ledger.apply(record)
        told.quiet()
    anew = Told()
    anew.take(anew.derivation.follow(ledger.records()))
    # What is finished is in the history, by what became of it.
    anew.quiet()
    invented = anew.events.keys() - told.events.keys()
    assert not [anew.events[one] for one in invented if anew.events[one]["type"] != "dev.dicomroute.study.delivered.v1"]


def test_the_store_remembers_parts_as_they_are(tmp_path: Path) -> None:
    store = Store(tmp_path / "events.sqlite", 1 << 20)
    part = Part(owed=1, held=2, refused=3, delivered=4, skipped=5, newest=6, newest_time=7.5, last_time=8.5, told=9)
    store.write([], 1.0, None, {("1.2", ONE): part})
    assert store.parts([("1.2", ONE), ("1.3", ONE)]) == {("1.2", ONE): part}
    assert store.done(100.0, 200.0, 10) == {}
    store.write([], 1.0, None, {("1.3", ONE): replace(part, owed=0, held=0, refused=0, newest=10)})
    assert list(store.done(100.0, 200.0, 10)) == [("1.3", ONE)]
    assert store.done(7.0, 200.0, 10) == {}, "something of it came a moment ago"
    early = store.done(5.0, 7.0, 10)
    assert list(early) == [("1.3", ONE)], "it came before the date was put back, and would wait for days"
