"""One destination's deliveries, at its own pace: batches, attempts, backoff and dead letters.

Two kinds of waiting are kept apart. A fault of the destination (no answer, throttling, a credential) makes the
whole destination wait, and one delivery at a time tries whether it is back. A refusal of an instance makes that
instance wait, alone, while the others go on.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.measures import MeasuredAttempt, Measures
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.spool.content import FAULTS_OF_THE_SPOOL
from dicomroute_gateway.spool.errors import SpoolFailed
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Owed

from .attempt import CONTENT, after, apart, may_be_its_own
from .backoff import SOON_ATTEMPTS, full_jitter, soon
from .confirming import Confirming, confirm_of
from .delivery_log import log_attempted, names_of
from .holding import held
from .judging import Judge, Judgement
from .last_error import LastError
from .line import Line, Turn
from .outcome import AttemptOutcome, Verdict
from .pace import Pace
from .preparation import Unprepared, prepare_in_force
from .rule_holds import hold_by_rules
from .settling import Settling
from .transport import Confirmation, Due, Item, Sent, Transport

_LOOK_AGAIN_SECONDS: Final = 15.0
_LOOKED_AT: Final = 500
_TOGETHER_ATTEMPTS: Final = 3
_ANSWERED_BACKOFF_SECONDS: Final = 30.0
"""How long a destination is left alone at most that answers, or breaks off at an instance: others may get through."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Paused:
    """A destination takes nothing as it is configured; `since` is in seconds since 1970."""

    reason: Reason
    since: float


