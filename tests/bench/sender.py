"""The client of every system alike: C-STORE over a plain socket, from messages that are encoded once. Standard library
alone, so that its processes start fast; one process an association, so that it is not the bottleneck.

    python sender.py JOB.json        # see `Job`

It says `{"ready": …}` when its association stands, sends from the next line of standard input on, says what came of it,
and releases the association at the line after that.
"""

import json
import resource
import socket
import ssl
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from template import INSTANCE_UID, SERIES_UID, STUDY_UID, Template, uid

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION = "2.25.184671012369183716512"
IMPLICIT_VR = "1.2.840.10008.1.2"
OTHER_SERVICES = (
    "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
    "1.2.840.10008.5.1.4.1.2.1.1",  # Patient Root Query/Retrieve: FIND, MOVE, GET
    "1.2.840.10008.5.1.4.1.2.1.2",
    "1.2.840.10008.5.1.4.1.2.1.3",
    "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root Query/Retrieve: FIND, MOVE, GET
    "1.2.840.10008.5.1.4.1.2.2.2",
    "1.2.840.10008.5.1.4.1.2.2.3",
    "1.2.840.10008.5.1.4.31",  # Modality Worklist FIND
)
MOST_PDU_BYTES = 131072
BLOCK_BYTES = 4 << 20
TIMEOUT_SECONDS = 120
P_DATA, RELEASE_RQ, ASSOCIATE_AC = 4, 5, 2
COMMAND, LAST = 1, 2


class SendError(Exception):
    """The peer did not do what was asked of it; the message says what came instead."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process sends: until `seconds` are over or `most` instances are acknowledged."""

    port: int
    template: str
    number: int
    seconds: float
    most: int
    warm_up: int = 1
    other_services: bool = False
    authority: str = ""
    """A file with the authority of the server's certificate, where the port speaks TLS."""
    a_study_each: bool = False
    """Whether every instance is a study of its own."""


class Association:
    """An association that stores; `max_pdu_bytes` is what the peer takes."""

    def __init__(
        self, port: int, sop_class: str, syntax: str, *, other_services: bool = False, authority: str = ""
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if authority:
            context = ssl.create_default_context(cafile=authority)
            self._socket = context.wrap_socket(self._socket, server_hostname="127.0.0.1")
        self._received = bytearray()
        self._socket.sendall(_associate_request(sop_class, syntax, other_services))
        kind, body = self._read_pdu()
        if kind != ASSOCIATE_AC:
            raise SendError(f"a PDU of type {kind} in answer to an A-ASSOCIATE-RQ: {body.hex()}")
        self.max_pdu_bytes = _accepted(body)

    def store(self, message: "Message") -> None:
        """Send one instance; return when it is acknowledged."""
        for buffer, times in message.pieces:
            for _ in range(times):
                self._socket.sendall(buffer)
        status, number = self._read_response()
        if status or number != message.number:
            raise SendError(f"status {status:04X} for message {number} in answer to {message.number}")

    def release(self) -> None:
        self._socket.sendall(_pdu(RELEASE_RQ, bytes(4)))
        self._read_pdu()
        self._socket.close()

    def _read_response(self) -> tuple[int, int]:
        command = bytearray()
        while True:
            kind, body = self._read_pdu()
            if kind != P_DATA:
                raise SendError(f"a PDU of type {kind} in answer to a C-STORE: {body.hex()}")
            while body:
                length, _, flags = struct.unpack_from(">IBB", body)
                command += body[6 : 4 + length]
                body = body[4 + length :]
            if flags & LAST:
                break
        elements, here = {}, 0
        while here < len(command):
            group, element, length = struct.unpack_from("<HHI", command, here)
            elements[group, element] = command[here + 8 : here + 8 + length]
            here += 8 + length
        return (int.from_bytes(elements[0, 0x0900], "little"), int.from_bytes(elements[0, 0x0120], "little"))

    def _read_pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._read(6))
        return kind, self._read(length)

    def _read(self, length: int) -> bytes:
        while len(self._received) < length:
            more = self._socket.recv(65536)
            if not more:
                raise SendError("the peer closed the connection")
            self._received += more
        data = bytes(self._received[:length])
        del self._received[:length]
        return data


