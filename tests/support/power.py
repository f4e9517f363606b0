"""What a volume may hold after a power loss: a model of a POSIX file system that keeps no more than was synced.

From a recording of file operations, `Recording.state` makes one of the states that a crash at some moment may leave:
each name that was not synced with its folder may be there or not, each write that was not synced with its file may be
absent, short or zeros; what it was written over is there then. A sync covers what was complete when it began, once it
has ended.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

NEVER = 1 << 60


@dataclass
class Operation:
    """One file operation; `begin` and `end` are moments of one clock, `name` is relative to the spool."""

    kind: str
    name: str
    inode: int = 0
    data: bytes = b""
    offset: int = 0
    begin: int = 0
    end: int = NEVER


@dataclass(frozen=True)
class Fact:
    """Something that was promised or achieved: an instance was acknowledged or delivered, a study completed.

    Of a study `uid` is its Study Instance UID, and `digest` says its revision.
    """

    time: int
    what: str
    uid: str
    digest: str


@dataclass(frozen=True)
class Weather:
    """How a crash treats what was not synced: whether a name is kept, and what may be left of data."""

    name: str
    keeps_name: Callable[[], bool]
    remains: Sequence[Callable[[bytes], bytes]]
    dice: random.Random = field(default_factory=random.Random)

    def leaves(self, data: bytes) -> bytes:
        """Return what is left of the data that was not synced."""
        return self.dice.choice(self.remains)(data)


def weathers(seed: int) -> tuple[Weather, ...]:
    """Return the ways in which a crash may go."""
    dice = random.Random(seed)
    remains: tuple[Callable[[bytes], bytes], ...] = (
        lambda _: b"",
        lambda data: data,
        lambda data: bytes(len(data)),
        lambda data: data[: dice.randrange(len(data) + 1)],
        lambda data: bytes(len(data) // 2) + data[len(data) // 2 :],
    )
    return (
        Weather("nothing unsynced is left", lambda: False, remains[:1]),
        Weather("names without data", lambda: True, remains[:1]),
        Weather("names with zeros", lambda: True, remains[2:3]),
        Weather("everything is left", lambda: True, remains[1:2]),
        Weather("anything", lambda: dice.random() < 0.5, remains, dice),
    )


@dataclass
class Recording:
    """The operations and facts of one run, in the order of their beginning."""

    operations: list[Operation]
    facts: list[Fact] = field(default_factory=list)

    def without(self, kind: str, start: str) -> "Recording":
        """Return the recording as if a kind of sync of names that begin so had been left out."""
        kept = [one for one in self.operations if not (one.kind == kind and one.name.startswith(start))]
        return replace(self, operations=kept)

    def moments(self) -> Iterator[int]:
        """Yield a moment after each operation has begun, after it has ended, and after each fact."""
        times = {one.begin for one in self.operations} | {one.end for one in self.operations if one.end < NEVER}
        yield from sorted(times | {fact.time for fact in self.facts})

    def state(self, moment: int, weather: Weather, folder: Path) -> None:
        """Write what a crash at a moment leaves into an empty folder."""
        begun = [one for one in self.operations if one.begin <= moment]
        synced: dict[str | int, int] = {}
        for one in begun:
            if one.end <= moment and one.kind in ("sync", "sync_folder"):
                synced[one.inode if one.kind == "sync" else one.name] = one.begin
        names: dict[str, int] = {}
        contents: dict[int, _Content] = {}
        for one in begun:
            if one.kind in ("write", "cut", "truncate"):
                contents[one.inode].take(one, is_safe=one.kind == "truncate" or one.end <= synced.get(one.inode, 0))
                continue
            if one.kind == "create":
                contents[one.inode] = _Content()
            if one.kind == "rename":
                if _is_kept(one, one.data.decode(), synced, weather):
                    has_both = one.name in names and not _is_kept(one, one.name, synced, weather)
                    _apply(names, one)
                    names |= {one.name: one.inode} if has_both else {}
            elif one.kind in ("create", "mkdir", "remove", "rmdir") and _is_kept(one, one.name, synced, weather):
                _apply(names, one)
        for name in sorted(names):
            if any(str(above) not in names for above in PurePosixPath(name).parents if str(above) != "."):
                continue
            if names[name] == 0:
                (folder / name).mkdir()
            else:
                (folder / name).write_bytes(contents[names[name]].after(weather))


def _is_kept(one: Operation, name: str, synced: dict[str | int, int], weather: Weather) -> bool:
    """Return whether a change of a name is there after the crash: it is safe once its folder is synced."""
    return one.end <= synced.get(str(PurePosixPath(name).parent), 0) or weather.keeps_name()


class _Content:
    """The bytes of a file: those that are safe, and what was written since, over them or behind them."""

    def __init__(self) -> None:
        self._safe = bytearray()
        self._since: list[Operation] = []

    def take(self, one: Operation, *, is_safe: bool) -> None:
        if not is_safe:
            # What is written over with the same bytes is the same, however much of that arrives.
            there = self._safe[one.offset : one.offset + len(one.data)]
            same = next((n for n, (a, b) in enumerate(zip(there, one.data, strict=False)) if a != b), len(there))
            self._since.append(replace(one, data=one.data[same:], offset=one.offset + same))
        elif one.kind == "write":
            _write_over(self._safe, one.offset, one.data)
        else:
            del self._safe[one.offset :]

    def after(self, weather: Weather) -> bytes:
        """Return what a crash leaves: what was written in a row since the last sync goes as one."""
        left = bytearray(self._safe)
        rows: list[tuple[int, bytearray]] = []
        for one in self._since:
            if one.kind == "cut":
                if weather.keeps_name():
                    del left[one.offset :]
            elif rows and rows[-1][0] + len(rows[-1][1]) == one.offset:
                rows[-1][1].extend(one.data)
            else:
                rows.append((one.offset, bytearray(one.data)))
        for offset, data in rows:
            _write_over(left, offset, weather.leaves(bytes(data)))
        return bytes(left)


def _write_over(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content)) if data else 0))
    content[offset : offset + len(data)] = data


def _apply(names: dict[str, int], one: Operation) -> None:
    if one.kind in ("create", "mkdir"):
        names[one.name] = one.inode
    elif one.kind != "rmdir" or not any(name.startswith(f"{one.name}/") for name in names):
        names.pop(one.name, None)
        if one.kind == "rename":
            names[one.data.decode()] = one.inode
