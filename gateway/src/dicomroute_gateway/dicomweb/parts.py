"""The parts of a multipart answer, found while it arrives, in bounded memory (RFC 2046 5.1, PS3.18 8.6.1.2). Pure.

A delimiter, a header and a part may be split anywhere; text before the first part and behind the last is passed over,
and the length that a part's header says is not believed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Final

_MOST_HEADER_BYTES: Final = 1 << 16
_CLOSING: Final = b"--"
_SPACE: Final = b" \t"


class BadMultipart(Exception):
    """The bytes are not parts with that boundary between them; the message says why."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """Further bytes of the part that has begun last; they begin one where `begins`."""

    data: memoryview
    begins: bool


class End:
    """The part that has begun last is whole."""


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a multipart/related answer, None of another."""
    kind = Message()
    kind["Content-Type"] = content_type
    boundary = kind.get_param("boundary")
    if kind.get_content_maintype() != "multipart" or not isinstance(boundary, str) or not boundary:
        return None
    return boundary.encode("latin-1", "replace")


class Parts:
    """Takes an answer block by block, and tells what that says of its parts."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # the first delimiter may be the first line
        self._take: Callable[[], Iterator[Bytes | End]] = self._before
        self._begins = False
        self.is_closed = False
        """Whether the closing delimiter has come: without it the last part may not be whole."""

    def feed(self, block: bytes) -> Iterator[Bytes | End]:
        """Yield what a block says. Raises BadMultipart."""
        self._buffer = self._buffer + block if self._buffer else block
        while True:
            before = self._take
            yield from self._take()
            if self._take == before:
                return

    def _before(self) -> Iterator[Bytes | End]:
        """Look for the first delimiter."""
        start = self._buffer.find(self._delimiter)
        if start >= 0:
            self._go_on(self._buffer[start + len(self._delimiter) :], self._line)
        else:
            self._buffer = self._buffer[1 - len(self._delimiter) :]
        return iter(())

    def _line(self) -> Iterator[Bytes | End]:
        """Read the rest of a delimiter's line: nothing, or what makes it the last one."""
        if self._buffer.startswith(_CLOSING):
            self.is_closed = True
            self._go_on(b"", self._behind)
        elif (end := self._buffer.find(b"\r\n")) >= 0:
            if self._buffer[:end].strip(_SPACE):
                raise BadMultipart("a line begins with its boundary, but is not a delimiter")
            # With its line end, as a part without headers has nothing but the empty line.
            self._go_on(self._buffer[end:], self._headers)
        elif len(self._buffer) > _MOST_HEADER_BYTES:
            raise BadMultipart("a delimiter without an end")
        return iter(())

    def _headers(self) -> Iterator[Bytes | End]:
        """Pass over the headers of a part: what is in it, its file meta information says."""
        end = self._buffer.find(b"\r\n\r\n")
        if end >= 0:
            self._begins = True
            # The line end before a delimiter may be that of the empty line: then the part is empty.
            self._go_on(self._buffer[end + 4 :], self._part)
        elif len(self._buffer) > _MOST_HEADER_BYTES:
            raise BadMultipart(f"the headers of a part have more than {_MOST_HEADER_BYTES >> 10} KiB")
        return iter(())

    def _part(self) -> Iterator[Bytes | End]:
        """Give out the bytes of a part up to the next delimiter, or as many as cannot be part of it."""
        end = self._buffer.find(self._delimiter)
        if end >= 0:
            yield from self._out(memoryview(self._buffer)[:end])
            yield End()
            self._go_on(self._buffer[end + len(self._delimiter) :], self._line)
            return
        kept = self._begin_of_delimiter()
        yield from self._out(memoryview(self._buffer)[: len(self._buffer) - kept])
        self._buffer = self._buffer[len(self._buffer) - kept :]

    def _begin_of_delimiter(self) -> int:
        """Return how many bytes at the end may be the begin of a delimiter."""
        at = self._buffer.find(b"\r", max(0, len(self._buffer) - len(self._delimiter) + 1))
        while at >= 0:
            if self._delimiter.startswith(self._buffer[at:]):
                return len(self._buffer) - at
            at = self._buffer.find(b"\r", at + 1)
        return 0

    def _out(self, data: memoryview) -> Iterator[Bytes]:
        if data:
            begins, self._begins = self._begins, False
            yield Bytes(data, begins)

    def _behind(self) -> Iterator[Bytes | End]:
        """Pass over what comes behind the last part."""
        self._buffer = b""
        return iter(())

    def _go_on(self, buffer: bytes, take: Callable[[], Iterator[Bytes | End]]) -> None:
        self._buffer, self._take = buffer, take
