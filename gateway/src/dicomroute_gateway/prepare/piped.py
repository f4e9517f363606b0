"""Reads what a generator yields as a file, for parsers that take one."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from .elements import BLOCK_BYTES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def piped(pieces: Iterator[bytes]) -> BinaryIO:
    """Return a file with the bytes of `pieces`; it cannot be sought in."""
    return cast(BinaryIO, io.BufferedReader(_Pieces(pieces), BLOCK_BYTES))


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._piece))
        view[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size
