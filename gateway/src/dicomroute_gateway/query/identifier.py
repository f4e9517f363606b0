"""Identifiers of queries and retrievals: data sets of some kilobytes, decoded to text and encoded again (PS3.4 C.2.2).

The character set of a request says how that request is encoded, and is no wish for the answer (PS3.4 C.2.2.2): each
answer declares its own.
"""

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from dicomroute_gateway.catalogue.heads import text_of
from dicomroute_gateway.decoded import Attributes, Element
from dicomroute_gateway.rules.character_sets import encode_text

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
TRANSFER_SYNTAXES: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
MAX_IDENTIFIER_BYTES: Final = 4 << 20
"""A list of 65 535 UIDs, which is as many as the counts of a retrieval can tell, is about as long."""

SPECIFIC_CHARACTER_SET: Final = 0x00080005
QUERY_RETRIEVE_LEVEL: Final = 0x00080052
TIMEZONE_OFFSET_FROM_UTC: Final = 0x00080201
_UTF_8: Final = b"ISO_IR 192"
_NO_KEYS: Final = frozenset((SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL, TIMEZONE_OFFSET_FROM_UTC))
_INTEGERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q"}
_FLOATS: Final = {"FL": "f", "FD": "d"}
_DECODED: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_PLAIN: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
_ONE_VALUE: Final = frozenset(("LT", "ST", "UR", "UT"))
_LONG: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_MOST_DEPTH: Final = 8


