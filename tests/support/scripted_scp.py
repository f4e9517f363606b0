"""An acceptor on a real socket that does what a script says, by the standard or against it. It shares no code with the
gateway.
"""

import socket
import struct
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pdus import (
    APPLICATION_CONTEXT,
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    COMMAND,
    LAST,
    P_DATA_TF,
    RELEASE_RP,
    command_set,
    item,
    p_data,
    pdu,
    pdv,
    us,
    user_information,
)

PATIENCE_SECONDS = 20


class Gone(Exception):
    """The requestor closed the connection."""


@dataclass(frozen=True)
class Proposed:
    """A presentation context as it was proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass
class Message:
    """A message as it came: its elements by number, its data set, and the lengths of the P-DATA-TFs."""

    context_id: int = 0
    elements: dict[int, bytes] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    pdu_lengths: list[int] = field(default_factory=list)

    @property
    def sop_instance_uid(self) -> str:
        return self.elements[0x1000].rstrip(b"\0").decode()

    @property
    def message_id(self) -> int:
        return int.from_bytes(self.elements[0x0110], "little")


class Acceptor:
    """One connection, in the hands of a script."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(PATIENCE_SECONDS)
        self._titles = b""
        self.proposed: list[Proposed] = []
        self.max_pdu_bytes = 0

    def read_request(self) -> None:
        kind, body = self.read_pdu()
        assert kind == ASSOCIATE_RQ
        self._titles, rest = body[4:68], body[68:]
        for number, value in _items(rest):
            if number == 0x20:
                inner = _items(value[4:])
                syntaxes = tuple(one.decode() for kind, one in inner if kind == 0x40)
                self.proposed.append(Proposed(value[0], inner[0][1].decode(), syntaxes))
            elif number == 0x50:
                self.max_pdu_bytes = int.from_bytes(dict(_items(value))[0x51], "big")

    @property
    def titles(self) -> tuple[str, str]:
        """The called and the calling AE title."""
        return self._titles[:16].decode().strip(), self._titles[16:32].decode().strip()

    def accept(
        self,
        *,
        maximum: int = 16384,
        results: Mapping[int, int] | None = None,
        instead: str = "",
        without: Sequence[int] = (),
        only: Collection[str] | None = None,
    ) -> "Acceptor":
        """Read the A-ASSOCIATE-RQ and accept. `results` are those of contexts that are not accepted, `instead` is a
        transfer syntax that nobody proposed, `without` are contexts that go unanswered, `only` are the transfer
        syntaxes that are taken.
        """
        self.read_request()
        answers = b""
        for one in self.proposed:
            if one.context_id not in without:
                result = 0 if only is None or one.transfer_syntaxes[0] in only else 4
                head = bytes((one.context_id, 0, (results or {}).get(one.context_id, result), 0))
                answers += item(0x21, head + item(0x40, (instead or one.transfer_syntaxes[0]).encode()))
        items = APPLICATION_CONTEXT + answers + user_information(maximum=maximum)
        return self.send(pdu(ASSOCIATE_AC, struct.pack(">HH", 1, 0) + self._titles + items))

    def message(self) -> Message:
        """Read a message to its end."""
        message, command, is_complete = Message(), b"", False
        while not is_complete:
            kind, body = self.read_pdu()
            assert kind == P_DATA_TF, f"a PDU of type {kind:02X}"
            message.pdu_lengths.append(len(body))
            while body:
                length, message.context_id, flags = struct.unpack_from(">IBB", body)
                fragment, body = body[6 : 4 + length], body[4 + length :]
                if flags & COMMAND:
                    command += fragment
                else:
                    message.data += fragment
                if flags & COMMAND and flags & LAST:
                    message.elements = _elements(command)
                    is_complete = message.elements[0x0800] == us(0x0101)
                elif flags & LAST:
                    is_complete = True
        return message

    def respond(self, message: Message, status: int = 0, changes: Mapping[int, bytes] | None = None) -> "Acceptor":
        field_ = int.from_bytes(message.elements[0x0100], "little") | 0x8000
        elements = {
            0x0002: message.elements[0x0002],
            0x0100: us(field_),
            0x0120: us(message.message_id),
            0x0800: us(0x0101),
            0x0900: us(status),
            **(changes or {}),
        }
        return self.send(p_data(pdv(message.context_id, COMMAND | LAST, command_set(elements))))

    def serve(self, status: int = 0) -> None:
        """Answer every message and the release."""
        while True:
            try:
                self.respond(self.message(), status)
            except AssertionError:
                self.send(pdu(RELEASE_RP, bytes(4)))
                return

    def read_pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self.exactly(6))
        return kind, self.exactly(length)

    def exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            try:
                more = self._socket.recv(length - len(data))
            except ConnectionResetError:
                raise Gone from None
            if not more:
                raise Gone
            data += more
        return bytes(data)

    def send(self, data: bytes) -> "Acceptor":
        self._socket.sendall(data)
        return self

    def wait_gone(self) -> bytes:
        """Say nothing until the requestor closes; return what it still sent."""
        data = bytearray()
        try:
            while more := self._socket.recv(1 << 20):
                data += more
        except ConnectionResetError:
            pass
        return bytes(data)

    def limit_buffer(self) -> "Acceptor":
        """Take little that is not read."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return self

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()


class ScriptedSCP:
    """Listens on a port of its own; each connection runs the script, and is closed after it."""

    def __init__(self, script: Callable[[Acceptor], None]) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.failures: list[BaseException] = []
        self._connections: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End listening, wait for the scripts, and fail with what one of them found."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._thread, *self._connections):
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "a script did not end"
        if self.failures:
            raise self.failures[0]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._connections.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        acceptor = Acceptor(connection)
        try:
            self._script(acceptor)
        except (Gone, BrokenPipeError, ConnectionResetError):
            pass
        except BaseException as error:
            self.failures.append(error)
        finally:
            acceptor.close()


def _items(data: bytes) -> list[tuple[int, bytes]]:
    items = []
    while data:
        kind, length = struct.unpack_from(">BxH", data)
        items.append((kind, data[4 : 4 + length]))
        data = data[4 + length :]
    return items


def _elements(command: bytes) -> dict[int, bytes]:
    elements = {}
    while command:
        _, number, length = struct.unpack_from("<HHI", command)
        elements[number], command = command[8 : 8 + length], command[8 + length :]
    return elements
