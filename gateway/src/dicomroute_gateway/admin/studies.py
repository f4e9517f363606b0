"""Studies as people ask for them: those that there are, and every series, instance and destination of one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice

from dicomroute_client.documents.studies import (
    SeriesDocument,
    StudiesDocument,
    StudyDestination,
    StudyDocument,
    StudyItem,
    StudyStateChoice,
)
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.spool.entries import Entry
from dicomroute_gateway.spool.records import DeliveryState, StudyRecord, StudyState
from dicomroute_gateway.spool.spool import Spool

from .ledger import LedgerView, Question
from .queue import instance_document


@dataclass(slots=True)
class _Seen:
    """What instances say of their study."""

    first: float
    last: float
    instances: int = 0
    held: int = 0
    series: set[str] = field(default_factory=set)
    modalities: set[str] = field(default_factory=set)
    destinations: dict[Destination, dict[DeliveryState, int]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        received = entry.received
        self.first, self.last = min(self.first, received.time), max(self.last, received.time)
        self.instances += 1
        self.held += bool(entry.hold)
        self.series.add(received.series_instance_uid)
        if received.modality:
            self.modalities.add(received.modality)
        for name, delivery in entry.deliveries.items():
            counts = self.destinations.setdefault(name, {})
            counts[delivery.state] = counts.get(delivery.state, 0) + 1


class StudiesView:
    """The studies of one gateway."""

    def __init__(self, spool: Spool, ledger: LedgerView, active: Callable[[], Active]) -> None:
        self._spool = spool
        self._ledger = ledger
        self._active = active

    def page(self, state: StudyStateChoice | None, day: date | None, limit: int) -> StudiesDocument:
        """Return the studies that are known, those that came last first; with a `day` (UTC) those received on it.

        Without one, of what is finished nothing but the studies themselves is looked at.
        """
        if day is None:
            entries: Iterable[Entry] = self._spool.entries(lambda entry: True)
        else:
            entries = (entry for entry, _ in self._ledger.entries(Question(first_day=day, last_day=day)))
        seen = _by_study(entries)
        tracked = {one.study_instance_uid: one for one in self._spool.studies.all()}
        names = seen.keys() if day is not None else seen.keys() | tracked.keys()
        items = [_item(uid, tracked.get(uid), seen.get(uid)) for uid in names]
        chosen = [one for one in items if state in (None, one.state)]
        chosen.sort(key=lambda one: (one.last_received_time, one.study_instance_uid), reverse=True)
        return StudiesDocument(items=chosen[:limit], truncated=len(chosen) > limit)

    def show(self, uid: str, limit: int) -> StudyDocument | None:
        """Return all that is known of a study, at most `limit` of its instances; None for one that is not known."""
        found = list(islice(self._ledger.entries(Question(study_instance_uid=uid)), limit + 1))
        record = self._spool.studies.get(uid)
        if not found and record is None:
            return None
        listed, configuration = found[:limit], self._active().configuration
        seen = _by_study(entry for entry, _ in listed).get(uid)
        by_series: dict[str, list[tuple[Entry, float | None]]] = {}
        for entry, finished in listed:
            by_series.setdefault(entry.received.series_instance_uid, []).append((entry, finished))
        series = [
            SeriesDocument(
                series_instance_uid=name,
                instances=[
                    instance_document(entry, configuration, finished)
                    for entry, finished in sorted(some, key=lambda one: one[0].received.id)
                ],
            )
            for name, some in sorted(by_series.items())
        ]
        return StudyDocument(study=_item(uid, record, seen), series=series, truncated=len(found) > limit)


def _by_study(entries: Iterable[Entry]) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for entry in entries:
        received = entry.received
        seen.setdefault(received.study_instance_uid, _Seen(received.time, received.time)).add(entry)
    return seen


def _item(uid: str, record: StudyRecord | None, seen: _Seen | None) -> StudyItem:
    counted = seen if seen is not None else _Seen(0.0, 0.0)
    destinations = [_destination(name, counts) for name, counts in sorted(counted.destinations.items())]
    if record is None:
        return StudyItem(
            study_instance_uid=uid,
            state=StudyStateChoice.UNTRACKED,
            first_received_time=_time(counted.first),
            last_received_time=_time(counted.last),
            instances=counted.instances,
            new_instances=counted.instances,
            series=len(counted.series),
            modalities=sorted(counted.modalities),
            held=counted.held,
            destinations=destinations,
        )
    return StudyItem(
        study_instance_uid=uid,
        state=StudyStateChoice(record.state),
        revision=record.revision,
        basis=record.basis,
        first_received_time=_time(record.first_time),
        last_received_time=_time(record.last_time),
        completed_time=_time(record.time) if record.state is StudyState.COMPLETE else None,
        instances=record.total,
        new_instances=record.instances,
        not_sent_again=record.not_sent_again,
        series=len(record.series),
        modalities=list(record.modalities),
        held=counted.held,
        destinations=destinations,
    )


def _destination(name: Destination, counts: dict[DeliveryState, int]) -> StudyDestination:
    return StudyDestination(
        destination=name,
        waiting=counts.get(DeliveryState.WAITING, 0),
        pending=counts.get(DeliveryState.PENDING, 0),
        unconfirmed=counts.get(DeliveryState.UNCONFIRMED, 0),
        held=counts.get(DeliveryState.HELD, 0),
        dead_lettered=counts.get(DeliveryState.DEAD_LETTERED, 0),
        skipped=counts.get(DeliveryState.SKIPPED, 0),
        delivered=counts.get(DeliveryState.DELIVERED, 0),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)
