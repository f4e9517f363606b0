"""Reads top-level elements from the head of a data set, without decoding values or loading pixels (PS3.5 7).

Own code, because pydicom builds an object of every element before the one that is wanted, three times slower
(docs/adr/0004-head-scanner.md). Values are passed over, not read, unless they are asked for.
"""

import struct
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_VR

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

MAX_VALUE_BYTES: Final = 1 << 16
_MAX_ELEMENTS: Final = 1_000_000
_DEFLATED_ELEMENTS: Final = 20_000
"""So many elements a deflated head may have, and one more for each byte that came."""
_MAX_INFLATED_BYTES: Final = 16 << 20
_WINDOW_BYTES: Final = 1 << 15
_UNDEFINED: Final = 0xFFFFFFFF
_RESERVED_GROUPS: Final = (0x0000, 0x0002)
"""Groups of command sets and of file meta information (PS3.5 7.1): in a file they would be read as those."""
_LONG_VRS: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_DELIMITERS: Final = 0xFFFE
"""The group of items and of their ends."""
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD


class HeadError(Exception):
    """The bytes are not a data set in the transfer syntax they are said to be in."""


@dataclass(frozen=True, slots=True)
class RawElement:
    """A top-level element: its value representation and its undecoded value, at most MAX_VALUE_BYTES of it."""

    vr: str
    value: bytes
    is_truncated: bool = False


Read = Callable[[int, int], bytes]
"""Returns up to `length` bytes at `offset` of the data set; fewer only at its end."""


def scan(
    read: Read, transfer_syntax_uid: str, wanted: Collection[int], *, reserved: Collection[int] = _RESERVED_GROUPS
) -> dict[int, RawElement]:
    """Return those of the `wanted` tags (group << 16 | element) that the data set holds at its top level.

    Elements ascend by tag (PS3.5 7.1), so the scan ends behind the greatest wanted one. Groups that are `reserved` do
    not belong into it.

    Raises HeadError when the bytes up to there are not such a data set.
    """
    most: Callable[[], int] = lambda: _MAX_ELEMENTS  # noqa: E731
    if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        inflated = _Inflated(read)
        read, most = inflated.read, inflated.most_elements
    scanner = _Scanner(
        _Window(read),
        most,
        implicit=transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN,
        order=">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<",
        reserved=reserved,
    )
    return scanner.top_level(frozenset(wanted))


