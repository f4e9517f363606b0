"""Opens a DICOM file far enough to read its data set as it would cross an association (PS3.10 section 7.1)."""

import os
from dataclasses import dataclass
from pathlib import Path

from dicomroute_gateway.rules.head import HeadError, scan

_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_TRANSFER_SYNTAX_UID = 0x00020010


class NotAnInstance(ValueError):
    """What was given is no DICOM file; the sentence says why."""


@dataclass(frozen=True)
class InstanceFile:
    """A DICOM file: what it is called, where its data set begins, and its transfer syntax."""

    path: Path
    descriptor: int
    offset: int
    transfer_syntax_uid: str

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of the data set at `offset`."""
        return os.pread(self.descriptor, length, self.offset + offset)


def open_instance(path: Path) -> InstanceFile:
    """Return the opened file. Raises NotAnInstance when it is none that PS3.10 describes."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotAnInstance(f"{path} cannot be read: {error.strerror}") from error
    return of_descriptor(descriptor, path)


def of_descriptor(descriptor: int, path: Path) -> InstanceFile:
    """Return an opened file by its descriptor; `path` is what it is called. Raises NotAnInstance."""
    try:
        head = os.pread(descriptor, 144, 0)
    except OSError as error:
        raise NotAnInstance(f"{path} cannot be read: {error.strerror}") from error
    if head[128:132] != b"DICM" or head[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise NotAnInstance(f"{path} is not a DICOM file: it has no File Meta Information (PS3.10 7.1)")
    end = 144 + int.from_bytes(head[140:144], "little")

    def read_meta(offset: int, length: int) -> bytes:
        return os.pread(descriptor, min(length, max(0, end - 132 - offset)), 132 + offset)

    try:
        meta = scan(read_meta, _EXPLICIT_VR_LITTLE_ENDIAN, [_TRANSFER_SYNTAX_UID], reserved=())
        syntax = meta[_TRANSFER_SYNTAX_UID].value.rstrip(b"\0 ").decode("ascii")
    except (HeadError, KeyError, UnicodeDecodeError) as error:
        raise NotAnInstance(f"{path} does not say its transfer syntax (0002,0010)") from error
    return InstanceFile(path, descriptor, end, syntax)
