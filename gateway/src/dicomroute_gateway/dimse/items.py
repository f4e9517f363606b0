"""Items and sub-items of the A-ASSOCIATE PDUs (PS3.8 9.3.2 and 9.3.3, PS3.7 annex D.3)."""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from .stream import PDV_HEADER_BYTES, AbortReason, ProtocolViolation

MAX_ASSOCIATE_BYTES: Final = 1 << 18
MOST_UID_BYTES: Final = 64
FIXED_BYTES: Final = 68
"""What precedes the items of an A-ASSOCIATE-RQ or -AC: version, titles and reserved bytes (PS3.8 table 9-11)."""
APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"


class ItemType(IntEnum):
    """Item and sub-item types (PS3.8 9.3.2, PS3.7 annex D.3)."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56


def encode_item(kind: ItemType, value: bytes) -> bytes:
    """Return an item or sub-item."""
    return struct.pack(">BxH", kind, len(value)) + value


def encode_role(sop_class_uid: str, role: tuple[bool, bool]) -> bytes:
    """Return a role selection sub-item: whether somebody is SCU and SCP of a SOP class (PS3.7 D.3.3.4)."""
    counted = struct.pack(">H", len(sop_class_uid)) + sop_class_uid.encode()
    return encode_item(ItemType.ROLE_SELECTION, counted + bytes(role))


def decode_items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each item in `data`.

    Raises ProtocolViolation when they do not fill it exactly.
    """
    offset = 0
    while offset < len(data):
        if offset + 4 > len(data):
            raise invalid("an item is cut off")
        kind, length = struct.unpack_from(">BxH", data, offset)
        offset += 4
        if offset + length > len(data):
            raise invalid(f"item {kind:02X} of {length} bytes does not fit what encloses it")
        yield kind, data[offset : offset + length]
        offset += length


def decode_whole_items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each item in `data` up to the first that does not fit: nobody needs what is behind it."""
    try:
        yield from decode_items(data)
    except ProtocolViolation:
        return


def decode_uid(value: bytes) -> str:
    """Return a UID without what pads it. One that is none is no reason to end an association: nobody knows it.

    Of one that is too long no more is returned than shows that.
    """
    return value.rstrip(b"\0 ")[: MOST_UID_BYTES + 1].decode("ascii", "backslashreplace")


def decode_maximum_length(value: bytes) -> int | None:
    """Return the longest P-DATA-TF that the peer takes, in bytes; 0 is without limit (PS3.8 annex D.1).

    None when it is not said in four bytes. Raises ProtocolViolation when not even the shortest fragment fits.
    """
    if len(value) != 4:
        return None
    maximum = int.from_bytes(value, "big")
    if maximum and maximum < PDV_HEADER_BYTES + 2:
        raise invalid(f"a maximum length of {maximum} bytes carries nothing")
    return maximum


def invalid(message: str) -> ProtocolViolation:
    """Return the violation for a parameter that is not as the standard wants it."""
    return ProtocolViolation(AbortReason.INVALID_PARAMETER, message)
