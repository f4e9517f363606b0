"""The head of a DICOM file: preamble and File Meta Information (PS3.10 section 7.1).

Constant for a data set: the same instance gives the same bytes whoever sent it, whenever. Facts of the peer
are in the journal. The preamble is zero, so that a file can be nothing but DICOM (CVE-2019-11687).
"""

import struct
from dataclasses import dataclass
from typing import Final

from dicomroute_gateway.identity import IMPLEMENTATION_CLASS_UID

PREAMBLE: Final = bytes(128) + b"DICM"


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return everything that precedes the data set in its file."""
    elements = (
        struct.pack("<HH2sHI", 0x0002, 0x0001, b"OB", 0, 2)
        + b"\0\1"
        + _uid(0x0002, sop_class_uid)
        + _uid(0x0003, sop_instance_uid)
        + _uid(0x0010, transfer_syntax_uid)
        + _uid(0x0012, IMPLEMENTATION_CLASS_UID)
    )
    return PREAMBLE + struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(elements)) + elements


def head_length(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> int:
    """Return the length of `file_head`, without making it."""
    uids = (sop_class_uid, sop_instance_uid, transfer_syntax_uid)
    return _EMPTY_HEAD_BYTES + sum(len(uid) + len(uid) % 2 for uid in uids)


def meta_length(data: bytes) -> int | None:
    """Return where the data set begins in the first bytes of a file, None when they are too few or no such file.

    A file that says no group length (0002,0000) is walked through: its meta information is Explicit VR Little Endian.
    """
    if data[128:132] != b"DICM":
        return None
    offset = len(PREAMBLE)
    if data[offset : offset + 6] == b"\2\0\0\0UL" and len(data) >= offset + 12:
        end: int = offset + 12 + struct.unpack_from("<I", data, offset + 8)[0]
        return end if len(data) >= end else None
    while len(data) >= offset + 12:
        if data[offset : offset + 2] != b"\2\0":
            return offset
        if data[offset + 4 : offset + 6] in (b"OB", b"UN"):
            offset += 12 + struct.unpack_from("<I", data, offset + 8)[0]
        else:
            offset += 8 + struct.unpack_from("<H", data, offset + 6)[0]
    return None


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What File Meta Information says of the data set behind it, which has `length_before` bytes before it."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length_before: int


def file_meta(data: bytes) -> FileMeta | None:
    """Return what the first bytes of a file say, None when they are too few or no such file."""
    end = meta_length(data)
    if end is None:
        return None
    values, offset = dict[int, str](), len(PREAMBLE)
    while offset + 12 <= end:
        element = struct.unpack_from("<H", data, offset + 2)[0]
        if data[offset + 4 : offset + 6] in (b"OB", b"UN"):
            offset += 12 + int(struct.unpack_from("<I", data, offset + 8)[0])
            continue
        length = int(struct.unpack_from("<H", data, offset + 6)[0])
        values[element] = data[offset + 8 : offset + 8 + length].rstrip(b"\0 ").decode("latin-1")
        offset += 8 + length
    return FileMeta(values.get(0x0002, ""), values.get(0x0003, ""), values.get(0x0010, ""), end)


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, element, b"UI", len(value)) + value


_EMPTY_HEAD_BYTES: Final = len(file_head("", "", ""))
