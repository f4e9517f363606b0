"""Writes data sets byte by byte: an encoder of its own, so that no library mends what is planted."""

import struct
import zlib
from typing import Any

Element = tuple[int, str, Any]
"""Tag, VR, and the value: bytes in little endian, or a list of items, each a list of elements."""

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
_WORDS = {"AT": 2, "OW": 2, "SS": 2, "US": 2, "FL": 4, "OF": 4, "OL": 4, "SL": 4, "UL": 4, "FD": 8, "OD": 8}


def file_of(elements: list[Element], syntax: str, sop_class: str, instance: str, preamble: bytes = bytes(128)) -> bytes:
    """Return a DICOM file (PS3.10 7), with what old writers put into its meta information."""
    meta: list[Element] = [
        (0x00020001, "OB", b"\0\1"),
        (0x00020002, "UI", sop_class.encode()),
        (0x00020003, "UI", instance.encode()),
        (0x00020010, "UI", syntax.encode()),
        (0x00020012, "UI", b"1.2.3.4"),
        (0x00020016, "AE", b"QZXSCANNER"),
    ]
    head = data_set(meta, EXPLICIT)
    body = data_set(elements, syntax)
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-15)
        body = packer.compress(data_set(elements, EXPLICIT)) + packer.flush()
        body += b"\0" * (len(body) % 2)
    return preamble + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(head)) + head + body


def data_set(elements: list[Element], syntax: str, *, undefined: bool = False) -> bytes:
    """Return elements, in the order of their tags, in a transfer syntax."""
    parts = []
    for number, (tag, vr, value) in enumerate(sorted(elements, key=lambda one: one[0])):
        parts.append(_element(tag, vr, value, syntax, undefined=undefined or number % 3 == 1))
    return b"".join(parts)


def _element(tag: int, vr: str, value: Any, syntax: str, *, undefined: bool) -> bytes:
    order = ">" if syntax == BIG else "<"
    group, element = tag >> 16, tag & 0xFFFF
    if isinstance(value, list):
        inner = IMPLICIT if vr == "UN" else syntax
        item_order = "<" if vr == "UN" else order
        items = b"".join(_item(item, inner, item_order, undefined=undefined) for item in value)
        end = struct.pack(f"{item_order}HHI", 0xFFFE, 0xE0DD, 0) if undefined else b""
        size = 0xFFFFFFFF if undefined else len(items)
        return _header(group, element, vr, size, syntax, order) + items + end
    if isinstance(value, tuple):  # fragments, behind an empty offset table
        pieces = [b"", *value]
        body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in pieces)
        end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        return _header(group, element, vr, 0xFFFFFFFF, syntax, order) + body + end
    value += (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)
    if syntax == BIG and vr in _WORDS:
        width = _WORDS[vr]
        value = b"".join(value[at : at + width][::-1] for at in range(0, len(value), width))
    return _header(group, element, vr, len(value), syntax, order) + value


def _item(item: list[Element], syntax: str, order: str, *, undefined: bool) -> bytes:
    body = data_set(item, syntax, undefined=undefined)
    if not undefined:
        return struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(body)) + body
    end = struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0)
    return struct.pack(f"{order}HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + body + end


def _header(group: int, element: int, vr: str, size: int, syntax: str, order: str) -> bytes:
    if syntax == IMPLICIT:
        return struct.pack("<HHI", group, element, size)
    if vr in _LONG:
        return struct.pack(f"{order}HH2sHI", group, element, vr.encode(), 0, size)
    return struct.pack(f"{order}HH2sH", group, element, vr.encode(), size)
