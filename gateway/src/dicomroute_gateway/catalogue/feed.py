"""Keeps the catalogue at what the spool holds: fed after each commit, made anew in the background when it is lost.

Receiving leaves a note and goes on; the instance's head is read again by the thread here, out of the memory of the
operating system mostly. That waits until nothing has come for a moment, until somebody asks for the instance, or until
it has waited long: what is delivered before that is never read, and who retrieves one study does not take the processor
from all that are being received. What goes wrong here is the catalogue's alone: nothing of the spool depends on it.
"""

import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Final

import structlog

from dicomroute_gateway.decoded import Attributes
from dicomroute_gateway.rules.head import HeadError, RawElement
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.spool.records import Received
from dicomroute_gateway.spool.spool import Spool

from .heads import OF_ENTITIES_ABOVE, OF_INSTANCES, decoded, raw_elements
from .index import Damaged, Index, Indexed, remove_files

FILE: Final = "catalogue.sqlite"
_AT_ONCE: Final = 50
_QUIET_SECONDS: Final = 0.5
"""After so long without an instance those that came are read."""
_MOST_WAIT_SECONDS: Final = 5.0
"""So long they wait at most while others come."""
_REST: Final = 4.0
"""How many times as long as a batch took it rests after it, while nobody asks: others want the processor."""
_LOOK_SECONDS: Final = 0.1
_CHECK_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 30.0
"""After so long an index that could not be made is tried again."""

log = structlog.get_logger(__name__)


