"""The associations with one destination: opened when they are needed, kept between batches, released when idle.

How many a peer serves side by side it says at most by refusing one: a stock storescp serves one and lets the others
wait. So one is opened at a time, whoever needs one takes what becomes free meanwhile, and one that cannot be opened
while others stand is a bound on their number, and no fault of the destination.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Final

import structlog

from dicomroute_gateway.destination import Destination
from dicomroute_gateway.dimse.failures import NotConnected, RequestorFailure
from dicomroute_gateway.dimse.propose import MOST_CONTEXTS, Syntaxes
from dicomroute_gateway.dimse.requestor import Requestor
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.reasons import Reason

from .calling import Peer, associate
from .threads import in_thread

IDLE_SECONDS: Final = 5.0
"""How long an association is kept without work: less than any peer waits for its next message."""
BOUND_SECONDS: Final = 300.0
"""How long a bound that the peer has shown is believed."""

Forms = tuple[Syntaxes, ...]
"""The syntaxes in which an instance can be sent, the best one first."""

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class Kept:
    """An association that is open, since when on the monotonic clock, and how many instances were answered on it."""

    peer: Peer
    requestor: Requestor
    proposed: frozenset[Syntaxes]
    opened: float
    answered: int = 0
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def serves(self, peer: Peer, wanted: Sequence[Forms], since: float) -> bool:
        """Whether it is of use. What it was refused in every form before `since` is asked anew."""
        if not self.requestor.is_open or self.peer != peer:
            return False
        if not all(self.proposed.issuperset(forms) for forms in wanted):
            return False
        return self.opened >= since or all(self.accepted(forms) for forms in wanted)

    def accepted(self, forms: Forms) -> Syntaxes | None:
        """Return the best form that the peer takes, None where it takes none."""
        return next((one for one in forms if self.requestor.refusal(one) is None), None)


class Associations:
    """Associations with one destination. Lives in one event loop; each association is used by one thread at a time."""

    def __init__(self, destination: Destination, most: int, contexts: TlsContexts) -> None:
        self._contexts = contexts
        self._destination = destination
        self._most = most
        self._all: set[Kept] = set()
        self._idle: list[Kept] = []
        self._opening: asyncio.Task[None] | None = None
        self._releasing: set[asyncio.Task[object]] = set()
        self._recent: dict[Syntaxes, None] = {}
        """What was sent of late, the latest last: proposed on every association, so that it serves the next batch."""
        self._bound: int | None = None
        self._bound_until = 0.0
        self._failures = 0
        self._failure: RequestorFailure | None = None
        self._changed = asyncio.Event()

    @property
    def bound(self) -> int | None:
        """How many associations the peer serves side by side, as far as it has shown it lately."""
        return self._bound if time.monotonic() < self._bound_until else None

    async def take(self, peer: Peer, wanted: Iterable[Forms], since: float) -> Kept:
        """Return an association on which every form of all that is `wanted` was proposed, 128 at most.

        One that was opened before `since`, on the monotonic clock, is of no use if it was refused all forms of
        something. Waits for one that becomes free where the peer serves no further one. Raises RequestorFailure when
        none stands and none can be opened.
        """
        kinds = list(dict.fromkeys(wanted))
        # A peer that accepts one context of a SOP class takes the first: that of an instance as it came.
        needed = list(dict.fromkeys((*(forms[0] for forms in kinds), *chain.from_iterable(kinds))))[:MOST_CONTEXTS]
        for one in needed:
            self._recent.pop(one, None)
            self._recent[one] = None
        while len(self._recent) > MOST_CONTEXTS:
            del self._recent[next(iter(self._recent))]
        failures = self._failures
        while True:
            kept = self._take_idle(peer, kinds, since)
            if kept is not None:
                return kept
            if self._failure is not None and self._failures > failures:
                raise self._failure
            if self._opening is None and len(self._all) < (self.bound or self._most):
                contexts = [*needed, *(one for one in reversed(self._recent) if one not in needed)]
                self._opening = asyncio.create_task(self._open(peer, contexts[:MOST_CONTEXTS]))
            self._changed.clear()
            await self._changed.wait()

    def give_back(self, kept: Kept) -> None:
        """End the use of an association; it is kept for a while if it is still open."""
        if kept.requestor.is_open:
            kept.timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._release, kept)
            self._idle.append(kept)
        else:
            self._all.discard(kept)
        self._changed.set()

    def discard(self, kept: Kept) -> None:
        """End an association whose thread may still be at work."""
        kept.requestor.interrupt()
        self._all.discard(kept)
        self._changed.set()

    async def close(self) -> None:
        """Release what is idle, and end what is in use."""
        for kept in list(self._idle):
            self._release(kept)
        for kept in self._all:
            kept.requestor.interrupt()
        if self._opening is not None:
            self._opening.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.gather(*self._releasing, return_exceptions=True)

    def _take_idle(self, peer: Peer, wanted: Sequence[Forms], since: float) -> Kept | None:
        """Return the association that was used last of those that serve; release those that do not."""
        for kept in reversed(self._idle.copy()):
            if kept.serves(peer, wanted, since):
                self._idle.remove(kept)
                if kept.timer is not None:
                    kept.timer.cancel()
                return kept
            self._release(kept)
        return None

    async def _open(self, peer: Peer, wanted: Sequence[Syntaxes]) -> None:
        try:
            call = partial(associate, peer, wanted, self._contexts)
            requestor = await in_thread(call, f"associate {self._destination}")
        except RequestorFailure as failure:
            self._failed(failure)
        except Exception as error:  # whoever waits is to be told
            log.exception("association.open_failed", destination=self._destination)
            self._failed(NotConnected(Reason.CONNECTION_FAILED, f"the gateway failed to connect: {error}"))
        else:
            kept = Kept(peer, requestor, frozenset(wanted), time.monotonic())
            self._all.add(kept)
            self.give_back(kept)
        finally:
            self._opening = None
            self._changed.set()

    def _failed(self, failure: RequestorFailure) -> None:
        if self._all:
            self._bound, self._bound_until = len(self._all), time.monotonic() + BOUND_SECONDS
            log.info(
                "destination.bounded",
                destination=self._destination,
                associations=self._bound,
                reason=failure.reason,
                message=str(failure),
            )
        else:
            self._bound_until = 0.0
            self._failures += 1
            self._failure = failure

    def _release(self, kept: Kept) -> None:
        """Release an association that nobody uses."""
        if kept.timer is not None:
            kept.timer.cancel()
        self._idle.remove(kept)
        self._all.discard(kept)
        task = asyncio.create_task(in_thread(kept.requestor.release, f"release {self._destination}"))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)