class Message:
    """A C-STORE request as it goes over the wire, in pieces to send so many times; the UIDs are patched in place."""

    def __init__(self, template: Template, max_pdu_bytes: int, association: int, *, a_study_each: bool = False) -> None:
        self._association = association
        self._a_study_each = a_study_each
        self.number = 0
        room = max_pdu_bytes - 6
        head = template.head.replace(STUDY_UID, uid(association, 1)).replace(SERIES_UID, uid(association, 2))
        command = _command(template.sop_class_uid)
        pixels = (bytes(range(251)) * (room // 251 + 1))[:room]
        total = len(head) + template.pixel_bytes
        first = (head + pixels[: template.pixel_bytes])[:room]
        middles, last = divmod(total - len(first), room)
        if middles and not last:
            middles, last = middles - 1, room
        middle = _data_pdu(pixels, 0)
        tail = _data_pdu(pixels[:last], LAST) if last else b""
        per_block = max(1, BLOCK_BYTES // len(middle))
        blocks, single = divmod(middles, per_block)
        self._start = bytearray(_data_pdu(command, COMMAND | LAST) + _data_pdu(first, 0 if tail else LAST))
        if not blocks:
            self._start += middle * single + tail
        self.pieces = [(self._start, 1)]
        if blocks:
            self.pieces += [(middle * per_block, blocks), (middle * single + tail, 1)]
        self._places = [self._start.index(INSTANCE_UID)]
        self._places.append(self._start.index(INSTANCE_UID, self._places[0] + 1))
        self._study_place = self._start.index(uid(association, 1))
        self._number_place = self._start.index(_element(0x0110, bytes(2))) + 8

    def next(self, serial: int) -> None:
        """Become the message of another instance."""
        name = uid(self._association, 1000 + serial)
        for place in self._places:
            self._start[place : place + len(name)] = name
        if self._a_study_each:
            self._start[self._study_place : self._study_place + len(name)] = uid(self._association, 10**9 + serial)
        self.number = serial % 65535 + 1
        struct.pack_into("<H", self._start, self._number_place, self.number)


def run(job: Job) -> None:
    template = Template.read(Path(job.template))
    association = Association(
        job.port,
        template.sop_class_uid,
        template.transfer_syntax_uid,
        other_services=job.other_services,
        authority=job.authority,
    )
    message = Message(template, association.max_pdu_bytes, job.number, a_study_each=job.a_study_each)
    for serial in range(job.warm_up):
        message.next(serial)
        association.store(message)
    say(ready=True, max_pdu_bytes=association.max_pdu_bytes)
    sys.stdin.readline()
    latencies = []
    cpu, began = _cpu_seconds(), time.monotonic()
    now = began
    while len(latencies) < job.most and now - began < job.seconds:
        message.next(job.warm_up + len(latencies))
        association.store(message)
        before, now = now, time.monotonic()
        latencies.append(now - before)
    say(
        acknowledged=len(latencies),
        began=began,
        ended=now,
        cpu_seconds=_cpu_seconds() - cpu,
        latencies_ms=[round(1000 * one, 3) for one in latencies],
    )
    sys.stdin.readline()
    association.release()


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _data_pdu(payload: bytes, flags: int) -> bytes:
    return _pdu(P_DATA, struct.pack(">IBB", len(payload) + 2, 1, flags) + payload)


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _command(sop_class: str) -> bytes:
    """Return a C-STORE-RQ (PS3.7 table 9.3-1)."""
    name = sop_class.encode()
    elements = (
        _element(0x0002, name + b"\0" * (len(name) % 2))
        + _element(0x0100, struct.pack("<H", 0x0001))
        + _element(0x0110, bytes(2))
        + _element(0x0700, bytes(2))
        + _element(0x0800, struct.pack("<H", 0x0001))
        + _element(0x1000, INSTANCE_UID)
    )
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _associate_request(sop_class: str, syntax: str, other_services: bool) -> bytes:
    proposed = [(sop_class, syntax)]
    if other_services:
        proposed += [(one, IMPLICIT_VR) for one in OTHER_SERVICES]
    contexts = b"".join(
        _item(0x20, bytes((2 * index + 1, 0, 0, 0)) + _item(0x30, abstract.encode()) + _item(0x40, transfer.encode()))
        for index, (abstract, transfer) in enumerate(proposed)
    )
    user = _item(0x51, struct.pack(">I", MOST_PDU_BYTES)) + _item(0x52, IMPLEMENTATION.encode()) + _item(0x55, b"BENCH")
    head = struct.pack(">Hxx16s16s32x", 1, b"BENCH".ljust(16), b"BENCHSENDER".ljust(16))
    return _pdu(1, head + _item(0x10, APPLICATION_CONTEXT.encode()) + contexts + _item(0x50, user))


def _accepted(body: bytes) -> int:
    """Return the longest PDU that the peer takes, once it has accepted the first context (PS3.8 9.3.3)."""
    longest, is_accepted, here = 0, False, 68
    while here < len(body):
        kind, length = struct.unpack_from(">BxH", body, here)
        value = body[here + 4 : here + 4 + length]
        if kind == 0x21 and value[0] == 1:
            is_accepted = value[2] == 0
        if kind == 0x50:
            at = value.index(b"\x51\0\0\x04")
            (longest,) = struct.unpack_from(">I", value, at + 4)
        here += 4 + length
    if not is_accepted:
        raise SendError("the peer did not accept the storage context")
    return min(longest or MOST_PDU_BYTES, MOST_PDU_BYTES)


if __name__ == "__main__":
    run(Job(**json.loads(Path(sys.argv[1]).read_text())))
