"""Every file operation of the spool, in one narrow place: what can be traced, made to fail, and replayed.

Paths are relative to the folder of the spool. All operations raise OSError.
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a volume that is full."""
_MOST_PIECES: Final = 1024
"""IOV_MAX of Linux: so many pieces are written by one call."""


class Files:
    """The folder of one spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folder = str(folder)
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Return the full path of a file of the spool."""
        return self.folder / name

    def create(self, name: str) -> int:
        """Create a file that does not exist yet and return its descriptor, open for writing and reading."""
        return os.open(f"{self._folder}/{name}", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def reuse(self, old: str, new: str) -> int:
        """Give a file another name, not durably, and return its descriptor, open for writing over it and reading."""
        descriptor = os.open(f"{self._folder}/{old}", os.O_RDWR | os.O_CLOEXEC)
        try:
            self.path(old).rename(self.path(new))
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def open_append(self, name: str) -> int:
        """Open a file for appending; it is created when missing."""
        return os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def open_at(self, name: str, offset: int) -> int:
        """Open a file for writing over what is in it from `offset` on."""
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CLOEXEC)
        os.lseek(descriptor, offset, os.SEEK_SET)
        return descriptor

    def write(self, descriptor: int, pieces: Sequence[bytes | memoryview]) -> None:
        """Write `pieces` behind what was written, in one system call where the operating system takes them so."""
        for start in range(0, len(pieces), _MOST_PIECES):
            views = [memoryview(piece) for piece in pieces[start : start + _MOST_PIECES]]
            written = os.writev(descriptor, views)
            for view in views:
                rest = view[written:]
                written = max(0, written - len(view))
                while rest:
                    rest = rest[os.write(descriptor, rest) :]

    def cut(self, descriptor: int) -> None:
        """Leave nothing in a file behind what was written; not durably."""
        os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))

    def sync(self, descriptor: int) -> None:
        """Return when what was written to the file is on stable storage."""
        os.fdatasync(descriptor)

    def sync_folder(self, name: str) -> None:
        """Return when the names in a folder are on stable storage."""
        descriptor = os.open(self.path(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def make_folder(self, name: str) -> None:
        """Make sure that a folder is there, durably: one that is there may not have been synced before a crash."""
        self.path(name).mkdir(exist_ok=True)
        self.sync_folder(str(Path(name).parent))

    def rename(self, old: str, new: str) -> None:
        """Rename a file, replacing what has the new name, durably."""
        self.path(old).rename(self.path(new))
        self.sync_folder(str(Path(new).parent))

    def put(self, name: str, content: bytes) -> None:
        """Write a whole file, replacing what has its name: durably, and completely or not at all."""
        new = f"{name}.new"
        self.remove(new)
        descriptor = self.create(new)
        try:
            self.write(descriptor, [content])
            self.sync(descriptor)
        finally:
            self.close(descriptor)
        self.rename(new, name)

    def remove(self, name: str) -> None:
        """Remove a file that may be gone already."""
        self.path(name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> bool:
        """Remove a folder if it is empty; return whether it is gone."""
        try:
            self.path(name).rmdir()
        except OSError:
            return False
        return True

    def reserve(self, name: str, length: int) -> None:
        """Let a file take up so much room, unless it does."""
        if self.size(name) == length:
            return
        self.remove(name)
        descriptor = self.create(name)
        try:
            os.posix_fallocate(descriptor, 0, length)
        finally:
            os.close(descriptor)

    def truncate(self, name: str, length: int) -> None:
        """Cut a file to `length` bytes, durably."""
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, length)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, name: str) -> bytes:
        """Return the whole content of a file."""
        return self.path(name).read_bytes()

    def open_read(self, name: str) -> BinaryIO:
        """Open a file for reading."""
        return self.path(name).open("rb")

    def read_at(self, descriptor: int, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of an open file at `offset`."""
        return os.pread(descriptor, length, offset)

    def size(self, name: str) -> int | None:
        """Return the length of a file, or None when there is none."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return None

    def list(self, name: str) -> list[str]:
        """Return the names in a folder, sorted; none when there is no such folder."""
        try:
            return sorted(os.listdir(self.path(name)))
        except FileNotFoundError:
            return []

    def lock(self, name: str) -> int | None:
        """Take the lock file for this process; return its descriptor, or None when another process has it."""
        import fcntl  # noqa: PLC0415  whoever reads a copy of a spool locks nothing, on whichever system

        descriptor = os.open(self.path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def file_system_type(self) -> str:
        """Return the type of the file system, such as ext4; "" when the system does not say."""
        device = self.folder.stat().st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            if before.split()[2] == wanted:
                return after.split()[0]
        return ""

    def file_system(self) -> tuple[int, int]:
        """Return the size of the file system and how much of it is free to this process, in bytes."""
        stat = os.statvfs(self.folder)
        return stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize
