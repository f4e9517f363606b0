"""Clients of C-GET that answer its sub-operations by the standard in unusual ways, or against it, byte by byte."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateways import LoneGateway
from pdus import (
    APPLICATION_CONTEXT,
    COMMAND,
    CT,
    LAST,
    associate_request,
    command_set,
    context,
    element,
    item,
    message,
    p_data,
    pdv,
    release,
    uid_value,
    us,
    user_information,
)
from ports import free_port
from retrieving import GET, Client, identifier, moving_route
from running import dcmsend
from studies import instance, instance_uid, study_uid

GET_CONTEXT, CT_CONTEXT = 1, 3
ABORT, P_DATA = 0x07, 0x04


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    one = LoneGateway(folder, moving_route(port=free_port()))
    files = [folder / f"{number}.dcm" for number in (1, 2)]
    for number, file in enumerate(files, 1):
        file.write_bytes(instance(1, number=number))
    assert dcmsend(one.port, files) == 0
    yield one
    one.kill()


class Getting:
    """An association on which a study is asked for; what is answered to its instances is the test's."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        role = item(0x54, struct.pack(">H", len(CT)) + CT.encode() + b"\0\1")
        contexts = context(GET_CONTEXT, GET["S"]) + context(CT_CONTEXT)
        self.send(associate_request(APPLICATION_CONTEXT, contexts, user_information(role)))
        kind, body = self.pdu()
        assert kind == 0x02
        assert b"\x54\0" in body, "the role is answered"
        wanted = element(0x00080052, "CS", b"STUDY ") + element(0x0020000D, "UI", uid_value(study_uid(1)))
        command = {0x0002: uid_value(GET["S"]), 0x0100: us(0x0010), 0x0110: us(9), 0x0700: us(0), 0x0800: us(1)}
        self.send(message(GET_CONTEXT, command_set(command), wanted))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def pdu(self) -> tuple[int, bytes]:
        """Return the next PDU, an A-ABORT where the connection ends without one."""
        head = self._exactly(6)
        if len(head) < 6:
            return ABORT, b""
        return head[0], self._exactly(int.from_bytes(head[2:6], "big"))

    def messages(self) -> Iterator[tuple[int, dict[int, int]]]:
        """Yield context and US elements of each command set, until the association ends; data sets are passed over."""
        while True:
            kind, body = self.pdu()
            if kind != P_DATA:
                yield kind, {}
                return
            while body:
                length = int.from_bytes(body[:4], "big")
                if body[5] & COMMAND:
                    yield body[4], _numbers(body[6 : 4 + length])
                body = body[4 + length :]

    def final(self) -> tuple[int, int]:
        """Return status and completed sub-operations of the final response."""
        for _, numbers in self.messages():
            if numbers.get(0x0100) == 0x8010 and numbers[0x0900] != 0xFF00:
                return numbers[0x0900], numbers[0x1021]
        raise AssertionError("no final response")

    def instance(self) -> int:
        """Return the message ID of the next C-STORE request."""
        return next(numbers[0x0110] for _, numbers in self.messages() if numbers.get(0x0100) == 0x0001)

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length and (more := self._socket.recv(length - len(data))):
            data += more
        return bytes(data)


def _numbers(command: bytes) -> dict[int, int]:
    found, offset = {}, 0
    while offset < len(command):
        _, number, length = struct.unpack_from("<HHI", command, offset)
        if length == 2:
            found[number] = int.from_bytes(command[offset + 8 : offset + 10], "little")
        offset += 8 + length
    return found


def stored(message_id: int, status: int = 0, **more: int) -> bytes:
    values = {0x0002: uid_value(CT), 0x0100: us(0x8001), 0x0120: us(message_id), 0x0800: us(0x0101), 0x0900: us(status)}
    return command_set({**values, **{int(name[1:], 16): us(value) for name, value in more.items()}})


def cancel(message_id: int) -> bytes:
    return command_set({0x0100: us(0x0FFF), 0x0120: us(message_id), 0x0800: us(0x0101)})


def in_pieces(command: bytes) -> bytes:
    half = len(command) // 2
    first, last = pdv(CT_CONTEXT, COMMAND, command[:half]), pdv(CT_CONTEXT, COMMAND | LAST, command[half:])
    return p_data(first) + p_data(last)


@pytest.mark.parametrize(
    "answer",
    [
        lambda one: message(CT_CONTEXT, stored(one)),
        lambda one: in_pieces(stored(one)),
        lambda one: message(GET_CONTEXT, cancel(77)) + message(CT_CONTEXT, stored(one)),
        lambda one: message(CT_CONTEXT, stored(one, n0901=5)),
    ],
    ids=["whole", "in pieces", "after a C-CANCEL of another message", "with more than is needed"],
)
def test_what_is_an_answer_is_taken_for_one(gateway: LoneGateway, answer: Callable[[int], bytes]) -> None:
    getting = Getting(gateway.port)
    for _ in range(2):
        getting.send(answer(getting.instance()))
    assert getting.final() == (0x0000, 2)
    getting.send(release())
    assert getting.pdu()[0] == 0x06
    getting.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda one: message(CT_CONTEXT, stored(one + 1)),
        lambda one: message(CT_CONTEXT, command_set({0x0100: us(0x0030), 0x0110: us(1), 0x0800: us(0x0101)})),
        lambda one: message(CT_CONTEXT, stored(one)[:-4]),
        lambda one: p_data(pdv(CT_CONTEXT, LAST, b"\0" * 8)),
        lambda one: b"\x01\0\0\0\0\x04\0\0\0\0",
        lambda one: b"\x04\0" + struct.pack(">I", 1 << 30) + bytes(1 << 17),
        lambda one: message(CT_CONTEXT, command_set({0x0100: us(0x8001), 0x0120: us(one), 0x0800: us(0x0101)})),
    ],
    ids=["another message", "a request", "cut off", "a data set", "another PDU", "a PDU without end", "no status"],
)
def test_what_is_none_ends_the_association_and_nothing_else(
    gateway: LoneGateway, answer: Callable[[int], bytes]
) -> None:
    getting = Getting(gateway.port)
    getting.send(answer(getting.instance()))
    assert [kind for kind, numbers in getting.messages() if not numbers] == [ABORT]
    getting.close()
    client = Client(gateway.port, storage={CT: ["1.2.840.10008.1.2.1"]})
    assert client.get(identifier("STUDY", StudyInstanceUID=study_uid(1))).final == (0, (None, 2, 0, 0))
    assert client.uids() == [instance_uid(1, 1, 1), instance_uid(1, 1, 2)]
    client.release()
    assert not list(Path(gateway.folder / "spool" / "fetched").glob("*"))


def test_the_first_thing_that_is_said_is_that_it_goes_on(gateway: LoneGateway) -> None:
    begun = time.monotonic()
    getting = Getting(gateway.port)
    context_id, numbers = next(getting.messages())
    assert (context_id, numbers[0x0100], numbers[0x0900]) == (GET_CONTEXT, 0x8010, 0xFF00)
    assert numbers[0x1020] >= 1
    assert time.monotonic() - begun < 1
    getting.close()


def test_a_cancel_in_the_midst_leaves_the_rest(gateway: LoneGateway) -> None:
    getting = Getting(gateway.port)
    one = getting.instance()
    getting.send(message(GET_CONTEXT, cancel(9)) + message(CT_CONTEXT, stored(one)))
    assert getting.final() == (0xFE00, 1)
    getting.close()
