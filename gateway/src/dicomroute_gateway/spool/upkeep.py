"""The upkeep of a spool, in a thread of its own: a long journal is read, what is finished is removed, the journal kept
short.

The order of a removal: record of the last delivery synced, then the file removed.
"""

import threading
from collections.abc import Callable
from itertools import islice
from typing import Final

import structlog

from .books import Books
from .errors import SpoolError
from .files import Files
from .incoming import IDS_PER_FOLDER, file_of, folder_of
from .journal import JournalCorrupt, JournalFailed
from .recovery import check_file, corrupt, remove_orphans

_COMPACT_BYTES: Final = 64 << 20
_REAP_SECONDS: Final = 0.2
_RECORDS_A_TURN: Final = 200

log = structlog.get_logger(__name__)


class Upkeep:
    """Keeps the books of one spool. Instances in its journal have numbers below `before`."""

    def __init__(self, files: Files, books: Books, before: int) -> None:
        self._files = files
        self._books = books
        self._before = before
        self._compact_at = _COMPACT_BYTES
        self._closing = threading.Event()
        self._next_id: Callable[[], int] = lambda: before
        self._thread = threading.Thread(target=self._work_until_closed, name="spool-upkeep", daemon=True)

    def start(self, next_id: Callable[[], int]) -> None:
        """Begin; `next_id` returns the number of the next file that will be made."""
        self._next_id = next_id
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended."""
        self._closing.set()
        self._thread.join()

    def load(self) -> None:
        """Read what the journal said when it was opened, while newer records may be added to it.

        Raises SpoolError when something is not as it was left.
        """
        books, ledger = self._books, self._books.ledger
        try:
            while not self._closing.is_set() and (some := list(islice(books.unread, _RECORDS_A_TURN))):
                with books.mutex:
                    for record in some:
                        ledger.apply(record)
        except JournalCorrupt as error:
            raise corrupt(error) from error
        if self._closing.is_set():
            return
        with books.mutex:
            old = [entry for entry in ledger.entries.values() if entry.received.id < self._before]
        for entry in old:
            if self._closing.is_set():
                return
            check_file(self._files, entry.received)
        if self._closing.is_set():
            return
        remove_orphans(self._files, ledger.entries.keys().__contains__, self._before)
        books.finish_reading(old, self._before)

    def reap(self) -> None:
        """Make what is written down safe, then remove the files of what is finished.

        Raises JournalFailed, OSError.
        """
        books = self._books
        with books.mutex:
            finished, books.ledger.finished = books.ledger.finished, {}
        books.journal.sync()
        folders = set()
        while finished:
            identifier, entry = finished.popitem()
            try:
                self._files.remove(file_of(identifier))
            except OSError:
                with books.mutex:
                    books.ledger.finished.update({identifier: entry, **finished})
                raise
            folders.add(folder_of(identifier))
            with books.mutex:
                books.spooled_bytes -= entry.received.file_length
        # A folder right behind the newest may still be about to get a file whose number is already given out.
        next_id = self._next_id()
        kept = {folder_of(next_id), folder_of(max(0, next_id - IDS_PER_FOLDER))}
        for folder in folders - kept:
            self._files.remove_folder(folder)

    def compact(self) -> None:
        """Begin a new segment that says what is still to be known, and forget how it came to be.

        Raises JournalFailed.
        """
        books = self._books
        with books.mutex:
            books.journal.replace(books.ledger.records())
        self._compact_at = max(_COMPACT_BYTES, 2 * books.journal.length)

    def _work_until_closed(self) -> None:
        books = self._books
        if not books.is_loaded:
            try:
                self.load()
            except (SpoolError, OSError) as error:
                log.error("spool.damaged", error=str(error))
                books.damage = error if isinstance(error, SpoolError) else SpoolError("SpoolUnusable", str(error))
                return
            log.info("spool.read", owed=len(books.ledger.entries))
        while not self._closing.wait(_REAP_SECONDS):
            try:
                self.reap()
                books.journal.keep_reserve()
                if books.journal.length > self._compact_at:
                    self.compact()
            except (JournalFailed, OSError) as error:
                log.error("spool.reap_failed", error=str(error))
