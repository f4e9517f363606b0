"""An instance on its way into the spool: a file that nothing speaks of yet."""

import errno
import threading
from collections.abc import Sequence
from functools import partial
from typing import Final

from blake3 import blake3

from .files import Files
from .part10 import file_head
from .sealed import SealBroken, Sealer

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


class UnderWay:
    """How many bytes there are of instances that are being received. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bytes = 0

    def add(self, difference: int) -> None:
        """Count bytes that were written, or with a negative number those of a file that is under way no longer."""
        with self._lock:
            self.bytes += difference


class Incoming:
    """A data set that is being received. All methods raise OSError.

    What was given over is kept as views until `flush`, so that most instances are written in one piece, and one that is
    refused is not written at all. `descriptor` is that of its file, whose name is on stable storage already; up to
    `old_length` bytes of something else are in it. With a `sealer` it is encrypted. What is written counts as under
    way until `stop_counting` or `discard`.
    """

    def __init__(
        self,
        files: Files,
        identifier: int,
        descriptor: int,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        sealer: Sealer | None = None,
        *,
        under_way: UnderWay,
        old_length: int = 0,
    ) -> None:
        self._files = files
        self._under_way = under_way
        self._old_length = old_length
        self._written = 0
        self._sealer = sealer
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
    def key(self) -> str:
        """The id of the key that it is encrypted with, "" when it is not."""
        return "" if self._sealer is None else self._sealer.key_id

    @property
    def digest(self) -> str:
        """The digest of the data set; what was given over last is only in it after `flush` or `end`."""
        return DIGEST_PREFIX + self._digest.hexdigest()

    def write(self, data: memoryview) -> None:
        """Append to the data set; `data` is to stay as it is until `flush`."""
        self._pieces.append(data)
        self.length += len(data)
        if len(self._pieces) >= _MOST_PIECES:
            self.flush()

    def flush(self) -> None:
        """Hand what was given over to the operating system; the views are not used any more."""
        if self._pieces:
            self._flush(is_last=False)

    def end(self) -> None:
        """Do as `flush` does, where nothing more follows. It may be called again."""
        if self._pieces or (self._sealer is not None and not self._sealer.is_ended):
            self._flush(is_last=True)

    def _flush(self, *, is_last: bool) -> None:
        assert self._descriptor is not None
        pieces, self._pieces = self._pieces, []
        written = pieces if self._sealer is None else self._sealer.seal(pieces, is_last=is_last)
        length = sum(map(len, written))
        self._under_way.add(length)
        self._written += length
        self._files.write(self._descriptor, written)
        for piece in pieces if self._is_begun else pieces[1:]:
            self._digest.update(piece)
        self._is_begun = True
        self._flushed = self.length
        if self._flushed - self._synced >= _SYNC_BYTES:
            self._files.sync(self._descriptor)
            self._synced = self._flushed

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of the data set at `offset`, before its end.

        What is in the file behind that is of something else.
        """
        length = min(length, self.length - offset)
        if length <= 0:
            return b""
        if not self._is_begun:
            return _cut(self._pieces[1:], offset, length)
        self.flush()
        assert self._descriptor is not None
        start = self._data_set_offset + offset
        if self._sealer is None:
            return self._files.read_at(self._descriptor, start, length)
        try:
            return self._sealer.read_at(partial(self._files.read_at, self._descriptor), start, length)
        except SealBroken as error:
            raise OSError(errno.EIO, str(error)) from error

    def sync(self) -> None:
        """Return when the bytes are on stable storage, and close the file."""
        self.end()
        assert self._descriptor is not None
        if self._written < self._old_length:
            self._files.cut(self._descriptor)
        self._files.sync(self._descriptor)
        self._close()

    def stop_counting(self) -> None:
        """Count its bytes as under way no longer: from now on they count elsewhere, or are gone."""
        written, self._written = self._written, 0
        self._under_way.add(-written)

    def discard(self) -> None:
        """Remove the file."""
        self._pieces = []
        try:
            if self._descriptor is not None:
                self._close()
                self._files.remove(file_of(self.id))
        finally:
            self.stop_counting()

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
