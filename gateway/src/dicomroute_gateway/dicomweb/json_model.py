"""Data sets in the DICOM JSON model (PS3.18 annex F), as origin servers write them, good or bad. Pure.

Text is what JSON says it is: the answer's own encoding decodes it, and Specific Character Set (0008,0005) in it speaks
of what the server has, not of the answer, so that it is left out.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydicom.datadict import dictionary_VR

from dicomroute_gateway.decoded import Attributes, Element

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_WHOLE: Final = frozenset(("IS", "SL", "SS", "SV", "UL", "US", "UV"))
_REAL: Final = frozenset(("FD", "FL"))
_BINARY: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_SEVERAL: Final = frozenset(("CS", "UI"))
"""VRs of which a value with a backslash is several: older servers join them."""
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_MOST_DS_CHARACTERS: Final = 16
_MOST_DEPTH: Final = 8
"""How deep sequences may be nested: no attribute that queries speak of comes near it."""


class NotDicomJson(Exception):
    """The text is not a list of data sets in the DICOM JSON model; the message says what it is."""


class _NoValue(Exception):
    """What stands there is no value of its VR."""


def decode(content: bytes, charset: str | None = None) -> list[dict[int, Element]]:
    """Return the data sets in an answer: a list of them, or one alone; without a byte there is none.

    `charset` is what its Content-Type says; JSON is UTF-8 without it (RFC 8259 8.1). What is no value, and what
    is not text (InlineBinary, BulkDataURI), is left out. Raises NotDicomJson.
    """
    if not content.strip():
        return []
    try:
        document = json.loads(content.decode(charset or "utf-8-sig"))
    except LookupError as error:
        raise NotDicomJson("its character set is not known") from error
    except (ValueError, RecursionError) as error:
        raise NotDicomJson("it is not JSON, or not in the character set that it says") from error
    document = [document] if isinstance(document, Mapping) else document
    if not isinstance(document, list) or not all(isinstance(one, Mapping) for one in document):
        raise NotDicomJson("it is JSON, and no list of data sets")
    return [_data_set(one, 0) for one in document]


def _data_set(item: Mapping[str, Any], depth: int) -> dict[int, Element]:
    found: dict[int, Element] = {}
    for name, attribute in item.items():
        if not _TAG.fullmatch(name) or not isinstance(attribute, Mapping):
            continue
        tag = int(name, 16)
        vr = _vr(tag, attribute.get("vr"))
        if vr in _BINARY or tag == _SPECIFIC_CHARACTER_SET or "InlineBinary" in attribute or "BulkDataURI" in attribute:
            continue
        given = attribute.get("Value", [])
        values = given if isinstance(given, list) else [given]
        try:
            found[tag] = _sequence(values, depth) if vr == "SQ" else Element(vr, _texts(vr, values))
        except _NoValue:
            continue
    return found


def _vr(tag: int, said: object) -> str:
    if isinstance(said, str) and len(said) == 2 and said.isascii() and said.isupper():
        return said
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "UN"


def _sequence(values: Sequence[Any], depth: int) -> Element:
    if depth >= _MOST_DEPTH:
        raise _NoValue
    items: tuple[Attributes, ...] = tuple(_data_set(one, depth + 1) for one in values if isinstance(one, Mapping))
    return Element("SQ", (), items)


def _texts(vr: str, values: Sequence[Any]) -> tuple[str, ...]:
    if vr in _SEVERAL:
        values = [part for one in values for part in (one.split("\\") if isinstance(one, str) else (one,))]
    texts = [_text(vr, one) for one in values]
    while texts and not texts[-1]:
        texts.pop()
    return tuple(texts)


def _text(vr: str, value: Any) -> str:
    """Return one value; "" is an empty one."""
    if vr == "PN":
        return _name(value)
    if value is None:
        return ""
    if isinstance(value, (bool, list, Mapping)):
        raise _NoValue
    if isinstance(value, str) and not value.strip(" \0"):
        return ""
    if vr == "AT":
        if isinstance(value, str) and _TAG.fullmatch(value):
            return value.upper()
        raise _NoValue
    if vr in _WHOLE:
        return str(_integer(value))
    if vr in _REAL:
        return repr(_number(value)).removesuffix(".0")
    if vr == "DS":
        return _decimal(value)
    return value.strip("\0").rstrip(" ") if isinstance(value, str) else _shortest(_number(value))


def _name(value: Any) -> str:
    """Return a person name: its component groups, without the empty ones at the end (PS3.5 6.2.1.1)."""
    if value is None:
        return ""
    if isinstance(value, str):  # of servers that write it as other text
        return value.rstrip("^= ")
    if not isinstance(value, Mapping):
        raise _NoValue
    groups = [value.get(group) for group in _GROUPS]
    return "=".join(group.rstrip("^ ") if isinstance(group, str) else "" for group in groups).rstrip("=")


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise _NoValue from error
    if not math.isfinite(number):
        raise _NoValue
    return number


def _integer(value: Any) -> int:
    if isinstance(value, int):
        return value
    text = str(value).strip()
    try:
        return int(text)
    except ValueError:
        number = _number(text)
    if not number.is_integer():
        raise _NoValue
    return int(number)


def _decimal(value: Any) -> str:
    """Return a decimal string of at most 16 characters (PS3.5 6.2, DS): as it stands where it is text."""
    if isinstance(value, str):
        text = value.strip(" \0")
        _number(text)
        if len(text) <= _MOST_DS_CHARACTERS:
            return text
    return _shortest(_number(value))


def _shortest(number: float) -> str:
    text = str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    digits = _MOST_DS_CHARACTERS
    while len(text) > _MOST_DS_CHARACTERS and digits:
        text = f"{number:.{digits}g}"
        digits -= 1
    return text
