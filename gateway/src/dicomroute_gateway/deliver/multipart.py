"""The body of a STOW-RS request: multipart/related of whole files, with its exact length known in advance.

The body is made anew for each attempt from the same files, so that a retry sends the same parts.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A file of `length` bytes to be sent as one part."""

    path: Path
    length: int

    def is_readable(self) -> bool:
        """Return whether the file is there, in its whole length."""
        try:
            return self.path.stat().st_size == self.length and os.access(self.path, os.R_OK)
        except OSError:
            return False


class FileChanged(Exception):
    """A file is not as long as the spool says."""


class MultipartBody:
    """The body of one request (RFC 2387, PS3.18 8.6.1.2)."""

    def __init__(self, parts: Sequence[Part]) -> None:
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

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the body.

        Raises FileChanged, OSError.
        """
        for part in self._parts:
            yield self._part_head(part)
            remaining = part.length
            with part.path.open("rb", buffering=0) as file:
                while remaining:
                    block = await asyncio.to_thread(file.read, min(BLOCK_BYTES, remaining))
                    if not block:
                        raise FileChanged(f"{part.path.name} ends {remaining} bytes early")
                    remaining -= len(block)
                    yield block
            yield b"\r\n"
        yield self._tail()

    def _part_head(self, part: Part) -> bytes:
        return f"{self._head}Content-Length: {part.length}\r\n\r\n".encode()

    def _tail(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()
