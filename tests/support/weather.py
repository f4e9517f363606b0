"""A STOW-RS origin server whose weather changes: what it makes of requests is not the same from moment to moment.

It keeps digests of what it stored, whatever it answered, and reads a request as its bytes come (PS3.18 10.5).
"""

import json
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from archive import uid_and_data_set
from multipart_parts import parts_of
from ports import free_port
from sink import digest
from stow_server import uid_element

_REFUSED = 0xA900
_BLOCK_BYTES = 1 << 16


class Weather(StrEnum):
    """What becomes of a request."""

    UP = "up"
    DOWN = "down"
    """The port is closed, and so is every connection."""
    SERVER_ERROR = "500"
    BAD_REQUEST = "400 without a body"
    HTML = "a page in place of a result"
    UNAUTHORIZED = "401"
    PARTIAL = "the answer is of one instance alone"
    SILENT = "no answer, then the connection is closed"
    THROTTLING = "429 with Retry-After"
    ANSWER_LOST = "stored, and the connection is closed"


@dataclass(frozen=True, slots=True)
class Request:
    """When a request was read whole, in seconds of a monotonic clock, and the SOP Instance UIDs in it."""

    time: float
    uids: Sequence[str]


class ChangingArchive:
    """A server on a port of the loopback interface that it keeps."""

    def __init__(self, *, answer_seconds: float = 0) -> None:
        self.weather = Weather.DOWN
        self.answer_seconds = answer_seconds
        """How long it takes to answer, or in silence, to close the connection."""
        self.most_per_second: float | None = None
        """How many instances it takes a second at most, however many requests there are."""
        self.retry_after_seconds = 1
        self.refused: set[str] = set()
        """SOP Instance UIDs that it never takes: Failure Reason A900, the data set does not match the SOP class."""
        self.stored: dict[str, list[str]] = {}
        """The digests of what it stored, by SOP Instance UID in order of arrival."""
        self.requests: list[Request] = []
        self.last_stored_time = 0.0
        """When something was stored the last time, in seconds of a monotonic clock."""
        self.received_bytes = 0
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/dicom-web"
        self._free_at = 0.0
        self._changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        self._server: _Server | None = None
        self.change(Weather.UP)

    def change(self, weather: Weather) -> None:
        """Let the weather be another one. What waits for an answer gets that of the old one, at once."""
        with self._changed:
            before, self.weather = self.weather, weather
            self._changed.notify_all()
        if weather is Weather.DOWN:
            self.close()
        elif before is Weather.DOWN:
            self._server = _Server(self._port, self)
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Close the port and every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        with self._changed:
            self._changed.notify_all()
            connections, self._connections = self._connections, set()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def copies(self, uid: str) -> int:
        """Return how often an instance was stored."""
        with self._changed:
            return len(self.stored.get(uid, ()))

    def connected(self, connection: socket.socket) -> None:
        """Take note of a connection."""
        with self._changed:
            self._connections.add(connection)

    def count(self, received_bytes: int) -> None:
        """Take note of bytes of a request."""
        with self._changed:
            self.received_bytes += received_bytes

    def answer(self, files: Sequence[bytes]) -> tuple[int, dict[str, str], bytes] | None:
        """Return status, headers and body of the answer to these files; None: the connection is closed."""
        found = dict(uid_and_data_set(file) for file in files)
        with self._changed:
            weather = self.weather
            self.requests.append(Request(time.monotonic(), list(found)))
            wait = max(self.answer_seconds, self._seconds_of_work(len(found)))
            if wait:
                self._changed.wait_for(lambda: self.weather is not weather, wait)
        match weather:
            case Weather.DOWN | Weather.SILENT:
                return None
            case Weather.SERVER_ERROR:
                return 500, {"Content-Type": "text/html"}, b"<html>an error</html>"
            case Weather.BAD_REQUEST:
                return 400, {}, b""
            case Weather.HTML:
                return 200, {"Content-Type": "text/html"}, b"<html>please log in</html>"
            case Weather.UNAUTHORIZED:
                return 401, {}, b""
            case Weather.THROTTLING:
                return 429, {"Retry-After": str(self.retry_after_seconds)}, b""
        chosen = list(found)[:1] if weather is Weather.PARTIAL else list(found)
        taken = [uid for uid in chosen if uid not in self.refused]
        with self._changed:
            for uid in taken:
                self.stored.setdefault(uid, []).append(digest(found[uid]))
                self.last_stored_time = time.monotonic()
        if weather is Weather.ANSWER_LOST:
            return None
        failed = [
            {**_item(uid), "00081197": {"vr": "US", "Value": [_REFUSED]}} for uid in chosen if uid in self.refused
        ]
        result = {
            "00081199": {"vr": "SQ", "Value": [_item(uid) for uid in taken]},
            "00081198": {"vr": "SQ", "Value": failed},
        }
        status = 200 if not failed else 202 if taken else 409
        return status, {"Content-Type": "application/dicom+json"}, json.dumps(result).encode()

    def _seconds_of_work(self, count: int) -> float:
        """Return when so many instances more are taken, in seconds from now."""
        if self.most_per_second is None:
            return 0
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / self.most_per_second
        return self._free_at - now


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, archive: ChangingArchive) -> None:
        class Handler(_Handler):
            of = archive

        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, *_: object) -> None:
        """A gateway was killed, or this server closed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    of: ChangingArchive

    def setup(self) -> None:
        super().setup()
        self.of.connected(self.connection)

    def do_POST(self) -> None:
        self.close_connection = True
        rest, blocks = int(self.headers["Content-Length"]), []
        while rest:
            block = self.rfile.read1(min(rest, _BLOCK_BYTES))
            if not block:
                return
            self.of.count(len(block))
            blocks.append(block)
            rest -= len(block)
        answer = self.of.answer(parts_of(b"".join(blocks), str(self.headers.get_param("boundary"))))
        if answer is None:
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = False

    def log_message(self, *_: object) -> None:
        pass


def _item(uid: str) -> dict[str, object]:
    return dict([uid_element("00081155", uid)])
