"""An instance on its way into the spool: a file that nothing speaks of yet."""

from collections.abc import Sequence
from typing import Final

from blake3 import blake3

from .files import Files
from .part10 import file_head

INSTANCES: Final = "instances"
IDS_PER_FOLDER: Final = 4096
DIGEST_PREFIX: Final = "blake3:"
"""BLAKE3 with 256 bits; its rate and that of others: docs/adr/0005-spool.md."""
_MOST_PIECES: Final = 1024
"""A peer decides how small the pieces are, and each costs more than its bytes."""
_SYNC_BYTES: Final = 64 << 20
"""A long data set is synced piece by piece, so that its end does not wait for gigabytes, nor anybody else's."""


def folder_of(identifier: int) -> str:
    """Return the folder in which the file of an instance lies."""
    return f"{INSTANCES}/{identifier // IDS_PER_FOLDER:08d}"


def file_of(identifier: int) -> str:
    """Return the file of an instance. The name is ours: nothing that a peer sends becomes part of a path."""
    return f"{folder_of(identifier)}/{identifier:012d}.dcm"


class Incoming:
    """A data set that is being received. All methods raise OSError.

    What was given over is kept as views until `flush`, so that most instances are written in one piece, and one that is
    refused is not written at all. `descriptor` is that of its file, whose name is on stable storage already.
    """

    def __init__(
        self,
        files: Files,
        identifier: int,
        descriptor: int,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
    ) -> None:
        self._files = files
        self._digest = blake3()
        self.id = identifier
        self.length = 0
        head = file_head(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        self._data_set_offset = len(head)
        self._pieces: list[bytes | memoryview] = [head]
        self._is_begun = False
        self._flushed = 0
        self._synced = 0
        self._descriptor: int | None = descriptor

    @property
    def digest(self) -> str:
        """The digest of the data set; what was given over last is only in it after `flush`."""
        return DIGEST_PREFIX + self._digest.hexdigest()

    def write(self, data: memoryview) -> None:
        """Append to the data set; `data` is to stay as it is until `flush`."""
        self._pieces.append(data)
        self.length += len(data)
        if len(self._pieces) >= _MOST_PIECES:
            self.flush()

    def flush(self) -> None:
        """Hand what was given over to the operating system; the views are not used any more."""
        if not self._pieces:
            return
        assert self._descriptor is not None
        pieces, self._pieces = self._pieces, []
        self._files.write(self._descriptor, pieces)
        for piece in pieces if self._is_begun else pieces[1:]:
            self._digest.update(piece)
        self._is_begun = True
        self._flushed = self.length
        if self._flushed - self._synced >= _SYNC_BYTES:
            self._files.sync(self._descriptor)
            self._synced = self._flushed

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of the data set at `offset`."""
        if not self._is_begun:
            return _cut(self._pieces[1:], offset, length)
        self.flush()
        assert self._descriptor is not None
        return self._files.read_at(self._descriptor, self._data_set_offset + offset, length)

    def sync(self) -> None:
        """Return when the bytes are on stable storage, and close the file."""
        self.flush()
        assert self._descriptor is not None
        self._files.sync(self._descriptor)
        self._close()

    def discard(self) -> None:
        """Remove the file."""
        self._pieces = []
        if self._descriptor is not None:
            self._close()
            self._files.remove(file_of(self.id))

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            self._files.close(descriptor)


def _cut(pieces: Sequence[bytes | memoryview], offset: int, length: int) -> bytes:
    """Return up to `length` bytes at `offset` of pieces that follow each other."""
    found = []
    for piece in pieces:
        if offset < len(piece) and length > 0:
            part = piece[offset : offset + length]
            found.append(part)
            length -= len(part)
            offset = 0
        else:
            offset = max(0, offset - len(piece))
        if length <= 0:
            break
    return b"".join(found)
