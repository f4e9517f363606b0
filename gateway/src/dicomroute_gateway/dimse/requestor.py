"""A storage SCU: opens an association and stores instances on it, one message at a time (PS3.4 B.2, PS3.7 9.3.1).

A thread runs it. Whatever raises a failure has ended the association, but for ContextRefused, and a SourceFailed
before the first byte: after these the next instance can be sent. See `Requestor.is_open`.
"""

import mmap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomroute_gateway.reasons import Reason

from .command import MAX_COMMAND_BYTES, Command, CommandField, decode_command, encode_response
from .connect import connect
from .failures import ContextRefusal, ContextRefused, PeerViolation, RequestorFailure
from .items import invalid
from .messages import (
    MoveOriginator,
    Response,
    decode_response,
    encode_action_request,
    encode_echo_request,
    encode_event_report_request,
    encode_store_request,
    response_field,
)
from .negotiation import ProposedContext
from .propose import (
    NOTHING,
    VERIFYING,
    AssociateAccept,
    Syntaxes,
    decode_associate_accept,
    decode_associate_reject,
    encode_associate_request,
)
from .source import DataSetSource
from .stream import PDV_HEADER_BYTES, PDUType, encode_command, encode_data_set
from .transmit import PeerSpoke, await_answer, data_pdus, fragment_room, write
from .upper_layer import RECEIVED_PDU_BYTES, UpperLayer
from .wire import Wire

_BLOCK_BYTES: Final = 1 << 20
"""As much of a data set is read, and written, at a time."""
_MOST_EVENT_BYTES: Final = 16 << 20


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
        roles: Mapping[str, tuple[bool, bool]] = NOTHING,
    ) -> "Requestor":
        """Connect and associate; it succeeds when the peer accepts no context at all, too (see `refusal`).

        `roles` are whether this side is to be SCU and SCP, where it is not to be the SCU of a SOP class.

        Raises NotConnected, AssociationRejected, AssociationAborted, ConnectionLost, TimedOut, PeerViolation.
        """
        request = encode_associate_request(
            called.calling_ae_title, called.ae_title, contexts, RECEIVED_PDU_BYTES, roles
        )
        layer = UpperLayer(connect(called.host, called.port, timeouts.connect))
        deadline = time.monotonic() + timeouts.acse
        with layer.exchange(Reason.ASSOCIATION_TIMED_OUT, "did not answer an A-ASSOCIATE-RQ in time"):
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
        with layer.exchange(Reason.SEND_STALLED, "read no byte of a data set in time"):
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
        with self._layer.exchange(Reason.SEND_STALLED, "read no byte of a C-ECHO in time"):
            self._layer.hear_farewell()
            self._layer.write(command, self._timeouts.stall)
        return self._response(CommandField.C_ECHO_RQ, message_id).status

    def action(self, syntaxes: Syntaxes, sop_instance_uid: str, action_type: int, data_set: bytes) -> Response:
        """Send an N-ACTION request and return its response (PS3.7 10.1.4). Raises what `store` raises."""
        return self._request(
            CommandField.N_ACTION_RQ,
            self._context_id(syntaxes),
            lambda number: encode_action_request(number, syntaxes.abstract_syntax, sop_instance_uid, action_type),
            data_set,
        )

    def event_report(self, syntaxes: Syntaxes, sop_instance_uid: str, event_type: int, data_set: bytes) -> Response:
        """Send an N-EVENT-REPORT request and return its response (PS3.7 10.1.1). Raises what `store` raises."""
        return self._request(
            CommandField.N_EVENT_REPORT_RQ,
            self._context_id(syntaxes),
            lambda number: encode_event_report_request(number, syntaxes.abstract_syntax, sop_instance_uid, event_type),
            data_set,
        )

    def await_event(self, seconds: float) -> tuple[Command, Syntaxes, bytes] | None:
        """Return the N-EVENT-REPORT-RQ that the peer sends within so many seconds, with its data set; or None.

        Raises AssociationAborted, AssociationReleased, ConnectionLost, TimedOut, PeerViolation.
        """
        layer = self._layer
        layer.during = "before it reported an event"
        with layer.exchange(Reason.EVENT_STALLED, "did not send a complete event in time"):
            if not layer.hears(seconds):
                return None
            command, context_id, data_set = self._read_request(time.monotonic() + self._timeouts.response)
        syntaxes = next((one for one, known in self._accepted.contexts.items() if known == context_id), None)
        if command.field != CommandField.N_EVENT_REPORT_RQ or syntaxes is None:
            layer.abort()
            raise PeerViolation(f"the peer sent command {command.field:04X}H, but an event was expected")
        return command, syntaxes, data_set

    def answer_event(self, command: Command, syntaxes: Syntaxes, status: int, comment: str = "") -> None:
        """Answer an N-EVENT-REPORT-RQ. Raises what ends the association."""
        response = encode_command(
            self._context_id(syntaxes), encode_response(command, status, comment), self._accepted.max_pdu_bytes
        )
        with self._layer.exchange(Reason.SEND_STALLED, "read no byte of a response in time"):
            self._layer.write(response, self._timeouts.stall)

    def _request(
        self, field: CommandField, context_id: int, encode: Callable[[int], bytes], data_set: bytes
    ) -> Response:
        message_id, most = self._next_message_id(), self._accepted.max_pdu_bytes
        message = encode_command(context_id, encode(message_id), most) + encode_data_set(context_id, data_set, most)
        self._layer.during = "between messages"
        with self._layer.exchange(Reason.SEND_STALLED, "read no byte of a message in time"):
            self._layer.hear_farewell()
            self._layer.write(message, self._timeouts.stall)
        return self._response(field, message_id)

    def _read_request(self, deadline: float) -> tuple[Command, int, bytes]:
        """Return a request of the peer, the context that it came in, and its data set."""
        command_bytes, data_set = bytearray(), bytearray()
        command: Command | None = None
        while True:
            kind, body = self._layer.receive(deadline)
            if kind != PDUType.P_DATA_TF:
                raise self._layer.unexpected(kind)
            for flags, fragment in _fragments(body):
                part, most = (command_bytes, MAX_COMMAND_BYTES) if flags & 0x01 else (data_set, _MOST_EVENT_BYTES)
                if bool(flags & 0x01) == (command is not None) or len(part) + len(fragment) > most:
                    raise invalid("it sent something else than one command set and its data set")
                part += fragment
                if not flags & 0x02:
                    continue
                if command is None:
                    command = decode_command(bytes(command_bytes))
                if not flags & 0x01 or not command.has_data_set:
                    return command, body[4], bytes(data_set)

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
            with self._layer.exchange(Reason.RESPONSE_TIMED_OUT, "did not answer a whole request in time"):
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
                f"the peer answered with command {response.field:04X}H to message {response.message_id}, but "
                f"{response_field(request):04X}H to message {message_id} was expected",
                Reason.UNEXPECTED_RESPONSE,
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
