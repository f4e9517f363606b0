"""What a destination was sent and has not confirmed yet: asked for until it says something, or the time is over.

Nothing of this is written down but what comes of it: after a restart all that is Unconfirmed is asked for anew.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from dicomroute_gateway.configuration.destinations import Confirm
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.errors import SpoolFailed
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Owed

from .attempt import after_asking
from .backoff import full_jitter
from .delivery_log import names_of
from .holding import held
from .last_error import LastError
from .outcome import AttemptOutcome, Verdict
from .preparation import Unprepared, prepare
from .settling import Settling
from .transport import Confirmation, Due, Item, Sent

GATHER_SECONDS: Final = 2.0
"""How long those are gathered that are asked for together."""
_MOST_ASKED: Final = 64
"""How many questions are open at a time: one by storage commitment may be for hours."""
_LOOK_AGAIN_SECONDS: Final = 15.0
_SILENT_SECONDS: Final = 1800.0
_SAID_AGAIN_SECONDS: Final = 300.0
_FIRST_BACKOFF_SECONDS: Final = 2.0
_NOT_ASKED: Final = AttemptOutcome(Verdict.DELIVERED, Reason.CONFIRMATION_NOT_ASKED)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Waiting:
    """A delivery that is to be asked for, not before `due` on the monotonic clock, and how often in vain so far."""

    due: float
    failures: int = 0


def confirm_of(configuration: Configuration, destination: Destination) -> Confirm | None:
    """Return how a destination confirms what it was sent; None where its answer does."""
    known = configuration.settings_of(destination)
    return known.confirm if known is not None else None


class Confirming:
    """The confirmations of one destination. Lives in one event loop.

    `tell` is told of a fault, and which deliveries are to be attempted again.
    """

    def __init__(
        self,
        destination: Destination,
        spool: Spool,
        preparing: Preparing,
        configuration: Callable[[], Configuration],
        confirmation: Confirmation | None,
        settling: Settling,
        tell: Callable[[LastError, Sequence[int]], None],
    ) -> None:
        self._destination = destination
        self._spool = spool
        self._preparing = preparing
        self._configuration = configuration
        self._confirmation = confirmation
        self._settling = settling
        self._tell = tell
        self._waiting: dict[int, _Waiting] = {}
        self._asked: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._looks_at = 0.0
        """When it is looked next whether something is due, on the monotonic clock."""
        self._stopping = False

    def add(self, identifiers: Iterable[int]) -> None:
        """Ask for deliveries that have been sent, soon and together."""
        due = time.monotonic() + GATHER_SECONDS
        for identifier in identifiers:
            self._waiting.setdefault(identifier, _Waiting(due))
        if due < self._looks_at:
            self._changed.set()

    def hurry(self) -> None:
        """Ask at once for what waits to be asked for again."""
        for one in self._waiting.values():
            one.due = 0.0
        self._changed.set()

    def stop(self) -> None:
        """Ask for nothing more; what is open is asked for anew by the next gateway."""
        self._stopping = True
        for task in self._asked:
            task.cancel()
        self._changed.set()

    async def run(self) -> None:
        """Ask until stopped."""
        try:
            while not self._stopping:
                self._changed.clear()
                while batch := self._take_batch():
                    task = asyncio.create_task(self._ask(batch))
                    self._asked.add(task)
                    task.add_done_callback(self._done)
                try:
                    async with asyncio.timeout(self._seconds_to_wait()):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        finally:
            self.stop()
            await asyncio.gather(*self._asked, return_exceptions=True)
            if self._confirmation is not None:
                await self._confirmation.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._asked.discard(task)
        self._changed.set()

    def _held(self) -> bool:
        return bool(held(self._destination, self._configuration(), time.time()))

    def _seconds_to_wait(self) -> float | None:
        now = time.monotonic()
        if not self._waiting or len(self._asked) >= _MOST_ASKED:
            self._looks_at = math.inf
            return None
        self._looks_at = now + _LOOK_AGAIN_SECONDS if self._held() else min(one.due for one in self._waiting.values())
        return max(0.0, self._looks_at - now)

    def _take_batch(self) -> dict[int, int]:
        """Return the deliveries that are asked for next, and how often that was in vain."""
        if self._stopping or not self._waiting or len(self._asked) >= _MOST_ASKED or self._held():
            return {}
        now, most = time.monotonic(), self._confirmation.batch_instances if self._confirmation is not None else 1000
        batch: dict[int, int] = {}
        if all(one.due > now for one in self._waiting.values()):
            return batch
        for identifier, one in self._waiting.items():
            if one.due <= now + GATHER_SECONDS:  # those that would follow at once go along
                batch[identifier] = one.failures
                if len(batch) == most:
                    break
        for identifier in batch:
            del self._waiting[identifier]
        return batch

    async def _ask(self, batch: dict[int, int]) -> None:
        found = (self._spool.unconfirmed(Owed(one, self._destination)) for one in batch)
        dues = [Due(*one) for one in found if one is not None]
        if not dues:
            return
        try:
            settings = confirm_of(self._configuration(), self._destination)
            if settings is None or self._confirmation is None:
                # The route asks for no confirmation any more: the answer of then is as good as one of now.
                await self._settle(dues, Sent([_NOT_ASKED] * len(dues), ""), 0, batch)
                return
            items, sent = await self._prepared(dues)
            if sent is None:
                ends = min(_sent_time(one) for one in items) + settings.within_seconds
                silent = asyncio.get_running_loop().create_task(self._say_silent())
                try:
                    sent = await self._confirmation.ask(items, max(0.0, ends - time.time()))
                finally:
                    silent.cancel()
            await self._settle(dues, sent, settings.within_seconds, batch)
        except Exception:
            log.exception("confirmation.error", destination=self._destination, **names_of(dues))
            fault = AttemptOutcome(Verdict.RETRY, Reason.GATEWAY_ERROR)
            self._again([one.received.id for one in dues], batch)
            self._tell(LastError(fault.reason, None, time.time(), "the gateway failed; its log says why"), ())

    async def _say_silent(self) -> None:
        """Show, again and again, that a question has no answer yet: one may be open for hours."""
        await asyncio.sleep(_SILENT_SECONDS)
        while True:
            sentence = "the destination was asked to confirm the instance, and has not answered yet"
            self._tell(LastError(Reason.NO_ANSWER_YET, None, time.time(), sentence), ())
            await asyncio.sleep(_SAID_AGAIN_SECONDS)

    async def _prepared(self, dues: Sequence[Due]) -> tuple[list[Item], Sent | None]:
        """Return what was sent of deliveries; where that of one is not to be had, what is made of that."""
        prepared = [await prepare(self._preparing, due) for due in dues]
        items = [one for one in prepared if isinstance(one, Item)]
        fault = next((one for one in prepared if isinstance(one, Unprepared)), None)
        if fault is None:
            return items, None
        waits = AttemptOutcome(Verdict.RETRY, fault.outcome.reason)
        return items, Sent([waits] * len(dues), fault.sentence)

    async def _settle(self, dues: Sequence[Due], sent: Sent, within_seconds: float, batch: dict[int, int]) -> None:
        """Write down what the destination said, and ask again for what it says nothing of."""
        stamp, content_attempts = time.time(), self._configuration().retry.content_attempts
        records: list[DeliveryRecord] = []
        waits: list[int] = []
        fault: AttemptOutcome | None = None
        for due, outcome in zip(dues, sent.outcomes, strict=True):
            is_over = stamp >= _sent_time(due) + within_seconds
            record = after_asking(due.delivery, outcome, stamp, content_attempts, is_over=is_over)
            if record is None:
                waits.append(due.received.id)
            else:
                records.append(record)
            fault = outcome if outcome.verdict is not Verdict.DELIVERED else fault
        try:
            await self._settling.settle(records)
        except SpoolFailed as error:
            log.error("spool.settle_failed", error=str(error), **names_of(dues))
        self._again(waits, batch)
        again = [one.id for one in records if one.state is DeliveryState.PENDING]
        confirmed = sum(one.state is DeliveryState.DELIVERED for one in records)
        if fault is not None:
            self._tell(LastError(fault.reason, fault.status, stamp, sent.message), again)
            log.warning(
                "delivery.not_confirmed",
                destination=self._destination,
                reason=fault.reason,
                status=fault.status,
                message=sent.message,
                confirmed=confirmed,
                asked_again=len(waits),
                instances=[one.id for one in records if one.state is not DeliveryState.DELIVERED],
            )
        elif sent.outcomes:
            log.debug("delivery.confirmed", destination=self._destination, confirmed=confirmed)

    def _again(self, identifiers: Sequence[int], batch: dict[int, int]) -> None:
        """Ask again later, all together."""
        if not identifiers:
            return
        failures = 1 + max(batch.get(one, 0) for one in identifiers)
        most = self._configuration().retry.max_backoff_seconds
        wait = full_jitter(failures, _FIRST_BACKOFF_SECONDS, most, random.random())  # noqa: S311
        due = time.monotonic() + wait
        for identifier in identifiers:
            self._waiting[identifier] = _Waiting(due, failures)
        self._changed.set()


def _sent_time(due: Due) -> float:
    """Return when a delivery was sent, in seconds since 1970."""
    return due.delivery.time or 0.0
