"""One association as its acceptor: the part of the state machine that an SCP needs (PS3.8 section 9.2).

A thread runs one connection from its first byte to its last. What the peer may do wrong ends this connection
alone, with the A-ABORT that the standard names.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from .admission import Refusal
from .associate import AssociateRequest, decode_associate_request, encode_associate_accept, encode_associate_reject
from .cancel import ABORTED_BY_PEER, hears_cancel
from .command import MAX_COMMAND_BYTES, Command, CommandError, Status, decode_command, encode_response
from .items import MAX_ASSOCIATE_BYTES
from .message import Message, MessageResponder
from .messages import encode_event_report_request
from .negotiation import MAX_UID, ContextResult, NegotiatedContext, abstract_syntaxes_of, described_contexts
from .refused import RefusedCaller
from .services import AssociationFacts, Call, EventReport, Reply, Service, Services
from .strangers import Stranger, recognize
from .stream import (
    AbortReason,
    Draining,
    DrainSignal,
    Fragment,
    PDUStream,
    PDUType,
    ProtocolViolation,
    encode_abort,
    encode_command,
    encode_data_set,
    send_all,
)
from .suboperations import StoreOperations
from .wire import PeerGone, PeerStalled, Wire

_PROVIDER: Final = 2
_USER: Final = 0
_CLOSE_TIMEOUT_SECONDS: Final = 1.0
_FIXED_PDU_BYTES: Final = 4
"""The length of an A-RELEASE-RQ and of an A-ABORT (PS3.8 tables 9-24 and 9-26)."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AssociationLimits:
    """Time-outs in seconds and sizes in bytes of one association."""

    max_pdu_bytes: int
    acse_timeout_seconds: float
    idle_timeout_seconds: float
    stall_timeout_seconds: float


class NoLongerAdmitted(Exception):
    """The sources of the listener have changed, and the peer is no longer among them."""


class Watcher(Protocol):
    """Is told what becomes of connections, for counts and logs."""

    def refused(self, reason: str) -> None:
        """An association was refused."""

    def aborted(self, reason: str) -> None:
        """An association was aborted by this side."""

    def turned_away(self, caller: RefusedCaller) -> None:
        """Somebody went without an association, or without a context to send in."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The outcome of admission: who the peer is, or why it is refused."""

    facts: AssociationFacts
    refusal: Refusal | None
    is_still_admitted: Callable[[], bool]
    """Asked before each message: the configuration may have changed since."""
    leave: Callable[[], None]
    """Told when the association has ended, though its connection may last a moment longer: its place is free."""


