"""Reads of an instance in the spool what the catalogue keeps of it."""

import struct
from collections.abc import Collection, Mapping
from typing import Final

from dicomroute_gateway.decoded import Attributes, Element, Level
from dicomroute_gateway.rules.character_sets import decode_text
from dicomroute_gateway.rules.head import EXPLICIT_VR_BIG_ENDIAN, RawElement, Read, scan
from dicomroute_gateway.spool.content import Content

from .keys import KEPT, VRS

SPECIFIC_CHARACTER_SET: Final = 0x00080005
OF_INSTANCES: Final = tuple(KEPT[Level.IMAGE])
OF_ENTITIES_ABOVE: Final = (SPECIFIC_CHARACTER_SET, *(tag for tag in VRS if tag not in KEPT[Level.IMAGE]))
_WANTED: Final = frozenset((*OF_ENTITIES_ABOVE, *OF_INSTANCES))
_TEXT: Final = frozenset(("LO", "PN", "SH"))
_MOST_BYTES: Final = 1024
"""A longer value is none that anybody looks for: the longest VR that is kept has 3 × 64 characters."""


def raw_elements(content: Content, data_set_length: int, transfer_syntax_uid: str) -> dict[int, RawElement]:
    """Return the undecoded elements of an instance that are kept. Raises HeadError, Unreadable."""
    return scan(_reading(content, content.length - data_set_length), transfer_syntax_uid, _WANTED)


def decoded(raw: Mapping[int, RawElement], transfer_syntax_uid: str, tags: Collection[int]) -> Attributes:
    """Return the values of some elements as text; one that cannot be read is left out, as it matches nothing."""
    order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    character_set = raw.get(SPECIFIC_CHARACTER_SET)
    declared = character_set.value if character_set else b""
    found: dict[int, Element] = {}
    for tag in tags:
        if tag in raw and tag in VRS and (values := _decoded(tag, raw[tag], declared, order)):
            found[tag] = Element(VRS[tag], values)
    return found


def _reading(content: Content, head: int) -> Read:
    return lambda offset, length: content.read_at(head + offset, length)


def _decoded(tag: int, element: RawElement, character_set: bytes, order: str) -> tuple[str, ...]:
    vr, value = VRS[tag], element.value
    if element.is_truncated or len(value) > _MOST_BYTES:
        return ()
    if vr == "US":
        return tuple(str(one) for (one,) in struct.iter_unpack(f"{order}H", value[: len(value) // 2 * 2]))
    text = text_of(value, vr, character_set) if vr in _TEXT else value.decode("latin-1")
    parts = [part.strip(" \0") for part in text.split("\\")]
    values = tuple(part.rstrip("^=") if vr == "PN" else part for part in parts)
    return values if any(values) else ()


def text_of(value: bytes, vr: str, character_set: bytes, otherwise: bytes = b"") -> str:
    """Return the text of a value, whatever it takes.

    What is no text in its character set, or declares none, is taken for UTF-8, then for the character set `otherwise`,
    and at last for ASCII with a question mark for each other byte: senders leave the declaration out.
    """
    for declared in (character_set, b"ISO_IR 192", otherwise):
        try:
            if declared or value.isascii():
                return decode_text(value, vr, declared)
        except (ValueError, LookupError):
            pass
    return "".join(chr(one) if one < 128 else "?" for one in value)
