"""The feed of a gateway: a thread that reads the journal behind those who write it, and tells what comes of it.

Receiving and delivering do nothing for it and never wait. It syncs by itself, a few times a second at most, and rests
the longer the longer that takes.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from dicomroute_gateway.configuration.model import EventLimits
from dicomroute_gateway.dimse.refused import RefusalCount
from dicomroute_gateway.measures import EventMeasures
from dicomroute_gateway.spool.history import day_of
from dicomroute_gateway.spool.records import FinishedRecord, Received
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.trail import JournalPlace

from .derive import Batch, Derivation
from .levels import Levels, Seen
from .refusals import Refusals
from .store import FILE, Cursor, FeedNotWritable, Page, Store, StoreDamaged, TooOld, remove_files
from .told import Teller, Told

_LOOK_SECONDS: Final = 0.2
_REST: Final = 3.0
"""How many times as long as a batch took it rests after it: others want the volume and the processor."""
_MOST_REST_SECONDS: Final = 2.0
_TIDY_SECONDS: Final = 60.0
_NO_ROOM_SECONDS: Final = 5.0
_PLACE_SECONDS: Final = 5.0
"""So often at most it is written down how far the journal was read when there was nothing to tell."""
_AT_ONCE: Final = 500
_MANY: Final = 500
"""After so many records or studies more are expected: they are read without waiting for more to come."""
_SPOOL_PERCENT: Final = 5
"""How much of the spool's size the feed takes at most."""
_LEAST_BYTES: Final = 1 << 20

log = structlog.get_logger(__name__)

__all__ = ["Cursor", "Feed", "NoFeed", "Page", "TooOld"]


class _Closing(Exception):
    """The gateway ends in the midst of what the next one does anew."""


class NoFeed(Exception):
    """There is no feed at this moment."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen beside the ledger."""

    seen: Seen
    refused: Sequence[RefusalCount]


