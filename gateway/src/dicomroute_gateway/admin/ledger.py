"""The ledger as people ask for it: what became of a study, and what each source sent on a day."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from heapq import nlargest
from itertools import chain
from typing import Final, TypeAlias

from dicomroute_client.documents.ledger import LedgerDocument, ReportDocument, SourceReport
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.spool.entries import Entry, Outcome
from dicomroute_gateway.spool.history import day_of
from dicomroute_gateway.spool.records import DeliveryState, FinishedRecord, Received
from dicomroute_gateway.spool.spool import Spool

from .queue import instance_document

_MOST_SOURCES: Final = 1000
OTHERS: Final = "(others)"

_Found: TypeAlias = tuple[Entry, float | None]
"""An instance, and when the last of it was finished."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which instances are asked for: those that fit all that is not empty. Days are those of receipt, in UTC."""

    sop_instance_uid: str = ""
    series_instance_uid: str = ""
    study_instance_uid: str = ""
    calling_ae_title: str = ""
    first_day: date = date.min
    last_day: date = date.max

    def fits(self, received: Received) -> bool:
        """Return whether an instance is asked for."""
        return (
            self.sop_instance_uid in ("", received.sop_instance_uid)
            and self.series_instance_uid in ("", received.series_instance_uid)
            and self.study_instance_uid in ("", received.study_instance_uid)
            and self.calling_ae_title in ("", received.sender.calling_ae_title)
            and self.first_day <= day_of(received.time) <= self.last_day
        )


class LedgerView:
    """What the ledger of one gateway says, of instances in the spool and of those that are finished."""

    def __init__(self, spool: Spool, active: Callable[[], Active]) -> None:
        self._spool = spool
        self._active = active

    def find(self, question: Question, limit: int) -> LedgerDocument:
        """Return at most `limit` instances, the newest first, in the spool or finished."""
        configuration = self._active().configuration
        found = self._newest(question, limit + 1)
        items = [instance_document(entry, configuration, finished) for entry, finished in found[:limit]]
        return LedgerDocument(items=items, truncated=len(found) > limit)

    def report(self, day: date) -> ReportDocument:
        """Return what became of what was received on a day, by calling AE title."""
        days = self._spool.history.days()
        sources: dict[str, _Tally] = {}
        total = _Tally()
        for entry, _ in self.entries(Question(first_day=day, last_day=day)):
            title = entry.received.sender.calling_ae_title
            if title not in sources and len(sources) >= _MOST_SOURCES:
                title = OTHERS
            # 8 bytes for a UID of 64: a day may have very many studies, and two that share a hash are no harm.
            study = hash(entry.received.study_instance_uid)
            sources.setdefault(title, _Tally()).add(entry, study)
            total.add(entry, study)
        return ReportDocument(
            day=day,
            complete=self._spool.keeps_history and (not days or days[0].date <= day),
            sources=[tally.document(title) for title, tally in sorted(sources.items())],
            total=total.document("(all)"),
        )

    def _newest(self, question: Question, count: int) -> list[_Found]:
        """Return the `count` newest, and read no more days than have any of them."""
        current, days = self._parts(question)
        newest = nlargest(count, current, key=_received)
        for day, found in days:
            if len(newest) == count and day_of(newest[-1][0].received.time) > day:
                break
            newest = nlargest(count, chain(newest, found), key=_received)
        return newest

    def entries(self, question: Question) -> Iterator[_Found]:
        """Yield the instances that are asked for, in no order."""
        current, days = self._parts(question)
        yield from current
        for _, found in days:
            yield from found

    def _parts(self, question: Question) -> tuple[list[_Found], Iterator[tuple[date, Iterator[_Found]]]]:
        """Return what the spool and the journal know, and what the history does, the newest day first."""
        present = self._spool.entries(lambda entry: question.fits(entry.received))
        known = {entry.received.id for entry in present}
        current: list[_Found] = [(entry, None) for entry in present]
        # In the order in which an instance moves on, so that one that does meanwhile is not missed.
        for entry in self._spool.finished():
            if entry.received.id not in known and question.fits(entry.received):
                known.add(entry.received.id)
                finished = max((d.time or 0.0 for d in entry.deliveries.values()), default=entry.received.time)
                current.append((entry, finished))
        days = [day.date for day in self._spool.history.days()]
        wanted = [day for day in reversed(days) if question.first_day <= day <= question.last_day]

        def keep(record: FinishedRecord) -> bool:
            return record.received.id not in known and question.fits(record.received)

        return current, ((day, map(_of_history, self._spool.history.find([day], keep))) for day in wanted)


def _of_history(record: FinishedRecord) -> _Found:
    deliveries = {delivery.destination: delivery for delivery in record.deliveries}
    return Entry(record.received, "", deliveries), record.time


def _received(found: _Found) -> tuple[float, int]:
    received = found[0].received
    return received.time, received.id


class _Tally:
    """Counts what one source sent."""

    def __init__(self) -> None:
        self._studies: set[int] = set()
        self._bytes = 0
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._refused_deliveries = 0

    def add(self, entry: Entry, study: int) -> None:
        self._studies.add(study)
        self._bytes += entry.received.length
        self._outcomes[entry.outcome] += 1
        self._refused_deliveries += sum(one.state is DeliveryState.DEAD_LETTERED for one in entry.deliveries.values())

    def document(self, title: str) -> SourceReport:
        return SourceReport(
            calling_ae_title=title,
            studies=len(self._studies),
            bytes=self._bytes,
            received_total=sum(self._outcomes.values()),
            owed=self._outcomes[Outcome.OWED],
            dead_lettered=self._outcomes[Outcome.DEAD_LETTERED],
            skipped_total=self._outcomes[Outcome.SKIPPED],
            delivered_total=self._outcomes[Outcome.DELIVERED],
            discarded_total=self._outcomes[Outcome.DISCARDED],
            dead_lettered_deliveries=self._refused_deliveries,
        )
