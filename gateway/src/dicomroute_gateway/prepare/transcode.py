"""Writes a data set of one native transfer syntax in another (PS3.5 A.1 to A.3, A.5), in a stream.

For destinations that do not take what came. From Implicit and Explicit VR Little Endian, Explicit VR Big Endian and
Deflated Explicit VR Little Endian to Implicit or Explicit VR Little Endian. No value changes, pixels least of all: what
comes without a VR gets that of the data dictionary, unknown and private ones UN (PS3.5 6.2.2), sequences are written
with undefined length, and group lengths (gggg,0000), which would no longer be true, are left out. Equal data sets give
equal bytes. Own code, because pydicom holds every value in memory, and an instance may have gigabytes. Pure but for the
file it reads.
"""

import io
import struct
import zlib
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from pydicom.datadict import dictionary_VR

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

_BLOCK_BYTES: Final = 1 << 20
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_PIXEL_REPRESENTATION: Final = 0x00280103
_BITS_ALLOCATED: Final = 0x00280100
_PIXEL_DATA: Final = 0x7FE00010
_MOST_DEPTH: Final = 10_000
_SHORT_VRS: Final = frozenset(
    (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
        *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
)
"""VRs whose length has two bytes in explicit syntaxes; that of all others has four (PS3.5 7.1.2)."""
_WORDS: Final = (
    dict.fromkeys(("AT", "OW", "SS", "US"), "H")
    | dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), "I")
    | dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), "Q")
)
"""The words of which values of a VR consist, as `array` names them; all others are bytes."""
_MOST_INFLATED_BYTES: Final = 1 << 32


class TranscodingFailed(Exception):
    """The bytes are not a data set in the transfer syntax that they came in, or have no other form."""


@dataclass(frozen=True, slots=True)
class _Encoding:
    is_explicit: bool
    is_big: bool = False


_IMPLICIT: Final = _Encoding(is_explicit=False)
_EXPLICIT: Final = _Encoding(is_explicit=True)
_READ: Final = {
    IMPLICIT_VR_LITTLE_ENDIAN: _IMPLICIT,
    EXPLICIT_VR_LITTLE_ENDIAN: _EXPLICIT,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: _EXPLICIT,
    EXPLICIT_VR_BIG_ENDIAN: _Encoding(is_explicit=True, is_big=True),
}
_WRITTEN: Final = {EXPLICIT_VR_LITTLE_ENDIAN: _EXPLICIT, IMPLICIT_VR_LITTLE_ENDIAN: _IMPLICIT}


