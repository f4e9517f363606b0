"""Files for the instances to come: their names are on stable storage before anybody needs them."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from .files import Files
from .incoming import IDS_PER_FOLDER, file_of, folder_of

_AT_A_TIME: Final = 32

log = structlog.get_logger(__name__)


class EmptyFiles:
    """Makes files in one folder at a time, with one sync for all of their names. Safe to use from several threads."""

    def __init__(self, files: Files, next_id: int, failed: Callable[[OSError], None]) -> None:
        self.next_id = next_id
        """The number of the next file that will be made."""
        self._files = files
        self._failed = failed
        self._ready: deque[tuple[int, int]] = deque()
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._few = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._make_until_closed, name="spool-files", daemon=True)
        self._thread.start()

    def take(self) -> tuple[int, int]:
        """Return number and descriptor of a file; more are made before there is none left. Raises OSError."""
        while True:
            with self._lock:
                if len(self._ready) <= _AT_A_TIME // 2:
                    self._few.set()
                if self._ready:
                    return self._ready.popleft()
            self._make()

    def close(self) -> None:
        """Remove the files that no instance came for. Raises OSError."""
        self._closing = True
        self._few.set()
        self._thread.join()
        self._remove(self._ready)
        self._ready.clear()

    def _make_until_closed(self) -> None:
        while self._few.wait() and not self._closing:
            self._few.clear()
            try:
                self._make()
            except OSError as error:
                log.error("spool.no_empty_files", error=str(error))

    def _make(self) -> None:
        """Make more files, unless there are enough; one thread at a time, so that numbers are given out in order."""
        with self._making:
            if len(self._ready) > _AT_A_TIME // 2:
                return
            first, folder = self.next_id, folder_of(self.next_id)
            self.next_id = min(first + _AT_A_TIME, (first // IDS_PER_FOLDER + 1) * IDS_PER_FOLDER)
            made: list[tuple[int, int]] = []
            try:
                self._files.make_folder(folder)
                for identifier in range(first, self.next_id):
                    made.append((identifier, self._files.create(file_of(identifier))))
                self._files.sync_folder(folder)
            except OSError as error:
                self._failed(error)
                self._remove(made)
                raise
            with self._lock:
                self._ready.extend(made)

    def _remove(self, files: Iterable[tuple[int, int]]) -> None:
        for identifier, descriptor in files:
            self._files.close(descriptor)
            self._files.remove(file_of(identifier))
