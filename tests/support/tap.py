"""A witness between a sender and the gateway: forwards every byte, and reads along what was sent and acknowledged.

It shares no code with the gateway: command sets are read with pydicom.
"""

import io
import socket
import struct
import threading
from dataclasses import dataclass, field

import pydicom


@dataclass
class Witness:
    """What went over the wire: data sets by SOP Instance UID, and which of them were answered with success."""

    sent: dict[str, bytes] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)
    rejections: list[tuple[int, int, int]] = field(default_factory=list)
    aborts: list[tuple[int, int]] = field(default_factory=list)


class Tap:
    """A proxy on a loopback port."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.witness = Witness()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def redirect(self, port: int) -> None:
        """Forward new connections to another port."""
        self._target = port

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = _Reader(self.witness, self._lock)
            threading.Thread(target=self._forward, args=(client, server, reader.from_client), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client, reader.from_server), daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket, read: "_Half") -> None:
        try:
            while data := source.recv(1 << 16):
                # What is acknowledged counts from the moment in which the sender can know it.
                read.feed(data)
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class _Reader:
    def __init__(self, witness: Witness, lock: threading.Lock) -> None:
        self.from_client = _Half(witness, lock, is_client=True)
        self.from_server = _Half(witness, lock, is_client=False)


class _Half:
    """One direction of one association."""

    def __init__(self, witness: Witness, lock: threading.Lock, *, is_client: bool) -> None:
        self._witness = witness
        self._lock = lock
        self._is_client = is_client
        self._bytes = bytearray()
        self._command = bytearray()
        self._data_set = bytearray()
        self._uid = ""

    def feed(self, data: bytes) -> None:
        self._bytes += data
        while len(self._bytes) >= 6:
            kind, length = struct.unpack_from(">BxI", self._bytes)
            if len(self._bytes) < 6 + length:
                return
            body = bytes(self._bytes[6 : 6 + length])
            del self._bytes[: 6 + length]
            with self._lock:
                if kind == 3:
                    self._witness.rejections.append((body[1], body[2], body[3]))
                elif kind == 7:
                    self._witness.aborts.append((body[2], body[3]))
                elif kind == 4:
                    self._values(body)

    def _values(self, body: bytes) -> None:
        while body:
            (length,) = struct.unpack_from(">I", body)
            flags, value, body = body[5], body[6 : 4 + length], body[4 + length :]
            if flags & 1:
                self._command += value
                if flags & 2:
                    self._take_command()
            else:
                self._data_set += value
                if flags & 2:
                    self._witness.sent[self._uid] = bytes(self._data_set)
                    self._data_set.clear()

    def _take_command(self) -> None:
        command = pydicom.filereader.read_dataset(io.BytesIO(bytes(self._command)), True, True)
        self._command.clear()
        if self._is_client:
            self._uid = str(command.get("AffectedSOPInstanceUID", ""))
        elif command.CommandField == 0x8001:
            self._witness.statuses.append(command.Status)
            if command.Status == 0:
                self._witness.acknowledged.add(str(command.AffectedSOPInstanceUID))
