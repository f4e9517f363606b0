"""Files that are made of instances for destinations that do not take them as they came.

One an instance, made whole and safe before it is first used, the same bytes for every attempt, and removed with the
instance: `derived/000000000042.dcm`. What is not there after a crash is made again.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from .files import Files

FOLDER: Final = "derived"


class Derived:
    """The derived files of a spool. Safe to use from several threads."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._mutex = threading.Lock()
        self._making = threading.Lock()
        self._lengths: dict[int, int] = {}
        self.total_bytes = 0
        """How much room they take."""

    def find(self, is_known: Callable[[int], bool]) -> None:
        """Take over what an earlier run made, and remove what belongs to nothing. Raises OSError."""
        for name in self._files.list(FOLDER):
            number = int(name[:12]) if name.endswith(".dcm") and name[:12].isdecimal() else 0
            if number and is_known(number):
                self._add(number, self._files.size(f"{FOLDER}/{name}") or 0)
            else:
                self._files.remove(f"{FOLDER}/{name}")

    def file(self, identifier: int, make: Callable[[], Iterable[bytes]]) -> tuple[Path, int]:
        """Return the file of an instance and its length; `make` yields its bytes when it is not there.

        Raises OSError, and what `make` raises.
        """
        name = f"{FOLDER}/{identifier:012d}.dcm"
        with self._making:
            length = self._files.size(name) if identifier in self._lengths else None
            if length is None:
                length = self._make(name, make)
                self._add(identifier, length)
        return self._files.path(name), length

    def remove(self, identifier: int) -> None:
        """Remove what was made of an instance. Raises OSError."""
        if identifier in self._lengths:
            self._files.remove(f"{FOLDER}/{identifier:012d}.dcm")
            with self._mutex:
                self.total_bytes -= self._lengths.pop(identifier)

    def _add(self, identifier: int, length: int) -> None:
        with self._mutex:
            self.total_bytes += length - self._lengths.get(identifier, 0)
            self._lengths[identifier] = length

    def _make(self, name: str, make: Callable[[], Iterable[bytes]]) -> int:
        if FOLDER not in self._files.list("."):
            self._files.make_folder(FOLDER)
        new = f"{name}.new"
        self._files.remove(new)
        descriptor = self._files.create(new)
        try:
            length = 0
            for block in make():
                self._files.write(descriptor, [block])
                length += len(block)
            self._files.sync(descriptor)
        except BaseException:
            with suppress(OSError):
                self._files.remove(new)
            raise
        finally:
            self._files.close(descriptor)
        self._files.rename(new, name)
        return length
