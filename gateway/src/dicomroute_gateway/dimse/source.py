"""Where the data set of an instance to be sent is read from."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .failures import SourceFailed


class DataSetSource(Protocol):
    """An encoded data set: as many bytes as `length` says, given out piece by piece."""

    @property
    def length(self) -> int:
        """The number of bytes."""

    def blocks(self, buffer: memoryview) -> Iterator[memoryview]:
        """Yield the bytes, each block valid until the next is asked for and, but for the last, of even length.

        `buffer` may be used to read into; blocks of its length make the fewest PDUs.
        Raises SourceFailed.
        """


@dataclass(frozen=True, slots=True)
class FileSource:
    """`length` bytes of a file from `offset` on."""

    path: Path
    offset: int
    length: int

    def blocks(self, buffer: memoryview) -> Iterator[memoryview]:
        """Yield the bytes in blocks of the buffer's length, read into it."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceFailed(f"a file of the spool cannot be opened: {error.strerror}") from error
        try:
            done = 0
            while done < self.length:
                block = buffer[: self.length - done]
                filled = 0
                while filled < len(block):
                    count = os.preadv(descriptor, [block[filled:]], self.offset + done + filled)
                    if not count:
                        missing = self.length - done - filled
                        raise SourceFailed(f"a file of the spool ends {missing} bytes early")
                    filled += count
                done += filled
                yield block
        except OSError as error:
            raise SourceFailed(f"a file of the spool cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)
