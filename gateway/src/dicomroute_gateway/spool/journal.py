"""The journal: an append-only file of records, synced in groups.

Whoever needs a record to be safe calls `sync`; the first to come writes and syncs for all whose records have
arrived meanwhile. There is no timer: a lone sender waits for its own sync and for nothing else.
"""

import errno
import math
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from .files import Files
from .records import (
    BadRecord,
    DiscardedRecord,
    GroupRecord,
    Received,
    Record,
    TotalsRecord,
    decode_record,
    encode_record,
    is_group,
    is_whole,
)

FOLDER: Final = "journal"
_TEMPORARY: Final = f"{FOLDER}/new"
_RESERVE: Final = f"{FOLDER}/reserve"
_RESERVE_BYTES: Final = 1 << 20
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


class JournalFailed(Exception):
    """The journal could not be written; what it says can no longer be relied on until a restart."""


class JournalCorrupt(Exception):
    """The journal is broken where it was once safe: bytes have changed since."""


class Journal:
    """The newest segment of the journal, open for appending."""

    def __init__(self, files: Files, segment: int, next_id: int, *, is_attested: bool = False) -> None:
        """Open a segment; `is_attested` says that its last record says that all before is safe. Raises OSError."""
        self._files = files
        self._segment = segment
        self._next_id = next_id
        self._descriptor = files.open_append(_name(segment))
        self._mutex = threading.Lock()
        self._waiters: list[_Waiter] = []
        self._writing = False
        self._failure: OSError | None = None
        self._buffer: list[bytes] = []
        self._appended = self._written = self._synced = 0
        self.length = files.size(_name(segment)) or 0
        self._safe_length = self.length
        self._attested_length = self.length if is_attested else 0
        """How long it was when it said last that all of it is safe."""
        try:
            files.sync(self._descriptor)
            self._attest()
            self.keep_reserve()
        except OSError:
            files.close(self._descriptor)
            raise

    @property
    def failure(self) -> OSError | None:
        """What made the journal fail, or None."""
        return self._failure

    def append(self, record: Record) -> int:
        """Take a record over; return the position that `sync` has to reach for it to be safe."""
        line = encode_record(record)
        with self._mutex:
            self._buffer.append(line)
            self._next_id = max(self._next_id, _id_of(record) + 1)
            self._appended += len(line)
            return self._appended

    def sync(self, position: int | None = None) -> None:
        """Return when all records up to `position`, or all there are, are on stable storage.

        Raises JournalFailed.
        """
        self._advance(position, durably=True)

    def flush(self) -> None:
        """Return when all records have been handed to the operating system: they survive this process.

        Raises JournalFailed.
        """
        self._advance(None, durably=False)

    def replace(self, records: Iterable[Record]) -> None:
        """Begin a new segment with `records`, which say all that the journal said; then forget the old one.

        No record may be appended meanwhile. Raises JournalFailed.
        """
        with self._mutex:
            self._await_turn()
            self._writing = True
        try:
            written = write_new(self._files, records)
        except Exception as error:
            # The segment that is in use is as it was: go on with it.
            with self._mutex:
                self._writing = False
                self._pass_on()
            raise JournalFailed(str(error) or repr(error)) from error
        try:
            length = put_in_place(self._files, self._segment + 1, written)
            old, self._descriptor = self._descriptor, self._files.open_append(_name(self._segment + 1))
            self._files.close(old)
            self._files.remove(_name(self._segment))
        except Exception as error:
            self._fail(error)
            raise JournalFailed(str(self._failure)) from error
        with self._mutex:
            self._segment += 1
            self.length = self._safe_length = length
            self._buffer.clear()
            self._written = self._synced = self._appended
            self._writing = False
            self._pass_on()

    def keep_reserve(self) -> None:
        """Keep some room back for records, if there is any. Nothing is written meanwhile."""
        with self._mutex:
            self._await_turn()
            if self._failure is not None:
                return
            self._writing = True
        try:
            self._files.reserve(_RESERVE, _RESERVE_BYTES)
        except OSError:
            self._files.remove(_RESERVE)
        finally:
            with self._mutex:
                self._writing = False
                self._pass_on()

    def close(self) -> None:
        """Make everything safe and close the file; whoever comes later is told that the journal has failed."""
        try:
            self.sync()
        except JournalFailed:
            pass
        with self._mutex:
            self._await_turn()
            if self._failure is None:
                with suppress(OSError):
                    self._attest()
                    self._files.sync(self._descriptor)
            self._failure = self._failure or OSError(errno.EBADF, "the journal is closed")
            self._files.close(self._descriptor)
            self._pass_on()

    def _advance(self, position: int | None, *, durably: bool) -> None:
        with self._mutex:
            goal = self._appended if position is None else position
            while (self._synced if durably else self._written) < goal:
                if self._failure is not None:
                    raise JournalFailed(str(self._failure))
                if self._writing:
                    self._wait(_Waiter(goal, durably))
                    continue
                self._writing = True
                lines, self._buffer = self._buffer, []
                end = self._appended
                self._mutex.release()
                try:
                    self._write(lines, durably=durably)
                finally:
                    self._mutex.acquire()
                self._written = end
                self._synced = end if durably else self._synced
                self._writing = False
                self._pass_on()

    def _await_turn(self) -> None:
        """Return when nobody writes, with the mutex held as before."""
        while self._writing:
            self._wait(_Waiter())

    def _wait(self, waiter: "_Waiter") -> None:
        """Wait to be woken, without the mutex meanwhile."""
        self._waiters.append(waiter)
        self._mutex.release()
        try:
            waiter.woken.acquire()
        finally:
            self._mutex.acquire()

    def _pass_on(self) -> None:
        """Wake those who have what they wait for, and of the others one, who writes next; all after a failure.

        To wake everybody each time would cost more than the writing: each of them takes its turn with the interpreter.
        """
        others = []
        next_writer = None
        for waiter in self._waiters:
            reached = self._synced if waiter.durably else self._written
            if self._failure is not None or reached >= waiter.goal:
                waiter.woken.release()
            elif next_writer is None:
                next_writer = waiter
                waiter.woken.release()
            else:
                others.append(waiter)
        self._waiters = others

    def _write(self, lines: list[bytes], *, durably: bool) -> None:
        try:
            data = b"".join([encode_record(GroupRecord(self._safe_length, self._next_id)), *lines]) if lines else b""
            self._append(data)
            if durably:
                self._files.sync(self._descriptor)
        except Exception as error:  # want of memory, too: whoever waits would wait for ever
            self._fail(error)
            raise JournalFailed(str(self._failure)) from error
        self.length += len(data)
        if durably:
            self._safe_length = self.length

    def _attest(self) -> None:
        """Write down that all of the segment is safe, so that a change of it is not taken for a crash.

        On a full volume nothing is written: what is there has to drain. Raises OSError.
        """
        if self._attested_length == self.length:
            return
        data = encode_record(GroupRecord(self._safe_length, self._next_id))
        try:
            self._files.write(self._descriptor, [data])
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self._files.truncate(_name(self._segment), self.length)
        else:
            self.length += len(data)
            self._attested_length = self.length

    def _append(self, data: bytes) -> None:
        """Write lines; what was kept back for it makes room where the volume has none: a full one must still drain."""
        try:
            self._files.write(self._descriptor, [data])
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self._files.truncate(_name(self._segment), self.length)
            self._files.remove(_RESERVE)
            try:
                self._files.write(self._descriptor, [data])
            except OSError:
                with suppress(OSError):
                    self._files.truncate(_name(self._segment), self.length)
                raise

    def _fail(self, error: Exception) -> None:
        """Never trust the volume again: after a failed sync nobody knows what is on it (fsyncgate, 2018)."""
        with self._mutex:
            self._failure = error if isinstance(error, OSError) else OSError(errno.EIO, repr(error))
            self._writing = False
            self._pass_on()


