"""Files that are made of instances for destinations that do not take them as they came.

One an instance and recipe, made whole and safe before it is first used, the same bytes for every attempt, and removed
with the instance: `derived/000000000042-RECIPE.dcm`. What is not there after a crash is made again, and so is what an
earlier release made, which had one an instance whatever it was made for.
"""

import errno
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from .content import Seal, StoredFile, key_missing
from .files import Files
from .keys import Keys
from .records import Received
from .sealed import SALT_BYTES, Sealer, content_length

FOLDER: Final = "derived"
_NAME: Final = re.compile(r"([0-9]{12})-([0-9a-f]{16})\.dcm")

_Made = tuple[int, str]
"""The number of an instance and the id of a recipe."""


class Derived:
    """The derived files of a spool. Safe to use from several threads."""

    def __init__(
        self, files: Files, keys: Callable[[], Keys], is_known: Callable[[int], bool] = lambda _: True
    ) -> None:
        """`is_known` says of an instance whether somebody is still to get it."""
        self._is_known = is_known
        self._files = files
        self._keys = keys
        self._mutex = threading.Lock()
        self._making: dict[_Made, tuple[threading.Lock, int]] = {}
        """For each file that is being made: who makes it, and how many want it."""
        self._lengths: dict[int, dict[str, int]] = {}
        """Of each instance, the lengths of its files by recipe."""
        self.total_bytes = 0
        """How much room they take."""

    def find(self, is_known: Callable[[int], bool]) -> None:
        """Take over what an earlier run made, and remove what belongs to nothing. Raises OSError."""
        for name in self._files.list(FOLDER):
            found = _NAME.fullmatch(name)
            if found and is_known(int(found[1])):
                self._add((int(found[1]), found[2]), self._files.size(f"{FOLDER}/{name}") or 0)
            else:
                self._files.remove(f"{FOLDER}/{name}")

    def file(self, received: Received, recipe: str, make: Callable[[], Iterable[bytes]]) -> StoredFile:
        """Return what was made of an instance by a recipe; `make` yields its bytes when it is not there.

        Raises OSError, also when the instance went meanwhile, Unreadable when the key of the instance is not there, and
        what `make` raises.
        """
        identifier, key = received.id, None
        if received.key:
            key = self._keys().by_id.get(received.key)
            if key is None:
                raise key_missing(received.key)
        made = (identifier, recipe)
        name = _file_of(made)
        with self._alone(made):
            size = self._files.size(name) if recipe in self._lengths.get(identifier, ()) else None
            if size is None:
                size = self._make(name, make, Sealer(key, identifier, os.urandom(SALT_BYTES)) if key else None)
                self._add(made, size)
                # Whoever removed the instance before that did not know of this file.
                if not self._is_known(identifier):
                    self.remove(identifier)
                    raise FileNotFoundError(errno.ENOENT, "the instance is no longer in the spool")
        seal = Seal(identifier, received.key, self._keys) if received.key else None
        return StoredFile(self._files.path(name), content_length(size) if seal else size, seal)

    def remove(self, identifier: int) -> None:
        """Remove all that was made of an instance. Raises OSError."""
        for recipe in list(self._lengths.get(identifier, ())):
            self.remove_one(identifier, recipe)

    def remove_one(self, identifier: int, recipe: str) -> None:
        """Remove what was made of an instance by one recipe, if it was. Raises OSError."""
        if recipe not in self._lengths.get(identifier, ()):
            return
        self._files.remove(_file_of((identifier, recipe)))
        with self._mutex:
            left = self._lengths.get(identifier, {})
            self.total_bytes -= left.pop(recipe, 0)
            if not left:
                self._lengths.pop(identifier, None)

    @contextmanager
    def _alone(self, made: _Made) -> Iterator[None]:
        """Let one make a file; others are made meanwhile."""
        with self._mutex:
            lock, wanted = self._making.get(made, (threading.Lock(), 0))
            self._making[made] = lock, wanted + 1
        try:
            with lock:
                yield
        finally:
            with self._mutex:
                lock, wanted = self._making.pop(made)
                if wanted > 1:
                    self._making[made] = lock, wanted - 1

    def _add(self, made: _Made, length: int) -> None:
        identifier, recipe = made
        with self._mutex:
            lengths = self._lengths.setdefault(identifier, {})
            self.total_bytes += length - lengths.get(recipe, 0)
            lengths[recipe] = length

    def _make(self, name: str, make: Callable[[], Iterable[bytes]], sealer: Sealer | None) -> int:
        with self._mutex:
            if FOLDER not in self._files.list("."):
                self._files.make_folder(FOLDER)
        new = f"{name}.new"
        self._files.remove(new)
        descriptor = self._files.create(new)
        try:
            length = 0
            for pieces in _pieces(make(), sealer):
                self._files.write(descriptor, pieces)
                length += sum(map(len, pieces))
            self._files.sync(descriptor)
        except BaseException:
            with suppress(OSError):
                self._files.remove(new)
            raise
        finally:
            self._files.close(descriptor)
        self._files.rename(new, name)
        return length


def _file_of(made: _Made) -> str:
    identifier, recipe = made
    return f"{FOLDER}/{identifier:012d}-{recipe}.dcm"


def _pieces(blocks: Iterable[bytes], sealer: Sealer | None) -> Iterator[list[bytes]]:
    for block in blocks:
        yield [block] if sealer is None else sealer.seal([block], is_last=False)
    if sealer is not None:
        yield sealer.seal([], is_last=True)
