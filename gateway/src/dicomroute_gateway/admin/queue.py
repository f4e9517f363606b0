"""The queue as people see it and what they may decide on: list, show, retry, release, drop."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from dicomroute_client.calls import Operation
from dicomroute_client.documents.erase import ErasureReport, ErasureRequest
from dicomroute_client.documents.queue import (
    AttemptDocument,
    DeliveryDocument,
    InstanceDocument,
    QueueChange,
    QueueDocument,
    QueueItem,
    QueueSelection,
)
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.deliver.deliverer import Deliverer
from dicomroute_gateway.deliver.holding import held, waits_for_a_person
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.intake.reroute import release
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.spool.entries import Entry
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Drop, Owed

from .erasure import erase

HELD = str(DeliveryState.HELD)
_MOST_MESSAGES: Final = 100


class Queue:
    """The operations on the queue of one gateway."""

    def __init__(self, spool: Spool, deliverer: Deliverer, active: Callable[[], Active]) -> None:
        self._spool = spool
        self._deliverer = deliverer
        self._active = active

    @property
    def operations(self) -> Mapping[Operation, Callable[[QueueSelection, str], QueueChange]]:
        """What carries out each operation; takes a selection and who decides."""
        return {Operation.RETRY: self.retry, Operation.RELEASE: self.release, Operation.DROP: self.drop}

    def unknown(self, destination: str | None) -> str:
        """Return what is wrong with the name of a destination that a person has given, or ""."""
        configured = {one.key for one in self._active().configuration.destinations}
        known = sorted(configured | self._spool.snapshot().deliveries.keys())
        if destination is None or destination in known:
            return ""
        return f"there is no destination {destination!r}; there are {', '.join(known) or 'none'}"

    def page(self, selection: QueueSelection, limit: int) -> QueueDocument:
        """Return the deliveries of a selection, oldest first, at most `limit` of them."""
        is_meant = _chooser(selection)
        entries = self._spool.entries(lambda one: is_meant(one) and bool(self._chosen(one, selection)), limit + 1)
        found = [item for entry in entries for item in self._chosen(entry, selection)]
        return QueueDocument(items=found[:limit], truncated=len(found) > limit)

    def show(self, identifier: int) -> InstanceDocument | None:
        """Return all that is known of an instance in the spool."""
        entry = next(iter(self._spool.entries(lambda e: e.received.id == identifier, 1)), None)
        if entry is None:
            return None
        return instance_document(entry, self._active().configuration)

    def foretell(self, items: Iterable[QueueItem]) -> None:
        """Write into deliveries when they are attempted next. For the event loop's thread, where the workers live."""
        now, workers = time.time(), self._deliverer.workers
        for item in items:
            worker = workers.get(Destination(item.destination))
            if item.state == DeliveryState.PENDING and worker is not None:
                wait = worker.seconds_until_attempt(item.instance)
                item.next_attempt_time = _time(now + wait) if wait is not None else None

    def retry(self, selection: QueueSelection, by: str = "") -> QueueChange:
        """Make dead-lettered and waiting deliveries due now; skipped ones where their state is named."""
        retryable = (
            (selection.state,) if selection.state else (DeliveryState.DEAD_LETTERED, DeliveryState.PENDING, HELD)
        )
        entries = self._selected(selection)
        messages = _Messages(selection, entries)
        owed: list[Owed] = []
        for entry in entries:
            due = [item for item in self._chosen(entry, selection) if item.destination and item.state in retryable]
            owed += [_owed(item) for item in due]
            for item in due:
                if item.reason and item.state != DeliveryState.DEAD_LETTERED and self._is_held(item):
                    messages.of(entry, f"still waits for {item.destination}: {item.reason}")
            if not due:
                messages.of(entry, "has no matching delivery to retry")
        retried = self._spool.decisions.retry(owed, by)
        for one in retried.superseded:
            messages.add(_superseded(one))
        return QueueChange(changed=retried.count, messages=messages.found)

    def hurry(self, selection: QueueSelection) -> None:
        """Let the workers of the selected destinations try again at once. For the event loop's thread."""
        destination = selection.destination
        self._deliverer.hurry(Destination(destination) if destination is not None else None)

    def release(self, selection: QueueSelection, by: str = "") -> QueueChange:
        """Apply the rules in force to held instances, and attempt again what could not be prepared."""
        entries = self._selected(selection)
        messages = _Messages(selection, entries)
        held_back = list[Owed]()
        for entry in entries:
            kept = [one for one in self._chosen(entry, selection) if one.destination and _is_held_back(entry, one)]
            held_back += [_owed(one) for one in kept]
            if not entry.hold and not kept:
                messages.of(entry, "is not held because of its rules or its preparation")
        stays = release(self._spool, self._active(), (entry.received for entry in entries if entry.hold), by)
        for why in filter(None, stays):
            messages.add(why)
        retried = self._spool.decisions.retry(held_back, by)
        for one in retried.superseded:
            messages.add(_superseded(one))
        return QueueChange(changed=stays.count("") + retried.count, messages=messages.found)

    def drop(self, selection: QueueSelection, by: str = "") -> QueueChange:
        """Give up deliveries and held instances, counted."""
        entries = self._selected(selection)
        messages = _Messages(selection, entries)
        dropped = self._spool.decisions.drop((self._drop(entry, selection) for entry in entries), by)
        for entry, count in zip(entries, dropped, strict=True):
            if not count:
                messages.of(entry, "has nothing to drop")
        return QueueChange(changed=sum(dropped), messages=messages.found)

    def erase(self, request: ErasureRequest, by: str = "") -> ErasureReport:
        """Erase what the spool has of a study or a patient. Raises SpoolFailed."""
        return erase(self._spool, request, by)

    def _drop(self, entry: Entry, selection: QueueSelection) -> Drop:
        chosen = self._chosen(entry, selection)
        destinations = {Destination(item.destination) for item in chosen if item.destination}
        return Drop(entry.received.id, destinations, hold=len(destinations) < len(chosen))

    def _is_held(self, item: QueueItem) -> bool:
        return bool(held(Destination(item.destination), self._active().configuration, time.time()))

    def _selected(self, selection: QueueSelection) -> list[Entry]:
        return self._spool.entries(_chooser(selection))

    def _chosen(self, entry: Entry, selection: QueueSelection) -> list[QueueItem]:
        return [
            item
            for item in _items(entry, self._active().configuration)
            if selection.destination in (None, item.destination)
            and selection.state in (None, item.state)
            and selection.reason in (None, item.reason)
        ]


