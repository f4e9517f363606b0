"""The ledger: what is owed to whom, as a pure state machine over journal records.

The same `apply` serves a running gateway and one that reads its journal after a restart.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from dicomroute_gateway.destination import Destination
from dicomroute_gateway.reasons import Reason

from .deliveries import AWAITED, UNSENT, begun, came_again, over_quota, owed_again, released, sent_again
from .entries import Entry, InstanceCounts
from .oldest import OldestPending
from .records import (
    AgainRecord,
    ArchivedRecord,
    DeliveryRecord,
    DeliveryState,
    DiscardedRecord,
    DroppedRecord,
    HoldRecord,
    PlanRecord,
    Received,
    Record,
    StudyRecord,
    StudyState,
    TotalsRecord,
)
from .studies import StudyBook
from .versions import Versions

SPOOL_FULL: Final = Reason.SPOOL_FULL
"""Reason of a delivery to an optional destination that was given up to make room."""


@dataclass(slots=True)
class Ledger:
    """What the spool knows of every instance that is not finished, and totals of those that are."""

    entries: dict[int, Entry] = field(default_factory=dict)
    finished: dict[int, Entry] = field(default_factory=dict)
    """Entries whose files are still to be removed."""
    unarchived: dict[int, Entry] = field(default_factory=dict)
    """Finished and discarded entries that are not in the history yet."""
    totals: TotalsRecord = field(default_factory=TotalsRecord)
    held: int = 0
    """How many instances are held for a reason of their own."""
    read_before: int = field(default=0, compare=False)
    """While a journal is being read: instances with lower numbers came before all others. 0: none is being read."""
    instances_by_key: Counter[str] = field(default_factory=Counter)
    """How many entries have files encrypted with a key, by its id; "" for those in clear."""
    versions: Versions = field(init=False)
    """The entries of each SOP Instance UID."""
    _owed: int = 0
    _by_state: Counter[tuple[Destination, DeliveryState]] = field(default_factory=Counter)
    _owed_bytes: Counter[Destination] = field(default_factory=Counter)
    _waiting: dict[Destination, OldestPending] = field(default_factory=dict, compare=False)
    studies: StudyBook = field(default_factory=StudyBook)
    plans: dict[str, str] = field(default_factory=dict)
    """What deliveries wait for, by its id: its canonical form."""
    _uncounted: list[tuple[int, float, int]] = field(default_factory=list, compare=False)
    """While a journal is being read: the newer instances that are to count for their studies, when they came, and for
    how many seconds these had been open then."""

    def __post_init__(self) -> None:
        self.versions = Versions(self.entries)

    def apply(self, record: Record) -> None:
        """Take a record over. A record of an instance that is finished or unknown changes nothing."""
        match record:
            case Received():
                deliveries = {d: begun(record, d) for d in record.destinations}
                for d in record.skipped:
                    deliveries[d] = over_quota(record, d, record.id)
                present = self.versions.numbers(record.sop_instance_uid)
                earlier = [one for one in present if not record.id < self.read_before <= one]
                follows = record.follows or self.versions.is_other(record, earlier)
                self._put(Entry(replace(record, follows=True) if follows else record, record.hold, deliveries))
                for destination in record.destinations:
                    self._wait(record.id, destination)
                self.totals = replace(self.totals, next_id=max(self.totals.next_id, record.id + 1))
                self._track(record.id, record.time, record.open_seconds)
            case DeliveryRecord() if entry := self._take(record.id):
                if record.state in (DeliveryState.DELIVERED, DeliveryState.UNCONFIRMED):
                    self.versions.supersede(entry.received, record.destination)
                before = entry.deliveries.get(record.destination)
                if before is not None and before.recipe and not record.recipe:
                    # A newer treatment may replace one; none never does.
                    record = replace(record, recipe=before.recipe)
                if before is not None and before.plan and not record.plan:
                    record = replace(record, plan=before.plan)
                # A new mapping each time, so that whoever holds the old one may go on reading it.
                entry.deliveries = {**entry.deliveries, record.destination: record}
                self._put(entry)
                if record.state in AWAITED and (before is None or before.state not in AWAITED):
                    self._wait(record.id, record.destination)
            case AgainRecord() if entry := self._take(record.id):
                self._come_again(entry, record)
            case HoldRecord() if entry := self._take(record.id):
                entry.hold = record.reason
                self._put(entry)
            case DroppedRecord() if entry := self._take(record.id):
                self._finish(entry)
                self.totals = replace(self.totals, discarded=self.totals.discarded + 1)
            case DiscardedRecord():
                self.totals = replace(self.totals, discarded=self.totals.discarded + 1)
                if record.received is not None:
                    self.unarchived[record.received.id] = Entry(record.received, "", {})
            case ArchivedRecord():
                for identifier in record.ids:
                    self.unarchived.pop(identifier, None)
            case PlanRecord():
                self.plans[record.id] = record.form
            case StudyRecord():
                self._stand(record)
            case TotalsRecord():
                self.totals = record

    def _come_again(self, entry: Entry, record: AgainRecord) -> None:
        """Let an instance that came again be owed where it says."""
        done = {d: entry.deliveries[d] for d in record.destinations if d in entry.deliveries}
        again = {d: owed_again(record, d, done.get(d)) for d in record.destinations}
        self._count_delivered(done)
        if overtaken := set(record.destinations) & set(entry.received.superseded):
            left = tuple(one for one in entry.received.superseded if one not in overtaken)
            entry.received = replace(entry.received, follows=True, superseded=left)
        entry.deliveries = {**entry.deliveries, **again}
        if record.is_tracked and entry.received.modality is None:
            entry.received = replace(entry.received, modality="")  # it came while studies were not tracked
        self._put(entry)
        for destination in record.destinations:
            if destination not in done or done[destination].state not in AWAITED:
                self._wait(record.id, destination)
        if record.is_tracked:
            self._track(record.id, record.time or entry.received.time, record.open_seconds)

    def _track(self, identifier: int, time: float, open_seconds: int) -> None:
        """Count an instance that came at a time for its study. Newer ones than those that are read have their turn."""
        entry = self.entries.get(identifier)
        if entry is None:
            return
        if entry.received.modality is None or not entry.received.study_instance_uid:
            return
        if 0 < self.read_before <= identifier:
            self._uncounted.append((identifier, time, open_seconds))
            return
        if entry.revision == 0 and entry.received.revision:
            entry.revision = entry.received.revision
        else:
            entry.revision = self.studies.count(entry.received, time, entry.revision, open_seconds)
        self._note_waiting(entry)

    def _note_waiting(self, entry: Entry) -> None:
        waits = any(one.state is DeliveryState.WAITING for one in entry.deliveries.values())
        note = self.studies.wait if waits else self.studies.forget
        note(entry.received.study_instance_uid, entry.received.id)

    def _stand(self, record: StudyRecord) -> None:
        """Take over how a study stands; what waited for one that is complete now waits no longer."""
        study = self.studies.put(record)
        if record.state is StudyState.OPEN:
            return
        again = sent_again(record.released)
        of_study = (
            [n for n, one in self.entries.items() if one.received.study_instance_uid == record.study_instance_uid]
            if again
            else []
        )
        for identifier in sorted({*study.waiting, *of_study}):
            if (entry := self._take(identifier)) is None:
                continue
            before, superseded = entry.deliveries, entry.received.superseded
            after = dict(before)
            if (
                identifier in study.waiting
            ):  # one that came while the journal was being read waits for the next revision
                after = {d: released(one, record, d in superseded) for d, one in before.items()}
            if again:
                overtaken = {
                    d: came_again(one) for d, one in before.items() if one.plan in again and d not in superseded
                }
                self._count_delivered({d: before[d] for d, one in overtaken.items() if one is not before[d]})
                after.update({d: one for d, one in overtaken.items() if one is not before[d]})
            entry.deliveries = after
            self._put(entry)
            for destination, one in after.items():
                if one.state in AWAITED and before[destination].state not in AWAITED:
                    self._wait(identifier, destination)

    def counts(self) -> InstanceCounts:
        """Return how many instances there are of each outcome."""
        return InstanceCounts(
            owed=self._owed,
            dead_lettered=len(self.entries) - self._owed,
            skipped=self.totals.skipped,
            delivered=self.totals.delivered,
            discarded=self.totals.discarded,
        )

    def delivery_count(self, destination: Destination, state: DeliveryState) -> int:
        """Return how many deliveries to a destination are in a state; of delivered ones, all there ever were."""
        count = self._by_state[destination, state]
        if state is DeliveryState.DELIVERED:
            count += self.totals.delivered_to.get(destination, 0)
        return count

    def owed_bytes(self, destination: Destination) -> int:
        """Return how many bytes of data sets wait or are pending for a destination, or are not confirmed by it."""
        return self._owed_bytes[destination]

    def destinations(self) -> set[Destination]:
        """Return every destination that has deliveries."""
        return {destination for (destination, _), count in self._by_state.items() if count}

    def oldest_owed_time(self) -> float | None:
        """Return when the oldest instance that is owed was received."""
        return next((entry.received.time for entry in self.entries.values() if entry.is_owed), None)

    def oldest_owed_time_to(self, destination: Destination) -> float | None:
        """Return when the oldest instance that a destination is still to get was received."""
        waiting = self._waiting.get(destination)
        first = waiting.first() if waiting is not None else None
        return None if first is None else self.entries[first].received.time

    def records(self) -> Iterator[Record]:
        """Yield the records from which a new ledger becomes equal to this one."""
        yield self.totals
        yield from self.studies.records()
        yield from (PlanRecord(one, form) for one, form in self.plans.items())
        for entry in self.entries.values():
            # With the destinations of now: one that a release added must be there before its delivery is judged.
            recipes = {d: delivery.recipe for d, delivery in entry.deliveries.items() if delivery.recipe}
            waits = {d: one.plan for d, one in entry.deliveries.items() if one.state is DeliveryState.WAITING}
            received = replace(
                entry.received,
                hold=entry.hold,
                destinations=tuple(entry.deliveries),
                skipped=(),
                recipes=recipes,
                waits=waits,
                revision=entry.revision,
            )
            yield received
            for destination, delivery in entry.deliveries.items():
                if delivery != begun(received, destination):
                    yield delivery

    def finish_reading(self, before: int) -> None:
        """End the reading of a journal of instances with numbers below `before`; newer ones may be there already."""
        self.finished = {number: entry for number, entry in self.finished.items() if number >= before}
        self.read_before = 0

        def is_new(identifier: int) -> bool:
            return identifier >= before

        in_order = {one: self.entries[one] for one in sorted(self.entries, key=is_new)}
        self.entries.clear()
        self.entries.update(in_order)
        self.versions.sort(is_new)
        uncounted, self._uncounted = self._uncounted, []
        for identifier, time, open_seconds in uncounted:
            self._track(identifier, time, open_seconds)

    def _take(self, identifier: int) -> Entry | None:
        """Remove an entry for a change, and with it what was counted of it."""
        entry = self.entries.get(identifier)
        if entry is not None:
            self._count(entry, -1)
        return entry

    def _put(self, entry: Entry) -> None:
        """Put an entry back, or among the finished ones when nothing is left to do."""
        identifier = entry.received.id
        if not entry.is_finished:
            if identifier not in self.entries:
                self.versions.add(entry.received)
                self.instances_by_key[entry.received.key] += 1
            self.entries[identifier] = entry
            self._count(entry, 1)
            if entry.revision:
                self._note_waiting(entry)
            return
        self._finish(entry)
        skipped = any(d.state is DeliveryState.SKIPPED for d in entry.deliveries.values())
        self._count_delivered(entry.deliveries)
        self.totals = replace(
            self.totals,
            skipped=self.totals.skipped + skipped,
            delivered=self.totals.delivered + (not skipped),
        )

    def _finish(self, entry: Entry) -> None:
        """Move an entry, which may be new, to the finished ones."""
        identifier = entry.received.id
        if self.entries.pop(identifier, None) is not None:
            self.instances_by_key[entry.received.key] -= 1
            self.versions.remove(entry.received)
        self.finished[identifier] = entry
        self.unarchived[identifier] = entry
        self.studies.forget(entry.received.study_instance_uid, identifier)
        if entry.revision and any(one.plan for one in entry.deliveries.values()):
            self.studies.leave(entry.received.study_instance_uid)

    def _count_delivered(self, deliveries: dict[Destination, DeliveryRecord]) -> None:
        """Add deliveries that are about to be forgotten to the totals of their destinations."""
        delivered_to = dict(self.totals.delivered_to)
        for destination, delivery in deliveries.items():
            if delivery.state is DeliveryState.DELIVERED:
                delivered_to[destination] = delivered_to.get(destination, 0) + 1
        self.totals = replace(self.totals, delivered_to=delivered_to)

    def _wait(self, identifier: int, destination: Destination) -> None:
        """Note that an instance has become pending at a destination."""
        waiting = self._waiting.get(destination)
        if waiting is None:
            waiting = self._waiting[destination] = OldestPending(partial(self._is_pending, destination))
        waiting.add(identifier, sum(self._by_state[destination, state] for state in AWAITED))

    def _is_pending(self, destination: Destination, identifier: int) -> bool:
        entry = self.entries.get(identifier)
        delivery = entry.deliveries.get(destination) if entry else None
        return delivery is not None and delivery.state in AWAITED

    def _count(self, entry: Entry, difference: int) -> None:
        self._owed += difference * entry.is_owed
        self.held += difference * bool(entry.hold)
        for destination, delivery in entry.deliveries.items():
            self._by_state[destination, delivery.state] += difference
            if delivery.state in UNSENT:
                self._owed_bytes[destination] += difference * entry.received.length
