"""What a de-identified data set says of itself (PS3.15 E.1.1 item 6, PS3.3 C.12.1.1.9.1, C.7.6.1). Pure."""

from typing import Final

from dicomroute_gateway.configuration.profile import Option
from dicomroute_gateway.prepare.elements import EXPLICIT, ITEM, SEQUENCE_END, UNDEFINED, header_of

from .plan import Plan
from .table import CODES, EDITION
from .values import padded

_BASIC: Final = ("113100", "Basic Application Confidentiality Profile")


def additions(plan: Plan, *, masks: bool) -> dict[int, bytes]:
    """Return whole elements by tag: they stand in the place of those that came, or beside them."""
    options = set(plan.options) | ({Option.CLEAN_PIXEL_DATA} if masks else set())
    codes = sorted([_BASIC, *(CODES[one] for one in options)])
    if plan.removes_unlisted_dates:
        dates = b"REMOVED"
    else:
        dates = b"MODIFIED" if Option.RETAIN_MODIFIED_DATES in options else b"UNMODIFIED"
    found = {
        0x00120062: _element(0x00120062, "CS", b"YES"),
        0x00120063: _element(0x00120063, "LO", f"PS3.15 {EDITION} by dicomroute".encode()),
        0x00120064: _sequence(0x00120064, codes),
        0x00280303: _element(0x00280303, "CS", dates),
    }
    if masks:
        found[0x00280301] = _element(0x00280301, "CS", b"NO")
    return found


def _element(tag: int, vr: str, value: bytes) -> bytes:
    value = padded(vr, value)
    return header_of(tag, vr, len(value), EXPLICIT) + value


def _sequence(tag: int, codes: list[tuple[str, str]]) -> bytes:
    items = b"".join(
        _item(
            _element(0x00080100, "SH", value.encode())
            + _element(0x00080102, "SH", b"DCM")
            + _element(0x00080104, "LO", meaning.encode())
        )
        for value, meaning in codes
    )
    return header_of(tag, "SQ", UNDEFINED, EXPLICIT) + items + _delimiter(SEQUENCE_END, 0)


def _item(content: bytes) -> bytes:
    return _delimiter(ITEM, UNDEFINED) + content + _delimiter(0xFFFEE00D, 0)


def _delimiter(tag: int, size: int) -> bytes:
    return (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + size.to_bytes(4, "little")
