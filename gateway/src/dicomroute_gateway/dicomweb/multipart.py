"""The body of a STOW-RS request: multipart/related of whole files, with its exact length known in advance.

The body is made anew for each attempt from the same files, so that a retry sends the same parts.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Final

from dicomroute_gateway.spool.content import StoredFile, Unreadable

BLOCK_BYTES: Final = 1 << 20
_SMALL_BYTES: Final = 1 << 16


class MultipartBody:
    """The body of one request (RFC 2387, PS3.18 8.6.1.2)."""

    def __init__(self, parts: Sequence[StoredFile]) -> None:
        self.fault: tuple[int, Unreadable] | None = None
        """Which part could not be read, and why: an HTTP client tells of it as of a lost connection."""
        self._parts = parts
        self._boundary = secrets.token_hex(16)
        self._head = f"--{self._boundary}\r\nContent-Type: application/dicom\r\n"

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""
        return f'multipart/related; type="application/dicom"; boundary={self._boundary}'

    @property
    def content_length(self) -> int:
        """The number of bytes that `blocks` yields."""
        return sum(len(self._part_head(part)) + part.length + 2 for part in self._parts) + len(self._tail())

    async def blocks(self) -> AsyncIterator[bytes | bytearray]:
        """Yield the body. Raises Unreadable, and notes whose `fault` that is.

        What is small is joined, because each block costs a system call; what the system has in memory is read at once,
        because a thread costs more.
        """
        joined = bytearray()
        for number, part in enumerate(self._parts):
            joined += self._part_head(part)
            try:
                with part.open() as content:
                    for offset in range(0, part.length, BLOCK_BYTES):
                        block: bytes | bytearray | None = content.read_cached(offset, BLOCK_BYTES)
                        if block is None:
                            block = await asyncio.to_thread(content.read_at, offset, BLOCK_BYTES)
                        if len(block) <= _SMALL_BYTES:
                            joined += block
                            continue
                        yield joined
                        yield block
                        joined = bytearray()
            except Unreadable as error:
                self.fault = (number, error)
                raise
            joined += b"\r\n"
            if len(joined) > _SMALL_BYTES:
                yield joined
                joined = bytearray()
        yield joined + self._tail()

    def _part_head(self, part: StoredFile) -> bytes:
        return f"{self._head}Content-Length: {part.length}\r\n\r\n".encode()

    def _tail(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()
