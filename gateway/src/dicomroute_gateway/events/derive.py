"""Makes events of what the journal says, record by record. Pure.

What is needed of an instance until nothing is left to do with it: its study, and how its deliveries stood before the
record that changes them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from dicomroute_client.documents.events import (
    DELIVERY_DEAD_LETTERED,
    DELIVERY_HELD,
    STUDY_COMPLETE,
    STUDY_DELIVERED,
    STUDY_RECEIVED,
    STUDY_REOPENED,
    DeliveryDeadLettered,
    DeliveryHeld,
    StudyComplete,
    StudyDelivered,
    StudyReceived,
    StudyReopened,
)
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.spool.deliveries import DONE, begun, came_again, over_quota, owed_again, released, sent_again
from dicomroute_gateway.spool.records import (
    AgainRecord,
    DeliveryRecord,
    DeliveryState,
    DroppedRecord,
    FinishedRecord,
    HoldRecord,
    Received,
    Record,
    StudyRecord,
    StudyState,
)

from .parts import Part, PartKey
from .told import Teller, Told, title, uid

_MOST_STUDIES: Final = 10_000
"""Of so many it is remembered that they were told as received; of others the store knows it."""

States = tuple[tuple[Destination, DeliveryState, str], ...]
"""Of each delivery its destination, its state, and the id of the plan by which it waits for its study, or waited."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An instance with which something is left to do. `is_tracked`: it counts for its study."""

    id: int
    study: str
    sop_instance_uid: str
    received: float
    is_held: bool
    is_tracked: bool
    states: States

    @property
    def is_finished(self) -> bool:
        return not self.is_held and all(state in DONE for _, state, _ in self.states)

    def delivery(self, destination: Destination) -> DeliveryRecord | None:
        """Return a delivery as far as it is remembered."""
        for one, state, plan in self.states:
            if one == destination:
                return DeliveryRecord(self.id, one, state, plan=plan)
        return None


@dataclass(slots=True)
class Batch:
    """What comes of some records: events, and what is known of studies at destinations from now on."""

    told: list[Told] = field(default_factory=list)
    parts: dict[PartKey, Part] = field(default_factory=dict)


