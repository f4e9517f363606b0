"""A storage SCU: opens an association and stores instances on it, one message at a time (PS3.4 B.2, PS3.7 9.3.1).

A thread runs it. Whatever raises a failure has ended the association, but for ContextRefused, and a SourceFailed
before the first byte: after these the next instance can be sent. See `Requestor.is_open`.
"""

import mmap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .command import MAX_COMMAND_BYTES, CommandField
from .connect import connect
from .failures import ContextRefusal, ContextRefused, PeerViolation, RequestorFailure
from .items import invalid
from .messages import (
    MoveOriginator,
    Response,
    decode_response,
    encode_echo_request,
    encode_store_request,
    response_field,
)
from .negotiation import ProposedContext
from .propose import (
    VERIFYING,
    AssociateAccept,
    Syntaxes,
    decode_associate_accept,
    decode_associate_reject,
    encode_associate_request,
)
from .source import DataSetSource
from .stream import PDV_HEADER_BYTES, PDUType, encode_command
from .transmit import PeerSpoke, await_answer, data_pdus, fragment_room, write
from .upper_layer import RECEIVED_PDU_BYTES, UpperLayer
from .wire import Wire

_BLOCK_BYTES: Final = 1 << 20
"""As much of a data set is read, and written, at a time."""


@dataclass(frozen=True, slots=True)
class Called:
    """The application entity to be called, and as whom: AE titles have at most 16 characters."""

    host: str
    port: int
    ae_title: str
    calling_ae_title: str


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the peer has, in seconds.

    `stall` is for each time that not one byte of a message goes out, `response` for a response once its request has
    gone out: a peer may take long to keep a large instance.
    """

    connect: float = 10.0
    acse: float = 30.0
    stall: float = 60.0
    response: float = 120.0
    release: float = 5.0


@dataclass(frozen=True, slots=True)
class StoreInstance:
    """An instance to be stored. Its data set is sent as it is, in the transfer syntax that it is in."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source: DataSetSource
    originator: MoveOriginator | None = None

    @property
    def syntaxes(self) -> Syntaxes:
        """The presentation context that it needs."""
        return Syntaxes(self.sop_class_uid, self.transfer_syntax_uid)


