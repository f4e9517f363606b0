"""What a peer says while its message is being answered: C-CANCEL, release, abort (PS3.7 9.3.2.3, PS3.8 9.2)."""

import struct
from enum import Enum, auto
from typing import Final

from dicomroute_gateway.reasons import Reason

from .command import CommandError, CommandField, decode_command
from .stream import PDV_HEADER_BYTES, PDUStream, PDUType
from .wire import PeerGone

ABORTED_BY_PEER: Final = Reason.ABORTED_BY_PEER
"""Reason of PeerGone when the peer said so itself."""
_WHOLE_COMMAND: Final = 0x03
"""Message control header of a command set in one piece (PS3.8 E.2)."""


class Heard(Enum):
    """What else than a C-CANCEL a PDU is."""

    ABORT = auto()
    RELEASE = auto()
    OTHER = auto()
    """It is for after the answer."""


def hears_cancel(stream: PDUStream, message_id: int | None) -> bool:
    """Return whether the peer cancels a message, or releases the association before it has its answer.

    Never waits. Cancels of other messages are passed over, and what is no matter of that stays for later. Raises
    PeerGone, also when the peer aborts.
    """
    while (pdu := stream.peek()) is not None:
        said = heard(*pdu)
        if said is Heard.ABORT:
            raise PeerGone("the peer aborted the association", ABORTED_BY_PEER)
        if isinstance(said, Heard):
            return said is Heard.RELEASE
        stream.pass_over(len(pdu[1]))
        if said == message_id:
            return True
    return False


def heard(kind: int, body: memoryview) -> Heard | int:
    """Return what a PDU says; of a C-CANCEL-RQ the ID of the message that it cancels."""
    if kind == PDUType.ABORT:
        return Heard.ABORT
    if kind == PDUType.RELEASE_RQ:
        return Heard.RELEASE
    if kind != PDUType.P_DATA_TF or len(body) < PDV_HEADER_BYTES:
        return Heard.OTHER
    length, _context_id, flags = struct.unpack_from(">IBB", body)
    if length != len(body) - 4 or flags & _WHOLE_COMMAND != _WHOLE_COMMAND:
        return Heard.OTHER
    try:
        command = decode_command(bytes(body[PDV_HEADER_BYTES:]))
    except CommandError:  # whoever reads it again says so
        return Heard.OTHER
    message_id = command.message_id_being_responded_to
    is_cancel = command.field == CommandField.C_CANCEL_RQ and message_id is not None and not command.has_data_set
    return message_id if is_cancel and message_id is not None else Heard.OTHER
