"""Writes a data set of one native transfer syntax in another (PS3.5 A.1 to A.3, A.5), in a stream.

For destinations that do not take what came. From Implicit and Explicit VR Little Endian, Explicit VR Big Endian and
Deflated Explicit VR Little Endian to Implicit or Explicit VR Little Endian. No value changes, pixels least of all: what
comes without a VR gets that of the data dictionary, unknown and private ones UN (PS3.5 6.2.2), sequences are written
with undefined length, and group lengths (gggg,0000), which would no longer be true, are left out. Equal data sets give
equal bytes. Pure but for the file it reads.
"""

import io
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from .elements import (
    BLOCK_BYTES,
    EXPLICIT,
    EXPLICIT_BIG,
    IMPLICIT,
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    Elements,
    Encoding,
    header_of,
)
from .failures import TranscodingFailed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

_PIXEL_REPRESENTATION: Final = 0x00280103
_BITS_ALLOCATED: Final = 0x00280100
_WORDS: Final = (
    dict.fromkeys(("AT", "OW", "SS", "US"), "H")
    | dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), "I")
    | dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), "Q")
)
"""The words of which values of a VR consist, as `array` names them; all others are bytes."""
_MOST_INFLATED_BYTES: Final = 1 << 32


_READ: Final = {
    IMPLICIT_VR_LITTLE_ENDIAN: IMPLICIT,
    EXPLICIT_VR_LITTLE_ENDIAN: EXPLICIT,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: EXPLICIT,
    EXPLICIT_VR_BIG_ENDIAN: EXPLICIT_BIG,
}
_WRITTEN: Final = {EXPLICIT_VR_LITTLE_ENDIAN: EXPLICIT, IMPLICIT_VR_LITTLE_ENDIAN: IMPLICIT}


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
        file, end = cast(BinaryIO, io.BufferedReader(_Inflated(file, length), BLOCK_BYTES)), None
    yield from _joined(_Writing(Elements(file, end, _READ[source]), _WRITTEN[target], pixels).data_set())


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in fewer pieces: each costs a system call."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= BLOCK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


class _Writing:
    """One data set on its way from one encoding to another."""

    def __init__(self, elements: Elements, target: Encoding, pixels: Pixels | None) -> None:
        self._elements = elements
        self._target = target
        self._pixels = pixels
        self._changes = sorted(pixels.changes.items()) if pixels is not None else []
        """What is still to be written in place of what came, the lowest tag first."""

    def data_set(self) -> Iterator[bytes]:
        elements = self._elements
        while (found := elements.header()) is not None:
            tag, vr, size = found
            if tag in (ITEM_END, SEQUENCE_END):
                yield _delimiter(tag)
                continue
            if self._pixels is not None and elements.is_top:
                yield from self._changed_before(tag)
                if tag in self._pixels.changes:
                    elements.skip(size)
                    continue
                if tag == PIXEL_DATA:
                    yield from self._native(self._pixels, size)
                    continue
            if not elements.enter(tag, vr, size):
                yield from self._value(tag, vr, size)
            elif tag == ITEM:
                yield struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
            else:
                yield self._element(tag, "SQ", UNDEFINED)

    def _value(self, tag: int, vr: str, size: int) -> Iterator[bytes]:
        level = self._elements.level
        word = _WORDS.get(vr) if level.encoding.is_big else None
        if word is not None and size % array(word).itemsize:
            raise TranscodingFailed(f"a value of VR {vr} whose length is not a multiple of its words")
        if word == "H" and vr == "OW" and level.bits_allocated > 16:
            raise TranscodingFailed(f"words in big endian that hold pixels of {level.bits_allocated} bits")
        is_written = tag & 0xFFFF != 0
        if is_written:
            yield self._element(tag, vr, size)
        first = b""
        for read in self._elements.blocks(size):
            if word is not None and len(read) % array(word).itemsize:
                raise TranscodingFailed("a value is cut off")
            block = read if word is None else _turned(word, read)
            first = first or block
            if is_written:
                yield block
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
        if size != UNDEFINED:
            raise TranscodingFailed("its pixels are not encapsulated")
        padding = pixels.length % 2
        yield self._element(PIXEL_DATA, pixels.vr, pixels.length + padding)
        yield from pixels.blocks
        yield bytes(padding)
        self._elements.skip_fragments()

    def _element(self, tag: int, vr: str, size: int) -> bytes:
        return header_of(tag, vr, size, self._target)


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
                waiting = self._file.read(min(self._left, BLOCK_BYTES))
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