class Feed:
    """The feed of one spool. Safe to use from several threads."""

    def __init__(
        self, spool: Spool, limits: Callable[[], tuple[EventLimits, int]], source: str, measures: EventMeasures
    ) -> None:
        """`limits` returns those of the feed, and the size of the spool in bytes; `source` is that of its events."""
        self._spool = spool
        self._limits = limits
        self._measures = measures
        self._teller = Teller(source)
        self._path: Final[Path] = spool.folder / FILE
        self._trail = spool.trail()
        self._store: Store | None = None
        self._derivation = Derivation(self._teller, lambda keys: {})
        self._levels = Levels(self._teller)
        self._refusals = Refusals(self._teller)
        self._standing: dict[str, str] = {}
        self._place = self._written = JournalPlace(0, 0)
        self._look: _Look | None = None
        self._refused: list[Told] = []
        """What is to be told of callers, and is not written down yet."""
        self._place_at = self._tidy_at = self._done_at = 0.0
        self._told: list[Callable[[], None]] = []
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="events", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Return when what is known by now is told, and the thread has ended."""
        self._closing.set()
        self._changed.set()
        self._thread.join()

    def look(self, seen: Seen, refused: Sequence[RefusalCount]) -> None:
        """Take note of how the gateway stands."""
        self._look = _Look(seen, refused)
        self._changed.set()

    # -- who reads ---------------------------------------------------------------------------------------------

    def follow(self, told: Callable[[], None]) -> None:
        """Have something called, by a thread of the feed, whenever there is something new."""
        self._told.append(told)

    def page(self, after: Cursor | None, limit: int, names: Sequence[str] = ()) -> Page:
        """Return up to `limit` events behind a cursor, from the first that is kept without one.

        Raises TooOld, NoFeed.
        """
        store = self._usable()
        try:
            return store.page(after or store.first(), limit, names)
        except (StoreDamaged, FeedNotWritable) as error:
            raise NoFeed(str(error)) from error

    def last(self) -> Cursor:
        """Return the cursor behind the last event. Raises NoFeed."""
        store = self._usable()
        try:
            return store.last()
        except (StoreDamaged, FeedNotWritable) as error:
            raise NoFeed(str(error)) from error

    def _usable(self) -> Store:
        store = self._store
        if store is None:
            raise NoFeed("the feed is being opened, or cannot be: the log says more")
        return store

    # -- the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            ends = self._closing.is_set()
            begin = time.monotonic()
            pause = _LOOK_SECONDS
            try:
                self._changed.clear()
                while (count := self._turn()) >= _MANY or (ends and count):
                    if not ends:
                        self._closing.wait(min(_MOST_REST_SECONDS, _REST * (time.monotonic() - begin)))
                    begin = time.monotonic()
                self._measures.is_failing = False
            except FeedNotWritable as error:
                self._measures.is_failing = True
                log.warning("events.not_written", why=str(error))
                pause = _NO_ROOM_SECONDS
                self._make_room()
                self._begin_again()
            except _Closing:
                break
            except StoreDamaged as error:
                self._measures.is_failing = True
                log.warning("events.lost", why=str(error))
                self._lose()
                pause = _NO_ROOM_SECONDS
            except Exception:
                self._measures.is_failing = True
                log.exception("events.failed")
                pause = _NO_ROOM_SECONDS
                self._begin_again()
            if ends:
                break
            if not self._closing.is_set():
                if pause > _LOOK_SECONDS:
                    self._closing.wait(pause)
                else:
                    self._changed.wait(pause)
        self._trail.close()
        if self._store is not None:
            self._store.close()

    def _turn(self) -> int:
        """Tell what is new, as far as it fits in one batch; return of how many records or studies that is made."""
        now = time.time()
        limits, most_bytes = self._bounds()
        store = self._store
        if store is None:
            store = self._open(most_bytes)
        store.resize(most_bytes)
        records, place = self._trail.read(self._place)
        batch = self._derivation.follow(records)
        standing: dict[str, str | None] = {}
        if (look := self._look) is not None:
            self._look = None
            told, standing = self._levels.look(look.seen, self._standing)
            batch.told += told
            self._refused += self._refusals.look(look.refused, now)
        batch.told += self._refused
        count = len(records) or place.segment - self._place.segment
        is_due = place != self._written and time.monotonic() >= self._place_at
        if batch.told or batch.parts or standing or is_due:
            self._write(store, batch, now, place, standing)
            self._place_at = time.monotonic() + _PLACE_SECONDS
            self._refused = []
        self._place = place
        if count < _MANY and time.monotonic() >= self._done_at:
            count += self._tell_delivered(store, now, limits.study_quiet_seconds)
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + _TIDY_SECONDS
            store.check()
            store.tidy(now - limits.retention_seconds)
            self._measures.oldest_time = store.oldest_time
        return count

    def _tell_delivered(self, store: Store, now: float, quiet_seconds: int) -> int:
        """Tell studies that destinations have, once nothing more has come of them for a while; return how many."""
        done = store.done(now - quiet_seconds, now, _AT_ONCE)
        if done:
            self._write(store, self._derivation.delivered(done), now, None, {})
        if len(done) < _AT_ONCE:
            self._done_at = time.monotonic() + _LOOK_SECONDS
        return len(done)

    def _write(
        self, store: Store, batch: Batch, now: float, place: JournalPlace | None, standing: dict[str, str | None]
    ) -> None:
        new = store.write(batch.told, now, place, batch.parts, standing)
        for name, value in standing.items():
            if value is None:
                self._standing.pop(name, None)
            else:
                self._standing[name] = value
        if place is not None:
            if place.segment != self._written.segment:
                self._trail.forget_before(place.segment)
            self._written = place
        if new:
            self._measures.told += new
            if self._measures.oldest_time is None:
                self._measures.oldest_time = now
            for told in self._told:
                told()

    def _bounds(self) -> tuple[EventLimits, int]:
        limits, spool_bytes = self._limits()
        return limits, max(_LEAST_BYTES, min(limits.max_bytes, spool_bytes * _SPOOL_PERCENT // 100))

    def _open(self, most_bytes: int) -> Store:
        """Open the feed, and know of each instance that the journal speaks of what is needed for the next record."""
        store = Store(self._path, most_bytes)
        try:
            self._derivation = Derivation(self._teller, store.parts)
            self._standing = store.standing()
            place = store.place
            if place is None or not self._trail.has(place):
                place = self._rebuild(store)
            else:
                at = JournalPlace(place.segment, 0)
                while at != place:
                    self._raise_if_closing()
                    records, at = self._trail.read(at, until=place)
                    self._derivation.pass_over(records)
            self._place = self._written = place
            self._trail.forget_before(place.segment)
        except BaseException:
            store.close()
            raise
        self._store = store
        return store

    def _rebuild(self, store: Store) -> JournalPlace:
        """Make anew of the history what it tells; return from where on the journal tells the rest.

        All of it has the ids that it had. What the journal still speaks of is left to that.
        """
        began, now = time.monotonic(), time.time()
        store.forget_parts()
        end = self._trail.end
        at, first = JournalPlace(end.segment, 0), JournalPlace(end.segment, 0)
        present: set[int] = set()
        while at != end:
            self._raise_if_closing()
            records, at = self._trail.read(at, until=end)
            present.update(one.id for one in records if isinstance(one, Received))
        limits, _ = self._bounds()
        oldest = day_of(now) - timedelta(seconds=limits.retention_seconds)
        days = [one.date for one in self._spool.history.days() if one.date >= oldest]

        def keep(record: FinishedRecord) -> bool:
            return record.received.id not in present and record.time < now

        found = self._spool.history.find(days, keep)
        count = 0
        while some := list(islice(_resting(found, self._closing), _AT_ONCE)):
            self._raise_if_closing()
            batch = self._derivation.finished(some)
            store.write(batch.told, now, None, batch.parts)
            count += len(some)
        if not store.is_new or count or present:
            log.info("events.rebuilt", finished=count, seconds=round(time.monotonic() - began, 3))
        return first

    def _raise_if_closing(self) -> None:
        if self._closing.is_set():
            raise _Closing

    def _begin_again(self) -> None:
        """Forget what was made of records since they were last written down: they are read again."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _make_room(self) -> None:
        """Let the oldest events go, if they are why there is no room."""
        if self._store is not None:
            with suppress(FeedNotWritable, StoreDamaged):
                self._store.tidy(time.time() - self._bounds()[0].retention_seconds)

    def _lose(self) -> None:
        """Throw the feed away, after which it is made anew."""
        store, self._store = self._store, None
        self._measures.oldest_time = None
        if store is not None:
            store.close()
        try:
            remove_files(self._path)
        except OSError as error:
            log.error("events.not_removed", file=str(self._path), why=error.strerror)


def _resting(found: Iterator[FinishedRecord], closing: threading.Event) -> Iterator[FinishedRecord]:
    """Yield what is found, and leave the processor to others in between."""
    begin = time.monotonic()
    for one in found:
        yield one
        if time.monotonic() - begin > 0.05:
            closing.wait(0.05)
            begin = time.monotonic()
