"""What rules may speak of: DICOM keywords and association facts, their CEL types, and their values.

Values follow the data dictionary (PS3.6): VM > 1 a list; IS, US, SS, UL, SL, UV, SV an int; DS, FL, FD a
double; AT a string of eight hexadecimal digits; otherwise decoded text. Missing is "", [] or null.
"""

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pydicom._dicom_dict import DicomDictionary

from .character_sets import decode_text
from .head import RawElement

SPECIFIC_CHARACTER_SET: Final = 0x00080005
TRANSFER_SYNTAX_KEYWORD: Final = "TransferSyntaxUID"
ASSOCIATION_FACTS: Final = ("callingAETitle", "calledAETitle", "address", "listener")

_INTEGERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q"}
_FLOATS: Final = {"FL": "f", "FD": "d"}
_DECODED: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_PLAIN: Final = frozenset(("AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"))
_INTEGER: Final = re.compile(r"([+-]?[0-9]+)(?:\.0*)?")
_DECIMAL: Final = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?)")
_MOST_NUMBER_CHARACTERS: Final = 64
"""IS has 12 and DS 16 (PS3.5 6.2); what writers put there is longer at times, and never so long."""
_INT64: Final = range(-(1 << 63), 1 << 63)
"""The integers that CEL has."""
_NOT_AS_WRITTEN: Final = re.compile("[\0\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that a library cuts a text at, drops or cannot have: NUL, surrogates, byte order marks, noncharacters."""
_NO_AE_TITLE: Final = re.compile(r"[^ -~]|\\")
"""What a title cannot have (PS3.5 6.2), so that its text may stand for several sequences of bytes."""
_ONE_VALUE: Final = frozenset(("LT", "ST", "UT", "UR"))
"""Value representations in which a backslash is a character like any other (PS3.5 6.2)."""

Scalar = str | int | float | None
Value = Scalar | list[str] | list[int] | list[float] | list[Scalar]


class ValueUnusable(Exception):
    """A value does not fit its value representation, so that a rule cannot be answered."""


class Form(Enum):
    """The CEL type of a value."""

    TEXT = "string"
    INTEGER = "int"
    DECIMAL = "double"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A keyword that rules may use."""

    keyword: str
    tag: int
    vr: str
    form: Form
    is_list: bool

    @property
    def missing(self) -> Value:
        """The value of this attribute where a data set does not have it, or has it empty."""
        if self.is_list:
            return []
        return "" if self.form is Form.TEXT else None


def _attributes() -> dict[str, Attribute]:
    attributes = {}
    for tag, (vrs, vm, _name, _retired, keyword) in DicomDictionary.items():
        vr = vrs.split(" or ")[0]
        form = _form(vr)
        if keyword and form is not None:
            attributes[keyword] = Attribute(keyword, tag, vr, form, vm != "1")
    return attributes


def _form(vr: str) -> Form | None:
    """Return the CEL type of a VR; None for sequences and bulk data, of which rules cannot speak."""
    if vr in _INTEGERS or vr == "IS":
        return Form.INTEGER
    if vr in _FLOATS or vr == "DS":
        return Form.DECIMAL
    return Form.TEXT if vr in _DECODED or vr in _PLAIN or vr == "AT" else None


ATTRIBUTES: Final[Mapping[str, Attribute]] = _attributes()


def value_of(attribute: Attribute, elements: Mapping[int, RawElement], byte_order: str = "<") -> Value:
    """Return the value of an attribute in the raw elements of a data set.

    Raises ValueUnusable when the bytes do not fit: a rule must not take a wrong number for a right one.
    """
    element = elements.get(attribute.tag)
    if element is None or not element.value:
        return attribute.missing
    if element.is_truncated:
        raise ValueUnusable(f"{attribute.keyword} is longer than 64 KiB")
    try:
        values = _values(attribute, element, elements, byte_order)
    except (ValueError, struct.error, LookupError) as error:
        raise ValueUnusable(f"{attribute.keyword} is not a valid {element.vr}") from error
    if not all(map(_is_as_written, values)):
        raise ValueUnusable(f"{attribute.keyword} contains characters or a number that rules cannot read")
    if attribute.is_list:
        return values
    if len(values) > 1:
        raise ValueUnusable(f"{attribute.keyword} has {len(values)} values, but the standard allows only one")
    return values[0] if values else attribute.missing


def _values(
    attribute: Attribute, element: RawElement, elements: Mapping[int, RawElement], byte_order: str
) -> list[Scalar]:
    vr = attribute.vr if element.vr in ("UN", "") else element.vr
    for formats in (_INTEGERS, _FLOATS):
        if vr in formats:
            return list(struct.unpack(f"{byte_order}{_count(element.value, formats[vr])}{formats[vr]}", element.value))
    if vr == "AT":
        words = struct.unpack(f"{byte_order}{_count(element.value, 'H')}H", element.value)
        return [f"{group:04X}{number:04X}" for group, number in zip(words[::2], words[1::2], strict=True)]
    text = _text(element.value, vr, elements)
    parts = [text] if vr in _ONE_VALUE else [part.lstrip(" ") for part in text.split("\\")]
    texts = [part.rstrip(" \0") for part in parts]
    if vr == "PN":
        texts = [text.rstrip("^=") for text in texts]
    if attribute.form is Form.INTEGER:
        return [int(_number(text, _INTEGER)) for text in texts if text]
    if attribute.form is Form.DECIMAL:
        return [float(_number(text, _DECIMAL)) for text in texts if text]
    return [text for text in texts if text or len(texts) > 1]


def _number(text: str, form: re.Pattern[str]) -> str:
    """Return the text of a number; Python reads more as one than the standard (PS3.5 6.2: IS, DS).

    Its length is looked at first: a peer decides what is matched.
    """
    found = form.fullmatch(text) if len(text) <= _MOST_NUMBER_CHARACTERS else None
    if found is None:
        raise ValueError("no number")
    return found[1]


def _is_as_written(value: Scalar) -> bool:
    """Return whether CEL, and whoever else is given a value, sees what its bytes say."""
    if isinstance(value, str):
        return _NOT_AS_WRITTEN.search(value) is None
    if isinstance(value, int):
        return value in _INT64
    return not (isinstance(value, float) and math.isinf(value))


def check_fact(name: str, value: str) -> None:
    """Raise ValueUnusable for a fact of an association that rules cannot read as it came."""
    if _NO_AE_TITLE.search(value):
        raise ValueUnusable(f"association.{name} has characters that are not allowed in an AE title")


def _count(value: bytes, code: str) -> int:
    return len(value) // struct.calcsize(f"<{code}")


def _text(value: bytes, vr: str, elements: Mapping[int, RawElement]) -> str:
    if vr not in _DECODED:
        return value.decode("latin-1")
    character_set = elements.get(SPECIFIC_CHARACTER_SET)
    return decode_text(value, vr, character_set.value if character_set else b"")
