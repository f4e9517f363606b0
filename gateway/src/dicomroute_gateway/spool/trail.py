"""The journal read behind those who write it: every record that is on stable storage, once, in its order.

A segment that another one replaces stays, under another name, until it has been read to its end. So nothing that was
written down is missed, whenever the process ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

from .files import Files
from .records import BadRecord, GroupRecord, Record, decode_record, is_group
from .segments import JournalCorrupt, name_of, numbers, past_name_of, past_numbers

_READ_BYTES: Final = 1 << 20
"""How much is read at once: a thousand records."""


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """A place in the journal: a segment, and a byte in it at which a record begins."""

    segment: int
    offset: int


class Trail:
    """Reads records up to what is safe. For one thread."""

    def __init__(self, files: Files, safe_end: Callable[[], tuple[int, int]]) -> None:
        """`safe_end` returns the newest segment, and how many bytes of it are on stable storage."""
        self._files = files
        self._safe_end = safe_end
        self._open: tuple[str, BinaryIO] | None = None

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    @property
    def end(self) -> JournalPlace:
        """The end of what is safe at this moment."""
        return JournalPlace(*self._safe_end())

    def has(self, place: JournalPlace) -> bool:
        """Return whether the records from a place on can still be read, without a gap."""
        newest, _ = self._safe_end()
        past = past_numbers(self._files)
        if place.segment > newest or any(one not in past for one in range(place.segment, newest)):
            return False
        size = self._files.size(self._name(place.segment, newest))
        return size is not None and place.offset <= size

    def read(self, place: JournalPlace, until: JournalPlace | None = None) -> tuple[list[Record], JournalPlace]:
        """Return some records from a place on, and the place behind them: an equal one at the end of what is safe.

        Behind a segment that was replaced it is that where the records begin in the next one that the earlier does not
        have. Nothing behind `until` is read, which is in the same segment. Raises OSError, JournalCorrupt.
        """
        newest, safe = self._safe_end()
        if until is not None:
            safe = until.offset
        if place.segment == newest or until is not None:
            most = min(_READ_BYTES, safe - place.offset)
            records, length = self._records(place, newest, most)
            return records, JournalPlace(place.segment, place.offset + length)
        records, length = self._records(place, newest, _READ_BYTES)
        if length:
            return records, JournalPlace(place.segment, place.offset + length)
        return [], JournalPlace(place.segment + 1, self._begin_of_new(place.segment + 1, newest))

    def forget_before(self, segment: int) -> None:
        """Remove the segments that were replaced and have lower numbers: they have been read. Raises OSError."""
        for one in past_numbers(self._files):
            if one < segment:
                self._files.remove(past_name_of(one))

    def _name(self, segment: int, newest: int) -> str:
        return name_of(segment) if segment == newest else past_name_of(segment)

    def _records(self, place: JournalPlace, newest: int, most: int) -> tuple[list[Record], int]:
        if most <= 0:
            return [], 0
        data = self._read(place.segment, newest, place.offset, most)
        end = data.rfind(b"\n") + 1
        while not end and len(data) == most:  # one record that is longer than what is read at once
            most *= 2
            data = self._read(place.segment, newest, place.offset, most)
            end = data.rfind(b"\n") + 1
        records = [_decoded(line) for line in data[:end].splitlines() if not is_group(line)]
        return records, end

    def _read(self, segment: int, newest: int, offset: int, length: int) -> bytes:
        file = self._file(segment, newest)
        file.seek(offset)
        return file.read(length)

    def _file(self, segment: int, newest: int) -> BinaryIO:
        # By its number: a file that is open is the same one when it gets another name.
        key = name_of(segment)
        if self._open is None or self._open[0] != key:
            self.close()
            try:
                file = self._files.open_read(self._name(segment, newest))
            except FileNotFoundError:  # it was replaced this moment
                file = self._files.open_read(past_name_of(segment))
            self._open = (key, file)
        return self._open[1]

    def _begin_of_new(self, segment: int, newest: int) -> int:
        """Return where the records begin in a segment that are not what was known when it was begun.

        What was known ends with a group that says that all before it is safe.
        """
        offset = 0
        while True:
            data = self._read(segment, newest, offset, _READ_BYTES)
            lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
            if not lines:
                return 0
            for line in lines:
                if is_group(line):
                    record = _decoded(line[:-1])
                    is_end = isinstance(record, GroupRecord) and record.synced == offset
                    return offset + len(line) if is_end else 0
                offset += len(line)


def first_place(files: Files) -> JournalPlace:
    """Return where the newest segment begins."""
    return JournalPlace(max(numbers(files), default=1), 0)


def _decoded(line: bytes) -> Record:
    try:
        return decode_record(line)
    except BadRecord as error:
        raise JournalCorrupt(str(error)) from error