class Derivation:
    """Follows the records of a journal, in their order. `parts` returns what is known of studies at destinations."""

    def __init__(self, teller: Teller, parts: Callable[[Iterable[PartKey]], Mapping[PartKey, Part]]) -> None:
        self._teller = teller
        self._parts = parts
        self._instances: dict[int, _Known] = {}
        self._studies: dict[str, None] = {}
        self._tracked: dict[str, set[int]] = {}
        """The instances of each study that count for it."""
        self._shared: dict[States, States] = {}
        """Most instances stand in one of few ways: each of these is there once."""

    @property
    def instances(self) -> int:
        """How many instances are followed."""
        return len(self._instances)

    def pass_over(self, records: Iterable[Record]) -> None:
        """Take records over of which everything is told and counted already."""
        for record in records:
            self._take(record, None)

    def follow(self, records: Iterable[Record]) -> Batch:
        """Return what comes of records."""
        batch = Batch()
        for record in records:
            self._take(record, batch)
        return batch

    def finished(self, records: Iterable[FinishedRecord]) -> Batch:
        """Return what comes of instances that the journal does not know any more, as the history has them."""
        batch = Batch()
        for one in records:
            received = one.received
            if not one.deliveries:
                continue  # it was discarded
            self._received(received, batch)
            for delivery in one.deliveries:
                part = self._part(batch, uid(received.study_instance_uid), delivery.destination)
                if part is not None:
                    part.note(received.id, received.time)
                    part.count(delivery.state, 1)
                    part.last_time = max(part.last_time, delivery.time or 0.0)
        return batch

    def delivered(self, done: Mapping[PartKey, Part]) -> Batch:
        """Return the events of studies that destinations have."""
        batch = Batch()
        for (study, destination), part in done.items():
            data = StudyDelivered(
                study_instance_uid=study,
                destination=destination,
                instances=part.delivered,
                skipped=part.skipped,
                newest_instance=part.newest,
            )
            identity = (study, destination, part.newest, round(part.newest_time * 1000))
            batch.told.append(self._teller.tell(STUDY_DELIVERED, data, study, part.last_time, *identity))
            part.told = part.newest
            batch.parts[study, destination] = part
        return batch

    def _take(self, record: Record, batch: Batch | None) -> None:
        match record:
            case Received() if record.id not in self._instances:
                self._came(record, batch)
            case DeliveryRecord() if known := self._instances.get(record.id):
                self._change(known, record, batch)
                if batch is not None:
                    self._tell_of_delivery(batch, record, known)
            case AgainRecord() if known := self._instances.get(record.id):
                known = replace(known, is_tracked=known.is_tracked or record.is_tracked)
                for one in record.destinations:
                    known = self._change(known, owed_again(record, one, known.delivery(one)), batch)
            case HoldRecord() if known := self._instances.get(record.id):
                self._keep(replace(known, is_held=bool(record.reason)))
                if batch is not None and record.reason:
                    self._held(batch, known, "", record.reason, known.received, record.reason)
            case DroppedRecord():
                self._forget(record.id)
            case StudyRecord():
                self._stands(record, batch)

    def _came(self, record: Received, batch: Batch | None) -> None:
        deliveries = [begun(record, one) for one in record.destinations]
        deliveries += [over_quota(record, one, record.id) for one in record.skipped]
        study, states = uid(record.study_instance_uid), tuple((d.destination, d.state, d.plan) for d in deliveries)
        instance = uid(record.sop_instance_uid)
        known = _Known(record.id, study, instance, record.time, bool(record.hold), record.modality is not None, states)
        self._keep(known)
        if batch is None:
            return
        self._received(record, batch)
        for one in deliveries:
            if (part := self._part(batch, study, one.destination)) is not None:
                part.note(record.id, record.time)
                part.count(one.state, 1)
        if record.hold:
            self._held(batch, known, "", record.hold, record.time, record.hold)

    def _stands(self, record: StudyRecord, batch: Batch | None) -> None:
        """Take over how a study stands; what waited for one that is complete is made, held or given up."""
        study = uid(record.study_instance_uid)
        if record.state is StudyState.COMPLETE:
            again = sent_again(record.released)
            for identifier in sorted(self._tracked.get(study, ())):
                known = self._instances[identifier]
                for destination, _, plan in known.states:
                    before = known.delivery(destination)
                    assert before is not None
                    after = released(before, record, False)
                    if plan in again:
                        after = came_again(after)
                    if after is not before:
                        known = self._change(known, after, batch)
                        if batch is not None:
                            self._tell_of_delivery(batch, after, known)
        if batch is None or not study:
            return
        if record.state is StudyState.COMPLETE:
            complete = StudyComplete(
                study_instance_uid=study,
                revision=record.revision,
                basis=record.basis or "",
                instances=record.instances,
                total=record.total,
                series=len(record.series),
                not_sent_again=record.not_sent_again,
            )
            batch.told.append(self._teller.tell(STUDY_COMPLETE, complete, study, record.time, study, record.revision))
        elif record.reopens:
            reopened = StudyReopened(study_instance_uid=study, revision=record.revision)
            batch.told.append(self._teller.tell(STUDY_REOPENED, reopened, study, record.time, study, record.revision))

    def _keep(self, known: _Known) -> None:
        if known.is_finished:
            self._forget(known.id)
            return
        if len(self._shared) > _MOST_STUDIES:
            self._shared.clear()
        states = self._shared.setdefault(known.states, known.states)
        self._instances[known.id] = replace(known, states=states)
        if known.is_tracked:
            self._tracked.setdefault(known.study, set()).add(known.id)

    def _forget(self, identifier: int) -> None:
        known = self._instances.pop(identifier, None)
        if known is not None and (tracked := self._tracked.get(known.study)) is not None:
            tracked.discard(identifier)
            if not tracked:
                del self._tracked[known.study]

    def _change(self, known: _Known, record: DeliveryRecord, batch: Batch | None) -> _Known:
        """Let a delivery be as a record has it; return the instance as it is then."""
        before = known.delivery(record.destination)
        plan = record.plan or (before.plan if before is not None else "")
        states = {d: (state, its) for d, state, its in known.states} | {record.destination: (record.state, plan)}
        after = replace(known, states=tuple((d, state, its) for d, (state, its) in states.items()))
        self._keep(after)
        if batch is not None and (part := self._part(batch, known.study, record.destination)) is not None:
            part.note(known.id, known.received)
            part.count(record.state, 1)
            if before is not None:
                part.count(before.state, -1)
        return after

    def _tell_of_delivery(self, batch: Batch, record: DeliveryRecord, known: _Known) -> None:
        time = record.time or known.received
        if (part := batch.parts.get((known.study, record.destination))) is not None:
            part.last_time = max(part.last_time, time)
        if record.state is DeliveryState.HELD:
            self._held(batch, known, record.destination, record.reason, time, round(time * 1000))
        if record.state is not DeliveryState.DEAD_LETTERED:
            return
        data = DeliveryDeadLettered(
            instance=record.id,
            sop_instance_uid=known.sop_instance_uid,
            study_instance_uid=known.study,
            destination=record.destination,
            reason=record.reason,
            status=record.status,
            attempts=record.attempts,
        )
        identity = (record.id, record.destination, round(time * 1000))
        batch.told.append(self._teller.tell(DELIVERY_DEAD_LETTERED, data, known.study, time, *identity))

    def _received(self, received: Received, batch: Batch) -> None:
        study = uid(received.study_instance_uid)
        if not study or study in self._studies:
            return
        if len(self._studies) >= _MOST_STUDIES:
            del self._studies[next(iter(self._studies))]
        self._studies[study] = None
        data = StudyReceived(
            study_instance_uid=study,
            calling_ae_title=title(received.sender.calling_ae_title),
            listener=received.sender.listener,
        )
        batch.told.append(self._teller.tell(STUDY_RECEIVED, data, study, received.time, study))

    def _held(self, batch: Batch, known: _Known, destination: str, reason: str, time: float, which: object) -> None:
        data = DeliveryHeld(
            instance=known.id,
            sop_instance_uid=known.sop_instance_uid,
            study_instance_uid=known.study,
            destination=destination,
            reason=reason,
        )
        identity = (known.id, round(known.received * 1000), destination, which)
        batch.told.append(self._teller.tell(DELIVERY_HELD, data, known.study, time, *identity))

    def _part(self, batch: Batch, study: str, destination: Destination) -> Part | None:
        """Return what is known of a study at a destination, for a change; None for an instance in no study."""
        if not study:
            return None
        key = (study, destination)
        if key not in batch.parts:
            batch.parts[key] = self._parts([key]).get(key) or Part()
        return batch.parts[key]