class Requestor:
    """An association that stands. For one thread at a time, but for `interrupt`."""

    def __init__(self, layer: UpperLayer, accepted: AssociateAccept, timeouts: Timeouts) -> None:
        self._layer = layer
        self._accepted = accepted
        self._timeouts = timeouts
        self._room = fragment_room(accepted.max_pdu_bytes)
        # Private: no more of it is in memory than has been read into.
        memory = mmap.mmap(-1, _BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._block = memoryview(memory)[: _BLOCK_BYTES - _BLOCK_BYTES % self._room]
        self._message_id = 0

    @classmethod
    def open(
        cls,
        called: Called,
        contexts: Sequence[ProposedContext],
        timeouts: Timeouts,
        connect: Callable[[str, int, float], Wire] = connect,
    ) -> "Requestor":
        """Connect and associate; it succeeds when the peer accepts no context at all, too (see `refusal`).

        Raises NotConnected, AssociationRejected, AssociationAborted, ConnectionLost, TimedOut, PeerViolation.
        """
        request = encode_associate_request(called.calling_ae_title, called.ae_title, contexts, RECEIVED_PDU_BYTES)
        layer = UpperLayer(connect(called.host, called.port, timeouts.connect))
        deadline = time.monotonic() + timeouts.acse
        with layer.exchange("AssociationTimedOut", "did not answer an A-ASSOCIATE-RQ in time"):
            layer.write(request, timeouts.acse)
            kind, body = layer.receive(deadline)
            if kind == PDUType.ASSOCIATE_RJ:
                layer.close()
                raise decode_associate_reject(body)
            if kind != PDUType.ASSOCIATE_AC:
                raise layer.unexpected(kind)
            return cls(layer, decode_associate_accept(body, contexts), timeouts)

    @property
    def is_open(self) -> bool:
        """Whether a further message can be sent, as far as is known."""
        return self._layer.is_open

    @property
    def peer(self) -> str:
        """The implementation version name of the peer, or else its class UID (PS3.7 annex D.3.3.2)."""
        return self._accepted.implementation_version_name or self._accepted.implementation_class_uid

    def refusal(self, syntaxes: Syntaxes) -> ContextRefusal | None:
        """Return why nothing can be sent in these syntaxes, None where it can."""
        context = self._accepted.contexts.get(syntaxes, ContextRefusal.NOT_PROPOSED)
        return context if isinstance(context, ContextRefusal) else None

    def store(self, instance: StoreInstance) -> Response:
        """Send a C-STORE request and return its response, whatever status that has (PS3.4 B.2.3).

        A small instance goes out in one write: command set and data set, in PDUs of their own.

        Raises ContextRefused, SourceFailed, AssociationAborted, AssociationReleased, ConnectionLost, TimedOut,
        PeerViolation, Interrupted.
        """
        layer, source = self._layer, instance.source
        context_id = self._context_id(instance.syntaxes)
        message_id = self._next_message_id()
        request = encode_store_request(
            message_id, instance.sop_class_uid, instance.sop_instance_uid, instance.originator
        )
        command = encode_command(context_id, request, self._accepted.max_pdu_bytes)
        pdus = data_pdus(context_id, source.length, source.blocks(self._block), self._room)
        first = next(pdus)
        layer.during = "between messages"
        with layer.exchange("SendStalled", "took no byte of a data set in time"):
            layer.hear_farewell()
            layer.during = "before it had the whole data set"
            layer.is_sending = True
            try:
                write(layer.wire, [command, *first], self._timeouts.stall)
                for pieces in pdus:
                    if layer.wire.has_spoken():
                        raise PeerSpoke
                    write(layer.wire, pieces, self._timeouts.stall)
            except PeerSpoke:
                return self._early_response(message_id)
            layer.is_sending = False
        return self._response(CommandField.C_STORE_RQ, message_id)

    def echo(self) -> int:
        """Send a C-ECHO request and return the status of its response (PS3.4 annex A). Raises what `store` raises."""
        context_id = self._context_id(VERIFYING)
        message_id = self._next_message_id()
        command = encode_command(context_id, encode_echo_request(message_id), self._accepted.max_pdu_bytes)
        self._layer.during = "between messages"
        with self._layer.exchange("SendStalled", "took no byte of a C-ECHO in time"):
            self._layer.hear_farewell()
            self._layer.write(command, self._timeouts.stall)
        return self._response(CommandField.C_ECHO_RQ, message_id).status

    def release(self) -> bool:
        """Release the association and close; return whether the peer agreed. Never raises for what a peer does."""
        return self.is_open and self._layer.release(self._timeouts.release)

    def abort(self) -> None:
        """Abort the association and close. Never raises for what a peer does."""
        self._layer.abort()

    def interrupt(self) -> None:
        """End the association from another thread: what is under way on it raises Interrupted."""
        self._layer.interrupt()

    def _context_id(self, syntaxes: Syntaxes) -> int:
        context = self._accepted.contexts.get(syntaxes, ContextRefusal.NOT_PROPOSED)
        if isinstance(context, ContextRefusal):
            raise ContextRefused(context, syntaxes.abstract_syntax, syntaxes.transfer_syntax)
        return context

    def _next_message_id(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _response(self, request: CommandField, message_id: int) -> Response:
        """Return the response to a request that has been sent."""
        self._layer.during = f"before it answered a {request.name.removesuffix('_RQ').replace('_', '-')}"
        try:
            with self._layer.exchange("ResponseTimedOut", "did not answer a whole request in time"):
                deadline = await_answer(self._layer.wire, self._timeouts.response)
                response = self._read_response(deadline, request, message_id)
        except RequestorFailure as failure:
            failure.note_request_was_sent()
            raise
        if response.has_data_set:  # the status counts; what it announces beside it is not waited for
            self._layer.abort()
        return response

    def _early_response(self, message_id: int) -> Response:
        """Return a refusal that came before all of its request was sent; the rest is not sent.

        Raises PeerViolation for a success, which cannot be meant before all is there.
        """
        deadline = time.monotonic() + self._timeouts.stall
        response = self._read_response(deadline, CommandField.C_STORE_RQ, message_id)
        if response.is_success:
            raise PeerViolation(f"the peer answered a C-STORE with status {response.status:04X}H {self._layer.during}")
        self._layer.abort()
        return response

    def _read_response(self, deadline: float, request: CommandField, message_id: int) -> Response:
        command = bytearray()
        is_complete = False
        while not is_complete:
            kind, body = self._layer.receive(deadline)
            if kind != PDUType.P_DATA_TF:
                raise self._layer.unexpected(kind)
            for flags, fragment in _fragments(body):
                if is_complete or not flags & 0x01 or len(command) + len(fragment) > MAX_COMMAND_BYTES:
                    raise invalid("it sent something else than one command set of at most 64 KiB")
                command += fragment
                is_complete = bool(flags & 0x02)
        response = decode_response(bytes(command))
        if response.field != response_field(request) or response.message_id not in (message_id, None):
            raise PeerViolation(
                f"the peer answered with command {response.field:04X}H to message {response.message_id}, and "
                f"{response_field(request):04X}H to message {message_id} is awaited",
                "UnexpectedResponse",
            )
        return response


def _fragments(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield message control header and fragment of each PDV in a P-DATA-TF (PS3.8 9.3.5.1, E.2)."""
    if not body:
        raise invalid("it sent a P-DATA-TF without a PDV")
    while body:
        length = int.from_bytes(body[:4], "big")
        if len(body) < PDV_HEADER_BYTES or not 2 <= length <= len(body) - 4:
            raise invalid(f"it sent a PDV of {length} bytes that does not fit its P-DATA-TF")
        yield body[5], body[PDV_HEADER_BYTES : 4 + length]
        body = body[4 + length :]