def _owed(item: QueueItem) -> Owed:
    return Owed(item.instance, Destination(item.destination))


def _is_held_back(entry: Entry, item: QueueItem) -> bool:
    """Return whether a delivery is held for what could not be prepared."""
    return entry.deliveries[Destination(item.destination)].state is DeliveryState.HELD


def _superseded(one: Owed) -> str:
    return f"instance {one.id} is not sent to {one.destination}, because the destination has a later version of it"


def _chooser(selection: QueueSelection) -> Callable[[Entry], bool]:
    """Return what says of an instance whether a selection is about it."""
    named = frozenset(selection.instances)

    def is_meant(entry: Entry) -> bool:
        received = entry.received
        return (
            (selection.all or received.id in named)
            and selection.key in (None, received.key)
            and selection.study in (None, received.study_instance_uid)
        )

    return is_meant


class _Messages:
    """What a person is told of the instances that were named; of all that there are, only what went wrong."""

    def __init__(self, selection: QueueSelection, entries: Sequence[Entry]) -> None:
        self._named = set(selection.instances)
        self.found: list[str] = []
        for number in sorted(self._named - {entry.received.id for entry in entries}):
            self.add(f"instance {number} is not in the spool, or does not belong to that study or key")

    def add(self, sentence: str) -> None:
        if len(self.found) < _MOST_MESSAGES:
            self.found.append(sentence)

    def of(self, entry: Entry, what: str) -> None:
        if entry.received.id in self._named:
            self.add(f"instance {entry.received.id} {what}")


def instance_document(entry: Entry, configuration: Configuration, finished: float | None = None) -> InstanceDocument:
    """Return all that is known of an instance; `finished` is when nothing was left to do, in seconds since 1970."""
    received, sender = entry.received, entry.received.sender
    return InstanceDocument(
        instance=received.id,
        outcome=entry.outcome,
        received_time=_time(received.time),
        finished_time=_time(finished) if finished is not None else None,
        sop_class_uid=received.sop_class_uid,
        sop_instance_uid=received.sop_instance_uid,
        series_instance_uid=received.series_instance_uid,
        study_instance_uid=received.study_instance_uid,
        transfer_syntax_uid=received.transfer_syntax_uid,
        bytes=received.length,
        digest=received.digest,
        key=received.key,
        association=sender.association,
        listener=sender.listener,
        calling_ae_title=sender.calling_ae_title,
        called_ae_title=sender.called_ae_title,
        address=sender.address,
        generation=received.generation,
        hold=entry.hold,
        deliveries=[
            DeliveryDocument(
                **item.model_dump(),
                earlier_attempts=_earlier(delivery),
                decided_by=delivery.decided_by if delivery is not None else "",
            )
            for item in _items(entry, configuration)
            for delivery in (entry.deliveries.get(Destination(item.destination)),)
        ],
    )


def _earlier(delivery: DeliveryRecord | None) -> list[AttemptDocument]:
    return [
        AttemptDocument(time=_time(one.time), reason=one.reason, status=one.status)
        for one in (delivery.earlier if delivery else ())
    ]


def _items(entry: Entry, configuration: Configuration) -> list[QueueItem]:
    items = [_item(entry, delivery, configuration) for delivery in entry.deliveries.values()]
    if entry.hold:
        items.append(_queue_item(entry, "", HELD, entry.hold, None))
    return items


def _item(entry: Entry, delivery: DeliveryRecord, configuration: Configuration) -> QueueItem:
    reason = held(delivery.destination, configuration, time.time()) if delivery.state is DeliveryState.PENDING else ""
    state = HELD if waits_for_a_person(reason) else str(delivery.state)
    return _queue_item(entry, delivery.destination, state, reason or delivery.reason, delivery)


def _queue_item(entry: Entry, destination: str, state: str, reason: str, delivery: DeliveryRecord | None) -> QueueItem:
    return QueueItem(
        instance=entry.received.id,
        destination=destination,
        state=state,
        reason=reason,
        attempts=delivery.attempts if delivery else 0,
        status=delivery.status if delivery else None,
        last_attempt_time=_time(delivery.time) if delivery and delivery.time else None,
        received_time=_time(entry.received.time),
        calling_ae_title=entry.received.sender.calling_ae_title,
        study_instance_uid=entry.received.study_instance_uid,
        sop_instance_uid=entry.received.sop_instance_uid,
        bytes=entry.received.length,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)
