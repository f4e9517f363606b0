"""Command sets: always Implicit VR Little Endian, group 0000 (PS3.7 section 6.3.1 and annex E)."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAX_COMMAND_BYTES: Final = 1 << 16
NO_DATA_SET: Final = 0x0101
"""Command Data Set Type (0000,0800) of a message without a data set (PS3.7 table E.1-1)."""


HAS_DATA_SET: Final = 0x0001


class CommandField(IntEnum):
    """Command Field (0000,0100) values that this gateway knows (PS3.7 table E.1-1)."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_ACTION_RQ = 0x0130
    C_CANCEL_RQ = 0x0FFF


class Status(IntEnum):
    """Status (0000,0900) values of the responses (PS3.7 annex C, PS3.4 table B.2-1)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    INVALID_ARGUMENT_VALUE = 0x0115
    INVALID_SOP_INSTANCE = 0x0117
    NO_SUCH_SOP_CLASS = 0x0118
    CLASS_INSTANCE_CONFLICT = 0x0119
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORIZED = 0x0124
    DUPLICATE_TRANSACTION_UID = 0x0131
    UNRECOGNIZED_OPERATION = 0x0211
    RESOURCE_LIMITATION = 0x0213
    OUT_OF_RESOURCES = 0xA700
    """Also of a query that finds more than is told."""
    CANNOT_CALCULATE_MATCHES = 0xA701
    """Of a retrieval: it is not known how many instances there are (PS3.4 table C.4-2)."""
    CANNOT_PERFORM = 0xA702
    """Of a retrieval: no sub-operation could be performed."""
    MOVE_DESTINATION_UNKNOWN = 0xA801
    DATA_SET_MISMATCH = 0xA900
    SUB_OPERATIONS_FAILED = 0xB000
    """Of a retrieval: complete, with failures or warnings."""
    CANNOT_UNDERSTAND = 0xC000
    """Of a query: it cannot be processed."""
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_WARNING = 0xFF01
    """Pending; an attribute that was asked for is not supported (PS3.4 table C.4-1)."""


@dataclass(frozen=True, slots=True)
class SubOperations:
    """How the sub-operations of a retrieval stand (PS3.7 9.1.3.1); `remaining` is said while some remain."""

    remaining: int | None
    completed: int
    failed: int
    warning: int


class CommandError(Exception):
    """The bytes are not a command set."""


@dataclass(frozen=True, slots=True)
class Command:
    """What this gateway reads of a command set; an absent element is None or empty."""

    field: int
    message_id: int | None
    has_data_set: bool
    affected_sop_class_uid: str
    affected_sop_instance_uid: str
    move_originator_ae_title: str
    message_id_being_responded_to: int | None = None
    """Of a response, and of a C-CANCEL-RQ."""
    move_destination: str = ""
    status: int | None = None
    requested_sop_class_uid: str = ""
    requested_sop_instance_uid: str = ""
    event_type: int | None = None
    """Event Type ID of an N-EVENT-REPORT (PS3.7 10.3.1)."""
    action_type: int | None = None
    """Action Type ID of an N-ACTION (PS3.7 10.3.4)."""

    @property
    def is_request(self) -> bool:
        """Whether the peer awaits a response (PS3.7 table E.1-1: responses have the high bit set)."""
        return not self.field & 0x8000 and self.field != CommandField.C_CANCEL_RQ


def decode_command(data: bytes) -> Command:
    """Return the command set in `data`.

    Raises CommandError when the elements do not fill `data` exactly or the Command Field is missing.
    """
    elements = decode_elements(data)
    field = us_of(elements, 0x0100)
    if field is None:
        raise CommandError("the command set has no Command Field (0000,0100)")
    command = Command(
        field=field,
        message_id=us_of(elements, 0x0110),
        has_data_set=us_of(elements, 0x0800) not in (NO_DATA_SET, None),
        affected_sop_class_uid=text_of(elements, 0x0002),
        affected_sop_instance_uid=text_of(elements, 0x1000),
        move_originator_ae_title=text_of(elements, 0x1030),
        message_id_being_responded_to=us_of(elements, 0x0120),
        move_destination=text_of(elements, 0x0600).strip(" "),
        status=us_of(elements, 0x0900),
        requested_sop_class_uid=text_of(elements, 0x0003),
        requested_sop_instance_uid=text_of(elements, 0x1001),
        event_type=us_of(elements, 0x1002),
        action_type=us_of(elements, 0x1008),
    )
    if command.is_request and command.message_id is None:
        raise CommandError("the request has no Message ID (0000,0110)")
    return command


def encode_response(
    command: Command,
    status: int,
    comment: str = "",
    counts: SubOperations | None = None,
    *,
    has_data_set: bool = False,
) -> bytes:
    """Return the response to `command` (PS3.7 sections 9.3.1.2 to 9.3.5.2, 10.3.1.2 and 10.3.4.2).

    `comment` becomes the Error Comment (0000,0902), LO: at most 64 characters. A data set may follow.
    """
    elements = []
    if sop_class_uid := command.affected_sop_class_uid or command.requested_sop_class_uid:
        elements.append((0x0002, encode_uid(sop_class_uid)))
    elements.append((0x0100, struct.pack("<H", command.field | 0x8000)))
    elements.append((0x0120, struct.pack("<H", command.message_id or 0)))
    elements.append((0x0800, struct.pack("<H", HAS_DATA_SET if has_data_set else NO_DATA_SET)))
    elements.append((0x0900, struct.pack("<H", status)))
    if comment:
        text = comment[:64].encode("ascii", "replace")
        elements.append((0x0902, text + b" " * (len(text) % 2)))
    if sop_instance_uid := command.affected_sop_instance_uid or command.requested_sop_instance_uid:
        elements.append((0x1000, encode_uid(sop_instance_uid)))
    if command.event_type is not None:
        elements.append((0x1002, struct.pack("<H", command.event_type)))
    if command.action_type is not None:
        elements.append((0x1008, struct.pack("<H", command.action_type)))
    if counts is not None:
        numbers = (counts.remaining, counts.completed, counts.failed, counts.warning)
        elements += [(0x1020 + n, struct.pack("<H", one)) for n, one in enumerate(numbers) if one is not None]
    return encode_elements(elements)


def encode_elements(elements: Iterable[tuple[int, bytes]]) -> bytes:
    """Return a command set of these elements of group 0000, in ascending order and of even length, with its length."""
    body = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def decode_elements(data: bytes) -> dict[int, bytes]:
    """Return the values in a command set by the numbers of their elements.

    Raises CommandError when they do not fill `data` exactly.
    """
    elements: dict[int, bytes] = {}
    offset = 0
    while offset < len(data):
        if offset + 8 > len(data):
            raise CommandError("a command element is cut off")
        group, element, length = struct.unpack_from("<HHI", data, offset)
        offset += 8
        if group != 0x0000:
            raise CommandError(f"group {group:04X} in a command set")
        if length > len(data) - offset:
            raise CommandError(f"element (0000,{element:04X}) is longer than its command set")
        elements[element] = data[offset : offset + length]
        offset += length
    return elements


def us_of(elements: dict[int, bytes], element: int) -> int | None:
    """Return the value of an element of VR US, None when it is absent. Raises CommandError for another length."""
    value = elements.get(element)
    if value is None:
        return None
    if len(value) != 2:
        raise CommandError(f"element (0000,{element:04X}) has {len(value)} bytes where US has 2")
    return int.from_bytes(value, "little")


def text_of(elements: dict[int, bytes], element: int) -> str:
    """Return the text of an element without what pads it, "" when it is absent."""
    return elements.get(element, b"").rstrip(b"\0 ").decode("ascii", "backslashreplace")


def encode_uid(value: str) -> bytes:
    """Return a value of VR UI (PS3.5 9.1)."""
    data = value.encode("ascii", "replace")
    return data + b"\0" * (len(data) % 2)
