"""What a person decides on deliveries, or the want of room: to make them anew, elsewhere, or not at all."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from .books import Books
from .ledger import SPOOL_FULL, SUPERSEDED
from .records import DeliveryRecord, DeliveryState, DroppedRecord, HoldRecord
from .views import Owed, Retried

_EXAMINED_A_TURN: Final = 20_000
"""How many entries one turn of making room looks at, at most: nobody else gets at the books meanwhile."""

_CHANGED_AT_ONCE: Final = 500
"""How many deliveries are changed before others may get at the books."""


class Decisions:
    """Changes what is owed, in the books of one spool. `used_bytes` returns what is used and not about to be free."""

    def __init__(self, books: Books, used_bytes: Callable[[], int]) -> None:
        self._books = books
        self._used_bytes = used_bytes
        self._to_examine: Iterator[int] = iter(())

    def retry(self, owed: Iterable[Owed]) -> Retried:
        """Make dead-lettered and skipped deliveries pending again; pending ones are, and forget what refused them.

        A destination that has got a later version is not given this one over it. Raises SpoolFailed.
        """
        count, superseded = 0, list[Owed]()
        self._books.raise_until_loaded()
        waiting = iter(owed)
        while some := list(islice(waiting, _CHANGED_AT_ONCE)):
            with self._books.mutex:
                for one in some:
                    entry = self._books.ledger.entries.get(one.id)
                    delivery = entry.deliveries.get(one.destination) if entry else None
                    if entry is None or delivery is None or delivery.state is DeliveryState.DELIVERED:
                        continue
                    if delivery.state is not DeliveryState.PENDING and one.destination in entry.received.superseded:
                        superseded.append(one)
                        continue
                    count += 1
                    record = replace(delivery, state=DeliveryState.PENDING, refusals=0)
                    if record != delivery:
                        self._books.take_over(record)
                        self._books.offer([one])
        self._books.sync()
        return Retried(count, superseded)

    def reroute(self, identifier: int, destinations: Iterable[str], hold: str) -> bool:
        """Give a held instance the destinations that today's rules name; return whether it was held.

        Deliveries it already has stay as they are. A destination that has got a later version is not given this one.
        """
        self._books.raise_until_loaded()
        with self._books.mutex:
            entry = self._books.ledger.entries.get(identifier)
            if entry is None or not entry.hold:
                return False
            new = [d for d in destinations if d not in entry.deliveries]
            fresh = [d for d in new if d not in entry.received.superseded]
            skipped, now = DeliveryState.SKIPPED, time.time()
            self._books.take_over(
                *(DeliveryRecord(identifier, d, DeliveryState.PENDING) for d in fresh),
                *(DeliveryRecord(identifier, d, skipped, reason=SUPERSEDED, time=now) for d in new if d not in fresh),
                HoldRecord(identifier, hold),
            )
            self._books.offer([Owed(identifier, d) for d in fresh])
        self._books.sync()
        return True

    def skip(self, optional: frozenset[str], until_bytes: int) -> int:
        """Give up deliveries to optional destinations, oldest first, until the spool has `until_bytes` at most.

        Only instances that nobody else is to get are given up. A call looks at so many entries at most, and the next
        one goes on where it stopped. Return how many deliveries were given up. Raises SpoolFailed.
        """
        if not self._books.is_loaded:
            return 0
        skipped = 0
        stamp = time.time()
        with self._books.mutex:
            ledger = self._books.ledger
            if not any(ledger.owed_bytes(destination) for destination in optional):
                return 0
            excess = self._used_bytes() - until_bytes
            begun = False
            for _ in range(_EXAMINED_A_TURN):
                if excess <= 0:
                    break
                identifier = next(self._to_examine, None)
                if identifier is None:
                    if begun:
                        break
                    begun, self._to_examine = True, iter(list(ledger.entries))
                    continue
                entry = ledger.entries.get(identifier)
                if entry is None:
                    continue
                waiting = [d for d in entry.deliveries.values() if d.state is not DeliveryState.DELIVERED]
                pending = [d for d in waiting if d.state is DeliveryState.PENDING]
                others = [d for d in waiting if d.state is DeliveryState.DEAD_LETTERED]
                if entry.hold or others or not {d.destination for d in pending} <= optional:
                    continue
                self._books.take_over(
                    *(replace(d, state=DeliveryState.SKIPPED, reason=SPOOL_FULL, time=stamp) for d in pending)
                )
                skipped += len(pending)
                excess -= entry.received.file_length
        if skipped:
            self._books.flush()
        return skipped

    def drop(self, identifier: int, destinations: Collection[str] | None, *, hold: bool = False) -> int:
        """Give up deliveries of an instance to some destinations, or all, and with `hold` what holds it.

        Return how many things were dropped. A held instance without any delivery is dropped itself. What is dropped is
        counted, as skipped or discarded.
        """
        self._books.raise_until_loaded()
        with self._books.mutex:
            entry = self._books.ledger.entries.get(identifier)
            if entry is None:
                return 0
            records: list[DeliveryRecord | HoldRecord | DroppedRecord] = [
                replace(delivery, state=DeliveryState.SKIPPED, reason="Dropped", time=time.time())
                for name, delivery in entry.deliveries.items()
                if (destinations is None or name in destinations)
                and delivery.state in (DeliveryState.PENDING, DeliveryState.DEAD_LETTERED)
            ]
            if entry.hold and (hold or destinations is None):
                records.append(HoldRecord(identifier, "") if entry.deliveries else DroppedRecord(identifier))
            self._books.take_over(*records)
        self._books.sync()
        return len(records)
