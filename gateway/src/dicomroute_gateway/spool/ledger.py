"""The ledger: what is owed to whom, as a pure state machine over journal records.

The same `apply` serves a running gateway and one that reads its journal after a restart.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .records import (
    DeliveryRecord,
    DeliveryState,
    DiscardedRecord,
    DroppedRecord,
    HoldRecord,
    Received,
    Record,
    TotalsRecord,
)

_DONE = (DeliveryState.DELIVERED, DeliveryState.SKIPPED)


@dataclass(slots=True)
class Entry:
    """An instance in the spool: how it came, what holds it, and its deliveries by destination."""

    received: Received
    hold: str
    deliveries: dict[str, DeliveryRecord]

    @property
    def is_owed(self) -> bool:
        """Whether somebody is still to get this instance."""
        return bool(self.hold) or any(d.state is DeliveryState.PENDING for d in self.deliveries.values())

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done with this instance, so that its bytes may go."""
        return not self.hold and all(d.state in _DONE for d in self.deliveries.values())


@dataclass(frozen=True, slots=True)
class InstanceCounts:
    """Instances by the counting rule: each once, by the first that fits.

    `received` is the sum of all others.
    """

    owed: int
    dead_lettered: int
    skipped: int
    delivered: int
    discarded: int

    @property
    def received(self) -> int:
        """All instances ever accepted or discarded."""
        return self.owed + self.dead_lettered + self.skipped + self.delivered + self.discarded


@dataclass(slots=True)
class Ledger:
    """What the spool knows of every instance that is not finished, and totals of those that are."""

    entries: dict[int, Entry] = field(default_factory=dict)
    finished: dict[int, Entry] = field(default_factory=dict)
    """Entries whose files are still to be removed."""
    totals: TotalsRecord = field(default_factory=TotalsRecord)
    held: int = 0
    """How many instances are held for a reason of their own."""
    _owed: int = 0
    _by_state: Counter[tuple[str, DeliveryState]] = field(default_factory=Counter)

    def apply(self, record: Record) -> None:
        """Take a record over. A record of an instance that is finished or unknown changes nothing."""
        match record:
            case Received():
                deliveries = {d: DeliveryRecord(record.id, d, DeliveryState.PENDING) for d in record.destinations}
                self._put(Entry(record, record.hold, deliveries))
                self.totals = replace(self.totals, next_id=max(self.totals.next_id, record.id + 1))
            case DeliveryRecord() if entry := self._take(record.id):
                # A new mapping each time, so that whoever holds the old one may go on reading it.
                entry.deliveries = {**entry.deliveries, record.destination: record}
                self._put(entry)
            case HoldRecord() if entry := self._take(record.id):
                entry.hold = record.reason
                self._put(entry)
            case DroppedRecord() if entry := self._take(record.id):
                self.finished[record.id] = self.entries.pop(record.id)
                self.totals = replace(self.totals, discarded=self.totals.discarded + 1)
            case DiscardedRecord():
                self.totals = replace(self.totals, discarded=self.totals.discarded + 1)
            case TotalsRecord():
                self.totals = record

    def counts(self) -> InstanceCounts:
        """Return how many instances there are of each outcome."""
        return InstanceCounts(
            owed=self._owed,
            dead_lettered=len(self.entries) - self._owed,
            skipped=self.totals.skipped,
            delivered=self.totals.delivered,
            discarded=self.totals.discarded,
        )

    def delivery_count(self, destination: str, state: DeliveryState) -> int:
        """Return how many deliveries to a destination are in a state; of delivered ones, all there ever were."""
        count = self._by_state[destination, state]
        if state is DeliveryState.DELIVERED:
            count += self.totals.delivered_to.get(destination, 0)
        return count

    def destinations(self) -> set[str]:
        """Return every destination that has deliveries."""
        return {destination for (destination, _), count in self._by_state.items() if count}

    def oldest_owed_time(self) -> float | None:
        """Return when the oldest instance that is owed was received."""
        return next((entry.received.time for entry in self.entries.values() if entry.is_owed), None)

    def records(self) -> Iterator[Record]:
        """Yield the records from which a new ledger becomes equal to this one."""
        yield self.totals
        for entry in self.entries.values():
            # With the destinations of now: one that a release added must be there before its delivery is judged.
            yield replace(entry.received, hold=entry.hold, destinations=tuple(entry.deliveries))
            for destination, delivery in entry.deliveries.items():
                if delivery != DeliveryRecord(entry.received.id, destination, DeliveryState.PENDING):
                    yield delivery

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
            self.entries[identifier] = entry
            self._count(entry, 1)
            return
        self.entries.pop(identifier, None)
        self.finished[identifier] = entry
        skipped = any(d.state is DeliveryState.SKIPPED for d in entry.deliveries.values())
        delivered_to = dict(self.totals.delivered_to)
        for destination, delivery in entry.deliveries.items():
            if delivery.state is DeliveryState.DELIVERED:
                delivered_to[destination] = delivered_to.get(destination, 0) + 1
        self.totals = replace(
            self.totals,
            skipped=self.totals.skipped + skipped,
            delivered=self.totals.delivered + (not skipped),
            delivered_to=delivered_to,
        )

    def _count(self, entry: Entry, difference: int) -> None:
        self._owed += difference * entry.is_owed
        self.held += difference * bool(entry.hold)
        for destination, delivery in entry.deliveries.items():
            self._by_state[destination, delivery.state] += difference
