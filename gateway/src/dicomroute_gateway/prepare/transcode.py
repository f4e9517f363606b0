"""Writes a data set in Implicit VR Little Endian as Explicit VR Little Endian (PS3.5 A.1, A.2), in a stream.

For destinations that take explicit VR alone. No value changes, pixels least of all: elements get the VR of the data
dictionary, unknown and private ones UN (PS3.5 6.2.2), sequences are written with undefined length, and group lengths
(gggg,0000), which would no longer be true, are left out. Equal data sets give equal bytes. Own code, because pydicom
holds every value in memory, and an instance may have gigabytes. Pure but for the file it reads.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO, Final

from pydicom.datadict import dictionary_VR

from dicomroute_gateway.spool.part10 import file_head

from .parcel import Parcel

EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
_BLOCK_BYTES: Final = 1 << 20
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_PIXEL_REPRESENTATION: Final = 0x00280103
_MOST_DEPTH: Final = 10_000
_LONG_VRS: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))


class TranscodingFailed(Exception):
    """The bytes are not a data set in Implicit VR Little Endian."""


@dataclass(slots=True)
class _Level:
    """A data set, an item's or the whole, or a sequence of items; `end` is where it ends, None if a delimiter says."""

    is_sequence: bool
    end: int | None
    is_signed: bool


def explicit_file(parcel: Parcel) -> Iterator[bytes]:
    """Yield the file of a parcel as Explicit VR Little Endian.

    Raises TranscodingFailed, Unreadable.
    """
    yield file_head(parcel.sop_class_uid, parcel.sop_instance_uid, EXPLICIT_VR_LITTLE_ENDIAN)
    with parcel.file.open() as content:
        yield from _joined(explicit_vr(content.stream(parcel.file.length - parcel.length), parcel.length))


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in fewer pieces: each costs a system call."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= _BLOCK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def explicit_vr(file: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield the data set of `length` bytes that begins where `file` stands, as Explicit VR Little Endian.

    Raises TranscodingFailed; what was yielded before is then of no use. OSError.
    """
    levels = [_Level(is_sequence=False, end=length, is_signed=False)]
    offset = 0
    while levels:
        level = levels[-1]
        if level.end is not None and offset >= level.end:
            if offset > level.end:
                raise TranscodingFailed("an element reaches beyond what holds it")
            levels.pop()
            if levels:
                yield _delimiter(_SEQUENCE_END if level.is_sequence else _ITEM_END)
            continue
        header = file.read(8)
        if len(header) < 8:
            raise TranscodingFailed("an element is cut off")
        group, element, size = struct.unpack("<HHI", header)
        tag, offset = group << 16 | element, offset + 8
        end = None if size == _UNDEFINED else offset + size
        if level.end is not None and end is not None and end > level.end:
            raise TranscodingFailed("an element reaches beyond what holds it")
        if tag in (_ITEM_END, _SEQUENCE_END):
            if level.end is not None or level.is_sequence is not (tag == _SEQUENCE_END):
                raise TranscodingFailed("a delimiter where none belongs")
            levels.pop()
            yield _delimiter(tag)
        elif level.is_sequence:
            if tag != _ITEM:
                raise TranscodingFailed("something but an item in a sequence")
            levels.append(_Level(is_sequence=False, end=end, is_signed=level.is_signed))
            yield struct.pack("<HHI", 0xFFFE, 0xE000, _UNDEFINED)
        else:
            vr = "SQ" if end is None else _vr(tag, level.is_signed)
            if vr == "SQ":
                levels.append(_Level(is_sequence=True, end=end, is_signed=level.is_signed))
                yield struct.pack("<HH2sHI", group, element, b"SQ", 0, _UNDEFINED)
                if len(levels) > _MOST_DEPTH:
                    raise TranscodingFailed("sequences are nested too deep")
                continue
            if element != 0:
                yield _header(group, element, vr, size)
            first = b""
            for block in _blocks(file, size):
                first = first or block
                if element != 0:
                    yield block
            offset += size
            if tag == _PIXEL_REPRESENTATION:
                level.is_signed = first[:1] == b"\1"


def _header(group: int, element: int, vr: str, size: int) -> bytes:
    if vr not in _LONG_VRS and size > 0xFFFF:
        vr = "UN"  # whose length has four bytes (PS3.5 6.2.2 note 3)
    if vr in _LONG_VRS:
        return struct.pack("<HH2sHI", group, element, vr.encode(), 0, size)
    return struct.pack("<HH2sH", group, element, vr.encode(), size)


def _delimiter(tag: int) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, 0)


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        block = file.read(min(size, _BLOCK_BYTES))
        if not block:
            raise TranscodingFailed("a value is cut off")
        size -= len(block)
        yield block


def _vr(tag: int, is_signed: bool) -> str:
    """Return the VR of an element with a known length; `is_signed` is what Pixel Representation says of its pixels."""
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        return "LO" if 0x10 <= element <= 0xFF else "UN"
    vr = _dictionary_vr(tag)
    if " or " not in vr:
        return vr
    if "OW" in vr:
        return "OW"  # pixels are words in Implicit VR Little Endian (PS3.5 A.1), and tables may be longer than US holds
    return "SS" if is_signed and "SS" in vr else vr.split(" or ")[0]


@cache
def _dictionary_vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"
