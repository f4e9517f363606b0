"""What stands in the place of a value, and which values are what their VR says (PS3.5 6.2). Pure."""

import re
import struct
from typing import Final

from .dates import shifted

TEXT: Final = frozenset(("AE", "LO", "LT", "SH", "ST", "UC", "UR", "UT"))
DATES: Final = frozenset(("DA", "DT", "TM"))
BINARY: Final = {
    **dict.fromkeys(("SS", "US"), 2),
    **dict.fromkeys(("AT", "FL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "SV", "UV"), 8),
}
"""Bytes of one value."""
WORDS: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW"))
VRS: Final = frozenset((*TEXT, *DATES, *BINARY, *WORDS, "AS", "CS", "DS", "IS", "PN", "SQ", "UI", "UN"))
"""All VRs that there are (PS3.5 table 6.2-1)."""

DUMMY_TEXT: Final = b"ANONYMIZED"
_DUMMIES: Final = {
    "AE": DUMMY_TEXT,
    "AS": b"000D",
    "CS": DUMMY_TEXT,
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "IS": b"0",
    "TM": b"000000",
    "UR": b"urn:anonymized",
}
_CHARACTERS: Final = {
    "CS": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _\\\0",
    "DS": b"0123456789+-.eE \\\0",
    "IS": b"0123456789+- \\\0",
    "UI": b"0123456789.\\ \0",
}
_MOST_CHARACTERS: Final = {"CS": 16, "DS": 16, "IS": 12, "UI": 64}
_TIME: Final = re.compile(rb"[0-9:]{2,8}(\.[0-9]{1,6})?")
_AGE: Final = re.compile(rb"[0-9]{3}[DWMY]")


def dummy(vr: str, size: int) -> bytes:
    """Return a value of a VR that says nothing, in the place of one of `size` bytes."""
    if vr in BINARY:
        return bytes(BINARY[vr])
    if vr in WORDS or vr == "UN":
        return bytes(min(max(size + size % 2, 8), 8))
    return _DUMMIES.get(vr, DUMMY_TEXT)


def padded(vr: str, value: bytes) -> bytes:
    """Return a value of an even length (PS3.5 6.2)."""
    if len(value) % 2 == 0:
        return value
    return value + (b"\0" if vr in ("UI", "OB", "UN") else b" ")


def is_proper(vr: str, value: bytes) -> bool:
    """Return whether a value has the characters and lengths of its VR; free text and numbers in binary always have.

    Old devices write a DS longer than 16 characters: of DS, only the characters count.
    """
    if vr in _CHARACTERS:
        if value.translate(None, _CHARACTERS[vr]):
            return False
        return vr == "DS" or all(len(one.strip(b" \0")) <= _MOST_CHARACTERS[vr] for one in value.split(b"\\"))
    if vr in ("DA", "DT"):
        return shifted(vr, value.decode("latin-1"), 0) is not None
    if vr in ("TM", "AS"):
        form = _TIME if vr == "TM" else _AGE
        return all(not one or form.fullmatch(one) for one in (part.strip(b" \0") for part in value.split(b"\\")))
    return True


def without_text(profile: bytes) -> bytes | None:
    """Return an ICC profile (ISO 15076-1) whose tags of text are empty, None if it is none.

    What has to be there of colours is numbers; descriptions and copyrights may name a site or a person.
    """
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return None
    cleaned = bytearray(profile)
    (count,) = struct.unpack_from(">I", profile, 128)
    if 132 + 12 * count > len(profile):
        return None
    for number in range(count):
        _, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if offset + size > len(profile) or size < 8:
            return None
        if profile[offset : offset + 4] in (b"desc", b"text", b"mluc", b"dict"):
            cleaned[offset + 8 : offset + size] = bytes(size - 8)
    cleaned[80:84] = bytes(4)
    return bytes(cleaned)
