"""An instance on its way into the spool: a file that nothing speaks of yet."""

import hashlib
from typing import Final

from .files import Files
from .part10 import file_head

IDS_PER_FOLDER: Final = 4096
DIGEST: Final = "sha512_256"
"""SHA-512/256 (FIPS 180-4): where the processor has no instructions for SHA-256, three times as fast."""


def folder_of(identifier: int) -> str:
    """Return the folder in which the file of an instance lies."""
    return f"instances/{identifier // IDS_PER_FOLDER:08d}"


def file_of(identifier: int) -> str:
    """Return the file of an instance. The name is ours: nothing that a peer sends becomes part of a path."""
    return f"{folder_of(identifier)}/{identifier:012d}.dcm"


class Incoming:
    """A file that is being written. All methods raise OSError."""

    def __init__(
        self,
        files: Files,
        identifier: int,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
    ) -> None:
        self._files = files
        self._digest = hashlib.new(DIGEST)
        self.id = identifier
        self.length = 0
        head = file_head(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        self._data_set_offset = len(head)
        self._descriptor: int | None = files.create(file_of(identifier))
        try:
            files.write(self._descriptor, [head])
        except OSError:
            self.discard()
            raise

    @property
    def file_length(self) -> int:
        """The length of the file, its head included."""
        return self._data_set_offset + self.length

    @property
    def digest(self) -> str:
        """The digest of the data set so far, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: memoryview) -> None:
        """Append to the data set."""
        assert self._descriptor is not None
        self._files.write(self._descriptor, [data])
        self._digest.update(data)
        self.length += len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of the data set at `offset`."""
        assert self._descriptor is not None
        return self._files.read_at(self._descriptor, self._data_set_offset + offset, length)

    def sync(self) -> None:
        """Return when the bytes are on stable storage, and close the file."""
        assert self._descriptor is not None
        self._files.sync(self._descriptor)
        self._close()

    def discard(self) -> None:
        """Remove the file."""
        self._close()
        self._files.remove(file_of(self.id))

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            self._files.close(descriptor)
