"""One destination's deliveries, at its own pace: batches, attempts, backoff and dead letters.

Two kinds of waiting are kept apart. A fault of the destination (no answer, throttling, a credential) makes the
whole destination wait, and one delivery at a time tries whether it is back. A refusal of an instance makes that
instance wait, alone, while the others go on.
"""

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
import structlog

from dicomroute_gateway.configuration.model import CloudTargetDestination, Configuration
from dicomroute_gateway.measures import Attempt, Measures
from dicomroute_gateway.spool.ledger import CAME_AGAIN
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, Received
from dicomroute_gateway.spool.spool import Spool, SpoolFailed
from dicomroute_gateway.spool.views import Owed

from .backoff import full_jitter
from .holding import held
from .multipart import Part
from .outcome import Outcome, Verdict, outcomes
from .stow import CredentialMissing, TransportFailed, new_session, store

LANES: Final = 8
BATCH_INSTANCES: Final = 10
BATCH_BYTES: Final = 32 << 20
UNREADABLE: Final = "SpoolUnreadable"

_MAY_HAVE_ARRIVED: Final = frozenset(
    (
        "ConnectionLost",
        "TimedOut",
        "ServerError",
        "Busy",
        "NotInAnswer",
        "AnswerNamesNoInstance",
        "AnswerWithoutResult",
        CAME_AGAIN,
    )
)
"""Reasons of attempts after which the destination may have the instance all the same."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LastError:
    """The last fault of a destination, as a person is shown it; `time` is in seconds since 1970."""

    reason: str
    status: int | None
    time: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Item:
    """A delivery that is being made."""

    received: Received
    delivery: DeliveryRecord
    part: Part


class Worker:
    """Makes the deliveries to one destination. Lives in one event loop; nothing here is for other threads."""

    def __init__(
        self,
        destination: str,
        spool: Spool,
        configuration: Callable[[], Configuration],
        secrets: Path,
        measures: Measures,
    ) -> None:
        self.destination = destination
        self.last_error: LastError | None = None
        self._spool = spool
        self._configuration = configuration
        self._secrets = secrets
        self._measures = measures
        self._ready: deque[int] = deque()
        self._alone: deque[int] = deque()
        self._later: list[tuple[float, int]] = []
        self._queued: set[int] = set()
        self._in_flight: dict[int, str] = {}
        """SOP Instance UIDs by the number of the instance."""
        self._busy = 0
        """How many attempts are under way."""
        self._works = True
        """Whether the destination took something since its last fault."""
        self._faults = 0
        self._not_before = 0.0
        self._changed = asyncio.Event()
        self._stopping = False

    @property
    def in_flight(self) -> int:
        """How many deliveries are being made at this moment."""
        return len(self._in_flight)

    @property
    def is_paused(self) -> bool:
        """Whether a fault of the destination makes its deliveries wait."""
        return self._faults > 0

    def offer(self, identifiers: Sequence[int]) -> None:
        """Add deliveries that have become pending."""
        for identifier in identifiers:
            if identifier not in self._queued and identifier not in self._in_flight:
                self._queued.add(identifier)
                self._ready.append(identifier)
        self._changed.set()

    def hurry(self) -> None:
        """Look again at what holds this destination, and end every wait that an earlier fault began."""
        self._faults, self._not_before = 0, 0.0
        self._alone.extend(identifier for _, identifier in self._later)
        self._later.clear()
        self._changed.set()

    def stop(self) -> None:
        """Begin no further attempt."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Make deliveries until stopped."""
        async with new_session() as session, asyncio.TaskGroup() as lanes:
            while not self._stopping:
                self._changed.clear()
                while self._busy < LANES and (batch := self._take_batch()):
                    self._busy += 1
                    lanes.create_task(self._make(session, batch))
                try:
                    async with asyncio.timeout(self._seconds_to_wait()):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    async def _make(self, session: aiohttp.ClientSession, batch: list[_Item]) -> None:
        try:
            await self._attempt(session, batch)
        except Exception:
            # An error of ours must not end the worker: what was under way is tried again like after any fault.
            log.exception("delivery.error", destination=self.destination, **_names(batch))
            self._fault(Outcome(Verdict.RETRY, "GatewayError"), None, "the gateway failed; its log says why")
        finally:
            self._busy -= 1
            self._give_back(batch)

    def _seconds_to_wait(self) -> float | None:
        """Return when to look again by itself; None where only a change can bring something to do."""
        now = time.monotonic()
        if self._held() or self._busy == LANES or (self._faults and self._in_flight):
            return None
        if self._not_before > now:
            return self._not_before - now
        return max(0.0, self._later[0][0] - now) if self._later else None

    def _take_batch(self) -> list[_Item]:
        now = time.monotonic()
        if now < self._not_before or (self._faults and self._in_flight) or self._held():
            return []
        while self._later and self._later[0][0] <= now:
            self._alone.append(heapq.heappop(self._later)[1])
        batch = self._collect(self._alone, 1)
        return batch or self._collect(self._ready, 1 if self._faults else BATCH_INSTANCES)

    def _collect(self, queue: deque[int], most: int) -> list[_Item]:
        """Take up to `most` deliveries from the front of a queue, as far as they fit into one request.

        Never two of one SOP Instance UID at a time: an answer could not say which of them it means. A later version
        waits until the earlier one is delivered or given up, however often that is tried.
        """
        batch: list[_Item] = []
        size = 0
        for _ in range(len(queue)):
            if len(batch) == most:
                break
            identifier = queue.popleft()
            item = self._item(identifier)
            if item is None:
                self._queued.discard(identifier)
                continue
            uid = item.received.sop_instance_uid
            if uid in self._in_flight.values() or self._spool.is_behind(Owed(identifier, self.destination)):
                queue.append(identifier)
                continue
            if batch and size + item.part.length > BATCH_BYTES:
                queue.appendleft(identifier)
                break
            self._queued.discard(identifier)
            self._in_flight[identifier] = uid
            batch.append(item)
            size += item.part.length
        return batch

    def _held(self) -> str:
        return held(self.destination, self._configuration())

    def _item(self, identifier: int) -> _Item | None:
        """Return a delivery if it is still to be made; a person may have dropped it meanwhile."""
        found = self._spool.pending(Owed(identifier, self.destination))
        if found is None:
            return None
        received, delivery = found
        return _Item(received, delivery, Part(self._spool.file(identifier), received.file_length))

    async def _attempt(self, session: aiohttp.ClientSession, batch: list[_Item]) -> None:
        begin = time.monotonic()
        results, wait, message = await self._send(session, batch)
        seconds, stamp = time.monotonic() - begin, time.time()
        alone = len(batch) == 1
        records = [
            _after(item.delivery, outcome, stamp, alone, self._configuration().retry.content_attempts)
            for item, outcome in zip(batch, results, strict=True)
        ]
        try:
            await asyncio.to_thread(self._spool.settle, records)
        except SpoolFailed as error:
            # What is not written down is done again after the restart that a failed volume needs.
            log.error("spool.settle_failed", error=str(error), **_names(batch))
        self._measures.attempted(self.destination, seconds, map(partial(_measured, stamp), batch, results, records))
        faults = [o for o in results if o.verdict in (Verdict.RETRY, Verdict.PAUSE)]
        # A fault that an instance has alone, at a destination that takes others, is that instance's own.
        own = alone and bool(faults) and self._works and _answered(faults[0])
        if own:
            self._works = False  # until another gets through; if the next one fails too, it is the destination
        elif len(faults) == len(results):
            self._fault(faults[0], wait, message)
        if len(faults) < len(results):
            self._faults, self._works = 0, True
        for item, outcome, record in zip(batch, results, records, strict=True):
            self._requeue(item, outcome, record, spread=own or len(faults) < len(results), was_alone=alone)
            if record.state is not DeliveryState.DELIVERED:
                self.last_error = LastError(outcome.reason, outcome.status, stamp, message)
                log.warning(
                    "delivery.failed",
                    destination=self.destination,
                    instance=item.received.id,
                    association=item.received.sender.association,
                    verdict=outcome.verdict.value,
                    reason=outcome.reason,
                    status=outcome.status,
                    message=message,
                    attempts=record.attempts,
                    state=record.state,
                )
            else:
                log.debug(
                    "delivery.made",
                    destination=self.destination,
                    instance=item.received.id,
                    association=item.received.sender.association,
                    reason=outcome.reason,
                    status=outcome.status,
                    attempts=record.attempts,
                    seconds=round(seconds, 3),
                )

    def _give_back(self, batch: list[_Item]) -> None:
        """End an attempt: whatever is still to be made and waits nowhere else waits for the next one."""
        for item in batch:
            identifier = item.received.id
            self._in_flight.pop(identifier, None)
            pending = self._spool.pending(Owed(identifier, self.destination)) is not None
            if pending and identifier not in self._queued:
                self._queued.add(identifier)
                self._ready.append(identifier)
        self._changed.set()

    async def _send(
        self, session: aiohttp.ClientSession, batch: list[_Item]
    ) -> tuple[list[Outcome], float | None, str]:
        """Return the outcome of each delivery, how long the server asks to wait, and a sentence for a fault."""
        target = self._target()
        if target is None:
            return [Outcome(Verdict.RETRY, "NoSuchDestination")] * len(batch), None, ""
        if unreadable := [item.received.id for item in batch if not item.part.is_readable()]:
            concerned = [item for item in batch if item.received.id in unreadable]
            log.error("spool.unreadable", destination=self.destination, **_names(concerned))
            verdicts = [Verdict.RETRY if item.received.id in unreadable else Verdict.ALONE for item in batch]
            sentence = "the file of an instance cannot be read from the spool"
            return [Outcome(verdict, UNREADABLE) for verdict in verdicts], None, sentence
        try:
            reply = await store(session, target, [item.part for item in batch], self._secrets, time.time())
        except CredentialMissing as error:
            return [Outcome(Verdict.PAUSE, "SecretMissing")] * len(batch), None, str(error)
        except TransportFailed as error:
            return [Outcome(Verdict.RETRY, error.reason)] * len(batch), None, str(error)
        sent = [item.received.sop_instance_uid for item in batch]
        return outcomes(reply.answer, sent), reply.retry_after_seconds, f"HTTP {reply.answer.status}"

    def _target(self) -> CloudTargetDestination | None:
        return next((d for d in self._configuration().destinations if str(d.key) == self.destination), None)

    def _fault(self, outcome: Outcome, wait: float | None, message: str) -> None:
        """Let the destination wait; several attempts that failed at the same time are one fault."""
        now = time.monotonic()
        self._works = False
        if now >= self._not_before:
            self._faults += 1
            self._not_before = now + self._backoff(self._faults)
        self._not_before = max(self._not_before, now + (wait or 0.0))
        self.last_error = LastError(outcome.reason, outcome.status, time.time(), message)
        log.warning(
            "destination.waits",
            destination=self.destination,
            reason=outcome.reason,
            status=outcome.status,
            message=message,
            seconds=round(self._not_before - now, 1),
        )

    def _requeue(self, item: _Item, outcome: Outcome, record: DeliveryRecord, *, spread: bool, was_alone: bool) -> None:
        """Put a delivery that is still pending where its outcome says."""
        if record.state is not DeliveryState.PENDING:
            return
        identifier = item.received.id
        self._queued.add(identifier)
        content = outcome.verdict in (Verdict.REFUSED, Verdict.DOUBTFUL, Verdict.DUPLICATE)
        suspect = content or _answered(outcome)
        if outcome.verdict is Verdict.ALONE or (suspect and not was_alone):
            self._alone.append(identifier)
        elif content or spread:
            failures = record.refusals if content else record.attempts
            heapq.heappush(self._later, (time.monotonic() + self._backoff(max(1, failures)), identifier))
        else:
            # Behind the others, so that an instance that breaks its server does not stand in front for ever.
            self._ready.append(identifier)

    def _backoff(self, failures: int) -> float:
        retry = self._configuration().retry
        return full_jitter(
            failures,
            retry.initial_backoff_seconds,
            retry.max_backoff_seconds,
            random.random(),  # noqa: S311
        )


def _names(batch: Sequence[_Item]) -> dict[str, list[str] | list[int]]:
    """Return what every log line about these instances says of them."""
    associations = dict.fromkeys(item.received.sender.association for item in batch)
    return {"instances": [item.received.id for item in batch], "associations": list(associations)}


def _measured(stamp: float, item: _Item, outcome: Outcome, record: DeliveryRecord) -> Attempt:
    """Return what is measured of a delivery that was attempted at `stamp`, in seconds since 1970."""
    is_delivered = record.state is DeliveryState.DELIVERED
    return Attempt(outcome.reason, is_delivered, item.received.length, stamp - item.received.time)


def _answered(outcome: Outcome) -> bool:
    """Return whether a fault may be an instance's own: the destination answered, or our file is unreadable."""
    busy = outcome.verdict is Verdict.PAUSE or outcome.status in (None, 408, 425, 429, 503)
    return not busy or outcome.reason == UNREADABLE


def _after(
    delivery: DeliveryRecord, outcome: Outcome, stamp: float, alone: bool, content_attempts: int
) -> DeliveryRecord:
    """Return the state of a delivery after an attempt with this outcome.

    Only a refusal of the content itself, of an instance sent alone, leads to a dead letter: a definite one the
    second time, a doubtful one after `content_attempts`. A duplicate is our own if the attempt before it was
    sent and its answer was lost or did not name the instance.
    """
    refused = alone and outcome.verdict in (Verdict.REFUSED, Verdict.DOUBTFUL, Verdict.DUPLICATE)
    refusals = delivery.refusals + refused
    state = DeliveryState.PENDING
    own = outcome.verdict is Verdict.DUPLICATE and delivery.reason in _MAY_HAVE_ARRIVED
    if outcome.verdict is Verdict.DELIVERED or own:
        state = DeliveryState.DELIVERED
    elif refused and refusals >= (2 if outcome.verdict is Verdict.REFUSED else content_attempts):
        state = DeliveryState.DEAD_LETTERED
    return replace(
        delivery,
        state=state,
        attempts=delivery.attempts + 1,
        refusals=refusals,
        reason=outcome.reason,
        status=outcome.status,
        time=stamp,
    )
