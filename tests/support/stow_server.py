"""A STOW-RS origin server that takes everything; what becomes of it is its subclasses' business (PS3.18 10.5)."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from multipart_parts import parts_of

_REFERENCED_SOP_SEQUENCE = "00081199"


class _IPv6Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class StowServer:
    """A server on a port of the loopback interface, or of another address; a free one if none is named."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                files = parts_of(body, str(self.headers.get_param("boundary")))
                stored = [dict(server.take(file)) for file in files]
                answer = json.dumps({_REFERENCED_SOP_SEQUENCE: {"vr": "SQ", "Value": stored}}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/dicom+json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = (_IPv6Server if ":" in host else ThreadingHTTPServer)((host, port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a gateway was killed meanwhile
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_port}/dicom-web"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, file: bytes) -> Iterator[tuple[str, object]]:
        """Keep a file; yield the UIDs that the answer says of it, each with its tag."""
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def uid_element(tag: str, uid: str) -> tuple[str, object]:
    """Return an element of VR UI as the DICOM JSON model has it (PS3.18 annex F)."""
    return tag, {"vr": "UI", "Value": [uid]}
