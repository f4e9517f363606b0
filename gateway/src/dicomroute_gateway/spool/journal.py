"""The journal: an append-only file of records, synced in groups.

Whoever needs a record to be safe calls `sync`; the first to come writes and syncs for all whose records have
arrived meanwhile. There is no timer: a lone sender waits for its own sync and for nothing else.
"""

import errno
import math
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from .files import NO_ROOM, Files
from .records import GroupRecord, Record, encode_record
from .segments import FOLDER, id_of, name_of, past_name_of, put_in_place, write_new

_RESERVE: Final = f"{FOLDER}/reserve"
_RESERVE_BYTES: Final = 1 << 20


class JournalFailed(Exception):
    """The journal could not be written; what it says can no longer be relied on until a restart."""


class Journal:
    """The newest segment of the journal, open for appending."""

    def __init__(self, files: Files, segment: int, next_id: int, *, is_attested: bool = False) -> None:
        """Open a segment that is safe, for appending; `is_attested`: its last record says so. Raises OSError."""
        self._files = files
        self._segment = segment
        self._next_id = next_id
        self._descriptor = files.open_append(name_of(segment))
        self._mutex = threading.Lock()
        self._waiters: list[_Waiter] = []
        self._writing = False
        self._failure: OSError | None = None
        self._buffer: list[bytes] = []
        self._appended = self._written = self._synced = 0
        self.keeps_past = False
        """Whether a segment that is replaced is kept for whoever reads behind (`trail`), who removes it."""
        self.length = files.size(name_of(segment)) or 0
        self._safe_length = self.length
        self._attested_length = self.length if is_attested else 0
        """How long it was when it said last that all of it is safe."""
        try:
            self._attest()
            self.keep_reserve()
        except OSError:
            files.close(self._descriptor)
            raise

    @property
    def failure(self) -> OSError | None:
        """What made the journal fail, or None."""
        return self._failure

    @property
    def safe_end(self) -> tuple[int, int]:
        """The number of the segment, and how many bytes of it are on stable storage."""
        with self._mutex:
            return self._segment, self._safe_length

    def append(self, record: Record) -> int:
        """Take a record over; return the position that `sync` has to reach for it to be safe."""
        line = encode_record(record)
        with self._mutex:
            self._buffer.append(line)
            self._next_id = max(self._next_id, id_of(record) + 1)
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
        if self.keeps_past:
            self.sync()  # what is not written there yet would be in `records` alone, as what came of it
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
            old, self._descriptor = self._descriptor, self._files.open_append(name_of(self._segment + 1))
            self._files.close(old)
            if self.keeps_past:
                self._files.rename(name_of(self._segment), past_name_of(self._segment))
            else:
                self._files.remove(name_of(self._segment))
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
            self._put(data)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
        else:
            self.length += len(data)
            self._attested_length = self.length

    def _append(self, data: bytes) -> None:
        """Write lines; what was kept back for it makes room where the volume has none: a full one must still drain."""
        try:
            self._put(data)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self._files.remove(_RESERVE)
            self._put(data)

    def _put(self, data: bytes) -> None:
        """Write lines; nothing of them stays where the volume has no room for all. Raises OSError."""
        try:
            self._files.write(self._descriptor, [data])
        except OSError as error:
            if error.errno in NO_ROOM:
                self._files.truncate(name_of(self._segment), self.length)
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