class _Window:
    """A small window onto the data set, moved on demand, so that elements cost no system call each."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.offset = 0
        self.data = b""

    def take(self, offset: int, length: int) -> bytes:
        start = offset - self.offset
        if start < 0 or start + length > len(self.data):
            self.offset = offset
            self.data = self._read(offset, max(length, _WINDOW_BYTES))
            start = 0
        return self.data[start : start + length]


class _Scanner:
    def __init__(
        self,
        window: _Window,
        most: Callable[[], int],
        *,
        implicit: bool,
        order: str,
        reserved: Collection[int],
    ) -> None:
        """`most` says how many elements may be looked at."""
        self._window = window
        self._most = most
        self._reserved = reserved
        self._looked_at = frozenset((*reserved, _DELIMITERS))
        self._implicit = implicit
        self._explicit_header = struct.Struct(f"{order}HH2sH")
        self._implicit_header = struct.Struct(f"{order}HHI")
        self._tag = struct.Struct(f"{order}HH")
        self._short = struct.Struct(f"{order}H")
        self._long = struct.Struct(f"{order}I")
        self._visited = 0

    def top_level(self, wanted: frozenset[int]) -> dict[int, RawElement]:
        found: dict[int, RawElement] = {}
        last = max(wanted, default=0)
        offset = 0
        while True:
            offset = self._pass_over(offset, wanted, last)
            header = self._header(offset)
            if header is None:
                return found
            tag, vr, length, offset = header
            if tag >> 16 == _DELIMITERS:
                raise HeadError(f"a delimiter {_name(tag)} outside a sequence")
            if tag >> 16 in self._reserved:
                raise HeadError(f"{_name(tag)} does not belong into a data set")
            if tag > last:
                return found
            if length == _UNDEFINED:
                offset = self._skip_undefined(offset, self._implicit or vr == "UN")
                continue
            if tag in found:
                raise HeadError(f"{_name(tag)} comes twice")
            # In this order: a deflated data set is read forwards alone.
            value = self._window.take(offset, min(length, MAX_VALUE_BYTES)) if tag in wanted else b""
            if len(value) < length and not self._window.take(offset + length - 1, 1):
                raise HeadError(f"the value of {_name(tag)} is cut off")
            if tag in wanted:
                found[tag] = RawElement(vr or _dictionary_vr(tag), value, length > MAX_VALUE_BYTES)
            offset += length

    def _pass_over(self, offset: int, wanted: frozenset[int], last: int) -> int:
        """Return the offset of the next element that is wanted, or strange, or not whole within the window.

        Most are neither: here they cost a tenth of what they cost by `_header`.
        """
        data, looked_at, implicit = self._window.data, self._looked_at, self._implicit
        explicit_header, implicit_header = self._explicit_header.unpack_from, self._implicit_header.unpack_from
        end = len(data)
        at = offset - self._window.offset
        while 0 <= at <= end - 12:
            if implicit:
                group, element, length = implicit_header(data, at)
                following = at + 8 + length
            else:
                group, element, vr, length = explicit_header(data, at)
                if vr in _SHORT_VRS:
                    following = at + 8 + length
                elif vr in _LONG_VRS:
                    following = at + 12 + self._long.unpack_from(data, at + 8)[0]
                else:
                    break
            tag = group << 16 | element
            if tag in wanted or tag > last or group in looked_at or following > end:
                break
            at = following
            self._visited += 1
        return self._window.offset + at

    def _header(self, offset: int, *, implicit: bool | None = None) -> tuple[int, str, int, int] | None:
        """Return tag, VR ("" when implicit), length and offset of the value; None at the end of the data."""
        self._visited += 1
        if self._visited > self._most():
            raise HeadError(f"more than {self._most()} elements before the ones that were looked for")
        data = self._window.take(offset, 12)
        if not data:
            return None
        if len(data) < 8:
            raise HeadError("an element header is cut off")
        group, element = self._tag.unpack_from(data)
        tag = group << 16 | element
        if (self._implicit if implicit is None else implicit) or group == _DELIMITERS:
            return tag, "", self._long.unpack_from(data, 4)[0], offset + 8
        vr = data[4:6]
        if not (vr.isalpha() and vr.isupper()):
            raise HeadError(f"{_name(tag)} has no value representation where one belongs")
        if vr not in _LONG_VRS:
            return tag, vr.decode(), self._short.unpack_from(data, 6)[0], offset + 8
        if len(data) < 12:
            raise HeadError("an element header is cut off")
        return tag, vr.decode(), self._long.unpack_from(data, 8)[0], offset + 12

    def _skip_undefined(self, offset: int, implicit: bool) -> int:
        """Return the offset behind a value of undefined length (PS3.5 7.5.2, A.4).

        Within an element of VR UN the encoding is Implicit VR Little Endian (PS3.5 6.2.2 note 2). Open levels are
        counted on a stack of our own: a peer decides how deep they are.
        """
        open_levels = [(_SEQUENCE_END, implicit)]
        while open_levels:
            ends_with, implicit = open_levels[-1]
            header = self._header(offset, implicit=implicit)
            if header is None:
                raise HeadError("a sequence or item of undefined length is never closed")
            tag, vr, length, offset = header
            if tag == ends_with:
                open_levels.pop()
            elif length != _UNDEFINED:
                offset += length
            elif tag == _ITEM:
                open_levels.append((_ITEM_END, implicit))
            else:
                open_levels.append((_SEQUENCE_END, implicit or vr == "UN"))
        return offset


class _Inflated:
    """Reads a deflated data set (PS3.5 A.5) forwards, keeping no more than is asked for at once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._position = 0
        self._offset = 0
        self._data = bytearray()

    def most_elements(self) -> int:
        """Return how many elements may be looked at: in proportion to what came, as that is what a sender pays with."""
        return min(_MAX_ELEMENTS, _DEFLATED_ELEMENTS + self._position)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` inflated bytes at `offset`, which never goes back."""
        while self._offset + len(self._data) < offset + length:
            piece = self._inflate()
            if not piece:
                break
            self._data += piece
            passed = min(len(self._data), max(0, offset - self._offset))
            del self._data[:passed]
            self._offset += passed
            if self._offset > _MAX_INFLATED_BYTES:
                raise HeadError("the deflated data set is larger than 16 MiB before the elements looked for")
        start = offset - self._offset
        return bytes(self._data[start : start + length]) if start >= 0 else b""

    def _inflate(self) -> bytes:
        """Return the next inflated bytes, none at the end."""
        while not self._inflater.eof:
            data = self._inflater.unconsumed_tail
            if not data:
                data = self._read(self._position, _WINDOW_BYTES)
                self._position += len(data)
                if not data:
                    return b""
            try:
                piece = self._inflater.decompress(data, _WINDOW_BYTES * 8)
            except zlib.error as error:
                raise HeadError(f"the data set is not deflated as its transfer syntax says: {error}") from error
            if piece:
                return piece
        return b""


def _dictionary_vr(tag: int) -> str:
    """Return the VR of the data dictionary, of several the first: pixel values are no matter of routing."""
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "UN"


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
