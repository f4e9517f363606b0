"""The feed on the volume: events in their order, what they were made of, and how far; in one SQLite database.

A batch of events, the place in the journal behind what they were made of, and what is remembered for later ones are one
transaction: after a crash it is there or it is made again. Losing the file loses nothing that the ledger knows: what is
made anew has the ids that it had.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomroute_gateway.spool.trail import JournalPlace

from .parts import Part, PartKey
from .told import Told

FILE: Final = "events.sqlite"
_VERSION: Final = 1
_PAGE_BYTES: Final = 4096
_FULL_AT: Final = 0.8
"""How much of what it may take is taken when the oldest goes: what is not in order takes more than it holds."""
_FORGOTTEN_AT_ONCE: Final = 0.1
_LOG_BYTES: Final = 4 << 20
_SCHEMA: Final = """
CREATE TABLE about (version INTEGER, feed TEXT, segment INTEGER, byte INTEGER, forgotten INTEGER);
CREATE TABLE event (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, name TEXT, told REAL, document TEXT);
CREATE INDEX event_told ON event (told);
CREATE TABLE part (study TEXT, destination TEXT, owed INTEGER, held INTEGER, refused INTEGER, delivered INTEGER,
    skipped INTEGER, newest INTEGER, newest_time REAL, last_time REAL, told INTEGER, PRIMARY KEY (study, destination))
    WITHOUT ROWID;