class Association:
    """A connection of one peer."""

    def __init__(
        self,
        wire: Wire,
        address: str,
        listener: str,
        limits: AssociationLimits,
        admit: Callable[[AssociateRequest], Admission],
        services: Services,
        watcher: Watcher,
        drain: DrainSignal,
    ) -> None:
        self._wire = wire
        self._address = address
        self._listener = listener
        self._limits = limits
        self._admit = admit
        self._services = services
        self._watcher = watcher
        self._drain = drain
        self._stream = PDUStream(wire, drain.fileno(), self._flush)
        self._contexts: dict[int, tuple[NegotiatedContext, Service]] = {}
        self._extended: dict[str, bytes] = {}
        self._peer_max_pdu_bytes = 0
        self._message: Message | None = None
        self._message_time = 0.0
        """When the message under way began, on the monotonic clock."""
        self._is_established = False
        self._established_time = 0.0
        self._leave: Callable[[], None] = _nowhere
        self._end = "Failed"
        self._stored = self._refused = 0
        self._reported: dict[int, Callable[[int | None], None]] = {}
        """Who is told of the response to an event, by its message ID."""
        self._log = log.bind(address=address, listener=listener)
        self.identifier = ""
        """What the log calls this association; "" until it is asked for."""

    def run(self) -> None:
        """Serve the peer until the association ends; never raises for what a peer does."""
        try:
            if self._establish():
                while self._serve_one_pdu():
                    pass
        except PeerGone as error:
            self._end = ABORTED_BY_PEER if error.reason == ABORTED_BY_PEER else "PeerGone"
            strange = {} if self.identifier else {"looks_like": self._note_stranger(Stranger.INCOMPLETE)}
            self._log.info("association.peer_gone", reason=str(error), **strange)
        except PeerStalled:
            if self._is_established:
                self._abort(_USER, AbortReason.NOT_SPECIFIED, "PeerStalled", "the peer sent nothing in time")
            else:  # AA-2: when the ARTIM timer expires, the connection is closed without a word
                self._watcher.aborted("PeerStalled")
                looks_like = self._note_stranger(Stranger.INCOMPLETE)
                why = "no whole A-ASSOCIATE-RQ came in time"
                self._log.warning("association.timed_out", why=why, looks_like=looks_like)
        except Draining:
            self._abort(_USER, AbortReason.NOT_SPECIFIED, "Draining", "the gateway shuts down")
        except NoLongerAdmitted:
            self._abort(_USER, AbortReason.NOT_SPECIFIED, "SourceRemoved", "the listener's sources no longer admit it")
        except ProtocolViolation as error:
            # AA-1 before there is an association, AA-8 on it (PS3.8 table 9-10).
            label = error.reason.name.title().replace("_", "")
            if self._is_established:
                self._abort(_PROVIDER, error.reason, label, str(error))
            else:
                looks_like = self._note_stranger(Stranger.MALFORMED)
                self._abort(_USER, AbortReason.NOT_SPECIFIED, label, str(error), looks_like=looks_like)
        finally:
            if self._is_established:
                self._log.info(
                    "association.ended",
                    end=self._end,
                    stored=self._stored,
                    refused=self._refused,
                    message_under_way=self._message is not None,
                    seconds=round(time.monotonic() - self._established_time, 3),
                )
            if self._message is not None and self._message.exchange is not None:
                self._message.exchange.discard()
            self._message = None
            for reported in self._reported.values():
                reported(None)
            del self._stream  # which knows this object: together they would wait for the garbage collector
            self._wire.close()

    def _note_stranger(self, otherwise: Stranger) -> str:
        """Take note of who ended before there was an association; return what that looks like."""
        found = recognize(self._stream.opening)
        stranger = otherwise if found is Stranger.MALFORMED else found
        self._watcher.turned_away(RefusedCaller(None, None, self._address, self._listener, stranger.label))
        return stranger.looks_like

    def _establish(self) -> bool:
        """Answer the A-ASSOCIATE-RQ; return whether an association stands.

        A connection that ends before its first PDU is a probe of a load balancer, not an error.
        """
        deadline = time.monotonic() + self._limits.acse_timeout_seconds
        try:
            kind, length = self._stream.read_header(self._limits.acse_timeout_seconds, may_drain=True)
        except (PeerGone, PeerStalled):
            if self._stream.buffered:
                raise
            return False
        if kind == PDUType.ABORT:
            return False
        if kind != PDUType.ASSOCIATE_RQ:
            known = kind in set(PDUType)
            reason = AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU
            raise ProtocolViolation(reason, f"a PDU of type {kind:02X} in place of an A-ASSOCIATE-RQ")
        if length > MAX_ASSOCIATE_BYTES:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, f"an A-ASSOCIATE-RQ of {length} bytes")
        request = decode_associate_request(self._stream.read_body(length, deadline))
        admission = self._admit(request)
        self.identifier = admission.facts.identifier
        self._log = log.bind(association=self.identifier)
        refusal = admission.refusal
        if refusal is not None:
            self._watcher.refused(refusal.label)
            self._log.warning(
                "association.refused",
                reason=refusal.label,
                calling_ae_title=request.calling_ae_title,
                called_ae_title=request.called_ae_title,
                address=self._address,
                listener=self._listener,
            )
            self._send(encode_associate_reject(*refusal.answer))
            self._stream.wait_closed(_CLOSE_TIMEOUT_SECONDS)
            return False
        negotiated = self._services.negotiate(request, self._listener)
        contexts = negotiated.contexts
        self._facts = admission.facts
        self._is_still_admitted = admission.is_still_admitted
        self._leave = admission.leave
        self._contexts = negotiated.accepted
        self._extended = negotiated.extended
        self._peer_max_pdu_bytes = request.max_pdu_bytes
        self.operations = StoreOperations(
            self._wire,
            self._stream,
            negotiated.turned_about(),
            request.max_pdu_bytes,
            self._limits.stall_timeout_seconds,
        )
        self._is_established = True
        self._established_time = time.monotonic()
        self._send(
            encode_associate_accept(
                request,
                contexts,
                self._limits.max_pdu_bytes,
                roles=negotiated.roles,
                extended=negotiated.extended,
            )
        )
        refused = [context for context in contexts if context.result is not ContextResult.ACCEPTANCE]
        self._log.info(
            "association.accepted",
            calling_ae_title=request.calling_ae_title,
            called_ae_title=request.called_ae_title,
            address=self._address,
            listener=self._listener,
            contexts=len(self._contexts),
            **({"refused_contexts": len(refused), "refused": described_contexts(refused)} if refused else {}),
        )
        if not self._contexts:
            titles = (request.calling_ae_title, request.called_ae_title)
            caller = RefusedCaller(
                *titles, self._address, self._listener, "NoContextAccepted", abstract_syntaxes_of(refused)
            )
            self._watcher.turned_away(caller)
        return True

    def _serve_one_pdu(self) -> bool:
        """Read one PDU and do what it asks; return whether the association goes on."""
        between_messages = self._message is None
        timeout = self._limits.idle_timeout_seconds if between_messages else self._limits.stall_timeout_seconds
        kind, length = self._stream.read_header(timeout, may_drain=between_messages)
        if between_messages:
            self._message_time = time.monotonic()
        if kind == PDUType.P_DATA_TF:
            if length > self._limits.max_pdu_bytes:
                raise ProtocolViolation(
                    AbortReason.INVALID_PARAMETER,
                    f"a P-DATA-TF of {length} bytes where {self._limits.max_pdu_bytes} were agreed",
                )
            for fragment in self._stream.read_fragments(length, self._limits.stall_timeout_seconds):
                self._take(fragment)
            return True
        if length > MAX_ASSOCIATE_BYTES:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, f"a PDU of type {kind:02X} and {length} bytes")
        if kind in (PDUType.RELEASE_RQ, PDUType.ABORT) and length != _FIXED_PDU_BYTES:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, f"a PDU of type {kind:02X} and {length} bytes")
        self._stream.read_body(length, time.monotonic() + self._limits.stall_timeout_seconds)
        if kind == PDUType.RELEASE_RQ:
            # Before the answer: who has it may associate again at once.
            self._leave()
            self._send(b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00")
            self._stream.wait_closed(_CLOSE_TIMEOUT_SECONDS)
            self._end = "Released"
            return False
        if kind == PDUType.ABORT:
            self._end = ABORTED_BY_PEER
            return False
        known = kind in set(PDUType)
        reason = AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU
        raise ProtocolViolation(reason, f"a PDU of type {kind:02X} on an established association")

    def _take(self, fragment: Fragment) -> None:
        """Add a fragment to the message it belongs to; answer the message when it is complete."""
        if self._message is None:
            accepted = self._contexts.get(fragment.context_id)
            if accepted is None:
                raise ProtocolViolation(
                    AbortReason.INVALID_PARAMETER, f"context {fragment.context_id} was not accepted"
                )
            if not self._is_still_admitted():
                raise NoLongerAdmitted
            self._message = Message(*accepted)
        message = self._message
        if fragment.context_id != message.context.context_id:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "one message came in two contexts")
        if fragment.is_command != (message.command is None):
            raise ProtocolViolation(AbortReason.UNEXPECTED_PARAMETER, "command and data set fragments are out of order")
        if message.command is None:
            message.command_bytes += fragment.data
            if len(message.command_bytes) > MAX_COMMAND_BYTES:
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "a command set of more than 64 KiB")
            if not fragment.ends_message:
                return
            try:
                message.command = decode_command(bytes(message.command_bytes))
            except CommandError as error:
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, str(error)) from error
            if message.command.is_request:
                extended = self._extended.get(message.context.abstract_syntax, b"")
                call = Call(self._facts, message.context, message.command, self._message_time, extended)
                message.exchange = message.service.begin(call)
            elif message.command.message_id_being_responded_to in self._reported:
                self._reported.pop(message.command.message_id_being_responded_to)(message.command.status)
            if message.command.has_data_set:
                return
        else:
            if message.exchange is not None:
                self._stream.keep()
                message.exchange.write(fragment.data)
            if not fragment.ends_message:
                return
        exchange, message.exchange = message.exchange, None
        if exchange is not None:
            exchange.answer(MessageResponder(self, message, message.command))
        self._message = None
        self._stream.let_go()

    def respond(self, message: Message, command: Command, reply: Reply) -> None:
        """Send a response to a message, and count it when it is the final one."""
        is_success = reply.status == Status.SUCCESS
        if reply.is_final and not is_success:
            self._log.warning(
                "dimse.refused",
                status=f"{reply.status:04X}",
                comment=reply.comment,
                sop_class_uid=command.affected_sop_class_uid[:MAX_UID],
                **({} if reply.instance is None else {"instance": reply.instance}),
            )
        context_id, most = message.context.context_id, self._peer_max_pdu_bytes
        has_data_set = reply.data_set is not None
        response = encode_response(command, reply.status, reply.comment, reply.counts, has_data_set=has_data_set)
        pdus = encode_command(context_id, response, most)
        if reply.data_set is not None:
            pdus += encode_data_set(context_id, reply.data_set, most)
        self._send(pdus)
        if reply.is_final and message.service.is_storage:
            self._stored += is_success
            self._refused += not is_success

    def is_cancelled(self, message: Message, command: Command) -> bool:
        """Return whether the peer wants no more of the answer to a message."""
        message.is_cancelled = message.is_cancelled or hears_cancel(self._stream, command.message_id)
        return message.is_cancelled

    def is_quiet(self, seconds: float) -> bool:
        """Wait so long; return whether the peer said nothing meanwhile, and nobody wants the association to end."""
        return not self._stream.buffered and not self._wire.wait_to_receive(seconds, self._drain.fileno())

    def report(self, message: Message, event: EventReport, reported: Callable[[int | None], None]) -> None:
        """Send an N-EVENT-REPORT-RQ, whose response comes as a message like others."""
        message_id = len(self._reported) + 1
        self._reported[message_id] = reported
        context_id, most = message.context.context_id, self._peer_max_pdu_bytes
        names = event.sop_class_uid, event.sop_instance_uid, event.event_type
        request = encode_event_report_request(message_id, *names)
        self._send(encode_command(context_id, request, most) + encode_data_set(context_id, event.data_set, most))

    def _flush(self) -> None:
        if self._message is not None and self._message.exchange is not None:
            self._message.exchange.flush()

    def _send(self, data: bytes) -> None:
        send_all(self._wire, data, self._limits.stall_timeout_seconds)

    def _abort(self, source: int, reason: AbortReason, label: str, why: str, **more: str) -> None:
        self._leave()
        self._watcher.aborted(label)
        self._end = "Aborted"
        self._log.warning("association.aborted", reason=label, why=why, **more)
        try:
            # Ten bytes: a peer that has not read what came before will not read these either.
            send_all(self._wire, encode_abort(source, reason), timeout_seconds=0)
            self._stream.wait_closed(_CLOSE_TIMEOUT_SECONDS)
        except (PeerGone, PeerStalled):
            pass


def _nowhere() -> None:
    """Leave what was never entered."""
