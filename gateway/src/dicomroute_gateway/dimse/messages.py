"""The messages of a service class user: requests encoded, their responses decoded (PS3.7 9.3.1 and 9.3.5)."""

import struct
from dataclasses import dataclass
from typing import Final

from .command import (
    HAS_DATA_SET,
    NO_DATA_SET,
    CommandError,
    CommandField,
    decode_elements,
    encode_elements,
    encode_uid,
    text_of,
    us_of,
)
from .negotiation import VERIFICATION

_MEDIUM: Final = 0x0000
_RESPONSE: Final = 0x8000


@dataclass(frozen=True, slots=True)
class Response:
    """A DIMSE response.

    `error_comment` is the peer's own text and may name a patient: it is for the person who looks at that one
    delivery, never for logs, metrics or a status. `offending_elements` are tags, as 0xGGGGEEEE.
    """

    field: int
    message_id: int | None
    status: int
    has_data_set: bool = False
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()

    @property
    def is_success(self) -> bool:
        """Whether the operation was completed, be it with a warning (PS3.7 annex C.1 and C.4, PS3.4 table B.2-1)."""
        return self.status == 0 or self.status >> 12 == 0xB


@dataclass(frozen=True, slots=True)
class MoveOriginator:
    """Who asked for a C-STORE by a C-MOVE: its AE title, and the ID of that message (PS3.7 9.1.1.1)."""

    ae_title: str
    message_id: int


def encode_store_request(
    message_id: int, sop_class_uid: str, sop_instance_uid: str, originator: MoveOriginator | None = None
) -> bytes:
    """Return the command set of a C-STORE-RQ of medium priority (PS3.7 table 9.3-1)."""
    elements = [
        (0x0002, encode_uid(sop_class_uid)),
        (0x0100, struct.pack("<H", CommandField.C_STORE_RQ)),
        (0x0110, struct.pack("<H", message_id)),
        (0x0700, struct.pack("<H", _MEDIUM)),
        (0x0800, struct.pack("<H", HAS_DATA_SET)),
        (0x1000, encode_uid(sop_instance_uid)),
    ]
    if originator is not None:
        title = originator.ae_title.encode("ascii", "replace")[:16]
        elements.append((0x1030, title + b" " * (len(title) % 2)))
        elements.append((0x1031, struct.pack("<H", originator.message_id)))
    return encode_elements(elements)


def encode_echo_request(message_id: int) -> bytes:
    """Return the command set of a C-ECHO-RQ (PS3.7 table 9.3-12)."""
    return encode_elements(
        (
            (0x0002, encode_uid(VERIFICATION)),
            (0x0100, struct.pack("<H", CommandField.C_ECHO_RQ)),
            (0x0110, struct.pack("<H", message_id)),
            (0x0800, struct.pack("<H", NO_DATA_SET)),
        )
    )


def encode_event_report_request(message_id: int, sop_class_uid: str, sop_instance_uid: str, event_type: int) -> bytes:
    """Return the command set of an N-EVENT-REPORT-RQ with Event Information (PS3.7 table 10.3-1)."""
    return encode_elements(
        (
            (0x0002, encode_uid(sop_class_uid)),
            (0x0100, struct.pack("<H", CommandField.N_EVENT_REPORT_RQ)),
            (0x0110, struct.pack("<H", message_id)),
            (0x0800, struct.pack("<H", HAS_DATA_SET)),
            (0x1000, encode_uid(sop_instance_uid)),
            (0x1002, struct.pack("<H", event_type)),
        )
    )


def encode_action_request(message_id: int, sop_class_uid: str, sop_instance_uid: str, action_type: int) -> bytes:
    """Return the command set of an N-ACTION-RQ with Action Information (PS3.7 table 10.3-7)."""
    return encode_elements(
        (
            (0x0003, encode_uid(sop_class_uid)),
            (0x0100, struct.pack("<H", CommandField.N_ACTION_RQ)),
            (0x0110, struct.pack("<H", message_id)),
            (0x0800, struct.pack("<H", HAS_DATA_SET)),
            (0x1001, encode_uid(sop_instance_uid)),
            (0x1008, struct.pack("<H", action_type)),
        )
    )


def response_field(request: CommandField) -> int:
    """Return the Command Field (0000,0100) of the response to a request (PS3.7 table E.1-1)."""
    return request | _RESPONSE


def decode_response(data: bytes) -> Response:
    """Return the response in a command set.

    One message is under way at a time: a response without Message ID Being Responded To (0000,0120) is that to it.

    Raises CommandError when it is no command set, or one without a Command Field or Status.
    """
    elements = decode_elements(data)
    field, status = us_of(elements, 0x0100), us_of(elements, 0x0900)
    if field is None or status is None:
        raise CommandError("a response without Command Field or Status")
    offending = elements.get(0x0901, b"")
    tags = struct.iter_unpack("<HH", offending[: len(offending) // 4 * 4])
    return Response(
        field=field,
        message_id=_us_or_none(elements, 0x0120),
        status=status,
        has_data_set=_us_or_none(elements, 0x0800) not in (NO_DATA_SET, None),
        error_comment=text_of(elements, 0x0902),
        offending_elements=tuple(group << 16 | element for group, element in tags),
    )


def _us_or_none(elements: dict[int, bytes], element: int) -> int | None:
    """Return the value of an element of VR US, None where it is not one."""
    value = elements.get(element, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else None
