"""Answers that no honest server gives: nothing counts as stored, nothing is lost, and the next good answer is taken."""

import gzip
import json
import socket
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import origin_plays as plays
import pytest
from delivering import Delivering, Start, file_of, new_uid
from origin_server import JSON, OriginServer, Play, Reply, result, uid_of
from web_server import Answer, WebServer
from web_server import Received as Arrived

from dicomroute_gateway.spool.records import DeliveryState, Received

MULTIPART: Final = b'Content-Type: multipart/related; type="application/dicom"; boundary=x\r\n'
PART: Final = b"--x\r\nContent-Type: application/dicom\r\n\r\n"
_MOST_MORE_KIBIBYTES: Final = 64 << 10
_MOST_SECONDS: Final = 10.0
Write = Callable[[BaseHTTPRequestHandler], None]


class HostileServer(OriginServer):
    """Answers its next requests by writing to the connection itself, then as its plays say."""

    def __init__(self) -> None:
        self.writes: deque[tuple[str, Write]] = deque()
        """The method of the request that is answered so, and what writes; the connection is closed then."""
        super().__init__(root="/v2")

    def _answer(self, handler: BaseHTTPRequestHandler, act: Callable[[str, str, list[bytes]], Reply]) -> None:
        with self.lock:
            is_next = bool(self.writes) and self.writes[0][0] == handler.command
            write = self.writes.popleft()[1] if is_next else None
        if write is None:
            super()._answer(handler, act)
            return
        handler.close_connection = True
        with suppress(OSError):  # the gateway hung up
            write(handler)


class Elsewhere(WebServer):
    """A place that answers may name and that nobody is to ask."""

    def answer(self, request: Arrived) -> Answer:
        return Answer(404)


@pytest.fixture
def server() -> Iterator[HostileServer]:
    one = HostileServer()
    yield one
    one.close()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    one = Elsewhere()
    yield one
    one.close()


def peak_kibibytes() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def settles(gateway: Delivering, *, more: bool = True) -> None:
    """Deliver everything, within memory and time; whatever is delivered then is at the server."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (proc(5))
    before, began = peak_kibibytes(), time.monotonic()
    gateway.run(gateway.is_settled)
    assert time.monotonic() - began < _MOST_SECONDS
    assert not more or peak_kibibytes() - before < _MOST_MORE_KIBIBYTES
    assert all(
        delivery.state is not DeliveryState.DEAD_LETTERED
        for entry in gateway.spool.entries(lambda _: True)
        for delivery in entry.deliveries.values()
    )


def until_hung_up(handler: BaseHTTPRequestHandler, block: bytes) -> None:
    """Write without an end, but for one that keeps a gateway that reads everything from hanging a test."""
    end = time.monotonic() + 2 * _MOST_SECONDS
    while time.monotonic() < end:
        handler.wfile.write(block)


def uploaded(write: Write) -> Write:
    """Read the whole request, then write."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        write(handler)

    return act


