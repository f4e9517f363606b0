"""Reading what is kept: the content of an instance's file, whether it is encrypted or not."""

import io
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from dicomroute_gateway.reasons import Reason

from .keys import KEY_MISSING, Keys
from .sealed import KeyUnknown, SealBroken, sealed_length, unseal

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_STREAM_BYTES: Final = 1 << 16
UNREADABLE: Final = Reason.SPOOL_UNREADABLE
RECIPE_MISSING: Final = Reason.RECIPE_MISSING
TREATMENT_KEY_MISSING: Final = Reason.TREATMENT_KEY_MISSING
FAULTS_OF_THE_SPOOL: Final = frozenset((UNREADABLE, KEY_MISSING, RECIPE_MISSING, TREATMENT_KEY_MISSING))


class Unreadable(Exception):
    """A file of the spool cannot be read; `reason` is one of FAULTS_OF_THE_SPOOL, the message says what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Seal:
    """How a file is encrypted: the number of its instance, the id of its key, and the keys of the moment."""

    identifier: int
    key_id: str
    keys: Callable[[], Keys]


class Readers:
    """Which files are being read: they get no other bytes meanwhile. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Path] = Counter()

    def begin(self, path: Path) -> None:
        """Say so before a file is opened."""
        with self._lock:
            self._counts[path] += 1

    def end(self, path: Path) -> None:
        """Say so when a file is closed, or could not be opened."""
        with self._lock:
            self._counts[path] -= 1
            if not self._counts[path]:
                del self._counts[path]

    def has(self, path: Path) -> bool:
        """Return whether a file is open, or about to be opened, by that name."""
        with self._lock:
            return path in self._counts


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file with `length` bytes of content, in clear without a seal."""

    path: Path
    length: int
    seal: Seal | None = None
    readers: Readers = field(default_factory=Readers, compare=False, repr=False)

    def fault(self) -> Unreadable | None:
        """Return why the file cannot be read, as far as that shows without reading it, or None."""
        if self.seal is not None and self.seal.key_id not in self.seal.keys().by_id:
            return key_missing(self.seal.key_id)
        wanted = self.length if self.seal is None else sealed_length(self.length)
        try:
            if self.path.stat().st_size == wanted:
                return None
        except OSError:
            pass
        return Unreadable(UNREADABLE, f"{self.path.name} cannot be read from the spool, or has a wrong length")

    def open(self) -> "Content":
        """Open it for reading. Raises Unreadable."""
        self.readers.begin(self.path)
        try:
            return Content(self, os.open(self.path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            self.readers.end(self.path)
            raise _unreadable(self.path, error) from error

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Say that the file is being read by its path."""
        self.readers.begin(self.path)
        try:
            yield
        finally:
            self.readers.end(self.path)


class Content:
    """The content of an open file. For one thread at a time; decrypting happens in the one that reads."""

    def __init__(self, file: StoredFile, descriptor: int) -> None:
        self.length = file.length
        self._file = file
        self._descriptor: int | None = descriptor
        self._read: Callable[[int, int], bytes] | None = self._bytes if file.seal is None else None

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`, fewer at the end alone, and none that are not as they were kept.

        Raises Unreadable.
        """
        length = min(length, self.length - offset)
        try:
            if self._read is None:
                seal = self._file.seal
                assert seal is not None
                self._read = unseal(self._bytes, seal.identifier, self.length, seal.keys().by_id).read_at
            data = self._read(offset, length) if length > 0 else b""
        except KeyUnknown as error:
            raise key_missing(error.key_id) from error
        except (SealBroken, OSError) as error:
            raise _unreadable(self._file.path, error) from error
        if len(data) < length:
            raise Unreadable(UNREADABLE, f"{self._file.path.name} ends {length - len(data)} bytes early")
        return data

    def read_cached(self, offset: int, length: int) -> bytearray | None:
        """Return what `read_at` returns if it takes neither the disk nor decrypting, else None."""
        if self._file.seal is not None or self._descriptor is None:
            return None
        data = bytearray(min(length, self.length - offset))
        try:
            count = os.preadv(self._descriptor, [data], offset, os.RWF_NOWAIT)
        except OSError:  # not in memory, or a file system that does not say
            return None
        return data if count == len(data) else None

    def stream(self, offset: int = 0) -> io.BufferedReader:
        """Return what begins at `offset` as a file whose first byte that is. Reading it raises Unreadable."""
        return io.BufferedReader(_Stream(self, offset), _STREAM_BYTES)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)
            self._file.readers.end(self._file.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _bytes(self, offset: int, length: int) -> bytes:
        """Return bytes of the file as they are on the volume."""
        assert self._descriptor is not None
        return os.pread(self._descriptor, length, offset)


class _Stream(io.RawIOBase):
    def __init__(self, content: Content, offset: int) -> None:
        super().__init__()
        self._content = content
        self._begin = self._offset = offset

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: self._begin, io.SEEK_CUR: self._offset, io.SEEK_END: self._content.length}[whence]
        self._offset = max(self._begin, base + offset)
        return self.tell()

    def tell(self) -> int:
        return self._offset - self._begin

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._content.read_at(self._offset, len(view))
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)


def key_missing(key_id: str) -> Unreadable:
    """Return what is said of a file whose key is not there."""
    return Unreadable(
        KEY_MISSING,
        f"it is encrypted with the key {key_id}, which is not in the Secret of gateway.spool.encryption: add it there "
        "as another line",
    )


def _unreadable(path: Path, error: Exception) -> Unreadable:
    why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return Unreadable(UNREADABLE, f"{path.name}: {why}")
