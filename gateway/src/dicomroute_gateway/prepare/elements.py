"""Reads a data set element by element, in a stream, through its sequences and items (PS3.5 7.1 and 7.5).

Own code, because pydicom holds every value in memory, and an instance may have gigabytes. Pure but for the file it
reads.
"""

import io
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO, Final

from pydicom.datadict import dictionary_VR

from .failures import TranscodingFailed

BLOCK_BYTES: Final = 1 << 20
UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
PIXEL_DATA: Final = 0x7FE00010
SHORT_VRS: Final = frozenset(
    (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
        *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
)
"""VRs whose length has two bytes in explicit syntaxes; that of all others has four (PS3.5 7.1.2)."""
_MOST_DEPTH: Final = 10_000


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are written (PS3.5 A.1 to A.3)."""

    is_explicit: bool
    is_big: bool = False


IMPLICIT: Final = Encoding(is_explicit=False)
EXPLICIT: Final = Encoding(is_explicit=True)
EXPLICIT_BIG: Final = Encoding(is_explicit=True, is_big=True)


def header_of(tag: int, vr: str, size: int, encoding: Encoding) -> bytes:
    """Return how an element of a tag, a VR and a length begins, in little endian."""
    group, element = tag >> 16, tag & 0xFFFF
    if not encoding.is_explicit:
        return struct.pack("<HHI", group, element, size)
    if vr in SHORT_VRS and size > 0xFFFF:
        vr = "UN"  # whose length has four bytes (PS3.5 6.2.2 note 3)
    if vr in SHORT_VRS:
        return struct.pack("<HH2sH", group, element, vr.encode(), size)
    return struct.pack("<HH2sHI", group, element, vr.encode(), 0, size)


@dataclass(slots=True)
class ElementLevel:
    """A data set, an item's or the whole, or a sequence of items; `end` is where it ends, None if a delimiter says.

    `is_signed` and `bits_allocated` are what the elements before say of its pixels.
    """

    is_sequence: bool
    end: int | None
    encoding: Encoding
    is_signed: bool = False
    bits_allocated: int = 0


class Elements:
    """The elements of the data set that begins where a file stands, and has `length` bytes; None: to the file's end.

    After each `header` comes one of `enter`, `value`, `blocks`, `skip` and `skip_fragments`. All raise
    TranscodingFailed, and what reading the file raises.
    """

    def __init__(self, file: BinaryIO, length: int | None, encoding: Encoding) -> None:
        self._file = file
        self._levels = [ElementLevel(is_sequence=False, end=length, encoding=encoding)]
        self.offset = 0
        """How much has been read, in bytes."""

    @property
    def level(self) -> ElementLevel:
        """What the element that was read last is in."""
        return self._levels[-1]

    @property
    def is_top(self) -> bool:
        """Whether that is the data set itself."""
        return len(self._levels) == 1

    def header(self) -> tuple[int, str, int] | None:
        """Return tag, VR and length of what comes next; None at the end of the data set.

        Each item and sequence ends with its delimiter, be it there or not.
        """
        level = self._levels[-1]
        if level.end is not None and self.offset >= level.end:
            if self.offset > level.end:
                raise TranscodingFailed("an element reaches beyond what holds it")
            self._levels.pop()
            return (SEQUENCE_END if level.is_sequence else ITEM_END, "", 0) if self._levels else None
        header = self._file.read(8)
        if not header and level.end is None and len(self._levels) == 1:
            return None
        if len(header) < 8:
            raise TranscodingFailed("an element is cut off")
        self.offset += 8
        encoding = level.encoding
        group, element, size = struct.unpack(">HHI" if encoding.is_big else "<HHI", header)
        tag = group << 16 | element
        if group == 0xFFFE:
            if tag in (ITEM_END, SEQUENCE_END):
                self._end(level, tag)
            return tag, "", size
        if not encoding.is_explicit:
            return tag, "SQ" if size == UNDEFINED else _vr(tag, level.is_signed), size
        vr = header[4:6].decode("latin-1")
        if vr in SHORT_VRS:
            return tag, vr, int.from_bytes(header[6:], "big" if encoding.is_big else "little")
        if not (vr.isascii() and vr.isalpha() and vr.isupper()):
            raise TranscodingFailed("an element without a VR")
        length = self._file.read(4)  # of every VR that is not known, too (PS3.5 7.1.2)
        if len(length) < 4:
            raise TranscodingFailed("an element is cut off")
        self.offset += 4
        return tag, vr, int.from_bytes(length, "big" if encoding.is_big else "little")

    def _end(self, level: ElementLevel, tag: int) -> None:
        """Leave a level whose delimiter was read."""
        if level.end is not None or len(self._levels) == 1 or level.is_sequence is not (tag == SEQUENCE_END):
            raise TranscodingFailed("a delimiter where none belongs")
        self._levels.pop()

    def enter(self, tag: int, vr: str, size: int) -> bool:
        """Go into a sequence or an item; return False for an element that has a value of `size` bytes."""
        level = self._levels[-1]
        end = None if size == UNDEFINED else self.offset + size
        if level.end is not None and end is not None and end > level.end:
            raise TranscodingFailed("an element reaches beyond what holds it")
        if level.is_sequence:
            if tag != ITEM:
                raise TranscodingFailed("something but an item in a sequence")
            self._levels.append(ElementLevel(False, end, level.encoding, level.is_signed, level.bits_allocated))
            return True
        if vr != "SQ" and end is not None:
            if not vr:
                raise TranscodingFailed("an item where none belongs")
            return False
        if vr not in ("SQ", "UN"):
            raise TranscodingFailed("a value without a length that is not a sequence")
        # What was UN in an explicit syntax is Implicit VR Little Endian within (PS3.5 6.2.2).
        within = level.encoding if vr == "SQ" else IMPLICIT
        self._levels.append(ElementLevel(True, end, within, level.is_signed, level.bits_allocated))
        if len(self._levels) > _MOST_DEPTH:
            raise TranscodingFailed("sequences are nested too deep")
        return True

    def value(self, size: int) -> bytes:
        """Read a value whole."""
        if size > BLOCK_BYTES:
            return b"".join(self.blocks(size))
        self.offset += size
        value = self._file.read(size)
        if len(value) < size:
            raise TranscodingFailed("a value is cut off")
        return value

    def discard(self, size: int) -> None:
        """Read beyond a value, of a file that may not be sought in."""
        if size <= BLOCK_BYTES:
            self.value(size)
            return
        for _ in self.blocks(size):
            pass

    def blocks(self, size: int) -> Iterator[bytes]:
        """Read a value block by block."""
        self.offset += size
        while size:
            block = self._file.read(min(size, BLOCK_BYTES))
            if not block:
                raise TranscodingFailed("a value is cut off")
            size -= len(block)
            yield block

    def skip(self, size: int) -> None:
        """Go beyond a value."""
        self.offset += size
        self._file.seek(size, io.SEEK_CUR)

    def enter_unknown(self, size: int) -> None:
        """Go into a value of VR UN with a length that is a sequence (PS3.5 6.2.2 note 2)."""
        end = self.offset + size
        outer = self._levels[-1]
        if outer.end is not None and end > outer.end:
            raise TranscodingFailed("an element reaches beyond what holds it")
        self._levels.append(ElementLevel(True, end, IMPLICIT, outer.is_signed, outer.bits_allocated))

    def fragment(self) -> int | None:
        """Return the length of the next item of encapsulated Pixel Data, None at its end (PS3.5 A.4)."""
        header = self._file.read(8)
        length: int
        group, element, length = struct.unpack("<HHI", header) if len(header) == 8 else (0, 0, 0)
        tag, self.offset = group << 16 | element, self.offset + 8
        if tag == SEQUENCE_END:
            return None
        if tag != ITEM:
            raise TranscodingFailed("something but a fragment in its pixels")
        return length

    def skip_fragments(self) -> None:
        """Go beyond the items of encapsulated Pixel Data (PS3.5 A.4)."""
        while (length := self.fragment()) is not None:
            self.skip(length)


def top_level(
    file: BinaryIO, length: int, wanted: Collection[int], most_value_bytes: int
) -> tuple[dict[int, bytes], int | None]:
    """Return the values of `wanted` elements of an Explicit VR Little Endian data set, and where its pixels begin.

    That is the place of the first item of encapsulated Pixel Data, from the beginning of the data set; None without
    Pixel Data. Nothing else is kept. Raises TranscodingFailed, also for a wanted value that is longer than said, and
    for native pixels.
    """
    elements, found = Elements(file, length, EXPLICIT), dict[int, bytes]()
    while (header := elements.header()) is not None:
        tag, vr, size = header
        if tag in (ITEM_END, SEQUENCE_END):
            continue
        if elements.is_top and tag == PIXEL_DATA:
            if size != UNDEFINED:
                raise TranscodingFailed("its pixels are not encapsulated")
            return found, elements.offset
        if elements.enter(tag, vr, size):
            continue
        if elements.is_top and tag in wanted:
            if size > most_value_bytes:
                raise TranscodingFailed("one of its image attributes is too long")
            found[tag] = elements.value(size)
        else:
            elements.skip(size)
    return found, None


def _vr(tag: int, is_signed: bool) -> str:
    """Return the VR of an element with a known length; `is_signed` is what Pixel Representation says of its pixels."""
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        return "LO" if 0x10 <= element <= 0xFF else "UN"
    vr = dictionary_vr(tag)
    if " or " not in vr:
        return vr
    if "OW" in vr:
        return "OW"  # pixels are words in Implicit VR Little Endian (PS3.5 A.1), and tables may be longer than US holds
    return "SS" if is_signed and "SS" in vr else vr.split(" or ")[0]


@cache
def dictionary_vr(tag: int) -> str:
    """Return the VR of an attribute in the data dictionary (PS3.6 6), UN of one that is not in it."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"