class Catalogue:
    """The catalogue of one spool. Safe to use from several threads."""

    def __init__(self, spool: Spool, is_wanted: Callable[[], bool]) -> None:
        """`is_wanted`: whether anybody asks it, as the configuration says; while nobody does, there is none."""
        self._spool = spool
        self._is_wanted = is_wanted
        self._path: Final = spool.folder / FILE
        self._index: Index | None = None
        self._state = threading.Condition()
        """Guards what follows; notified when something has come into the index."""
        self._coming: dict[int, Received] = {}
        self._going: list[int] = []
        self._first = self._last = 0.0
        """When, by the monotonic clock, the oldest and the newest of them came."""
        self._hurried: set[int] = set()
        """Those of them that somebody waits for."""
        self._asked = 0
        """How many wait."""
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._is_rebuilt = False
        self._try_at = self._check_at = 0.0
        """When, by the monotonic clock, an index is made again, and when it is looked whether its file is there."""
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

    def settle(self, timeout_seconds: float, concerns: Callable[[Received], bool] = lambda _: True) -> bool:
        """Wait until all that was committed before this call, and that concerns the caller, is in the index.

        Return whether it is, and the index is complete otherwise.
        """
        with self._state:
            wanted = [identifier for identifier, one in self._coming.items() if concerns(one)]
            self._hurried.update(wanted)
            self._asked += 1
            self._changed.set()
            try:
                return self._state.wait_for(
                    lambda: self.is_complete and self._coming.keys().isdisjoint(wanted), timeout_seconds
                )
            finally:
                self._asked -= 1

    def damaged(self, error: Damaged) -> None:
        """Say that the index could not be asked: it is made anew."""
        log.warning("catalogue.damaged", why=str(error))
        self._is_rebuilt = False
        self._changed.set()

    # -- what the spool says -----------------------------------------------------------------------------------

    def kept(self, received: Received) -> None:
        """An instance was committed."""
        if self._index is None and not self._is_wanted():
            return
        now = time.monotonic()
        with self._state:
            if not self._coming:
                self._first = now
            self._last = now
            self._coming[received.id] = received
        if not self._changed.is_set():
            self._changed.set()

    def left(self, identifier: int) -> None:
        """The bytes of an instance are gone."""
        with self._state:
            self._hurried.discard(identifier)
            if self._coming.pop(identifier, None) is None and self._index is not None:
                self._going.append(identifier)
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
        elif self._index is not None and (self._going or self._are_due()):
            while not self._closing.is_set() and (self._going or self._are_due()):
                begin = time.monotonic()
                self._take_some(self._index)
                self._rest(time.monotonic() - begin)
        else:
            if self._index is not None and time.monotonic() >= self._check_at:
                self._check_at = time.monotonic() + _CHECK_SECONDS
                self._index.check()
            if self._coming or self._index is None:
                self._closing.wait(_LOOK_SECONDS)
            else:
                self._changed.clear()
                self._changed.wait(_CHECK_SECONDS)

    def _are_due(self) -> bool:
        """Return whether instances that came are to be read now."""
        now = time.monotonic()
        with self._state:
            quiet, long = now - self._last > _QUIET_SECONDS, now - self._first > _MOST_WAIT_SECONDS
            return bool(self._hurried) or bool(self._coming and (quiet or long))

    def _rest(self, seconds: float) -> None:
        """Leave the processor to others, after work of so many seconds, while nobody asks."""
        if not self._asked:
            self._closing.wait(min(_REST * seconds, _CHECK_SECONDS))

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
        with self._state:
            self._coming.clear()
            self._hurried.clear()
            self._going.clear()
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
        # What came before this is in the ledger, what comes from here on is noted: what is both is taken twice.
        index = self._index = Index(path)
        present = {entry.received.id: entry.received for entry in self._spool.entries(lambda _entry: True)}
        known = index.ids()
        index.remove([one for one in known if one not in present])
        missing = (received for identifier, received in present.items() if identifier not in known)
        count = 0
        while not self._closing.is_set() and (some := list(islice(missing, _AT_ONCE))):
            begin = time.monotonic()
            index.add(filter(None, map(_Reader(self._spool).read, some)))
            count += len(some)
            while self._going:
                self._take_some(index)
            if not self._is_wanted() or (index.path is not None and self._spool.is_encrypted):
                return
            self._rest(time.monotonic() - begin)
        index.check()
        if not self._closing.is_set():
            with self._state:
                self._is_rebuilt = True
                self._state.notify_all()
            log.info("catalogue.built", instances=len(present), read=count, seconds=round(time.monotonic() - began, 3))

    def _take_some(self, index: Index) -> None:
        """Take over some of what went, and of what came if it is time."""
        are_due = self._are_due()
        with self._state:
            chosen = list(islice(self._hurried or self._coming, _AT_ONCE if are_due else 0))
            came = {identifier: self._coming[identifier] for identifier in chosen}
            gone = self._going[:_AT_ONCE]
        if came:
            index.add(filter(None, map(_Reader(self._spool).read, came.values())))
        with self._state:
            # What went while it was read was no longer noted as coming, and is in the index all the same.
            late = [one for one in came if self._coming.pop(one, None) is None]
            self._hurried.difference_update(came)
        if gone or late:
            index.remove([*gone, *late])
        with self._state:
            del self._going[: len(gone)]
            self._state.notify_all()


class _Reader:
    """Reads what is kept of some instances; those of one series have most of it in common, which is decoded once."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._known: dict[tuple[RawElement | None, ...], Attributes] = {}

    def read(self, received: Received) -> Indexed | None:
        """Return an instance for the index; None for one that is gone, unreadable, or in no study and series."""
        if not received.study_instance_uid or not received.series_instance_uid:
            return None
        # The file of one that is gone can be read for a while: it is kept to be used again.
        if self._spool.received(received.id) is None:
            return None
        syntax = received.transfer_syntax_uid
        try:
            with self._spool.stored(received).open() as content:
                raw = raw_elements(content, received.length, syntax)
        except (Unreadable, HeadError):
            return None
        above = tuple(raw.get(tag) for tag in OF_ENTITIES_ABOVE)
        if above not in self._known:
            self._known[above] = decoded(raw, syntax, OF_ENTITIES_ABOVE)
        return Indexed(
            received.id,
            received.sop_instance_uid,
            received.sop_class_uid,
            received.series_instance_uid,
            received.study_instance_uid,
            syntax,
            {**self._known[above], **decoded(raw, syntax, OF_INSTANCES)},
        )
