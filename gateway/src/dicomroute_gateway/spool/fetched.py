"""Files of instances on their way from an archive to somebody else: not received, not owed, and gone after a restart.

They stand in a folder of their own on the spool's volume, which is emptied when the gateway starts. Where the spool
encrypts, they are encrypted too, with a key that only this process has.
"""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .content import Seal, StoredFile
from .keys import KEY_BYTES, Key, Keys, key_of
from .sealed import SALT_BYTES, Sealer

FOLDER: Final = "fetched"
_BETWEEN_CHECKS_BYTES: Final = 8 << 20


class NoRoom(OSError):
    """The spool is above its watermark: what is received comes first."""


class FetchedFile:
    """A file that is being written. For one thread at a time; `finish` or `discard` ends it."""

    def __init__(self, path: Path, number: int, key: Key | None, has_room: Callable[[], bool]) -> None:
        self.length = 0
        self._path = path
        self._has_room = has_room
        self._checked = 0
        self._seal = None if key is None else Seal(number, key.id, lambda: Keys({key.id: key}))
        self._sealer = None if key is None else Sealer(key, number, os.urandom(SALT_BYTES))
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes | memoryview) -> None:
        """Append to it. Raises OSError, NoRoom."""
        self.length += len(data)
        if self.length - self._checked >= _BETWEEN_CHECKS_BYTES:
            self._checked = self.length
            if not self._has_room():
                raise NoRoom("the spool is above its high watermark")
        self._append([data] if self._sealer is None else self._sealer.seal([data], is_last=False))

    def finish(self) -> StoredFile:
        """Return the file, which is not safe, and need not be. Raises OSError."""
        if self._sealer is not None:
            self._append(self._sealer.seal([], is_last=True))
        self._close()
        return StoredFile(self._path, self.length, self._seal)

    def discard(self) -> None:
        """Remove it. Never raises."""
        self._close()
        remove(self._path)

    def _append(self, pieces: "list[bytes] | list[bytes | memoryview]") -> None:
        assert self._descriptor is not None
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(self._descriptor, view) :]

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


class FetchedFiles:
    """Makes them. Safe to use from several threads. `is_sealed` says whether the spool encrypts at the moment."""

    def __init__(self, is_sealed: Callable[[], bool], has_room: Callable[[], bool]) -> None:
        self._is_sealed = is_sealed
        self._has_room = has_room
        self._key = key_of(os.urandom(KEY_BYTES))
        self._numbers = itertools.count(1)

    def begin(self, folder: Path) -> FetchedFile:
        """Return a new file in a folder. Raises OSError, NoRoom."""
        if not self._has_room():
            raise NoRoom("the spool is above its high watermark")
        number = next(self._numbers)
        key = self._key if self._is_sealed() else None
        return FetchedFile(folder / f"{number:012d}.dcm", number, key, self._has_room)


def forget(spool: Path) -> Path:
    """Remove what an earlier run left in a spool; return the folder for such files, which need not be there."""
    folder = spool / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def remove(path: Path) -> None:
    """Remove a file that may be gone. Never raises."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # the next start removes it