class _Waiter:
    """A thread that waits until the journal is written, or synced, up to `goal`; without one, for its turn to write."""

    __slots__ = ("durably", "goal", "woken")

    def __init__(self, goal: float = math.inf, durably: bool = True) -> None:
        self.goal = goal
        self.durably = durably
        self.woken = threading.Lock()
        self.woken.acquire()


def write_segment(files: Files, segment: int, records: Iterable[Record]) -> int:
    """Write a whole segment so that it is there completely or not at all; return its length in bytes."""
    return put_in_place(files, segment, write_new(files, records))


def put_in_place(files: Files, segment: int, length: int) -> int:
    """Give the temporary segment its number; return `length`, its length in bytes."""
    files.rename(_TEMPORARY, _name(segment))
    return length


def write_new(files: Files, records: Iterable[Record]) -> int:
    """Write a temporary segment, durably; return its length in bytes. One that fails takes up no room.

    At its end it says that all before is safe: by the time that it has its number, it is.
    """
    files.remove(_TEMPORARY)
    descriptor = files.create(_TEMPORARY)
    length, next_id = 0, 1
    try:
        block: list[bytes] = []
        for record in records:
            block.append(encode_record(record))
            next_id = max(next_id, _id_of(record) + 1)
            if len(block) == 1000:
                files.write(descriptor, [b"".join(block)])
                length += sum(map(len, block))
                block.clear()
        block.append(encode_record(GroupRecord(length + sum(map(len, block)), next_id)))
        files.write(descriptor, [b"".join(block)])
        length += sum(map(len, block))
        files.sync(descriptor)
    except BaseException:
        with suppress(OSError):
            files.remove(_TEMPORARY)
        raise
    finally:
        files.close(descriptor)
    return length