def alternatives(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Return the transfer syntaxes that a data set can be written in too, the best one first."""
    return tuple(one for one in _WRITTEN if one != transfer_syntax_uid) if transfer_syntax_uid in _READ else ()


@dataclass(frozen=True, slots=True)
class Pixels:
    """What is written for encapsulated Pixel Data: native pixels of a length, and what changes elsewhere.

    `changes` are top-level elements that are written in place of those that came, or beside them, by tag: VR and value
    in little endian, None for one that is left out.
    """

    length: int
    vr: str
    changes: Mapping[int, tuple[str, bytes] | None]
    blocks: Iterator[bytes]


def transcode(file: BinaryIO, length: int, source: str, target: str, pixels: Pixels | None = None) -> Iterator[bytes]:
    """Yield the data set of `length` bytes that begins where `file` stands, in another transfer syntax.

    `target` is one of the `alternatives` to `source`, or `source` itself. With `pixels` it may have encapsulated ones.
    Raises TranscodingFailed; what was yielded before is then of no use. OSError, and what reading the file raises.
    """
    end: int | None = length
    if source == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        file, end = cast(BinaryIO, io.BufferedReader(_Inflated(file, length), _BLOCK_BYTES)), None
    yield from _joined(_Writing(file, _WRITTEN[target], pixels).data_set(end, _READ[source]))


def top_level(
    file: BinaryIO, length: int, wanted: Collection[int], most_value_bytes: int
) -> tuple[dict[int, bytes], int | None]:
    """Return the values of `wanted` elements of an Explicit VR Little Endian data set, and where its pixels begin.

    That is the place of the first item of encapsulated Pixel Data, from the beginning of the data set; None without
    Pixel Data. Nothing else is kept. Raises TranscodingFailed, also for a wanted value that is longer than said, and
    for native pixels.
    """
    walk, found = _Writing(file, _EXPLICIT), dict[int, bytes]()
    levels = [_Level(is_sequence=False, end=length, encoding=_EXPLICIT)]
    while levels:
        level = levels[-1]
        if level.end is not None and walk.offset >= level.end:
            levels.pop()
            continue
        header = walk.header(level, may_end=False)
        assert header is not None
        tag, vr, size = header
        if len(levels) == 1 and tag == _PIXEL_DATA:
            if size != _UNDEFINED:
                raise TranscodingFailed("its pixels are not encapsulated")
            return found, walk.offset
        end = None if size == _UNDEFINED else walk.offset + size
        if tag in (_ITEM_END, _SEQUENCE_END):
            if len(levels) == 1:
                raise TranscodingFailed("a delimiter where none belongs")
            levels.pop()
        elif level.is_sequence:
            levels.append(_Level(False, end, level.encoding))
        elif vr == "SQ" or size == _UNDEFINED:
            levels.append(_Level(True, end, level.encoding if vr == "SQ" else _IMPLICIT))
        elif len(levels) == 1 and tag in wanted:
            if size > most_value_bytes:
                raise TranscodingFailed("one of its image attributes is too long")
            found[tag] = walk.value(size)
        else:
            walk.skip(size)
        if len(levels) > _MOST_DEPTH:
            raise TranscodingFailed("sequences are nested too deep")
    return found, None


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in fewer pieces: each costs a system call."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= _BLOCK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


@dataclass(slots=True)
class _Level:
    """A data set, an item's or the whole, or a sequence of items; `end` is where it ends, None if a delimiter says."""

    is_sequence: bool
    end: int | None
    encoding: _Encoding
    is_signed: bool = False
    bits_allocated: int = 0


class _Writing:
    """One data set on its way from one encoding to another."""

    def __init__(self, file: BinaryIO, target: _Encoding, pixels: Pixels | None = None) -> None:
        self._file = file
        self._target = target
        self._pixels = pixels
        self.offset = 0
        self._changes = sorted(pixels.changes.items()) if pixels is not None else []
        """What is still to be written in place of what came, the lowest tag first."""

    def data_set(self, end: int | None, encoding: _Encoding) -> Iterator[bytes]:
        levels = [_Level(is_sequence=False, end=end, encoding=encoding)]
        while levels:
            level = levels[-1]
            if level.end is not None and self.offset >= level.end:
                if self.offset > level.end:
                    raise TranscodingFailed("an element reaches beyond what holds it")
                levels.pop()
                if levels:
                    yield _delimiter(_SEQUENCE_END if level.is_sequence else _ITEM_END)
                continue
            found = self.header(level, may_end=len(levels) == 1 and level.end is None)
            if found is None:
                return
            tag, vr, size = found
            if len(levels) == 1 and self._pixels is not None:
                yield from self._changed_before(tag)
                if tag in self._pixels.changes:
                    self.skip(size)
                    continue
                if tag == _PIXEL_DATA:
                    yield from self._native(self._pixels, size)
                    continue
            end = None if size == _UNDEFINED else self.offset + size
            if level.end is not None and end is not None and end > level.end:
                raise TranscodingFailed("an element reaches beyond what holds it")
            if tag in (_ITEM_END, _SEQUENCE_END):
                if level.end is not None or len(levels) == 1 or level.is_sequence is not (tag == _SEQUENCE_END):
                    raise TranscodingFailed("a delimiter where none belongs")
                levels.pop()
                yield _delimiter(tag)
            elif level.is_sequence:
                if tag != _ITEM:
                    raise TranscodingFailed("something but an item in a sequence")
                levels.append(_Level(False, end, level.encoding, level.is_signed, level.bits_allocated))
                yield struct.pack("<HHI", 0xFFFE, 0xE000, _UNDEFINED)
            elif vr == "SQ" or size == _UNDEFINED:
                if vr not in ("SQ", "UN"):
                    raise TranscodingFailed("a value without a length that is no sequence")
                # What was UN in an explicit syntax is Implicit VR Little Endian within (PS3.5 6.2.2).
                within = level.encoding if vr == "SQ" else _IMPLICIT
                levels.append(_Level(True, end, within, level.is_signed, level.bits_allocated))
                yield self._element(tag, "SQ", _UNDEFINED)
                if len(levels) > _MOST_DEPTH:
                    raise TranscodingFailed("sequences are nested too deep")
            else:
                yield from self._value(level, tag, vr, size)

    def header(self, level: _Level, *, may_end: bool) -> tuple[int, str, int] | None:
        """Read tag, VR and length of an element, or of an item; None at the end of a stream that has no length."""
        header = self._file.read(8)
        if not header and may_end:
            return None
        if len(header) < 8:
            raise TranscodingFailed("an element is cut off")
        self.offset += 8
        encoding = level.encoding
        group, element, size = struct.unpack(">HHI" if encoding.is_big else "<HHI", header)
        tag = group << 16 | element
        if group == 0xFFFE:
            return tag, "", size
        if not encoding.is_explicit:
            return tag, "SQ" if size == _UNDEFINED else _vr(tag, level.is_signed), size
        vr = header[4:6].decode("latin-1")
        if vr in _SHORT_VRS:
            return tag, vr, int.from_bytes(header[6:], "big" if encoding.is_big else "little")
        if not (vr.isascii() and vr.isalpha() and vr.isupper()):
            raise TranscodingFailed("an element without a VR")
        length = self._file.read(4)  # of every VR that is not known, too (PS3.5 7.1.2)
        if len(length) < 4:
            raise TranscodingFailed("an element is cut off")
        self.offset += 4
        return tag, vr, int.from_bytes(length, "big" if encoding.is_big else "little")

    def _value(self, level: _Level, tag: int, vr: str, size: int) -> Iterator[bytes]:
        word = _WORDS.get(vr) if level.encoding.is_big else None
        if word is not None and size % array(word).itemsize:
            raise TranscodingFailed(f"a value of VR {vr} whose length is no multiple of its words")
        if word == "H" and vr == "OW" and level.bits_allocated > 16:
            raise TranscodingFailed(f"words in big endian that hold pixels of {level.bits_allocated} bits")
        is_written = tag & 0xFFFF != 0
        if is_written:
            yield self._element(tag, vr, size)
        first = b""
        for read in self._blocks(size):
            if word is not None and len(read) % array(word).itemsize:
                raise TranscodingFailed("a value is cut off")
            block = read if word is None else _turned(word, read)
            first = first or block
            if is_written:
                yield block
        self.offset += size
        if tag == _PIXEL_REPRESENTATION:
            level.is_signed = first[:1] == b"\1"
        elif tag == _BITS_ALLOCATED:
            level.bits_allocated = int.from_bytes(first[:2], "little")

    def _changed_before(self, tag: int) -> Iterator[bytes]:
        """Yield the changed elements whose place is before, or at, a tag of the data set."""
        while self._changes and self._changes[0][0] <= tag:
            changed, now = self._changes.pop(0)
            if now is not None:
                yield self._element(changed, now[0], len(now[1])) + now[1]

    def _native(self, pixels: Pixels, size: int) -> Iterator[bytes]:
        """Yield native pixels, and go beyond the encapsulated ones."""
        if size != _UNDEFINED:
            raise TranscodingFailed("its pixels are not encapsulated")
        padding = pixels.length % 2
        yield self._element(_PIXEL_DATA, pixels.vr, pixels.length + padding)
        yield from pixels.blocks
        yield bytes(padding)
        while True:
            header = self._file.read(8)
            group, element, length = struct.unpack("<HHI", header) if len(header) == 8 else (0, 0, 0)
            tag, self.offset = group << 16 | element, self.offset + 8
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise TranscodingFailed("something but a fragment in its pixels")
            self.skip(length)

    def value(self, size: int) -> bytes:
        """Read a value whole."""
        self.offset += size
        data = self._file.read(size)
        if len(data) < size:
            raise TranscodingFailed("a value is cut off")
        return data

    def skip(self, size: int) -> None:
        """Go beyond a value."""
        self.offset += size
        self._file.seek(size, io.SEEK_CUR)

    def _element(self, tag: int, vr: str, size: int) -> bytes:
        group, element = tag >> 16, tag & 0xFFFF
        if not self._target.is_explicit:
            return struct.pack("<HHI", group, element, size)
        if vr in _SHORT_VRS and size > 0xFFFF:
            vr = "UN"  # whose length has four bytes (PS3.5 6.2.2 note 3)
        if vr in _SHORT_VRS:
            return struct.pack("<HH2sH", group, element, vr.encode(), size)
        return struct.pack("<HH2sHI", group, element, vr.encode(), 0, size)

    def _blocks(self, size: int) -> Iterator[bytes]:
        while size:
            block = self._file.read(min(size, _BLOCK_BYTES))
            if not block:
                raise TranscodingFailed("a value is cut off")
            size -= len(block)
            yield block


class _Inflated(io.RawIOBase):
    """What `length` bytes of a file hold in deflated form (RFC 1951, PS3.5 A.5)."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        super().__init__()
        self._file = file
        self._left = length
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        while not self._inflate.eof:
            waiting = self._inflate.unconsumed_tail
            if not waiting and self._left:
                waiting = self._file.read(min(self._left, _BLOCK_BYTES))
                self._left -= len(waiting)
            try:
                data = self._inflate.decompress(waiting, len(view))
            except zlib.error as error:
                raise TranscodingFailed(f"it cannot be inflated: {error}") from error
            if not data and not waiting:
                raise TranscodingFailed("its deflated form is cut off")
            if data:
                self._total += len(data)
                if self._total > _MOST_INFLATED_BYTES:
                    raise TranscodingFailed(f"it has more than {_MOST_INFLATED_BYTES} bytes when it is inflated")
                view[: len(data)] = data
                return len(data)
        return 0


def _turned(word: str, block: bytes) -> bytes:
    words = array(word, block)
    words.byteswap()
    return words.tobytes()


def _delimiter(tag: int) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, 0)


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
