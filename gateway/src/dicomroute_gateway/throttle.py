"""Keeps what is sent to a destination within its bandwidth: all of its lanes draw from one bucket."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

_BURST_SECONDS: Final = 0.25
_LEAST_PIECE: Final = 1024
"""At the least rate there is, 1024 bytes a second, each of 32 lanes has its turn long before it is given up."""


class Clock(Protocol):
    """Time that passes: monotonic seconds, and a way to let some pass."""

    def monotonic(self) -> float:
        """Return seconds of a monotonic clock."""

    async def sleep(self, seconds: float) -> None:
        """Let seconds pass."""


class WallClock:
    """The time of this machine."""

    def monotonic(self) -> float:
        """Return seconds of a monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let seconds pass."""
        await asyncio.sleep(seconds)


class Throttle:
    """A token bucket. `rate` returns the bound of the moment in bytes a second; None: there is none. For any thread.

    What is under way when nothing may be sent any more goes on at the last rate, or without a bound where there was
    none, so that it is not sent in vain.
    """

    def __init__(self, rate: Callable[[], int | None], clock: Clock | None = None) -> None:
        self._rate = rate
        self._clock = clock or WallClock()
        self._lock = threading.Lock()
        self._last: int | None = None
        self._free_at = 0.0
        """When everything that was given out so far has been paid for."""

    def piece(self, length: int) -> tuple[int, float]:
        """Take what may be sent next of `length` bytes: return how many, and for how many seconds to wait first.

        Pieces are small enough to move every now and then, and but for a last one of even length.
        """
        with self._lock:
            rate = self._rate()
            rate = self._last = self._last if rate == 0 else rate
            if rate is None:
                return length, 0.0
            most = max(_LEAST_PIECE, int(rate * _BURST_SECONDS))
            taken = min(length, most - most % 2)
            now = self._clock.monotonic()
            self._free_at = max(self._free_at, now - _BURST_SECONDS) + taken / rate
            return taken, max(0.0, self._free_at - now)

    async def pieces(self, block: bytes | bytearray) -> AsyncIterator[bytes | bytearray]:
        """Yield a block in pieces, each when it may be sent."""
        view = memoryview(block)
        while view:
            taken, seconds = self.piece(len(view))
            if seconds:
                await self._clock.sleep(seconds)
            yield block if taken == len(block) else bytes(view[:taken])
            view = view[taken:]