CREATE INDEX part_last ON part (last_time);
CREATE INDEX part_done ON part (newest_time) WHERE owed + held + refused = 0 AND delivered > 0 AND newest > told;
CREATE TABLE standing (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""
_PART_COLUMNS: Final = (
    "study, destination, owed, held, refused, delivered, skipped, newest, newest_time, last_time, told"
)


Execute = Callable[..., sqlite3.Cursor]


class StoreDamaged(Exception):
    """The database cannot be used: it is to be made anew."""


class FeedNotWritable(Exception):
    """It cannot be written at this moment, mostly for want of room."""


class TooOld(Exception):
    """What a cursor stands behind is no longer in the feed, or never was in this one."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Behind which event of which feed somebody reads on."""

    feed: str
    number: int

    def __str__(self) -> str:
        return f"{self.feed}-{self.number}"


@dataclass(frozen=True, slots=True)
class Kept:
    """An event in the feed: its cursor, and its JSON text."""

    cursor: Cursor
    document: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some events; `cursor` stands behind all that was looked at."""

    events: Sequence[Kept]
    cursor: Cursor
    more: bool


class Store:
    """The database. One thread writes; any may read. All methods raise StoreDamaged; those that write NoRoom."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        """Open it, or make one where there is none that can be used."""
        self.path = path
        self._most_bytes = most_bytes
        self._reading = threading.Lock()
        self.is_new = False
        self._closed = False
        with _errors():
            try:
                self._writer = self._opened()
            except (sqlite3.Error, StoreDamaged) as error:
                if not _is_damage(error):
                    raise
                remove_files(path)
                self._writer = self._opened()
            self._reader = _connected(path)
            self._inode = path.stat().st_ino
        self.feed: str = self._one("SELECT feed FROM about")

    def close(self) -> None:
        """Close it."""
        with self._reading, suppress(sqlite3.Error):
            self._closed = True
            self._reader.close()
            self._writer.close()

    def _opened(self) -> sqlite3.Connection:
        connection = _connected(self.path)
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables:
            try:
                about = connection.execute("SELECT version FROM about").fetchone()
            except sqlite3.OperationalError:
                about = None
            if about != (_VERSION,) or connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                connection.close()
                raise StoreDamaged("it is of another version, or not whole")
        else:
            self.is_new = True
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO about VALUES (?, ?, 0, 0, 0)", (_VERSION, os.urandom(6).hex()))
            connection.execute("COMMIT")
        connection.execute(f"PRAGMA max_page_count = {self._most_bytes // _PAGE_BYTES}").fetchall()
        return connection

    def resize(self, most_bytes: int) -> None:
        """Take over how many bytes it may take."""
        if most_bytes != self._most_bytes:
            self._most_bytes = most_bytes
            with _errors():
                self._writer.execute(f"PRAGMA max_page_count = {most_bytes // _PAGE_BYTES}").fetchall()

    # -- writing -----------------------------------------------------------------------------------------------

    @property
    def place(self) -> JournalPlace | None:
        """How far events were made of the journal; None where they never were."""
        with _errors():
            segment, byte = self._writer.execute("SELECT segment, byte FROM about").fetchone()
        return JournalPlace(segment, byte) if segment else None

    def standing(self) -> dict[str, str]:
        """Return what was told last of things that change, by their names."""
        with _errors():
            return dict(self._writer.execute("SELECT name, value FROM standing").fetchall())

    def parts(self, keys: Iterable[PartKey]) -> dict[PartKey, Part]:
        """Return what is known of studies at destinations."""
        statement = f"SELECT {_PART_COLUMNS} FROM part WHERE study = ? AND destination = ?"
        found: dict[PartKey, Part] = {}
        with _errors():
            for key in keys:
                if row := self._writer.execute(statement, key).fetchone():
                    found[key] = Part(*row[2:])
        return found

    def done(self, before: float, now: float, limit: int) -> dict[PartKey, Part]:
        """Return studies that destinations have, of which nothing has come since a time, and which is not told.

        What came later than now came before the date was put back: it would wait until that time is there again.
        """
        statement = (
            f"SELECT {_PART_COLUMNS} FROM part WHERE owed + held + refused = 0 AND delivered > 0 AND newest > told "
            "AND (newest_time <= ? OR newest_time > ?) LIMIT ?"
        )
        with _errors():
            return {(row[0], row[1]): Part(*row[2:]) for row in self._writer.execute(statement, (before, now, limit))}

    def write(
        self,
        told: Iterable[Told],
        now: float,
        place: JournalPlace | None = None,
        parts: Mapping[PartKey, Part] = {},
        standing: Mapping[str, str | None] = {},
    ) -> int:
        """Write down a batch, durably; return how many events were new. A value of None is forgotten."""
        with _errors(), self._transaction() as execute:
            new = 0
            for one in told:
                row = (one.id, one.name, now, one.document)
                statement = "INSERT OR IGNORE INTO event (id, name, told, document) VALUES (?, ?, ?, ?)"
                new += execute(statement, row).rowcount
            for key, part in parts.items():
                marks = ", ".join("?" * 11)
                execute(f"INSERT OR REPLACE INTO part ({_PART_COLUMNS}) VALUES ({marks})", (*key, *part.row))
            for name, value in standing.items():
                if value is None:
                    execute("DELETE FROM standing WHERE name = ?", (name,))
                else:
                    execute("INSERT OR REPLACE INTO standing VALUES (?, ?)", (name, value))
            if place is not None:
                execute("UPDATE about SET segment = ?, byte = ?", (place.segment, place.offset))
            return new

    def forget_parts(self) -> None:
        """Forget what is known of studies: it is made anew of the ledger."""
        with _errors(), self._transaction() as execute:
            execute("DELETE FROM part")
            execute("UPDATE about SET segment = 0, byte = 0")

    def check(self) -> None:
        """Raise StoreDamaged when its file is no longer there."""
        try:
            if self.path.stat().st_ino == self._inode:
                return
        except OSError:
            pass
        raise StoreDamaged("its file is gone")

    def tidy(self, before: float) -> None:
        """Forget what was told before a time, and the oldest while it takes more than it may."""
        with _errors(), self._transaction() as execute:
            (last,) = execute("SELECT max(number) FROM event WHERE told < ?", (before,)).fetchone()
            if last is not None:
                self._forget(execute, last)
            execute("DELETE FROM part WHERE last_time < ? AND owed + held + refused = 0 AND told = newest", (before,))
        for _ in range(20):
            if self.used_bytes <= self._most_bytes * _FULL_AT:
                break
            with _errors(), self._transaction() as execute:
                first, last = execute("SELECT min(number), max(number) FROM event").fetchone()
                if first is not None:
                    self._forget(execute, first + int((last - first + 1) * _FORGOTTEN_AT_ONCE))
                (parts,) = execute("SELECT count(*) FROM part").fetchone()
                execute(
                    "DELETE FROM part WHERE (study, destination) IN "
                    "(SELECT study, destination FROM part WHERE owed + held + refused = 0 AND told = newest "
                    "ORDER BY last_time LIMIT ?)",
                    (int(parts * _FORGOTTEN_AT_ONCE),),
                )

    @property
    def oldest_time(self) -> float | None:
        """When the oldest event that is kept was told, in seconds since 1970; None while there is none."""
        with _errors():
            row = self._writer.execute("SELECT told FROM event ORDER BY number LIMIT 1").fetchone()
        return float(row[0]) if row is not None else None

    @property
    def used_bytes(self) -> int:
        """How many bytes of the file hold something."""
        with _errors():
            (pages,), (free,) = (
                self._writer.execute(f"PRAGMA {pragma}").fetchone() for pragma in ("page_count", "freelist_count")
            )
            return int((pages - free) * _PAGE_BYTES)

    @staticmethod
    def _forget(execute: Execute, number: int) -> None:
        execute("DELETE FROM event WHERE number <= ?", (number,))
        execute("UPDATE about SET forgotten = max(forgotten, ?)", (number,))

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer.execute
            self._writer.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            raise

    # -- reading -----------------------------------------------------------------------------------------------

    def last(self) -> Cursor:
        """Return the cursor behind the last event."""
        number = self._one("SELECT coalesce(max(number), (SELECT forgotten FROM about)) FROM event")
        return Cursor(self.feed, int(number))

    def first(self) -> Cursor:
        """Return the cursor before the first event that is kept."""
        return Cursor(self.feed, int(self._one("SELECT forgotten FROM about")))

    def page(self, after: Cursor, limit: int, names: Sequence[str] = ()) -> Page:
        """Return up to `limit` events behind a cursor, those of some types alone if any are named. Raises TooOld."""
        with self._reading, _errors():
            if self._closed:
                raise StoreDamaged("it is closed")
            self._reader.execute("BEGIN")  # all of what follows sees one moment
            try:
                (forgotten,) = self._reader.execute("SELECT forgotten FROM about").fetchone()
                (newest,) = self._reader.execute("SELECT coalesce(max(number), ?) FROM event", (forgotten,)).fetchone()
                if after.feed != self.feed or not forgotten <= after.number <= newest:
                    raise TooOld
                chosen = f" AND name IN ({', '.join('?' * len(names))})" if names else ""
                rows = self._reader.execute(
                    f"SELECT number, document FROM event WHERE number > ?{chosen} ORDER BY number LIMIT ?",
                    (after.number, *names, limit + 1),
                ).fetchall()
            finally:
                self._reader.execute("COMMIT")
        more = len(rows) > limit
        events = [Kept(Cursor(self.feed, number), document) for number, document in rows[:limit]]
        return Page(events, events[-1].cursor if more else Cursor(self.feed, newest), more)

    def _one(self, statement: str) -> str:
        with self._reading, _errors():
            if self._closed:
                raise StoreDamaged("it is closed")
            value: str = self._reader.execute(statement).fetchone()[0]
            return value


def remove_files(path: Path) -> None:
    """Remove a database, and what SQLite keeps beside it. Raises OSError."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    for pragma in ("synchronous = FULL", f"journal_size_limit = {_LOG_BYTES}", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    path.chmod(0o600)
    return connection


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise (StoreDamaged if _is_damage(error) else FeedNotWritable)(str(error)) from error
    except OSError as error:
        raise FeedNotWritable(str(error)) from error


def _is_damage(error: Exception) -> bool:
    """Return whether a file is no database, or not whole; other errors may pass."""
    name = getattr(error, "sqlite_errorname", "")
    return isinstance(error, StoreDamaged) or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