class Worker:
    """Makes the deliveries to one destination. Lives in one event loop; nothing here is for other threads."""

    def __init__(
        self,
        destination: Destination,
        spool: Spool,
        preparing: Preparing,
        active: Callable[[], Active],
        transport: Transport,
        settling: Settling,
        measures: Measures,
        confirmation: Confirmation | None = None,
    ) -> None:
        self._settling = settling
        self._measures = measures
        self.destination = destination
        self.last_error: LastError | None = None
        self.paused: Paused | None = None
        self.taken_time: float | None = None
        """When the destination last took an instance, in seconds since 1970."""
        self.warnings = 0
        """How many instances the destination stored with a warning."""
        self._spool = spool
        self._preparing = preparing
        self._active = active
        self._transport = transport
        self._line = Line()
        self._pace = Pace(transport.limits)
        self._in_flight: dict[int, str] = {}
        """SOP Instance UIDs by the number of the instance."""
        self._uids_in_flight: set[str] = set()
        self._busy = 0
        """How many attempts are under way."""
        self._asking = 0
        """How many of them ask whether the destination is back."""
        self._judge = Judge(self._pace)
        self._changed = asyncio.Event()
        self._stopping = False
        self._confirming = Confirming(
            destination, spool, preparing, self._configuration, confirmation, settling, self._not_confirmed
        )

    @property
    def in_flight(self) -> int:
        """How many deliveries are being made at this moment."""
        return len(self._in_flight)

    @property
    def is_waiting(self) -> bool:
        """Whether a fault of the destination makes its deliveries wait."""
        return self._pace.is_asking

    def seconds_until_attempt(self, identifier: int) -> float | None:
        """Return for how long a delivery is left alone at least; None where no time is waited for.

        It is then being made, or in its turn, or held.
        """
        if self._held():
            return None
        now = time.monotonic()
        own = self._line.due(identifier)
        return max(self._pace.seconds_until(now), 0.0 if own is None else own - now) or None

    def offer(self, identifiers: Sequence[int]) -> None:
        """Add deliveries that have become pending; one that waits for a later attempt is to be tried now."""
        self._line.hasten(identifiers)
        self._line.add(identifier for identifier in identifiers if identifier not in self._in_flight)
        self._changed.set()

    def confirm(self, identifiers: Sequence[int]) -> None:
        """Ask the destination whether it has what it was sent."""
        self._confirming.add(identifiers)

    def _not_confirmed(self, fault: LastError, again: Sequence[int]) -> None:
        """Show why something is not confirmed, and attempt again what is to be."""
        self.last_error = fault
        for identifier in again:
            found = self._due(identifier)
            wait = self._backoff(found.delivery.refusals) if found is not None and found.delivery.refusals else 0.0
            self._line.add_later(time.monotonic() + wait, identifier)
        self._changed.set()

    def hurry(self) -> None:
        """Look again at what holds this destination, and end every wait that an earlier fault began."""
        self._pace.hurry()
        self._line.hurry()
        self._changed.set()
        self._confirming.hurry()

    def stop(self) -> None:
        """Begin no further attempt."""
        self._stopping = True
        self._changed.set()
        self._confirming.stop()

    async def run(self) -> None:
        """Make deliveries until stopped."""
        try:
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(self._confirming.run())
                while not self._stopping:
                    self._changed.clear()
                    while batch := self._take_batch():
                        asks = self._pace.is_asking
                        self._busy += 1
                        self._asking += asks
                        lanes.create_task(self._make(batch, asks=asks))
                    try:
                        async with asyncio.timeout(self._seconds_to_wait()):
                            await self._changed.wait()
                    except TimeoutError:
                        pass
        finally:
            await self._transport.close()

    async def _make(self, batch: list[Due], *, asks: bool) -> None:
        """Make an attempt, and take note of each part of it as it comes; what was not sent waits for the next one."""
        begin = time.monotonic()
        try:
            async with aclosing(self._send(batch)) as parts:
                async for sent in parts:
                    part = batch[: len(sent.outcomes)]
                    goes_on = await self._settle(part, sent, time.monotonic() - begin)
                    begin = time.monotonic()
                    del batch[: len(part)]
                    self._give_back(part)
                    if self._stopping or not goes_on or self._held():
                        break
        except asyncio.CancelledError:
            self._interrupted(batch)
            raise
        except Exception:
            # An error of ours must not end the worker: what was under way is tried again like after any fault.
            log.exception("delivery.error", destination=self.destination, **names_of(batch))
            self._fault(
                AttemptOutcome(Verdict.RETRY, Reason.GATEWAY_ERROR), None, "the gateway failed; its log says why"
            )
        finally:
            self._busy -= 1
            self._asking -= asks
            self._give_back(batch)

    def _interrupted(self, batch: list[Due]) -> None:
        """Write down that an attempt was cut off when the gateway ended: what it sent may have arrived."""
        outcome = AttemptOutcome(Verdict.RETRY, Reason.INTERRUPTED, may_have_arrived=True)
        try:
            self._spool.settle(after(item.delivery, outcome, time.time(), False, 1) for item in batch)
        except SpoolFailed as error:
            log.error("spool.settle_failed", error=str(error), **names_of(batch))

    def _seconds_to_wait(self) -> float | None:
        """Return when to look again by itself; None where only a change can bring something to do.

        What holds a destination may be the time of the week.
        """
        now = time.monotonic()
        if self._held():
            return _LOOK_AGAIN_SECONDS
        wait = self._pace.seconds_until(now)
        if wait:
            return wait
        if not self._pace.may_begin(now, self._busy, self._asking):
            return None
        due = self._line.next_time
        return None if due is None else max(0.0, due - now)

    def _take_batch(self) -> list[Due]:
        """Return the deliveries of the next attempt, as far as they fit into one request.

        Never two of one SOP Instance UID at a time: an answer could not say which of them it means. A later version
        waits until the earlier one is delivered or given up, however often that is tried.
        """
        now = time.monotonic()
        if not self._pace.may_begin(now, self._busy, self._asking) or self._held():
            return []
        batch: list[Due] = []
        request_bytes = 0

        def look(identifier: int) -> Turn:
            item = self._due(identifier)
            if item is None:
                return Turn.FORGET
            uid = item.received.sop_instance_uid
            if uid in self._uids_in_flight or self._spool.is_behind(Owed(identifier, self.destination)):
                return Turn.LATER
            nonlocal request_bytes
            request_bytes += item.received.content_length
            if batch and request_bytes > self._pace.most_bytes(len(batch) + 1):
                return Turn.FULL
            self._in_flight[identifier] = uid
            self._uids_in_flight.add(uid)
            batch.append(item)
            return Turn.TAKE

        if not self._pace.is_asking:
            self._line.take(now, self._pace.batch_instances, look)
        # With one that waits in order: those that failed alone may never get through, and say little of the others.
        elif not self._line.take(now, 1, self._of_other_series(look), ready_first=True):
            self._line.take(now, 1, look, ready_first=True)
        return batch

    def _of_other_series(self, look: Callable[[int], Turn]) -> Callable[[int], Turn]:
        """Return a look that takes nothing of a series of which something failed: it may all be of one kind.

        So that nobody waits for the search, not all are looked at that wait.
        """
        left = _LOOKED_AT if self._judge.suspects.is_any else 0

        def take_another(identifier: int) -> Turn:
            nonlocal left
            left -= 1
            if left < 0:
                return Turn.FULL
            item = self._due(identifier)
            return Turn.LATER if item is not None and self._judge.suspects.has_like(item.received) else look(identifier)

        return take_another

    def _configuration(self) -> Configuration:
        return self._active().configuration

    def _held(self) -> str:
        return held(self.destination, self._configuration(), time.time())

    def _due(self, identifier: int) -> Due | None:
        """Return a delivery if it is still to be made; a person may have dropped it meanwhile."""
        found = self._spool.pending(Owed(identifier, self.destination))
        return None if found is None else Due(*found)

    async def _settle(self, batch: list[Due], sent: Sent, seconds: float) -> bool:
        """Write down what came of these deliveries, and learn from it; return whether the next ones may follow."""
        stamp, now = time.time(), time.monotonic()
        # What our own spool could not give says nothing of the destination, and nobody else waits for it.
        ours = any(_is_ours(one) for one in sent.outcomes)
        judged = _OURS if ours else self._judge.judge(batch, sent, self._busy, now - seconds, now)
        if judged.fault is not None:
            self._fault(judged.fault, sent.wait_seconds, sent.message)
        elif not ours and any(one.verdict is not Verdict.PAUSE for one in sent.outcomes):
            self.paused = None
        configuration = self._configuration()
        alone, content_attempts = len(batch) == 1, configuration.retry.content_attempts
        confirms = confirm_of(configuration, self.destination) is not None
        records = [
            after(item.delivery, outcome, stamp, alone, content_attempts, is_its_own=judged.counts, confirms=confirms)
            for item, outcome in zip(batch, sent.outcomes, strict=True)
        ]
        try:
            await self._settling.settle(records)
        except SpoolFailed as error:
            # What is not written down is done again after the restart that a failed volume needs.
            log.error("spool.settle_failed", error=str(error), **names_of(batch))
        measured = map(partial(_measured, stamp), batch, sent.outcomes, records)
        self._measures.attempted(self.destination, seconds, measured)
        if any(one.verdict is Verdict.DELIVERED for one in sent.outcomes):
            self.taken_time = stamp
        self._requeue(batch, sent.outcomes, records, judged)
        self.confirm([record.id for record in records if record.state is DeliveryState.UNCONFIRMED])
        for item, outcome, record in zip(batch, sent.outcomes, records, strict=True):
            self.warnings += outcome.warning is not None
            is_told = not ours or _is_ours(outcome)
            if record.state not in _ARRIVED and is_told:
                self.last_error = LastError(outcome.reason, outcome.status, stamp, sent.message)
            log_attempted(item, outcome, record, sent.message, seconds)
        return judged.goes_on

    def _give_back(self, batch: list[Due]) -> None:
        """End an attempt: whatever is still to be made and waits nowhere else waits for the next one."""
        for item in batch:
            identifier = item.received.id
            self._uids_in_flight.discard(self._in_flight.pop(identifier, ""))
            if self._spool.pending(Owed(identifier, self.destination)) is not None:
                self._line.add([identifier])
        self._changed.set()

    async def _send(self, batch: list[Due]) -> AsyncGenerator[Sent]:
        active = self._active()
        if rule_held := await hold_by_rules(self._spool, self._active, self._settling, batch):
            numbers = {due.received.id for due in rule_held}
            batch[:] = [due for due in batch if due.received.id not in numbers]
            self._give_back(rule_held)
            if not batch:
                return
        prepared = [await prepare_in_force(self._preparing, self._spool, active, due) for due in batch]
        items = [one for one in prepared if isinstance(one, Item)]
        if faults := {index: one for index, one in enumerate(prepared) if isinstance(one, Unprepared)}:
            sentence = next(iter(faults.values())).sentence
            names = names_of([batch[index] for index in faults])
            log.error("delivery.not_prepared", destination=self.destination, message=sentence, **names)
            outcomes = {index: one.outcome for index, one in faults.items()}
            yield Sent(apart([due.delivery for due in batch], outcomes), sentence)
            return
        batch[:] = items
        if self._active() is not active:  # what was prepared may be of rules that are no longer in force
            return
        async with aclosing(self._transport.send(tuple(items))) as parts:
            async for sent in parts:
                yield sent
                if self._active() is not active:
                    return

    def _fault(self, outcome: AttemptOutcome, wait: float | None, message: str) -> None:
        """Let the destination wait."""
        now = time.monotonic()
        self._judge.waits()
        most = _ANSWERED_BACKOFF_SECONDS if may_be_its_own(outcome) else math.inf
        self._pace.fault(now, wait, lambda failures: min(most, self._backoff(failures)))
        self.last_error = LastError(outcome.reason, outcome.status, time.time(), message)
        if outcome.verdict is not Verdict.PAUSE:
            self.paused = None
        elif self.paused is None or self.paused.reason != outcome.reason:
            self.paused = Paused(outcome.reason, time.time())
        log.warning(
            "destination.waits",
            destination=self.destination,
            reason=outcome.reason,
            status=outcome.status,
            message=message,
            seconds=round(self._pace.seconds_until(now), 1),
        )

    def _requeue(
        self, batch: list[Due], outcomes: Sequence[AttemptOutcome], records: Sequence[DeliveryRecord], judged: Judgement
    ) -> None:
        """Put the deliveries that are still pending where their outcomes say."""
        pending = [
            (item.received.id, outcome, record)
            for item, outcome, record in zip(batch, outcomes, records, strict=True)
            if record.state is DeliveryState.PENDING
        ]
        if judged.soon:
            self._again_soon([record for _, _, record in pending])
            return
        refused: list[int] = []
        for identifier, outcome, record in pending:
            content = outcome.verdict in CONTENT
            suspect = content or may_be_its_own(outcome)
            if outcome.verdict is Verdict.ALONE and len(batch) > 1:
                refused.append(identifier)
            elif suspect and len(batch) > 1:
                self._line.add_group([identifier])
            elif content or judged.goes_on or suspect or outcome.verdict is Verdict.ALONE:
                failures = record.refusals if content else record.attempts
                self._line.add_later(time.monotonic() + self._backoff(max(1, failures)), identifier)
            else:
                self._line.add([identifier])
        self._line.add_halves(refused)

    def _again_soon(self, records: Sequence[DeliveryRecord]) -> None:
        """Let those be tried again that failed where others pass: together, and in halves when that goes on."""
        attempts = min((record.attempts for record in records), default=0)
        wait = soon(attempts) if attempts <= SOON_ATTEMPTS else self._backoff(attempts - SOON_ATTEMPTS)
        middle = (len(records) + 1) // 2 if attempts > _TOGETHER_ATTEMPTS else len(records)
        for part in (records[:middle], records[middle:]):
            if part:
                self._line.add_later(time.monotonic() + wait, *(record.id for record in part))

    def _backoff(self, failures: int) -> float:
        retry = self._configuration().retry
        return full_jitter(
            failures,
            retry.initial_backoff_seconds,
            retry.max_backoff_seconds,
            random.random(),  # noqa: S311
        )


def _is_ours(outcome: AttemptOutcome) -> bool:
    """Return whether nothing was sent, for a reason that is the gateway's."""
    return outcome.verdict is Verdict.WITHHELD or outcome.reason in FAULTS_OF_THE_SPOOL


_ARRIVED: Final = (DeliveryState.DELIVERED, DeliveryState.UNCONFIRMED)
_OURS: Final = Judgement(None, goes_on=True, soon=False, counts=False)


def _measured(stamp: float, item: Due, outcome: AttemptOutcome, record: DeliveryRecord) -> MeasuredAttempt:
    """Return what is measured of a delivery that was attempted at `stamp`, in seconds since 1970."""
    is_delivered = record.state in _ARRIVED
    return MeasuredAttempt(outcome.reason, is_delivered, item.received.length, stamp - item.received.time)
