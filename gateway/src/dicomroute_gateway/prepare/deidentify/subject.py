"""Whom and what an instance is about: the few attributes that have to be known before its first byte is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from dicomroute_gateway.prepare.elements import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Elements, Encoding
from dicomroute_gateway.reasons import Reason

from .withheld import Withheld

PIXELS: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_LAST_WANTED: Final = 0x7FE00010
_ULTRASOUND_REGIONS: Final = 0x00186011
_CORNERS: Final = (0x00186018, 0x0018601A, 0x0018601C, 0x0018601E)
_WANTED: Final = frozenset(
    (
        *(0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080050, 0x00080060, 0x00080070, 0x00080080),
        *(0x00081090, 0x0008103E, 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00101000, 0x00101001),
        *(0x0020000D, 0x0020000E, 0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011),
        *(0x00280100, 0x00280101, 0x00280102, 0x00280301, 0x00282110),
    )
)
_MOST_VALUE_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Subject:
    """Values of top-level attributes by tag, as they came.

    `ultrasound_regions` are left, top, right and bottom of each, in pixels, all within; `overlay_bits` are the bits
    of the pixels that hold overlays (PS3.3 C.9.2, retired). `has_pixels` is whether there is Pixel Data.
    """

    values: Mapping[int, bytes]
    ultrasound_regions: tuple[tuple[int, int, int, int], ...]
    overlay_bits: tuple[int, ...]
    has_pixels: bool

    def text(self, tag: int) -> str:
        """Return a value that has characters of the default repertoire alone; others are replaced."""
        return self.values.get(tag, b"").decode("ascii", "replace").strip(" \0")

    def texts(self, tag: int) -> list[str]:
        """Return the values of an attribute."""
        return [one.strip(" ") for one in self.text(tag).split("\\")]

    @property
    def patient(self) -> tuple[bytes, bytes]:
        """Issuer and Patient ID by which pseudonyms are made; of one without an ID, the study that it is in."""
        issuer, patient_id = (self.values.get(tag, b"").strip(b" \0") for tag in (0x00100021, 0x00100020))
        if not patient_id:  # whoever it is, it is the same one throughout the study
            return b"study", self.values.get(0x0020000D, b"").strip(b" \0")
        return issuer, patient_id

    def number(self, tag: int) -> int:
        """Return a US, 0 where there is none."""
        value = self.values.get(tag, b"")
        return int.from_bytes(value, "little") if len(value) == 2 else 0

    @property
    def frames(self) -> int:
        """The Number of Frames. Raises Withheld."""
        try:
            return int(self.text(0x00280008) or 1)
        except ValueError:
            raise Withheld(Reason.CANNOT_BE_READ, "its Number of Frames (0028,0008) is not a number") from None


def read_subject(file: BinaryIO, length: int | None, encoding: Encoding) -> Subject:
    """Return what a data set is about. Raises TranscodingFailed, and what reading raises."""
    elements = Elements(file, length, encoding)
    values: dict[int, bytes] = {}
    regions: list[dict[int, int]] = []
    overlay_bits: set[int] = set()
    has_pixels = in_regions = False
    while (found := elements.header()) is not None:
        tag, vr, size = found
        if tag in (ITEM_END, SEQUENCE_END):
            continue
        is_top = elements.is_top
        if is_top:
            in_regions = tag == _ULTRASOUND_REGIONS
            if tag in PIXELS:
                has_pixels = True
            if tag >= _LAST_WANTED:
                break
        if size == UNDEFINED and tag in PIXELS:  # of a small image within
            while (length_of_fragment := elements.fragment()) is not None:
                elements.discard(length_of_fragment)
            continue
        if elements.enter(tag, vr, size):
            if tag == ITEM and in_regions:
                regions.append({})
            continue
        if is_top and tag in _WANTED and size <= _MOST_VALUE_BYTES:
            values[tag] = elements.value(size)
        elif is_top and 0x6000 <= tag >> 16 <= 0x60FF and tag & 0xFFFF == 0x0102 and size == 2:
            overlay_bits.add(int.from_bytes(elements.value(size), "little"))
        elif in_regions and regions and tag in _CORNERS and size == 4:
            regions[-1][tag] = int.from_bytes(elements.value(size), "little")
        else:
            elements.discard(size)
    corners = (tuple(one[tag] for tag in _CORNERS) for one in regions if len(one) == len(_CORNERS))
    return Subject(
        values,
        tuple((left, top, right, bottom) for left, top, right, bottom in corners),
        tuple(sorted(overlay_bits - {0})),
        has_pixels,
    )