def raw(*blocks: bytes) -> Write:
    """Read the whole request, then write this and hang up."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"".join(blocks))

    return uploaded(act)


def endless(head: bytes, block: bytes) -> Write:
    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        until_hung_up(handler, block)

    return uploaded(act)


def bomb(window_bits: int, megabytes: int, begin: bytes = b"") -> bytes:
    packer = zlib.compressobj(9, wbits=window_bits)
    zeros = bytes(1 << 20)
    return packer.compress(begin) + b"".join(packer.compress(zeros) for _ in range(megabytes)) + packer.flush()


OK_JSON: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"
OK_PARTS: Final = b"HTTP/1.1 200 OK\r\n" + MULTIPART
CHUNK: Final = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"
RAW: dict[str, Write] = {
    "4 GB announced, a short body": raw(OK_JSON + b"Content-Length: 4294967296\r\n\r\n{}"),
    "4 GB announced, and they come": endless(OK_JSON + b"Content-Length: 4294967296\r\n\r\n", b" " * 65536),
    "endless chunks": endless(OK_JSON + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "a chunk of 2**64 bytes": raw(OK_JSON + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}"),
    "a negative length": raw(OK_JSON + b"Content-Length: -1\r\n\r\n{}"),
    "thousands of headers": raw(OK_JSON, b"".join(b"X-%d: y\r\n" % n for n in range(5000)), b"\r\n"),
    "a header of 1 MB": raw(OK_JSON, b"X: " + b"y" * (1 << 20) + b"\r\n\r\n"),
    "endless headers": endless(OK_JSON, b"X: y\r\n" * 8192),
    "an endless header": endless(OK_JSON + b"X: ", b"y" * 65536),
    "an endless status line": endless(b"HTTP/1.1 200 ", b"y" * 65536),
    "no HTTP": raw(b"\0\1\2\3" * 1000),
    "100 Continue that nothing follows": raw(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "many 100 Continue": raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "101 Switching Protocols": raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
}


@pytest.mark.parametrize("name", RAW)
def test_an_answer_that_is_no_honest_http_stores_nothing(server: HostileServer, start: Start, name: str) -> None:
    gateway = start()
    uids = {gateway.receive(bytes([number]) * 100).sop_instance_uid for number in range(3)}
    server.writes.append(("POST", RAW[name]))
    settles(gateway)
    assert server.files.keys() == uids
    assert not server.writes


def test_a_deflate_bomb_takes_no_memory(server: HostileServer, start: Start) -> None:
    gateway = start()
    received = gateway.receive(b"1234")
    body = bomb(15, 256)
    server.plays.append(lambda *_: Reply(body=body, headers={"Content-Encoding": "deflate"}))
    settles(gateway)
    assert server.has(received.sop_instance_uid, b"1234")


def test_a_bomb_in_a_bomb_takes_no_memory(server: HostileServer, start: Start) -> None:
    gateway = start()
    received = gateway.receive(b"1234")
    body = gzip.compress(bomb(31, 128))
    server.plays.append(lambda *_: Reply(body=body, headers={"Content-Encoding": "gzip, gzip"}))
    settles(gateway)
    assert server.has(received.sop_instance_uid, b"1234")


def test_an_answer_before_the_upload_ended_stores_nothing(server: HostileServer, start: Start) -> None:
    gateway = start()
    data_set = bytes(32 << 20)
    received = gateway.receive(data_set)

    def early(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(100_000)
        handler.wfile.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        handler.connection.shutdown(socket.SHUT_WR)

    server.writes.append(("POST", early))
    settles(gateway, more=False)  # the server has the instance in this process
    assert server.has(received.sop_instance_uid, data_set)
    assert not server.writes


def saying(document: Callable[[str], bytes], content_type: str = JSON) -> Play:
    return lambda _, files: Reply(body=document(uid_of(files[0])), content_type=content_type)


def failed(uid: str, reason: str) -> bytes:
    item = f'{{"00081155":{{"vr":"UI","Value":["{uid}"]}},"00081197":{{"vr":"US","Value":[{reason}]}}}}'
    return f'{{"00081198":{{"vr":"SQ","Value":[{item}]}}}}'.encode()


def twice_named(uid: str, tag: str) -> bytes:
    """Return an answer in which a key is there twice: the second time with nothing."""
    known = json.loads(result([uid]))["00081199"]
    both = "00081199" if tag == "00081198" else "00081198"
    return f'{{"{tag}":{json.dumps(known)},"{tag}":{{"vr":"SQ"}},"{both}":{{"vr":"SQ"}}}}'.encode()


ENTITY: Final = '<!DOCTYPE a [<!ENTITY u "{0}">]>'


def native(uid: str, head: str = "", value: str = "") -> bytes:
    attribute = f'<DicomAttribute tag="00081155" vr="UI"><Value number="1">{value or uid}</Value></DicomAttribute>'
    items = f'<DicomAttribute tag="00081199" vr="SQ"><Item number="1">{attribute}</Item></DicomAttribute>'
    return f"{head}<NativeDicomModel>{items}</NativeDicomModel>".encode()


LAUGHS: Final = (
    '<!DOCTYPE a [<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)) + "]>"
)
BODIES: dict[str, Play] = {
    "arrays nested deep": saying(lambda _: b"[" * 100_000),
    "closed arrays nested deep": saying(lambda _: b"[" * 100_000 + b"]" * 100_000),
    "objects nested deep": saying(lambda _: b'{"00081199":' * 80_000),
    "ten million numbers": saying(lambda uid: result([uid])[:-1] + b',"a":[' + b"1," * 10_000_000 + b"1]}"),
    "a million empty objects": saying(lambda _: b'{"00081199":{"Value":[' + b"{}," * 340_000 + b"{}]}}"),
    "a stored list that is then empty": saying(lambda uid: twice_named(uid, "00081199")),
    "NaN": saying(lambda uid: failed(uid, "NaN")),
    "infinity": saying(lambda uid: failed(uid, "-Infinity")),
    "1e400": saying(lambda uid: failed(uid, "1e400")),
    "a reason of 400 digits": saying(lambda uid: failed(uid, "1" + "0" * 400)),
    "a reason of 5000 digits": saying(lambda uid: failed(uid, "1" + "0" * 5000)),
    "a reason of 900 000 digits": saying(lambda uid: failed(uid, "9" * 900_000)),
    "digits as text": saying(lambda uid: failed(uid, '"' + "9" * 900_000 + '"')),
    "a huge reason like a refusal": saying(lambda uid: failed(uid, str((1 << 80) | 0xC000))),
    "a negative reason": saying(lambda uid: failed(uid, "-16384")),
    "no UTF-8": saying(lambda _: b'{"00081199":"\xff\xfe\x80"}'),
    "half a surrogate": saying(lambda _: b'{"00081199":{"Value":[{"00081155":{"Value":["\\ud800"]}}]}}'),
    "no numbers, lists and objects": saying(lambda _: b'{"00081199":7,"00081198":{"Value":{"a":[]}},"0008119A":null}'),
    "an entity in XML": saying(lambda u: native(u, ENTITY.format(u), "&u;"), "application/dicom+xml"),
    "a document type in XML": saying(lambda u: native(u, "<!DOCTYPE a>"), "application/dicom+xml"),
    "a billion laughs": saying(lambda u: native(u, LAUGHS, "&a11;"), "application/dicom+xml"),
    "XML nested deep": saying(lambda _: b"<a>" * 100_000 + b"</a>" * 100_000, "application/dicom+xml"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_made_to_harm_stores_nothing(server: HostileServer, start: Start, name: str) -> None:
    gateway = start()
    received = gateway.receive(b"1234")
    server.plays.append(BODIES[name])
    settles(gateway)
    assert server.has(received.sop_instance_uid, b"1234")
    assert server.methods() == ["POST", "POST"]


@pytest.mark.parametrize("tag", ["00081198", "00081199", "00081155"])
def test_what_an_answer_leaves_elsewhere_is_never_fetched(
    server: HostileServer, start: Start, elsewhere: Elsewhere, tag: str
) -> None:
    gateway = start()
    received = gateway.receive(b"1234")
    far: dict[str, Any] = {"vr": "SQ", "BulkDataURI": f"{elsewhere.url}/bulk"}
    named = {"00081199": {"vr": "SQ", "Value": [{tag: far}]}} if tag == "00081155" else {tag: far}
    document = {"00081190": far, **named}
    server.plays.append(saying(lambda _: json.dumps(document).encode()))
    settles(gateway)
    assert server.has(received.sop_instance_uid, b"1234")
    assert elsewhere.received == []


def test_an_external_entity_is_never_fetched(server: HostileServer, start: Start, elsewhere: Elsewhere) -> None:
    gateway = start()
    received = gateway.receive(b"1234")
    head = f'<!DOCTYPE a SYSTEM "{elsewhere.url}/a.dtd" [<!ENTITY u SYSTEM "{elsewhere.url}/u">]>'
    server.plays.append(saying(lambda uid: native(uid, head, "&u;"), "application/dicom+xml"))
    settles(gateway)
    assert server.has(received.sop_instance_uid, b"1234")
    assert elsewhere.received == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_the_credential_nowhere(
    server: HostileServer, start: Start, elsewhere: Elsewhere, tmp_path: Path, status: int, host: str
) -> None:
    (tmp_path / "secrets" / "archive").mkdir(parents=True)
    (tmp_path / "secrets" / "archive" / "token").write_text("not-a-secret")
    gateway = start(auth={"type": "Bearer", "tokenFile": "archive/token"})
    received = gateway.receive(b"1234")
    server.always = plays.status(status, Location=f"http://{host}:{elsewhere.port}/v2/studies")
    gateway.run(lambda: len(server.requests) >= 2)
    assert gateway.worker.paused is not None
    assert gateway.worker.last_error is not None
    assert gateway.worker.last_error.status == status
    assert gateway.worker.last_error.reason == "Redirected"
    assert gateway.is_pending(received)
    server.always = None
    settles(gateway)
    assert gateway.worker.paused is None
    assert server.has(received.sop_instance_uid, b"1234")
    assert {one.headers.get("Authorization") for one in server.requests} == {"Bearer not-a-secret"}
    assert elsewhere.received == []


def test_a_redirect_of_a_retrieval_takes_the_credential_nowhere(
    server: HostileServer, start: Start, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    (tmp_path / "secrets" / "archive").mkdir(parents=True)
    (tmp_path / "secrets" / "archive" / "token").write_text("not-a-secret")
    gateway = start(auth={"type": "Bearer", "tokenFile": "archive/token"})
    received = there_already(gateway, server, b"1234")
    server.retrievals.append(lambda _: Reply(307, headers={"Location": f"{elsewhere.url}/v2/studies"}))
    settles(gateway)
    assert server.methods(received).count("GET") == 2
    assert elsewhere.received == []


def there_already(gateway: Delivering, server: HostileServer, data_set: bytes) -> str:
    """Take an instance in that the server has and says to have."""
    received = gateway.receive(data_set)
    server.always = plays.unless_it_exists(45070)
    return server.keep(file_of(received, data_set))


def parts(body: bytes) -> bytes:
    return OK_PARTS + b"Content-Length: %d\r\n\r\n" % len(body) + body


DATA_SET: Final = bytes(range(256)) * 64
RETRIEVED: dict[str, Callable[[bytes], Write]] = {
    "no final boundary": lambda file: raw(parts(PART + file)),
    "half a final boundary": lambda file: raw(parts(PART + file + b"\r\n--")),
    "a million empty parts": lambda _: raw(parts(b"--x\r\n\r\n\r\n" * 1_000_000 + b"--x--\r\n")),
    "a million parts without a head": lambda _: raw(parts(b"--x\r\n" * 1_000_000)),
    "no part": lambda _: raw(parts(b"--x--\r\n")),
    "an endless head": lambda _: endless(OK_PARTS + b"\r\n--x\r\nX: ", b"y" * 65536),
    "an endless preamble": lambda _: endless(OK_PARTS + b"\r\n", b"y" * 65536),
    "4 GB announced": lambda file: raw(OK_PARTS + b"Content-Length: 4294967296\r\n\r\n" + PART + file),
    "a header of 1 MB": lambda _: raw(OK_PARTS, b"X: " + b"y" * (1 << 20) + b"\r\n\r\n"),
    "a gzip bomb": lambda _: raw(parts_packed(bomb(31, 128))),
    "no file in a gzip bomb": lambda _: raw(parts_packed(bomb(31, 128, PART))),
    "a file in a gzip bomb": lambda file: raw(parts_packed(bomb(31, 128, PART + file))),
}


def parts_packed(body: bytes) -> bytes:
    return OK_PARTS + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("name", RETRIEVED)
def test_a_retrieval_that_is_not_whole_says_nothing(server: HostileServer, start: Start, name: str) -> None:
    gateway = start()
    uid = there_already(gateway, server, DATA_SET)
    server.writes.append(("GET", RETRIEVED[name](server.files[uid])))
    settles(gateway)
    assert not server.writes
    assert server.methods(uid).count("GET") == 1, "compared again, and found to be the same"
    assert gateway.spool.snapshot().instances.delivered == 1


def test_a_boundary_inside_the_data_never_makes_two_instances_the_same(server: HostileServer, start: Start) -> None:
    gateway = start()
    received = gateway.receive(DATA_SET + b"\r\n--x\r\n" + DATA_SET)
    server.always = plays.unless_it_exists(45070)
    server.files[received.sop_instance_uid] = file_of(received, DATA_SET)
    gateway.run(gateway.is_settled)
    (entry,) = gateway.spool.entries(lambda _: True)
    (delivery,) = entry.deliveries.values()
    assert delivery.state is DeliveryState.DEAD_LETTERED
    assert delivery.reason == "DuplicateDiffers"
    assert gateway.spool.snapshot().instances.delivered == 0
    another = gateway.receive(b"1234")
    gateway.run(gateway.is_settled)
    assert server.has(another.sop_instance_uid, b"1234")


def test_a_failure_is_not_undone_by_a_second_list(server: HostileServer, start: Start) -> None:
    gateway = start()
    received = gateway.receive(b"1234")

    def play(_: OriginServer, files: list[bytes]) -> Reply:
        uid = uid_of(files[0])
        text = failed(uid, "42752").decode()[:-1] + ',"00081198":{"vr":"SQ"},' + result([uid]).decode()[1:]
        return Reply(body=text.encode())

    server.plays.append(play)
    settles(gateway)
    assert server.has(received.sop_instance_uid, b"1234")


@pytest.mark.parametrize("name", ["a part", "a body"])
def test_a_retrieval_without_an_end_is_given_up(server: HostileServer, start: Start, name: str) -> None:
    gateway = start()
    uid = there_already(gateway, server, DATA_SET)
    whole = OK_PARTS.replace(MULTIPART, b"Content-Type: application/dicom\r\n")
    head = OK_PARTS + b"\r\n" + PART if name == "a part" else whole + b"\r\n"
    server.writes.append(("GET", endless(head + server.files[uid], bytes(65536))))
    settles(gateway)
    assert gateway.spool.snapshot().instances.delivered == 1


@pytest.mark.parametrize("later_seconds", [None, 0.0, 0.3], ids=["with the first", "behind it", "later"])
def test_an_answer_that_nobody_asked_for_is_not_that_of_the_next_request(
    server: HostileServer, start: Start, later_seconds: float | None
) -> None:
    gateway = start()
    first = gateway.receive(b"1234")
    uid = new_uid()
    has_said_more = threading.Event()
    second: list[Received] = []

    def twice(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        bodies = [result([named]) for named in (first.sop_instance_uid, uid)]
        answers = [OK_JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
        if later_seconds is None:
            handler.wfile.write(b"".join(answers))
        else:
            handler.wfile.write(answers[0])
            has_said_more.wait(later_seconds)
            handler.wfile.write(answers[1])
        has_said_more.set()
        handler.connection.settimeout(_MOST_SECONDS)
        handler.rfile.read(1)  # a request that comes on this connection all the same is lost

    server.keep(file_of(first, b"1234"))
    server.writes.append(("POST", twice))

    def both() -> bool:
        if not second and has_said_more.is_set() and gateway.delivery(first) is None:
            second.append(gateway.receive(b"5678", uid))
        return bool(second) and gateway.is_settled()

    gateway.run(both)
    assert server.has(uid, b"5678")
