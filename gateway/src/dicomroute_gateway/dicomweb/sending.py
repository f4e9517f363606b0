"""The sending of a request's body over HTTP: in pieces that show in time whether anything moves."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, Protocol

from dicomroute_gateway.throttle import Throttle

from .connections import STALL_SECONDS

_LEAST_SLICE_BYTES: Final = 1 << 16
"""Shorter pieces cost more than they show: the system takes some hundred KiB at once (`connections.new_socket`)."""
_QUICK_SECONDS: Final = 0.1
_SLOW_SECONDS: Final = 5.0
"""A piece that is taken within the first makes the next twice as long, one that takes longer than the other half."""
_ANSWERED_BYTES_PER_SECOND: Final = 8 << 20
"""How fast a server may store what it has received in whole, before the answer is late."""
_KERNEL_BYTES: Final = 4 << 20
"""How much of what was given away may still be on its way: Linux's greatest send buffer (tcp(7), tcp_wmem)."""


class Body(Protocol):
    """What a request carries. `blocks` yields `content_length` bytes, the same ones on every attempt."""

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""

    @property
    def content_length(self) -> int:
        """The number of bytes that `blocks` yields."""

    def blocks(self) -> AsyncIterator[bytes | bytearray]:
        """Yield the body."""


class Sending:
    """One attempt to send a body, or a request without one. `stall` ends it when nothing moves."""

    def __init__(self, body: Body | None, throttle: Throttle | None = None) -> None:
        self._body = body
        self._throttle = throttle
        self._slice_bytes = _LEAST_SLICE_BYTES
        self.stall = asyncio.timeout(STALL_SECONDS)
        self.has_begun = False
        """Whether the destination was connected to, and given something of the body."""
        self.ended = time.monotonic()
        """When the last byte was given away."""

    def go_on(self, seconds: float = STALL_SECONDS) -> None:
        """Put the end of patience off."""
        self.stall.reschedule(asyncio.get_running_loop().time() + seconds)

    async def blocks(self) -> AsyncIterator[bytes | bytearray]:
        """Yield the body; each piece that the destination has taken puts the end of patience off."""
        assert self._body is not None
        began = time.monotonic()
        self.has_begun = True
        async for block in self._body.blocks():
            async for piece in self._paced(block):
                async for part in self._sliced(piece):
                    yield part
                    self.go_on()
        self.ended = time.monotonic()
        self.go_on(self._answer_seconds(self._body.content_length, self.ended - began))

    async def _paced(self, block: bytes | bytearray) -> AsyncIterator[bytes | bytearray]:
        if self._throttle is None:
            yield block
            return
        async for piece in self._throttle.pieces(block):
            yield piece

    async def _sliced(self, piece: bytes | bytearray) -> AsyncIterator[bytes | bytearray]:
        """Yield a piece in parts as long as are taken in a short time: one call of the system costs as much as two."""
        view = memoryview(piece)
        while view:
            taken = min(len(view), self._slice_bytes)
            begin = time.monotonic()
            yield piece if taken == len(piece) else bytes(view[:taken])
            seconds = time.monotonic() - begin
            if seconds < _QUICK_SECONDS and taken == self._slice_bytes:
                self._slice_bytes *= 2
            elif seconds > _SLOW_SECONDS:
                self._slice_bytes = max(_LEAST_SLICE_BYTES, self._slice_bytes // 2)
            view = view[taken:]

    @staticmethod
    def _answer_seconds(length: int, seconds: float) -> float:
        """Return how long the answer may take: a long request may be long in being stored, and its end under way."""
        under_way = min(length, _KERNEL_BYTES) * seconds / length if length else 0.0
        return STALL_SECONDS + length / _ANSWERED_BYTES_PER_SECOND + under_way
