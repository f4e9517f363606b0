"""The upkeep of a spool, in a thread of its own: a long journal is read, what is finished is removed, the journal kept
short.

The order of a removal: record of the last delivery synced, what became of the instance written into the history and
synced, then the file removed.
"""

import threading
import time
from itertools import islice
from typing import Final

import structlog

from dicomroute_gateway.reasons import Reason

from .books import Books
from .derived import Derived
from .entries import Entry
from .errors import SpoolError
from .files import NO_ROOM, Files
from .history import History, day_of
from .incoming import IDS_PER_FOLDER, file_of, folder_of
from .journal import JournalFailed
from .ready_files import ReadyFiles
from .recipes import Recipes
from .records import ArchivedRecord, FinishedRecord
from .recovery import check_file, corrupt, remove_orphans
from .segments import JournalCorrupt
from .views import Follower

_COMPACT_BYTES: Final = 64 << 20
_REAP_SECONDS: Final = 0.2
_FOLDERS_SECONDS: Final = 2.0
_RECORDS_A_TURN: Final = 200
_TIDY_SECONDS: Final = 600.0
_NO_ROOM_SECONDS: Final = 30.0
"""How long a volume without room is left alone: every try costs the reading and writing of much for nothing."""
_ARCHIVED_AT_ONCE: Final = 1000

log = structlog.get_logger(__name__)


class Upkeep:
    """Keeps the books of one spool. Instances in its journal have numbers below `before`."""

    def __init__(self, files: Files, books: Books, derived: Derived, recipes: Recipes, before: int) -> None:
        self._files = files
        self._books = books
        self._derived = derived
        self._recipes = recipes
        self._before = before
        self._compact_at = _COMPACT_BYTES
        self.history = History(files)
        self.history_days = 0
        """For how many days what became of instances is kept; 0: it is not."""
        self.history_bytes = 0
        """How much of it is kept at most."""
        self.follower: Follower | None = None
        self._leaving: dict[int, Entry] = {}
        """What is being removed at this moment."""
        self._tidy_at = 0.0
        self._room_at = 0.0
        """When, by the monotonic clock, a volume that had no room is tried again."""
        self._closing = threading.Event()
        self._ready: ReadyFiles | None = None
        self._left_folders: set[str] = set()
        """From which files have gone."""
        self._folders_at = 0.0
        """When, by the monotonic clock, it is looked whether they are empty."""
        self._thread = threading.Thread(target=self._work_until_closed, name="spool-upkeep", daemon=True)

    def start(self, ready: ReadyFiles) -> None:
        """Begin; `ready` takes files back that are needed no more."""
        self._ready = ready
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
        self._derived.find(ledger.entries.keys().__contains__)
        self._recipes.forget({delivery.recipe for entry in old for delivery in entry.deliveries.values()})
        books.finish_reading(old, self._before)

    def reap(self) -> None:
        """Make what is written down safe, then remove the files of what is finished.

        Raises JournalFailed, OSError.
        """
        books = self._books
        if self._ready is not None:
            self._ready.tidy()
        with books.mutex:
            finished, books.ledger.finished = books.ledger.finished, {}
            self._leaving = finished
        books.journal.sync()
        try:
            self.archive()
        except (JournalFailed, OSError):
            with books.mutex:
                books.ledger.finished.update(finished)
            raise
        while finished:
            with books.mutex:
                identifier, entry = finished.popitem()
            try:
                self._derived.remove(identifier)
                if self._ready is None or not self._ready.take_back(identifier, entry.received.file_length):
                    self._files.remove(file_of(identifier))
            except OSError:
                with books.mutex:
                    books.ledger.finished.update({identifier: entry, **finished})
                raise
            self._left_folders.add(folder_of(identifier))
            if self.follower is not None:
                self.follower.left(identifier)
            with books.mutex:
                books.spooled_bytes -= entry.received.file_length
        if self._ready is not None and time.monotonic() >= self._folders_at:
            self._folders_at = time.monotonic() + _FOLDERS_SECONDS
            # A folder right behind the newest may still be about to get a file whose number is already given out.
            next_id = self._ready.next_id
            kept = {folder_of(next_id), folder_of(max(0, next_id - IDS_PER_FOLDER))}
            self._left_folders -= {one for one in self._left_folders - kept if self._files.remove_folder(one)}

    def leaving_bytes(self) -> int:
        """Return how many bytes on the volume are about to be free, without anybody doing more for it."""
        with self._books.mutex:
            leaving = {**self._leaving, **self._books.ledger.finished}
        return sum(entry.received.file_length for entry in leaving.values())

    def archive(self) -> None:
        """Write into the history what became of instances. Raises JournalFailed, and OSError but for want of room.

        A full volume has to drain: until there is room again, which is looked for now and then, the journal says it.
        """
        books = self._books
        while not self._waits_for_room():
            with books.mutex:
                due = list(islice(books.ledger.unarchived.values(), _ARCHIVED_AT_ONCE))
            if not due:
                return
            # The history must not know more than the journal does after a loss of power.
            books.journal.sync()
            try:
                if self.history_days:
                    now = time.time()
                    self.history.add(FinishedRecord(e.received, tuple(e.deliveries.values()), now) for e in due)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                self._wait_for_room()
                log.warning("ledger.no_room", instances=len(books.ledger.unarchived))
                return
            books.take_over(ArchivedRecord(tuple(entry.received.id for entry in due)))

    def tidy(self) -> None:
        """Let the history be as long as it may, now and then. Raises OSError."""
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + _TIDY_SECONDS
            self.history.tidy(day_of(time.time()), self.history_days, self.history_bytes)

    def compact(self) -> None:
        """Begin a new segment that says what is still to be known, and forget how it came to be.

        Not while the volume has no room. Raises JournalFailed, OSError.
        """
        books = self._books
        self.archive()  # what there is much of, while others may go on
        if self._waits_for_room():
            return
        with books.mutex:
            self.archive()  # or the last that was finished would be in neither
            if books.ledger.unarchived:
                return
            try:
                books.journal.replace(books.ledger.records())
            except JournalFailed:
                self._wait_for_room()
                raise
        self._compact_at = max(_COMPACT_BYTES, 2 * books.journal.length)

    def _wait_for_room(self) -> None:
        self._room_at = time.monotonic() + _NO_ROOM_SECONDS

    def _waits_for_room(self) -> bool:
        return time.monotonic() < self._room_at

    def _work_until_closed(self) -> None:
        books = self._books
        if not books.is_loaded:
            try:
                self.load()
            except (SpoolError, OSError) as error:
                log.error("spool.damaged", error=str(error))
                books.damage = error if isinstance(error, SpoolError) else SpoolError(Reason.SPOOL_UNUSABLE, str(error))
                return
            if not books.is_loaded:
                return
            log.info("spool.read", owed=len(books.ledger.entries))
        while not self._closing.wait(_REAP_SECONDS):
            try:
                self.reap()
                books.journal.keep_reserve()
                if books.journal.length > self._compact_at:
                    self.compact()
                self.tidy()
            except (JournalFailed, OSError) as error:
                log.error("spool.reap_failed", error=str(error))
