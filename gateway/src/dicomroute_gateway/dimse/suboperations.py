"""C-STORE sub-operations of a C-GET, on the association that it came by (PS3.7 9.1.3 and 9.3.3).

The roles are changed about: this side is the SCU of the storage contexts that the peer offered to be the SCP of.
"""

import time
from collections.abc import Mapping
from typing import Final

from .cancel import ABORTED_BY_PEER, Heard, heard
from .command import MAX_COMMAND_BYTES, CommandError, CommandField, decode_command
from .failures import SourceFailed
from .messages import encode_store_request, response_field
from .propose import Syntaxes
from .source import DataSetSource
from .stream import AbortReason, PDUStream, PDUType, ProtocolViolation, encode_abort, encode_command, send_all
from .transmit import data_pdus, fragment_room
from .wire import PeerGone, Wire

_BLOCK_BYTES: Final = 1 << 18


class StoreOperations:
    """The sub-operations of one association, one at a time. For the thread of the association."""

    def __init__(
        self,
        wire: Wire,
        stream: PDUStream,
        contexts: Mapping[Syntaxes, int],
        peer_max_pdu_bytes: int,
        stall_timeout_seconds: float,
    ) -> None:
        """`contexts` are the identifiers of those in which the peer is the SCP."""
        self.contexts = contexts
        self._wire = wire
        self._stream = stream
        self._most = peer_max_pdu_bytes
        self._stall = stall_timeout_seconds
        self._message_id = 0

    def store(self, syntaxes: Syntaxes, sop_instance_uid: str, source: DataSetSource) -> None:
        """Send a request. Raises PeerGone, PeerStalled."""
        context_id = self.contexts[syntaxes]
        self._message_id = self._message_id % 0xFFFF + 1
        request = encode_store_request(self._message_id, syntaxes.abstract_syntax, sop_instance_uid)
        room = fragment_room(self._most)
        block = memoryview(bytearray(max(room, _BLOCK_BYTES - _BLOCK_BYTES % room)))
        begun = False
        try:
            pieces = [encode_command(context_id, request, self._most)]
            for pdus in data_pdus(context_id, source.length, source.blocks(block), room):
                send_all(self._wire, b"".join((*pieces, *pdus)), self._stall)
                begun, pieces = True, []
        except SourceFailed as error:
            if not begun:
                raise
            # The peer waits for the rest of a message that will not come.
            send_all(self._wire, encode_abort(0, AbortReason.NOT_SPECIFIED), timeout_seconds=0)
            raise PeerGone(f"a data set could not be read in the midst of its message: {error}") from error

    def stored(self, seconds: float, message_id: int | None) -> tuple[int | None, bool]:
        """Return the status of the response, None when there is none in that time, and whether a message is cancelled.

        Raises PeerGone, ProtocolViolation.
        """
        deadline = time.monotonic() + seconds
        is_cancelled = False
        while True:
            pdu = self._stream.peek()
            if pdu is None:
                if self._stream.buffered >= MAX_COMMAND_BYTES:
                    raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "a PDU of more than 64 KiB within a C-GET")
                left = deadline - time.monotonic()
                if left <= 0:
                    return None, is_cancelled
                self._stream.wait(left)
                if not self._wire.has_spoken():
                    return None, is_cancelled
                continue
            said, length = heard(*pdu), len(pdu[1])
            if said is Heard.ABORT:
                raise PeerGone("the peer aborted the association", ABORTED_BY_PEER)
            if said is Heard.RELEASE:
                return None, True
            if isinstance(said, int):
                self._stream.pass_over(length)
                is_cancelled = is_cancelled or said == message_id
                continue
            return self._response(), is_cancelled

    def _response(self) -> int:
        """Take the response, which is the next message."""
        command = bytearray()
        while True:
            kind, length = self._stream.read_header(self._stall, may_drain=False)
            if kind != PDUType.P_DATA_TF:
                raise ProtocolViolation(AbortReason.UNEXPECTED_PDU, f"a PDU of type {kind:02X} within a C-GET")
            for fragment in self._stream.read_fragments(length, self._stall):
                if not fragment.is_command or len(command) > MAX_COMMAND_BYTES:
                    raise ProtocolViolation(AbortReason.UNEXPECTED_PARAMETER, "a data set within a C-GET")
                command += fragment.data
                if fragment.ends_message:
                    return self._status(bytes(command))

    def _status(self, data: bytes) -> int:
        try:
            command = decode_command(data)
        except CommandError as error:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, str(error)) from error
        is_ours = command.message_id_being_responded_to in (self._message_id, None)
        if command.field != response_field(CommandField.C_STORE_RQ) or not is_ours or command.status is None:
            raise ProtocolViolation(AbortReason.UNEXPECTED_PARAMETER, "something else than a C-STORE-RSP in a C-GET")
        return command.status
