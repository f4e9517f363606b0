"""What a volume may hold after a power loss: a model of a POSIX file system that keeps no more than was synced.

From a recording of file operations, `Recording.state` makes one of the states that a crash at some moment may leave:
each name that was not synced with its folder may be there or not, each write that was not synced with its file may be
absent, short or zeros. A sync covers what was complete when it began, once it has ended.
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
    begin: int = 0
    end: int = NEVER


@dataclass(frozen=True)
class Fact:
    """Something that was promised or achieved: an instance was acknowledged or delivered."""

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
        contents: dict[int, tuple[bytearray, bytearray]] = {}
        for one in begun:
            if one.kind == "write":
                safe, unsafe = contents[one.inode]
                (safe if one.end <= synced.get(one.inode, 0) else unsafe).extend(one.data)
            elif one.kind == "truncate":
                for part in contents[one.inode]:
                    del part[int(one.data) :]
            elif one.kind in ("create", "mkdir", "rename", "remove", "rmdir"):
                if one.kind == "create":
                    contents[one.inode] = (bytearray(), bytearray())
                parent = str(PurePosixPath(one.name).parent)
                if one.end <= synced.get(parent, 0) or weather.keeps_name():
                    _apply(names, one)
        for name in sorted(names):
            if any(str(above) not in names for above in PurePosixPath(name).parents if str(above) != "."):
                continue
            if names[name] == 0:
                (folder / name).mkdir()
            else:
                safe, unsafe = contents[names[name]]
                (folder / name).write_bytes(bytes(safe) + (weather.leaves(bytes(unsafe)) if unsafe else b""))


def _apply(names: dict[str, int], one: Operation) -> None:
    if one.kind in ("create", "mkdir"):
        names[one.name] = one.inode
    elif one.kind != "rmdir" or not any(name.startswith(f"{one.name}/") for name in names):
        names.pop(one.name, None)
        if one.kind == "rename":
            names[one.data.decode()] = one.inode
