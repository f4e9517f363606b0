"""The part of the ledger that outlives the bytes: what became of instances that are finished.

One file a day of receipt, a line an instance as in the journal. A line is on stable storage before the instance's file
is removed; one that a crash let be written twice counts once. Days that are over are packed. Reading wants no lock:
lines are only ever added, and packed days take the place of others by a rename.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog

from .files import Files
from .records import BadRecord, FinishedRecord, decode_record, encode_record

FOLDER: Final = "ledger"
_TEMPORARY: Final = f"{FOLDER}/new"
_PLAIN, _PACKED = ".jsonl", ".jsonl.gz"
_NAME: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(\.jsonl|\.jsonl\.gz)")
_PACK_LEVEL: Final = 6
_SOP_INSTANCE_UID: Final = re.compile(rb'"sop_instance_uid":"([^"]+)"')
_BLOCK_BYTES: Final = 1 << 20
_LEAP: Final = timedelta(days=2)
"""By how much the date may be ahead of what is known of it before it is doubted."""
_FIRST_YEAR: Final = 2000
"""Instances with an earlier date came before the clock was set."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the history: its date in UTC, and the length of its files in bytes."""

    date: date
    length: int


class History:
    """What became of finished instances. One thread writes; any may read."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._is_made = False
        self._synced: set[str] = set()
        """The files whose names this process knows to be on stable storage."""
        self._latest: date | None = None
        """The latest date that was believed."""
        self._doubted: date | None = None
        """The date that is not believed, as it was first."""
        self._undated: dict[date, date] = {}
        """The date at which a day from before the clock was set was first seen."""

    def add(self, records: Iterable[FinishedRecord]) -> None:
        """Write down what became of instances. When this returns, it is on stable storage. Raises OSError."""
        by_day: dict[date, list[bytes]] = {}
        for record in records:
            by_day.setdefault(day_of(record.received.time), []).append(encode_record(record))
        if by_day and not self._is_made:
            self._files.make_folder(FOLDER)
            self._is_made = True
        for day, lines in by_day.items():
            self._append(f"{FOLDER}/{day}{_PLAIN}", b"".join(lines))

    def days(self) -> list[Day]:
        """Return the days there are, oldest first."""
        lengths: dict[date, int] = {}
        for name, day, _ in self._names():
            lengths[day] = lengths.get(day, 0) + (self._files.size(name) or 0)
        return [Day(day, length) for day, length in sorted(lengths.items())]

    def find(self, days: Iterable[date], keep: Callable[[FinishedRecord], bool]) -> Iterator[FinishedRecord]:
        """Yield the instances that `keep` accepts, day by day; each once."""
        for day in days:
            seen: set[tuple[int, float]] = set()
            for record in self._read(day):
                identity = (record.received.id, record.received.time)
                if identity not in seen and keep(record):
                    seen.add(identity)
                    yield record

    def newest(self, sop_instance_uids: Iterable[str]) -> dict[str, FinishedRecord]:
        """Return what became of the newest versions of instances, by SOP Instance UID, as far as it is known.

        Only the lines that are about them are decoded: others pass at some millions a minute.
        """
        wanted = {uid.encode() for uid in sop_instance_uids}
        found: dict[str, FinishedRecord] = {}
        for day in reversed(self.days() if wanted else []):
            of_day: dict[bytes, FinishedRecord] = {}
            for line in self._lines(day.date):
                uid = _SOP_INSTANCE_UID.search(line)
                if uid is not None and uid[1] in wanted and (record := _finished(line)):
                    known = of_day.get(uid[1])
                    if known is None or known.received.id <= record.received.id:
                        of_day[uid[1]] = record
            found.update((uid.decode(), record) for uid, record in of_day.items())
            wanted -= of_day.keys()
            if not wanted:
                break
        return found

    def tidy(self, today: date, keep_days: int, most_bytes: int) -> None:
        """Forget days older than `keep_days` and the oldest ones above `most_bytes`; pack those that are over.

        A clock that jumps must not erase everything. So days are forgotten for their age only while `today` is at most
        two days beyond the `today` of the call before, or at the first call beyond the newest day there is: of those
        that follow each other, as one that stands apart may be of such a jump. A later date is believed when it has
        gone on for two days; until then, age makes nothing be forgotten. A day before 2000 is of instances that came
        before the clock was set: it counts as the day at which it was first seen.

        Raises OSError.
        """
        days = self.days()
        is_believed = self._believe(today, days)
        total = sum(day.length for day in days)
        for day in list(days):
            counted = self._undated.setdefault(day.date, today) if day.date.year < _FIRST_YEAR else day.date
            is_old = is_believed and counted < today - timedelta(days=keep_days)
            if is_old or (total > most_bytes and day.date < today):
                self._forget(day.date)
                total -= day.length
                days.remove(day)
        # Not yesterday's: what came before midnight may be finished after it.
        for day in days:
            if day.date < today - timedelta(days=1):
                self._pack(day.date)

    def _believe(self, today: date, days: list[Day]) -> bool:
        """Return whether a date may be right, by what was believed before."""
        latest = self._latest or _last_of_a_row([day.date for day in days]) or today
        if today - latest > _LEAP:
            if self._doubted is None or not timedelta() <= today - self._doubted <= _LEAP:
                self._doubted = today
                log.warning("ledger.clock", today=str(today), latest=str(latest))
            if today - self._doubted < _LEAP:
                return False
        self._latest, self._doubted = max(latest, today), None
        return True

    def _append(self, name: str, data: bytes) -> None:
        length = self._files.size(name)
        descriptor = self._files.open_append(name)
        try:
            # A line that a crash cut off is ended first, so that it spoils no other.
            self._files.write(descriptor, [b"\n" + data if length else data])
            self._files.sync(descriptor)
        except OSError:
            # What is there of it would take up room on a full volume, and more at every try.
            with suppress(OSError):
                if length is None:
                    self._files.remove(name)
                else:
                    self._files.truncate(name, length)
            raise
        finally:
            self._files.close(descriptor)
        # Also of a file that was there: whoever made it may have ended before its name was safe.
        if name not in self._synced:
            self._files.sync_folder(FOLDER)
            self._synced.add(name)

    def _read(self, day: date) -> Iterator[FinishedRecord]:
        for line in self._lines(day):
            if record := _finished(line):
                yield record

    def _lines(self, day: date) -> Iterator[bytes]:
        # In this order: plain lines go once they are packed. Who finds them packed already sees them twice.
        for suffix in (_PLAIN, _PACKED):
            try:
                file = self._files.open_read(f"{FOLDER}/{day}{suffix}")
            except FileNotFoundError:
                continue
            with file:
                lines = gzip.GzipFile(fileobj=file) if suffix == _PACKED else file
                try:
                    for line in lines:
                        if len(line) > 1:
                            yield line.rstrip(b"\n")
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    # What is broken in one day is no reason to say nothing of the others.
                    log.error("ledger.damaged", day=str(day), error=str(error))

    def _pack(self, day: date) -> None:
        """Put the plain lines of a day behind the packed ones, if there are any."""
        plain, packed = f"{FOLDER}/{day}{_PLAIN}", f"{FOLDER}/{day}{_PACKED}"
        if self._files.size(plain) is None:
            return
        self._files.remove(_TEMPORARY)
        descriptor = self._files.create(_TEMPORARY)
        try:
            if self._files.size(packed) is not None:
                for block in self._blocks(packed):
                    self._files.write(descriptor, [block])
            for block in self._blocks(plain):
                self._files.write(descriptor, [gzip.compress(block, _PACK_LEVEL, mtime=0)])
            self._files.sync(descriptor)
        except OSError:
            with suppress(OSError):
                self._files.remove(_TEMPORARY)
            raise
        finally:
            self._files.close(descriptor)
        self._files.rename(_TEMPORARY, packed)
        self._remove(plain)

    def _blocks(self, name: str) -> Iterator[bytes]:
        with self._files.open_read(name) as file:
            while block := file.read(_BLOCK_BYTES):
                yield block

    def _forget(self, day: date) -> None:
        for suffix in (_PLAIN, _PACKED):
            self._remove(f"{FOLDER}/{day}{suffix}")
        self._undated.pop(day, None)

    def _remove(self, name: str) -> None:
        self._synced.discard(name)
        self._files.remove(name)

    def _names(self) -> Iterator[tuple[str, date, str]]:
        for name in self._files.list(FOLDER):
            if found := _NAME.fullmatch(name):
                yield f"{FOLDER}/{name}", date.fromisoformat(found[1]), found[2]


def _last_of_a_row(dates: list[date]) -> date | None:
    """Return the last date, without those at the end that may be of a clock that had jumped."""
    while len(dates) > 1 and dates[-1] - dates[-2] > _LEAP:
        dates.pop()
    return dates[-1] if dates else None


def day_of(seconds: float) -> date:
    """Return the day, in UTC, of a time in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).date()


def _finished(line: bytes) -> FinishedRecord | None:
    try:
        record = decode_record(line)
    except BadRecord:
        return None
    return record if isinstance(record, FinishedRecord) else None
