"""Files for the instances to come: their names are on stable storage before anybody needs them.

The file of an instance that is done gets the name of one to come, where that saves making it: what is written over it
needs no new blocks, no new pages in memory and, at the same length, nothing of the file system's journal
(docs/adr/0013-files-used-again.md).
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import structlog

from .content import Readers
from .files import Files
from .incoming import IDS_PER_FOLDER, file_of, folder_of

_AT_A_TIME: Final = 32
_MOST_USED: Final = 256
"""How many files wait to be used again at most."""
_MOST_USED_BYTES: Final = 64 << 20
"""How long they are together at most."""
_USED_PART: Final = 64
"""They take at most this part of the room that the spool has left."""
_USED_SECONDS: Final = 3.0
"""How long what is done lies about at most, a turn of the upkeep apart."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _UsedFile:
    """The file of an instance that is done, and when it was."""

    identifier: int
    length: int
    time: float


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """An open file for the instance with this number; up to `length` bytes of an older one are in it."""

    identifier: int
    descriptor: int
    length: int = 0
    time: float = 0.0
    """When that was done with, on the monotonic clock."""


class ReadyFiles:
    """Makes files in one folder at a time, with one sync for all of their names. Safe to use from several threads."""

    def __init__(
        self,
        files: Files,
        next_id: int,
        failed: Callable[[OSError], None],
        readers: Readers,
        room_bytes: Callable[[], int],
    ) -> None:
        """`room_bytes` returns how much more the spool may take; `readers` says which files are being read."""
        self.next_id = next_id
        """The number of the next file that will be made."""
        self._files = files
        self._failed = failed
        self._readers = readers
        self._room_bytes = room_bytes
        self._ready: deque[ReadyFile] = deque()
        self._used: deque[_UsedFile] = deque()
        self._used_bytes = 0
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._few = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._make_until_closed, name="spool-files", daemon=True)
        self._thread.start()

    def take(self) -> ReadyFile:
        """Return a file; more are made before there is none left. Raises OSError."""
        while True:
            with self._lock:
                if len(self._ready) <= _AT_A_TIME // 2:
                    self._few.set()
                if self._ready:
                    return self._ready.popleft()
            self._make()

    def take_back(self, identifier: int, length: int) -> bool:
        """Keep the file of an instance that is done, to be used again; return whether there is use for it.

        That it is done is on stable storage: a file with its name still, and other bytes already, belongs to nobody.
        """
        most = min(_MOST_USED_BYTES, self._room_bytes() // _USED_PART)
        with self._lock:
            bytes_then = self._used_bytes + length
            if self._closing or len(self._used) >= _MOST_USED or bytes_then > most:
                return False
            self._used.append(_UsedFile(identifier, length, time.monotonic()))
            self._used_bytes = bytes_then
            return True

    def tidy(self) -> None:
        """Leave nothing of what is done in files that have waited for long enough. Raises OSError."""
        until = time.monotonic() - _USED_SECONDS
        self._remove_used(until)
        with self._lock:
            for index, file in enumerate(self._ready):
                if file.length and file.time < until:
                    self._files.cut(file.descriptor)
                    self._ready[index] = replace(file, length=0)

    def close(self) -> None:
        """Remove the files that no instance came for. Raises OSError."""
        with self._lock:
            self._closing = True
        self._few.set()
        self._thread.join()
        with self._lock:  # or one of them could be given to an instance, and its descriptor closed
            ready, self._ready = self._ready, deque()
        self._remove(ready)
        self._remove_used()

    def _make_until_closed(self) -> None:
        while self._few.wait() and not self._closing:
            self._few.clear()
            try:
                self._make()
            except OSError as error:
                log.error("spool.no_ready_files", error=str(error))

    def _make(self) -> None:
        """Make more files, unless there are enough; one thread at a time, so that numbers are given out in order."""
        with self._making:
            if len(self._ready) > _AT_A_TIME // 2:
                return
            first, folder = self.next_id, folder_of(self.next_id)
            self.next_id = min(first + _AT_A_TIME, (first // IDS_PER_FOLDER + 1) * IDS_PER_FOLDER)
            made: list[ReadyFile] = []
            try:
                self._files.make_folder(folder)
                for identifier in range(first, self.next_id):
                    file = self._use_again(identifier)
                    made.append(file or ReadyFile(identifier, self._files.create(file_of(identifier))))
                self._files.sync_folder(folder)
            except OSError as error:
                self._failed(error)
                with suppress(OSError):
                    self._remove(made)
                with suppress(OSError):
                    self._remove_used()
                raise
            with self._lock:
                self._ready.extend(made)

    def _use_again(self, identifier: int) -> ReadyFile | None:
        """Give a file that nobody needs, nor reads, a new number; return None when there is none."""
        while used := self._next_used():
            old = file_of(used.identifier)
            try:
                descriptor = self._files.reuse(old, file_of(identifier))
            except FileNotFoundError:
                continue
            except OSError:
                self._keep(used)
                raise
            # Whoever has not opened it by its old name before that never will.
            if not self._readers.has(self._files.path(old)):
                return ReadyFile(identifier, descriptor, used.length, used.time)
            self._remove([ReadyFile(identifier, descriptor)])
        return None

    def _next_used(self, until: float = math.inf) -> _UsedFile | None:
        """Return the oldest of the files that nobody needs, if it is of before then."""
        with self._lock:
            if not self._used or self._used[0].time > until:
                return None
            used = self._used.popleft()
            self._used_bytes -= used.length
            return used

    def _remove(self, files: Iterable[ReadyFile]) -> None:
        several = list(files)
        for file in several:
            self._files.close(file.descriptor)
        for file in several:
            self._files.remove(file_of(file.identifier))

    def _remove_used(self, until: float = math.inf) -> None:
        while used := self._next_used(until):
            try:
                self._files.remove(file_of(used.identifier))
            except OSError:
                self._keep(used)
                raise

    def _keep(self, used: _UsedFile) -> None:
        """Put a file back that nothing could be done with."""
        with self._lock:
            self._used.appendleft(used)
            self._used_bytes += used.length