class IdentifierInvalid(Exception):
    """The bytes are no identifier that can be answered; the message says why, without a value."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """What a request says: its level as it is written, its keys, and the character set that it declares, or b"".

    Keys are the attributes of the data dictionary alone: group lengths, private and unknown ones do no harm and have no
    effect. A retired one is asked for, and never matched.
    """

    level: str
    keys: Attributes
    character_set: bytes = b""


def decode_identifier(data: bytes, transfer_syntax_uid: str, default_character_set: bytes = b"") -> Identifier:
    """Return the identifier in a data set; text of no declared character set may be in the default one.

    Raises IdentifierInvalid.
    """
    is_implicit = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
    try:
        data_set = read_dataset(io.BytesIO(data), is_implicit, True, bytelength=len(data))
        declared = _raw(data_set, SPECIFIC_CHARACTER_SET)
        level = _raw(data_set, QUERY_RETRIEVE_LEVEL).decode("latin-1").strip(" \0")
        keys = _decoded(data_set, declared, default_character_set, 0)
    except IdentifierInvalid:
        raise
    except Exception as error:  # pydicom says in many ways that bytes are no data set
        raise IdentifierInvalid("the identifier is not a data set in its transfer syntax") from error
    return Identifier(level, {tag: one for tag, one in keys.items() if tag not in _NO_KEYS}, declared)


def encode_identifier(attributes: Attributes, transfer_syntax_uid: str, preferred_character_set: bytes = b"") -> bytes:
    """Return a data set of these attributes, with Specific Character Set where one is needed.

    ASCII needs none. Other text is in the preferred character set, if all of it can be written in that, else in UTF-8.
    """
    is_implicit = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
    if all(map(str.isascii, _texts(attributes))):
        return _encoded(attributes, b"", is_implicit)
    for declared in filter(None, (preferred_character_set, _UTF_8)):
        try:
            with_set = {**attributes, SPECIFIC_CHARACTER_SET: Element("CS", (declared.decode("latin-1"),))}
            return _encoded(with_set, declared, is_implicit)
        except (ValueError, LookupError):
            if declared == _UTF_8:
                raise
    raise AssertionError("UTF-8 has every character")


def _raw(data_set: Dataset, tag: int) -> bytes:
    """Return the value of an element as it came, without what pads it; b"" where there is none."""
    element = data_set.get_item(tag)
    value = element.value if element is not None else b""
    return value.strip(b" \0") if isinstance(value, bytes) else b""


def _decoded(data_set: Dataset, declared: bytes, otherwise: bytes, depth: int) -> dict[int, Element]:
    if depth > _MOST_DEPTH:
        raise IdentifierInvalid("sequences in the identifier are nested too deeply")
    found: dict[int, Element] = {}
    for tag in sorted(data_set.keys()):
        entry = DicomDictionary.get(int(tag))
        if entry is None or tag.element == 0:
            continue
        element = data_set.get_item(tag)
        vr = str(element.VR or "") if element is not None else ""
        vr = entry[0].split(" or ")[0] if vr in ("", "UN") else vr
        if vr == "SQ":
            items = data_set[tag].value if not isinstance(element, RawDataElement) or element.value else ()
            decoded = tuple(
                _decoded(item, _raw(item, SPECIFIC_CHARACTER_SET) or declared, otherwise, depth + 1) for item in items
            )
            found[int(tag)] = Element(vr, (), decoded)
        else:
            found[int(tag)] = Element(vr, () if entry[3] else _values(element, vr, declared, otherwise))
    return found


def _values(
    element: RawDataElement | DataElement | None, vr: str, declared: bytes, otherwise: bytes
) -> tuple[str, ...]:
    value = element.value if element is not None else b""
    if not isinstance(value, bytes) or not value:
        return ()
    code = _INTEGERS.get(vr) or _FLOATS.get(vr)
    if code is not None:
        size = struct.calcsize(f"<{code}")
        return tuple(str(one) for (one,) in struct.iter_unpack(f"<{code}", value[: len(value) // size * size]))
    if vr == "AT":
        return tuple(
            f"{group:04X}{number:04X}" for group, number in struct.iter_unpack("<HH", value[: len(value) // 4 * 4])
        )
    if vr not in _DECODED and vr not in _PLAIN:
        return ()
    text = text_of(value, vr, declared, otherwise) if vr in _DECODED else value.decode("latin-1")
    parts = [text.rstrip(" \0")] if vr in _ONE_VALUE else [part.strip(" \0") for part in text.split("\\")]
    values = tuple(part.rstrip("^=") if vr == "PN" else part for part in parts)
    return values if any(values) else ()


def _texts(attributes: Attributes) -> Iterable[str]:
    for element in attributes.values():
        yield from element.values
        for item in element.items:
            yield from _texts(item)


def _encoded(attributes: Attributes, declared: bytes, is_implicit: bool) -> bytes:
    parts = []
    for tag in sorted(attributes):
        element = attributes[tag]
        value, vr = _value(element, declared, is_implicit), element.vr.encode("ascii")
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if is_implicit:
            head += struct.pack("<I", len(value))
        elif element.vr in _LONG:
            head += vr + struct.pack("<HI", 0, len(value))
        else:
            if len(value) > 0xFFFF:
                raise ValueError(f"a value of {len(value)} bytes does not fit its element")
            head += vr + struct.pack("<H", len(value))
        parts.append(head + value)
    return b"".join(parts)


def _value(element: Element, declared: bytes, is_implicit: bool) -> bytes:
    vr = element.vr
    if vr == "SQ":
        items = [_encoded(item, declared, is_implicit) for item in element.items]
        return b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    try:
        if vr in _INTEGERS:
            return struct.pack(f"<{len(element.values)}{_INTEGERS[vr]}", *(int(float(one)) for one in element.values))
        if vr in _FLOATS:
            return struct.pack(f"<{len(element.values)}{_FLOATS[vr]}", *map(float, element.values))
    except struct.error as error:
        raise ValueError(str(error)) from error
    if vr == "AT":
        return b"".join(struct.pack("<HH", int(one[:4], 16), int(one[4:], 16)) for one in element.values)
    if vr not in _DECODED and vr not in _PLAIN:
        return b""
    text = "\\".join(element.values)
    value = encode_text(text, vr, declared) if vr in _DECODED and declared else text.encode("ascii", "replace")
    return value + (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
