"""Segments of the journal: files of records, of which the newest says all. Reading them again, and making them safe."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from .files import NO_ROOM, Files
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
PAST: Final = ".past"
_TEMPORARY: Final = f"{FOLDER}/new"


class JournalCorrupt(Exception):
    """The journal is broken where it was once safe: bytes have changed since."""


def write_segment(files: Files, segment: int, records: Iterable[Record]) -> int:
    """Write a whole segment so that it is there completely or not at all; return its length in bytes."""
    return put_in_place(files, segment, write_new(files, records))


def put_in_place(files: Files, segment: int, length: int) -> int:
    """Give the temporary segment its number; return `length`, its length in bytes."""
    files.rename(_TEMPORARY, name_of(segment))
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
            next_id = max(next_id, id_of(record) + 1)
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


def id_of(record: Record) -> int:
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
class JournalContent:
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
                raise JournalCorrupt(f"{name_of(self.segment)}: {error}") from error

    def next_id(self) -> int:
        """Return a number that no instance of this journal has: the last group says it, but for what is in it."""
        latest = replace(self, data=self.data[self.last_group :])
        first = next(latest.records(), None)
        if isinstance(first, GroupRecord) and not first.next_id:
            latest = self  # of a gateway that did not write it down
        return max(map(id_of, latest.records()), default=0) + 1

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


def read_newest(files: Files) -> JournalContent:
    """Return what the newest segment says; its number is 0 when there is no journal yet. Nothing is changed.

    A record that the process did not finish writing ends the journal. Only checksums are looked at, so that this is
    fast.

    Raises JournalCorrupt.
    """
    segments = numbers(files)
    if not segments:
        return JournalContent(0, b"", 0)
    data = files.read(name_of(segments[-1]))
    valid, last_group = _whole_lines(data, name_of(segments[-1]))
    return JournalContent(segments[-1], data[:valid], last_group)


def mend(files: Files, content: JournalContent, *, keeps_past: bool = False) -> None:
    """Make what was read of the newest segment safe, and all that is left of the journal. Raises OSError.

    A record that was not written whole is cut off. An older segment, left by a crash right after a new one was begun,
    is removed, or with `keeps_past` kept for whoever reads behind those who write (`trail`). What nobody knows to be
    safe is written once more before it is synced: a sync that failed in an earlier process is not tried again by the
    next one, which finds nothing to write (fsyncgate, 2018). On a full volume that takes room even for that, it is not:
    what is there has to drain.
    """
    name = name_of(content.segment)
    if (files.size(name) or 0) > len(content.data):
        files.truncate(name, len(content.data))
    descriptor = files.open_at(name, content.safe_length)
    try:
        if not content.is_attested:
            files.write(descriptor, [content.data[content.safe_length :]])
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
    finally:
        try:
            files.sync(descriptor)
        finally:
            files.close(descriptor)
    files.sync_folder(FOLDER)  # whoever gave the segment its name may have ended before that was safe
    for segment in numbers(files):
        if segment != content.segment:
            if keeps_past:
                files.rename(name_of(segment), past_name_of(segment))
            else:
                files.remove(name_of(segment))


def numbers(files: Files) -> list[int]:
    """Return the numbers of the segments, the newest last."""
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
                raise JournalCorrupt(f"{name} is damaged at byte {broken}, but {safe} bytes were on stable storage")
        if broken is None:
            valid = following
        offset = following
    return valid, last_group


def _safe_before(line: bytes) -> int:
    record = decode_record(line)
    return record.synced if isinstance(record, GroupRecord) else 0


def name_of(segment: int) -> str:
    """Return the file of a segment."""
    return f"{FOLDER}/{segment:08d}.jsonl"


def past_name_of(segment: int) -> str:
    """Return the file of a segment that another one has replaced; nothing of the spool depends on it."""
    return f"{FOLDER}/{segment:08d}{PAST}"


def past_numbers(files: Files) -> list[int]:
    """Return the numbers of the segments that others have replaced, the newest last."""
    return sorted(int(name.removesuffix(PAST)) for name in files.list(FOLDER) if name.endswith(PAST))
