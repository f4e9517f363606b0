"""The archive that a benchmark delivers to: it takes everything by STOW-RS and keeps the UIDs alone (PS3.18 10.5).

A query finds nothing. It is not what is measured, so it computes little: bodies are never held, and pixels are passed
over unseen. Standard library alone, one thread, any number of connections.

    python stow_sink.py [--delay SECONDS] [--certificate PEM]

It says `{"port": …}` when it listens, and answers each line of standard input with what it has.
"""

import argparse
import heapq
import itertools
import json
import re
import resource
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any

READ_BYTES = 1 << 18
MOST_READS = 64  # of one connection, before it is another's turn
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_PREFIX = 144  # preamble, DICM, and the group length of the File Meta Information (PS3.10 7.1)


class Refused(Exception):
    """A request is not what this archive takes; the message says why."""


class Parts:
    """Finds the instances in a multipart body of whole files, each part with its Content-Length."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, str]] = []
        """SOP Class and SOP Instance UIDs."""
        self.file_bytes = 0
        self._text = bytearray()
        self._skip = 0

    def feed(self, data: memoryview) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        if skipped == len(data):
            return
        self._text += data[skipped:]
        here = 0
        while (end := self._text.find(b"\r\n\r\n", here)) >= 0:
            start = end + 4
            length = _LENGTH.search(self._text, here, end)
            if length is None:
                raise Refused("a part without a Content-Length")
            file = self._text[start : start + _PREFIX]
            if len(file) < _PREFIX:
                break
            meta_end = start + _PREFIX + int.from_bytes(file[140:144], "little")
            if len(self._text) < meta_end:
                break
            self.stored.append(_uids(self._text[start + _PREFIX : meta_end]))
            self.file_bytes += int(length[1])
            here = start + int(length[1])
            if here > len(self._text):
                self._skip, here = here - len(self._text), len(self._text)
        del self._text[:here]

    def end(self) -> None:
        """Raise Refused unless the body ended after a whole part."""
        if self._skip or not self._text.rstrip().endswith(b"--"):
            raise Refused("the body ends within a part")


def _uids(meta: bytearray) -> tuple[str, str]:
    """Return the SOP Class and SOP Instance UIDs of a File Meta Information."""
    found = {}
    here = 0
    while here < len(meta):
        # (0002,0001) OB has a length of four bytes, the others here have two.
        if meta[here + 4 : here + 6] == b"OB":
            head, length = 12, int.from_bytes(meta[here + 8 : here + 12], "little")
        else:
            head, length = 8, int.from_bytes(meta[here + 6 : here + 8], "little")
        found[meta[here + 2]] = meta[here + head : here + head + length].rstrip(b"\0 ").decode()
        here += head + length
    return found[2], found[3]


class Request:
    """One request whose head has been read; `feed` takes its body, of a known length or in chunks (RFC 9112 7.1)."""

    def __init__(self, head: bytes) -> None:
        if not head.startswith((b"POST ", b"GET ")):
            raise Refused("only POST and GET are served")
        self.is_query = head.startswith(b"GET ")
        self.parts = Parts()
        self.is_complete = self.is_query
        self.expects_continue = _EXPECT.search(head) is not None
        self._is_chunked = _CHUNKED.search(head) is not None
        length = _LENGTH.search(head)
        if not (self.is_query or self._is_chunked or length):
            raise Refused("a request of unknown length")
        self._left = int(length[1]) if length and not self._is_chunked else 0
        self._ending = 0
        self._is_last = False
        self._line = bytearray()

    def feed(self, data: memoryview) -> memoryview:
        """Take what is of this request; return what is not."""
        while data and not self.is_complete:
            if self._left:
                taken = min(self._left, len(data))
                self.parts.feed(data[:taken])
                self._left -= taken
                data = data[taken:]
                self.is_complete = not self._left and not self._is_chunked
            elif self._ending:  # the CRLF behind a chunk
                taken = min(self._ending, len(data))
                self._ending -= taken
                data = data[taken:]
                self.is_complete = self._is_last and not self._ending
            else:
                self._line += data[:1]
                data = data[1:]
                if self._line.endswith(b"\r\n"):
                    self._left, self._ending = int(self._line.partition(b";")[0], 16), 2
                    self._is_last = not self._left
                    self._line.clear()
        return data


class Connection:
    """One client."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self._head = bytearray()
        self._request: Request | None = None

    def feed(self, data: memoryview) -> Iterator[Request]:
        """Yield each request that `data` completes."""
        while data:
            if self._request is None:
                self._head += data
                end = self._head.find(b"\r\n\r\n")
                if end < 0:
                    return
                self._request = Request(bytes(self._head[: end + 2]))
                data = memoryview(bytes(self._head[end + 4 :]))
                self._head.clear()
                if self._request.expects_continue:
                    self.client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = self._request.feed(data)
            if self._request.is_complete:
                request, self._request = self._request, None
                if not request.is_query:
                    request.parts.end()
                yield request


