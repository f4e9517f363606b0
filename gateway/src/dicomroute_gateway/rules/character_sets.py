"""Text by its Specific Character Set (0008,0005), or an error that says that it is none (PS3.3 C.12.1.1.2, PS3.5 6.1).

Pure.

A rule must not take a wrong text for a right one: bytes that the character set does not have are an error, where the
library would replace characters, and warn on standard error.
"""

import re
from typing import Final

from pydicom import charset, config
from pydicom.charset import STAND_ALONE_ENCODINGS, convert_encodings, decode_bytes, encode_string, python_encoding
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

config.settings.reading_validation_mode = config.RAISE
config.settings.writing_validation_mode = config.RAISE

_ESCAPE: Final = b"\x1b"
_LATIN_9: Final = "iso8859_15"
# Latin-9 is newer than pydicom's table (PS3.3 tables C.12-2 and C.12-3).
for _term in ("ISO_IR 203", "ISO 2022 IR 203"):
    python_encoding.setdefault(_term, _LATIN_9)
charset.CODES_TO_ENCODINGS.setdefault(_ESCAPE + b"-b", _LATIN_9)

_MOST_TERM_CHARACTERS: Final = 16
_OTHER_NUMBER: Final = re.compile(r"ISO(?:_IR| 2022 IR) [0-9]+")
"""Spelt as a defined term is: what it names is unknown, and not how it is written."""
_JAPANESE: Final = frozenset(("shift_jis", "iso2022_jp", "iso2022_jp_2", "iso8859"))
_NOT_IN_JIS_X_0201: Final = re.compile(rb"[\x80-\xa0\xe0-\xff]")
"""Python's codec reads double-byte characters there, which ISO_IR 13 does not have (PS3.3 table C.12-2)."""


def decode_text(value: bytes, vr: str, specific_character_set: bytes) -> str:
    """Return the text of a value; `specific_character_set` is the raw value of (0008,0005), empty where there is none.

    A misspelt term is no matter for pure ASCII, which is the same text in every character set that it can mean.

    Raises ValueError or LookupError when the value is not text in that character set.
    """
    names = [name.strip(" \0") for name in specific_character_set.decode("latin-1").split("\\")]
    unknown = [name for name in names if name not in python_encoding]
    mixed = len(names) > 1 and any(name in STAND_ALONE_ENCODINGS for name in names)
    if unknown or mixed:
        if not all(map(_is_misspelt, unknown)) or not value.isascii() or _ESCAPE in value:
            raise ValueError(f"{len(unknown)} unknown character sets, or one beside others that it excludes")
        return value.decode("ascii")
    encodings = convert_encodings(names)
    if encodings[0] == "shift_jis" and _JAPANESE.issuperset(encodings) and _NOT_IN_JIS_X_0201.search(value):
        raise ValueError("bytes that JIS X 0201 does not have")
    return decode_bytes(value, encodings, PN_DELIMS if vr == "PN" else TEXT_VR_DELIMS)


def encode_text(value: str, vr: str, specific_character_set: bytes) -> bytes:
    """Return a text as `decode_text` reads it, with the escape sequences of code extensions where it needs them.

    Raises ValueError or LookupError when it cannot be written in that character set.
    """
    encodings = convert_encodings([name.strip(" \0") for name in specific_character_set.decode("latin-1").split("\\")])
    # Each delimiter resets code extensions (PS3.5 6.1.2.5.3), so that what is between them stands for itself.
    parts = re.split(r"([\^=])" if vr == "PN" else r"([\\\r\n\f\t])", value)
    encoded = b"".join(encode_string(part, encodings) if part else b"" for part in parts)
    if decode_text(encoded, vr, specific_character_set) != value:
        raise ValueError("the character set does not have all of the text")
    return encoded


def _is_misspelt(term: str) -> bool:
    """Return whether a term that is not defined may be a defined one in another spelling."""
    return len(term) <= _MOST_TERM_CHARACTERS and term.isprintable() and not _OTHER_NUMBER.fullmatch(term)
