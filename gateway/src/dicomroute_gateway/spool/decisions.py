"""What a person decides on deliveries, or the want of room: to make them anew, elsewhere, or not at all."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final, TypeVar

from dicomroute_gateway.destination import Destination

from .books import Books
from .deliveries import STUDY_NOT_COMPLETE, SUPERSEDED, UNSENT
from .ledger import SPOOL_FULL
from .records import AgainRecord, DeliveryRecord, DeliveryState, DroppedRecord, HoldRecord
from .views import Drop, Owed, Rerouting, Retried, Treatment

T = TypeVar("T")
R = TypeVar("R")

_EXAMINED_A_TURN: Final = 20_000
"""How many entries one turn of making room looks at, at most: nobody else gets at the books meanwhile."""

_CHANGED_AT_ONCE: Final = 500
"""How many deliveries are changed before others may get at the books."""


class Decisions:
    """Changes what is owed, in the books of one spool. `used_bytes` returns what is used and not about to be free.

    `by` is who decides, as people are to read it in the ledger.
    """

    def __init__(self, books: Books, used_bytes: Callable[[], int]) -> None:
        self._books = books
        self._used_bytes = used_bytes
        self._to_examine: Iterator[int] = iter(())

    def retry(self, owed: Iterable[Owed], by: str = "") -> Retried:
        """Make dead-lettered, held and skipped deliveries pending; pending ones are, and forget what refused them.

        A destination that has got a later version is not given this one over it: what was held for it is skipped.
        Raises SpoolFailed.
        """
        superseded = list[Owed]()
        count = sum(self._decide(owed, lambda one: self._retry(one, superseded, by)))
        return Retried(count, superseded)

    def _retry(self, one: Owed, superseded: list[Owed], by: str) -> bool:
        entry = self._books.ledger.entries.get(one.id)
        delivery = entry.deliveries.get(one.destination) if entry else None
        if entry is None or delivery is None or delivery.state is DeliveryState.DELIVERED:
            return False
        if delivery.state is not DeliveryState.PENDING and one.destination in entry.received.superseded:
            superseded.append(one)
            if delivery.state is DeliveryState.HELD:
                now = time.time()
                self._books.take_over(
                    replace(delivery, state=DeliveryState.SKIPPED, reason=SUPERSEDED, time=now, decided_by=by)
                )
            return False
        reason = "" if delivery.reason == STUDY_NOT_COMPLETE else delivery.reason
        record = replace(delivery, state=DeliveryState.PENDING, reason=reason, refusals=0, decided_by=by)
        if record != delivery:
            self._books.take_over(record)
            self._books.offer([one])
        return True

    def reroute(self, reroutings: Iterable[Rerouting], by: str = "") -> int:
        """Give held instances the destinations that today's rules name; return how many were held.

        Deliveries they already have stay as they are. A destination that has got a later version is not given this one.
        Raises SpoolFailed.
        """
        return sum(self._decide(reroutings, lambda one: self._reroute(one, by)))

    def _reroute(self, new: Rerouting, by: str) -> bool:
        entry = self._books.ledger.entries.get(new.id)
        if entry is None or not entry.hold:
            return False
        wanted = [d for d in new.destinations if d not in entry.deliveries]
        fresh = [d for d in wanted if d not in entry.received.superseded]
        begun = {
            d: DeliveryRecord(new.id, d, DeliveryState.PENDING, decided_by=by, recipe=new.recipes.get(d, ""))
            for d in wanted
        }
        skipped, now = DeliveryState.SKIPPED, time.time()
        waiting = {d: plan for d, plan in new.waits.items() if d in fresh}
        for d, plan in waiting.items():
            begun[d] = replace(begun[d], state=DeliveryState.WAITING, reason=STUDY_NOT_COMPLETE, plan=plan)
        # It counts for its study now: what waits for one that is complete would wait for ever.
        counts = [AgainRecord(new.id, tuple(waiting), {}, waiting, is_tracked=True, time=now)] if waiting else []
        self._books.take_over(
            *counts,
            *(begun[d] for d in fresh),
            *(replace(begun[d], state=skipped, reason=SUPERSEDED, time=now) for d in wanted if d not in fresh),
            HoldRecord(new.id, new.hold),
        )
        self._books.offer([Owed(new.id, d) for d in fresh if d not in waiting])
        return True

    def treat(self, treatments: Iterable[Treatment]) -> list[bool]:
        """Let deliveries be prepared by another recipe; return of each whether that changed it.

        A treatment is never taken back. What was held because it could not be prepared is to be made now. Raises
        SpoolFailed.
        """
        return self._decide(treatments, self._treat)

    def _treat(self, one: Treatment) -> bool:
        entry = self._books.ledger.entries.get(one.id)
        delivery = entry.deliveries.get(one.destination) if entry else None
        if delivery is None or delivery.state in (DeliveryState.DELIVERED, DeliveryState.UNCONFIRMED):
            return False
        is_held, recipe = delivery.state is DeliveryState.HELD, one.recipe or delivery.recipe
        if recipe == delivery.recipe and not is_held:
            return False
        if is_held:
            delivery = replace(delivery, state=DeliveryState.PENDING)
        self._books.take_over(replace(delivery, recipe=recipe, refusals=0))
        if delivery.state is DeliveryState.PENDING:
            self._books.offer([Owed(one.id, one.destination)])
        return True

    def skip(self, optional: frozenset[Destination], until_bytes: int) -> int:
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
                pending = [d for d in waiting if d.state in UNSENT]
                others = [d for d in waiting if d.state in (DeliveryState.DEAD_LETTERED, DeliveryState.HELD)]
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

    def drop(self, drops: Iterable[Drop], by: str = "") -> list[int]:
        """Give up what is named; return of each how many things were dropped, in their order. Raises SpoolFailed.

        A held instance without any delivery is dropped itself. What is dropped is counted, as skipped or discarded.
        """
        return self._decide(drops, lambda one: self._drop(one, by))

    def _drop(self, drop: Drop, by: str) -> int:
        entry = self._books.ledger.entries.get(drop.id)
        if entry is None:
            return 0
        records: list[DeliveryRecord | HoldRecord | DroppedRecord] = [
            replace(delivery, state=DeliveryState.SKIPPED, reason=drop.reason, time=time.time(), decided_by=by)
            for name, delivery in entry.deliveries.items()
            if (drop.destinations is None or name in drop.destinations)
            and delivery.state in (*UNSENT, DeliveryState.HELD, DeliveryState.DEAD_LETTERED)
        ]
        if entry.hold and (drop.hold or drop.destinations is None):
            records.append(HoldRecord(drop.id, "") if entry.deliveries else DroppedRecord(drop.id))
        self._books.take_over(*records)
        return len(records)

    def _decide(self, cases: Iterable[T], decide: Callable[[T], R]) -> list[R]:
        """Decide case after case, not so many at once that others wait for the books; return when all is safe."""
        self._books.raise_until_loaded()
        decided, waiting = list[R](), iter(cases)
        while some := list(islice(waiting, _CHANGED_AT_ONCE)):
            with self._books.mutex:
                decided += [decide(one) for one in some]
        self._books.sync()
        return decided