def _id_of(record: Record) -> int:
    """Return the highest number of an instance that a record gives away, 0 when it gives none."""
    match record:
        case Received():
            return record.id
        case DiscardedRecord(received=Received(id=number)):
            return number
        case GroupRecord() | TotalsRecord():
            return record.next_id - 1
    return 0


@dataclass(frozen=True, slots=True)
class Content:
    """What a journal says: the lines of its newest segment, each of them whole."""

    segment: int
    data: bytes
    last_group: int
    """Where the line of the last group that was written begins; 0 when there is none."""

    def records(self) -> Iterator[Record]:
        """Yield the records. Raises JournalCorrupt when a whole line is no record."""
        for line in self.data.splitlines():
            try:
                yield decode_record(line)
            except BadRecord as error:
                raise JournalCorrupt(f"{_name(self.segment)}: {error}") from error

    def next_id(self) -> int:
        """Return a number that no instance of this journal has: the last group says it, but for what is in it."""
        latest = replace(self, data=self.data[self.last_group :])
        first = next(latest.records(), None)
        if isinstance(first, GroupRecord) and not first.next_id:
            latest = self  # of a gateway that did not write it down
        return max(map(_id_of, latest.records()), default=0) + 1

    @property
    def safe_length(self) -> int:
        """How many bytes of the segment were safe when its last group was written."""
        first = next(replace(self, data=self.data[self.last_group :]).records(), None)
        return first.synced if isinstance(first, GroupRecord) else 0

    @property
    def is_attested(self) -> bool:
        """Whether its last record says that all before is safe."""
        is_last = self.data.find(b"\n", self.last_group) == len(self.data) - 1
        return is_last and 0 < self.safe_length == self.last_group


def read_newest(files: Files) -> Content:
    """Return what the newest segment says; its number is 0 when there is no journal yet. Nothing is changed.

    A record that the process did not finish writing ends the journal. Only checksums are looked at, so that this is
    fast.

    Raises JournalCorrupt.
    """
    segments = _segments(files)
    if not segments:
        return Content(0, b"", 0)
    data = files.read(_name(segments[-1]))
    valid, last_group = _whole_lines(data, _name(segments[-1]))
    return Content(segments[-1], data[:valid], last_group)


def mend(files: Files, content: Content) -> None:
    """Make what was read of the newest segment safe, and all that is left of the journal. Raises OSError.

    A record that was not written whole is cut off, and older segments, left by a crash right after a new one was begun,
    are removed. What nobody knows to be safe is written once more before it is synced: a sync that failed in an earlier
    process is not tried again by the next one, which finds nothing to write (fsyncgate, 2018). On a full volume that
    takes room even for that, it is not: what is there has to drain.
    """
    name = _name(content.segment)
    if (files.size(name) or 0) > len(content.data):
        files.truncate(name, len(content.data))
    descriptor = files.open_at(name, content.safe_length)
    try:
        if not content.is_attested:
            files.write(descriptor, [content.data[content.safe_length :]])
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
    finally:
        try:
            files.sync(descriptor)
        finally:
            files.close(descriptor)
    files.sync_folder(FOLDER)  # whoever gave the segment its name may have ended before that was safe
    for segment in _segments(files):
        if segment != content.segment:
            files.remove(_name(segment))


def _segments(files: Files) -> list[int]:
    return sorted(int(name.removesuffix(".jsonl")) for name in files.list(FOLDER) if name.endswith(".jsonl"))


def _whole_lines(data: bytes, name: str) -> tuple[int, int]:
    """Return where those lines of `data` end that count, and where the last group among them begins.

    A broken line ends the journal, with all behind it: a group that was being written when the power went may have
    reached the volume in any order. It is corruption only if a later group says that its bytes were safe.
    """
    offset = valid = last_group = 0
    broken: int | None = None
    while offset < len(data):
        end = data.find(b"\n", offset)
        following = end + 1 if end >= 0 else len(data)
        line = data[offset : end if end >= 0 else following]
        if end < 0 or not is_whole(line):
            broken = offset if broken is None else broken
        elif is_group(line):
            if broken is None:
                last_group = offset
            elif (safe := _safe_before(line)) > broken:
                raise JournalCorrupt(f"{name} is broken at byte {broken}, although {safe} bytes were safe")
        if broken is None:
            valid = following
        offset = following
    return valid, last_group


def _safe_before(line: bytes) -> int:
    record = decode_record(line)
    return record.synced if isinstance(record, GroupRecord) else 0


def _name(segment: int) -> str:
    return f"{FOLDER}/{segment:08d}.jsonl"