class Sink:
    """The archive: what it has, and its clients."""

    def __init__(self, delay_seconds: float, certificate: str | None) -> None:
        self._delay_seconds = delay_seconds
        self._context = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._uids: set[str] = set()
        self._counts = {"parts": 0, "requests": 0, "connections": 0, "file_bytes": 0}
        self._last = 0.0
        self._refused = ""
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._late: list[tuple[float, int, socket.socket, bytes]] = []
        self._serial = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listening.setblocking(False)

    def serve(self) -> None:
        """Serve until standard input ends."""
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        say(port=self._listening.getsockname()[1])
        while True:
            wait = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            for key, _ in self._selector.select(wait):
                if key.fileobj is self._listening:
                    self._accept()
                elif key.fileobj is sys.stdin:
                    if not sys.stdin.readline():
                        return
                    say(**self._facts())
                else:
                    self._read(key.data)
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, client, answer = heapq.heappop(self._late)
                _send(client, answer)

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
        if self._context:
            client = self._context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        self._counts["connections"] += 1
        self._selector.register(client, selectors.EVENT_READ, Connection(client))

    def _read(self, connection: Connection) -> None:
        try:
            for _ in range(MOST_READS if self._context else 1):  # TLS gives 16 KB at a time
                count = connection.client.recv_into(self._buffer)
                if not count:
                    raise ConnectionResetError
                for request in connection.feed(self._buffer[:count]):
                    if request.is_query:
                        _send(connection.client, NOTHING_FOUND)
                    else:
                        self._take(connection.client, request.parts)
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except Refused as error:
            self._refused = str(error)
            self._close(connection.client)
        except OSError:
            self._close(connection.client)

    def _close(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        client.close()

    def _take(self, client: socket.socket, parts: Parts) -> None:
        now = time.monotonic()
        before = len(self._uids)
        self._uids.update(uid for _, uid in parts.stored)
        if len(self._uids) > before:
            self._last = now
        self._counts["parts"] += len(parts.stored)
        self._counts["requests"] += 1
        self._counts["file_bytes"] += parts.file_bytes
        answer = _answer(parts.stored)
        if self._delay_seconds:
            heapq.heappush(self._late, (now + self._delay_seconds, next(self._serial), client, answer))
        else:
            _send(client, answer)

    def _facts(self) -> dict[str, Any]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            **self._counts,
            "instances": len(self._uids),
            "last": self._last,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "refused": self._refused,
        }


NOTHING_FOUND = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 2\r\n\r\n[]"  # PS3.18 10.6.3
)


def _answer(stored: list[tuple[str, str]]) -> bytes:
    """Return the response that names what was stored (PS3.18 10.5.3)."""
    items = [
        {"00081150": {"vr": "UI", "Value": [sop_class]}, "00081155": {"vr": "UI", "Value": [instance]}}
        for sop_class, instance in stored
    ]
    body = json.dumps({"00081199": {"vr": "SQ", "Value": items}}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _send(client: socket.socket, answer: bytes) -> None:
    """Send an answer; a client that has gone, or does not read, is left to itself."""
    try:
        client.send(answer)
    except OSError:
        return


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--certificate")
    options = parser.parse_args()
    Sink(options.delay, options.certificate).serve()


if __name__ == "__main__":
    main()
