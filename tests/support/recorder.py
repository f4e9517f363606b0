"""A reverse proxy in front of an archive: forwards requests, and writes down which instances were stored."""

import re
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from multipart_parts import parts_of

_UID = re.compile(rb"\x08\x00\x18\x00UI..([0-9.]+)|\x08\x00\x18\x00[\x01-\x40]\x00\x00\x00([0-9.]+)", re.DOTALL)


class Recorder:
    """What reached the archive: SOP Instance UIDs by request, and which of them it answered with success."""

    def __init__(self, bind: str, port: int, upstream: str) -> None:
        self.sent: list[str] = []
        self.requests: list[list[bytes]] = []
        """The files of each STOW-RS request, in the order in which the requests came."""
        self.acknowledged: set[str] = set()
        self.sent_again: list[str] = []
        """Instances that were sent after the archive had acknowledged them."""
        self._upstream = upstream
        self._lock = threading.Lock()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                recorder.forward(self, body)

            def do_GET(self) -> None:
                recorder.forward(self, None)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((bind, port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> None:
        uids = {(a or b).decode() for a, b in _UID.findall(body or b"")}
        boundary = handler.headers.get_param("boundary") if body else None
        with self._lock:
            if body and boundary:
                self.requests.append(parts_of(body, str(boundary)))
            self.sent += uids
            self.sent_again += uids & self.acknowledged
        headers = {name: handler.headers[name] for name in ("Content-Type", "Accept") if handler.headers[name]}
        request = urllib.request.Request(self._upstream + handler.path, body, headers, method=handler.command)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status, answer, kind = response.status, response.read(), response.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            status, answer, kind = error.code, error.read(), error.headers["Content-Type"]
        except OSError:
            status, answer, kind = 503, b"the archive is down", "text/plain"
        with self._lock:
            if status == 200:
                self.acknowledged |= uids
        handler.send_response(status)
        handler.send_header("Content-Type", kind or "text/plain")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)
