"""Keeps the catalogue at what the spool holds: fed after each commit, made anew in the background when it is lost.

Receiving gives it a number and goes on; the instance's head is read again by the thread here, out of the memory of the
operating system mostly. What goes wrong here is the catalogue's alone: nothing of the spool depends on it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

import structlog

from dicomroute_gateway.rules.head import HeadError, RawElement
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.spool.records import Received
from dicomroute_gateway.spool.spool import Spool

from .heads import decoded, raw_elements
from .index import Damaged, Index, Indexed, remove_files

FILE: Final = "catalogue.sqlite"
_AT_ONCE: Final = 100
_GATHER_SECONDS: Final = 0.1
"""How long it is waited for more of what comes: a transaction costs as much as several instances."""
_CHECK_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 30.0
"""After so long an index that could not be made is tried again."""
_REST: Final = 1.0
"""How long it rests after each batch of a rebuild, beside the time that the batch took: others want the processor."""

log = structlog.get_logger(__name__)


class Catalogue:
    """The catalogue of one spool. Safe to use from several threads."""

    def __init__(self, spool: Spool, is_wanted: Callable[[], bool]) -> None:
        """`is_wanted`: whether anybody asks it, as the configuration says; while nobody does, there is none."""
        self._spool = spool
        self._is_wanted = is_wanted
        self._path: Final = spool.folder / FILE
        self._index: Index | None = None
        self._changes: deque[Received | int] = deque()
        """Instances that came, and numbers of those that went, in this order."""
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._caught_up = threading.Condition()
        self._taken = self._done = 0
        """How many changes there ever were, and how many of them are in the index."""
        self._is_rebuilt = False
        self._try_at = 0.0
        self._thread = threading.Thread(target=self._work, name="catalogue", daemon=True)

    def start(self) -> None:
        """Begin to follow the spool."""
        self._spool.follow(self)
        self._thread.start()

    def close(self) -> None:
        """Return when the thread has ended."""
        self._closing.set()
        self._changed.set()
        self._thread.join()

    @property
    def index(self) -> Index | None:
        """The index, None while there is none."""
        return self._index

    @property
    def is_complete(self) -> bool:
        """Whether it has all that the spool held when it was made, and since."""
        return self._is_rebuilt and self._index is not None

    def settle(self, timeout_seconds: float) -> bool:
        """Wait until all that was committed before this call is in the index; return whether it is."""
        wanted = self._taken
        with self._caught_up:
            return self._caught_up.wait_for(lambda: self.is_complete and self._done >= wanted, timeout_seconds)

    def damaged(self, error: Damaged) -> None:
        """Say that the index could not be asked: it is made anew."""
        log.warning("catalogue.damaged", why=str(error))
        self._is_rebuilt = False
        self._changed.set()

    # -- what the spool says -----------------------------------------------------------------------------------

    def kept(self, received: Received) -> None:
        """An instance was committed."""
        self._note(received)

    def left(self, identifier: int) -> None:
        """The bytes of an instance are gone."""
        self._note(identifier)

    def _note(self, change: Received | int) -> None:
        if self._index is None and not self._is_wanted():
            return
        self._changes.append(change)
        self._taken += 1
        if not self._changed.is_set():
            self._changed.set()

    # -- the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self._turn()
            except Damaged as error:
                self._lose(error)
            except Exception:
                log.exception("catalogue.failed")
                self._lose(Damaged("it failed; the log says why"))
        if self._index is not None:
            self._index.close()

    def _turn(self) -> None:
        if not self._is_wanted():
            self._forget()
        elif self._spool.is_loaded and not self._is_fit() and time.monotonic() >= self._try_at:
            self._rebuild()
        elif not self._changed.wait(_CHECK_SECONDS):
            if self._index is not None:
                self._index.check()
        elif self._index is None:  # before the spool is loaded, or after it failed
            self._closing.wait(_GATHER_SECONDS)
        else:
            self._closing.wait(_GATHER_SECONDS)
            self._changed.clear()
            while self._changes and not self._closing.is_set():
                self._take_changes(self._index)

    def _is_fit(self) -> bool:
        """Return whether there is an index, of the whole spool, and where it may be: names are not kept in clear beside
        instances that are encrypted.
        """
        index = self._index
        return index is not None and self._is_rebuilt and (index.path is None or not self._spool.is_encrypted)

    def _forget(self) -> None:
        """Keep nothing: nobody asks."""
        if self._index is not None or self._path.exists():
            if self._index is not None:
                self._index.close()
            self._index, self._is_rebuilt = None, False
            self._remove_files()
        self._changes.clear()
        with self._caught_up:
            self._done = self._taken
        self._closing.wait(_CHECK_SECONDS)

    def _lose(self, error: Damaged) -> None:
        """Throw the index away, after which it is made anew."""
        log.warning("catalogue.lost", why=str(error))
        self._is_rebuilt = False
        self._try_at = time.monotonic() + (_AGAIN_SECONDS if self._index is None else 0.0)
        if self._index is not None:
            self._index.close()
        self._index = None
        self._remove_files()
        self._changed.set()

    def _remove_files(self) -> None:
        try:
            remove_files(self._path)
        except OSError as error:
            log.error("catalogue.not_removed", file=str(self._path), why=error.strerror)

    def _rebuild(self) -> None:
        """Make the index equal to the spool: what it has already stays, what is missing is read."""
        began = time.monotonic()
        if self._index is not None:
            self._index.close()
            self._index = None
        path = None if self._spool.is_encrypted else self._path
        if path is None:
            self._remove_files()
        # Changes from here on are in the deque, those before are in the ledger: what is in both is taken twice.
        index = self._index = Index(path)
        present = {entry.received.id: entry.received for entry in self._spool.entries(lambda _entry: True)}
        known = index.ids()
        index.remove([one for one in known if one not in present])
        missing = (received for identifier, received in present.items() if identifier not in known)
        count = 0
        reader = _Reader(self._spool)
        while not self._closing.is_set() and (some := list(islice(missing, _AT_ONCE))):
            begin = time.monotonic()
            index.add(filter(None, map(reader.read, some)))
            count += len(some)
            while self._changes:
                self._take_changes(index)
            if not self._is_wanted() or (index.path is not None and self._spool.is_encrypted):
                return
            self._closing.wait(min(_REST, time.monotonic() - begin))
        index.check()
        if not self._closing.is_set():
            with self._caught_up:
                self._is_rebuilt = True
                self._caught_up.notify_all()
            log.info("catalogue.built", instances=len(present), read=count, seconds=round(time.monotonic() - began, 3))

    def _take_changes(self, index: Index) -> None:
        """Take some of the changes over, in their order."""
        some = list(islice(self._changes, _AT_ONCE))
        reader = _Reader(self._spool)
        gone = {change for change in some if isinstance(change, int)}
        came = [change for change in some if isinstance(change, Received) and change.id not in gone]
        index.add(filter(None, map(reader.read, came)))
        if gone:
            index.remove(sorted(gone))
        for _ in some:
            self._changes.popleft()
        with self._caught_up:
            self._done += len(some)
            self._caught_up.notify_all()


class _Reader:
    """Reads what is kept of instances; those of one series have most of it in common."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def read(self, received: Received) -> Indexed | None:
        """Return an instance for the index; None for one that is gone, unreadable, or in no study and series."""
        if not received.study_instance_uid or not received.series_instance_uid:
            return None
        try:
            raw = self._raw(received)
        except (Unreadable, HeadError):
            return None
        return Indexed(
            received.id,
            received.sop_instance_uid,
            received.sop_class_uid,
            received.series_instance_uid,
            received.study_instance_uid,
            received.transfer_syntax_uid,
            decoded(raw, received.transfer_syntax_uid),
        )

    def _raw(self, received: Received) -> dict[int, RawElement]:
        with self._spool.stored(received).open() as content:
            return raw_elements(content, received.length, received.transfer_syntax_uid)
