"""Writes texts and numbers as values of a VR (PS3.5 6.2), or says why they are none. Pure."""

import struct
import warnings
from collections.abc import Sequence
from typing import Final

from pydicom import config
from pydicom.charset import convert_encodings, encode_string
from pydicom.valuerep import PersonName, format_number_as_ds, validate_value

from dicomroute_gateway.rules.character_sets import decode_text

_NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_ONE_VALUE: Final = frozenset(("LT", "ST", "UT", "UR"))
"""VRs in which a backslash is a character like any other, and that have one value."""
_IN_CHARACTER_SET: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))


class ValueUnwritable(ValueError):
    """Something is no value of a VR; the message says why, without the value."""


def value_bytes(vr: str, values: Sequence[str | int | float], specific_character_set: bytes) -> bytes:
    """Return values as an element of a VR has them, of an even length, in little endian.

    `specific_character_set` is the raw value of (0008,0005), empty where there is none. Raises ValueUnwritable.
    """
    if vr in _NUMBERS:
        try:
            return b"".join(struct.pack(f"<{_NUMBERS[vr]}", _number(vr, one)) for one in values)
        except (struct.error, OverflowError) as error:
            raise ValueUnwritable(f"{vr} does not allow this number") from error
    texts = [_text(vr, one) for one in values]
    if len(texts) > 1 and vr in _ONE_VALUE:
        raise ValueUnwritable(f"{vr} allows only one value, but there are {len(texts)}")
    text = "\\".join(texts)
    encoded = _encoded(text, vr, specific_character_set) if vr in _IN_CHARACTER_SET else _ascii(text, vr)
    return encoded + b" " * (len(encoded) % 2)


def _number(vr: str, value: str | int | float) -> int | float:
    if isinstance(value, str):
        raise ValueUnwritable(f"{vr} requires a number, not a text")
    if vr in ("FL", "FD"):
        return float(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueUnwritable(f"{vr} requires an integer, not a fraction")
        return int(value)
    return value


def _text(vr: str, value: str | int | float) -> str:
    if isinstance(value, str):
        text = value
    elif vr == "DS":
        try:
            text = str(value) if isinstance(value, int) and len(str(value)) <= 16 else format_number_as_ds(float(value))
        except (ValueError, OverflowError) as error:
            raise ValueUnwritable("DS does not allow this number") from error
    elif vr == "IS" and float(value).is_integer():
        text = str(int(value))
    else:
        raise ValueUnwritable(f"{vr} requires a text, not a number: write string(…)")
    if vr not in _ONE_VALUE and "\\" in text:
        raise ValueUnwritable("a backslash separates values (PS3.5 6.4): write a list of texts")
    if any(ord(character) < 0x20 and character not in "\r\n\f\t" for character in text) or "\x7f" in text:
        raise ValueUnwritable("control characters are not allowed")
    try:
        validate_value(vr, text, config.RAISE)
    except ValueError as error:
        raise ValueUnwritable(f"the value does not fit {vr} (PS3.5 6.2)") from error
    return text


def _ascii(text: str, vr: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError as error:
        raise ValueUnwritable(f"{vr} does not allow these characters") from error


def _encoded(text: str, vr: str, specific_character_set: bytes) -> bytes:
    """Return a text in a character set: what a reader makes of the bytes is the text, or it is refused."""
    names = [name.strip(" \0") for name in specific_character_set.decode("latin-1").split("\\")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encodings = convert_encodings(names)
            encoded = PersonName(text).encode(encodings) if vr == "PN" else encode_string(text, encodings)
        if decode_text(encoded, vr, specific_character_set) == text:
            return bytes(encoded)
    except (ValueError, LookupError):
        pass
    character_set = ", ".join(filter(None, names)) or "the default one"
    raise ValueUnwritable(f"characters that the data set's character set does not have ({character_set})")
