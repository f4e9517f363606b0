"""Which transfer syntaxes can be de-identified, and what their frames are (PS3.5 annex A)."""

from enum import Enum, auto
from typing import Final

_JPEG: Final = ("50", "51", "57", "70", "80", "81")
_JPEG_2000: Final = ("90", "91", "201", "202", "203")
_ROOT: Final = "1.2.840.10008.1.2.4."


class Frames(Enum):
    """In what form frames are, which says what else may be in them."""

    RLE = auto()  # nothing but segments of samples (PS3.5 annex G)
    JPEG = auto()  # marker segments, with comments and applications' data (ISO/IEC 10918-1, 14495-1)
    JPEG_2000 = auto()  # marker segments, with comments (ISO/IEC 15444-1)


FRAMES: Final = {
    "1.2.840.10008.1.2.5": Frames.RLE,
    **{_ROOT + one: Frames.JPEG for one in _JPEG},
    **{_ROOT + one: Frames.JPEG_2000 for one in _JPEG_2000},
}
"""Compressed transfer syntaxes by UID. Others (video, JPEG XL, JPIP) may carry text that nobody here finds."""
LOSSY_JPEG: Final = frozenset((_ROOT + "50", _ROOT + "51"))
