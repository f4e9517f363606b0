"""Reads of an instance in the spool what the catalogue keeps of it."""

import struct
from collections.abc import Mapping
from functools import partial
from typing import Final

from dicomroute_gateway.decoded import Attributes, Element
from dicomroute_gateway.rules.character_sets import decode_text
from dicomroute_gateway.rules.head import EXPLICIT_VR_BIG_ENDIAN, RawElement, Read, scan
from dicomroute_gateway.spool.content import Content

from .keys import VRS

SPECIFIC_CHARACTER_SET: Final = 0x00080005
WANTED: Final = frozenset((SPECIFIC_CHARACTER_SET, *VRS))
_TEXT: Final = frozenset(("LO", "PN", "SH"))
_MOST_BYTES: Final = 1024
"""A longer value is none that anybody looks for: the longest VR that is kept has 3 × 64 characters."""


def raw_elements(content: Content, data_set_length: int, transfer_syntax_uid: str) -> dict[int, RawElement]:
    """Return the undecoded elements of an instance that are kept. Raises HeadError, Unreadable."""
    return scan(_reading(content, content.length - data_set_length), transfer_syntax_uid, WANTED)


def decoded(raw: Mapping[int, RawElement], transfer_syntax_uid: str) -> Attributes:
    """Return the values of elements as text; one that cannot be read is left out, as it matches nothing."""
    order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    character_set = raw.get(SPECIFIC_CHARACTER_SET)
    decode = partial(_decoded, character_set=character_set.value if character_set else b"", order=order)
    return {tag: Element(VRS[tag], values) for tag, one in raw.items() if tag in VRS and (values := decode(tag, one))}


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
