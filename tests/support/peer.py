"""A DICOM peer on a real socket that sends the bytes it is told to, and says what comes back."""

import itertools
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pdus import (
    ABORT,
    APPLICATION_CONTEXT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    COMMAND,
    CONTEXTS,
    LAST,
    P_DATA_TF,
    RELEASE_RP,
    associate_request,
    command_set,
    data_set,
    echo_request,
    message,
    release,
    store_values,
    user_information,
)

_SERIALS = itertools.count(1)
_PATIENCE_SECONDS = 15


def new_uid() -> str:
    """Return a UID that no other instance of this process has."""
    return f"1.2.826.0.1.3680043.10.99.{next(_SERIALS)}"


@dataclass(frozen=True)
class Accepted:
    """A-ASSOCIATE-AC: the result of each presentation context (PS3.8 table 9-18)."""

    results: tuple[int, ...] = (0, 0)

    def __str__(self) -> str:
        if len(self.results) > 4:
            return f"A-ASSOCIATE-AC: {len(self.results)} contexts"
        return f"A-ASSOCIATE-AC: context results {', '.join(map(str, self.results))}"


@dataclass(frozen=True)
class Rejected:
    """A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    result: int
    source: int
    reason: int

    def __str__(self) -> str:
        return f"A-ASSOCIATE-RJ: result {self.result}, source {self.source}, reason {self.reason}"


@dataclass(frozen=True)
class Aborted:
    """A-ABORT (PS3.8 table 9-26): source 0 is the service-user, 2 the service-provider."""

    source: int
    reason: int = 0

    def __str__(self) -> str:
        return f"A-ABORT: source {self.source}, reason {self.reason}"


@dataclass(frozen=True)
class Answered:
    """A DIMSE response and its status."""

    status: int

    def __str__(self) -> str:
        return f"status {self.status:04X}H"


@dataclass(frozen=True)
class Released:
    """A-RELEASE-RP."""

    def __str__(self) -> str:
        return "A-RELEASE-RP"


@dataclass(frozen=True)
class Closed:
    """The connection was closed, and no PDU told why."""

    def __str__(self) -> str:
        return "the connection is closed without a PDU"


Answer = Accepted | Rejected | Aborted | Answered | Released | Closed


@dataclass
class Instance:
    """What a peer has sent, and how that was answered; None as long as it was not."""

    sop_instance_uid: str
    data_set: bytes
    status: int | None = None


class Peer:
    """One connection. What it sends after the gateway has gone is lost, as it would be for a real peer."""

    def __init__(
        self,
        port: int,
        receive_buffer_bytes: int | None = None,
        patience_seconds: float = _PATIENCE_SECONDS,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """With a `context` it speaks TLS to the name 127.0.0.1."""
        self._patience_seconds = patience_seconds
        self._socket = socket.socket()
        if receive_buffer_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.settimeout(self._patience_seconds)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self._socket = context.wrap_socket(self._socket, server_hostname="127.0.0.1")
        self._maximum = 0
        self.instances: list[Instance] = []
        """What was sent whole."""
        self.responded_to: list[int] = []
        """The Message ID Being Responded To of each response."""

    def send(self, data: bytes) -> "Peer":
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def trickle(self, data: bytes, seconds: float) -> "Peer":
        """Send a byte each so many seconds, until the gateway has something to say."""
        for position in range(len(data)):
            self.send(data[position : position + 1])
            if seconds:
                self._socket.settimeout(seconds)
                try:
                    self._socket.recv(1, socket.MSG_PEEK)
                    break
                except TimeoutError:
                    continue
                except OSError:
                    break
        self._socket.settimeout(self._patience_seconds)
        return self

    def flood(self, data: bytes) -> None:
        """Send again and again, reading nothing, until nothing more is taken."""
        self._socket.settimeout(0.3)
        try:
            while True:
                self._socket.sendall(data)
        except OSError:
            pass

    def associate(self, *contexts: bytes, maximum: int = 0, **titles: bytes) -> Answer:
        """Send an A-ASSOCIATE-RQ and return the answer. `maximum` is the longest P-DATA-TF that is taken."""
        self._maximum = maximum
        proposed = b"".join(contexts) or CONTEXTS
        self.send(associate_request(APPLICATION_CONTEXT, proposed, user_information(maximum=maximum), **titles))
        return self.answer()

    def associated(self, *contexts: bytes, maximum: int = 0) -> "Peer":
        """Associate with success."""
        answer = self.associate(*contexts, maximum=maximum)
        assert isinstance(answer, Accepted), f"the association was answered with {answer}"
        return self

    def echo(self, context_id: int = 3) -> Answer:
        self.send(message(context_id, echo_request()))
        return self.answer()

    def store(
        self, data: bytes, uid: str, changes: Mapping[int, bytes | None] | None = None, context_id: int = 1
    ) -> Answer:
        """Send a C-STORE-RQ with a data set and return the answer; `changes` to its command set, None to leave out."""
        values = {**store_values(uid), **(changes or {})}
        command = command_set({tag: value for tag, value in values.items() if value is not None})
        return self.awaits(uid, data).send(message(context_id, command, data)).answer()

    def awaits(self, uid: str, data: bytes) -> "Peer":
        """Note that a further response is one to this instance."""
        self.instances.append(Instance(uid, data))
        return self

    def store_one(self) -> Answer:
        """Store a small instance of its own, as a healthy peer would."""
        uid = new_uid()
        return self.store(data_set(uid), uid)

    def release(self) -> Answer:
        self.send(release())
        return self.answer()

    def answer(self) -> Answer:
        """Return the next answer: a PDU, a whole DIMSE response, or the end of the connection."""
        command = bytearray()
        while True:
            received = self._pdu()
            if received is None:
                return Closed()
            kind, body = received
            if kind != P_DATA_TF:
                return _association_answer(kind, body)
            if self._add_fragments(command, body):
                elements = _elements(bytes(command))
                self.responded_to.append(int.from_bytes(elements[0x0120], "little"))
                status = int.from_bytes(elements[0x0900], "little")
                self._note(int.from_bytes(elements[0x0100], "little"), status)
                return Answered(status)

    def drop(self) -> None:
        """End the TCP connection below TLS: no close_notify is sent."""
        socket.socket(fileno=self._socket.detach()).close()

    def half_close(self) -> "Peer":
        """End the sending half of the connection."""
        self._socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Close the connection with an RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def _note(self, command_field: int, status: int) -> None:
        if command_field == 0x8001 and (waiting := [one for one in self.instances if one.status is None]):
            waiting[0].status = status

    def _add_fragments(self, command: bytearray, body: bytes) -> bool:
        """Take the PDVs of a P-DATA-TF; return whether the command set is complete."""
        assert not self._maximum or len(body) <= self._maximum, f"a P-DATA-TF of {len(body)} bytes, longer than agreed"
        is_complete = False
        while body:
            length, _, flags = struct.unpack_from(">IBB", body)
            fragment, body = body[6 : 4 + length], body[4 + length :]
            assert flags & COMMAND
            assert len(fragment) % 2 == 0, "a fragment of an odd number of bytes (PS3.8 E.1)"
            command += fragment
            is_complete = bool(flags & LAST)
        return is_complete

    def _pdu(self) -> tuple[int, bytes] | None:
        try:
            header = self._exactly(6)
            if header is None:
                return None
            kind, length = struct.unpack(">BxI", header)
            body = self._exactly(length)
        except ConnectionResetError:
            return None
        assert body is not None, "the gateway closed in the midst of a PDU"
        return kind, body

    def _exactly(self, length: int) -> bytes | None:
        data = b""
        deadline = time.monotonic() + self._patience_seconds
        while len(data) < length:
            more = self._socket.recv(length - len(data))
            if not more:
                return None
            data += more
            assert time.monotonic() < deadline, "the answer never ends"
        return data


def _association_answer(kind: int, body: bytes) -> Answer:
    if kind == ASSOCIATE_AC:
        results, rest = [], body[68:]
        while rest:
            item, length = struct.unpack_from(">BxH", rest)
            if item == 0x21:
                results.append(rest[6])
            rest = rest[4 + length :]
        return Accepted(tuple(results))
    if kind == ASSOCIATE_RJ:
        return Rejected(*body[1:4])
    if kind == ABORT:
        return Aborted(*body[2:4])
    assert kind == RELEASE_RP, f"a PDU of type {kind:02X}"
    return Released()


def _elements(command: bytes) -> dict[int, bytes]:
    """Return the elements of a command set by their numbers (PS3.7 6.3.1)."""
    elements = {}
    while command:
        group, number, length = struct.unpack_from("<HHI", command)
        assert group == 0, "no command set"
        elements[number], command = command[8 : 8 + length], command[8 + length :]
    return elements
