"""A STOW-RS origin server of the tests: keeps the digest of every data set that it is given, and takes everything."""

import hashlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pydicom
from corpus import data_set_bytes
from multipart_parts import parts_of


class Sink:
    """What arrived: the digests of the data sets by SOP Instance UID, in order of arrival."""

    def __init__(self) -> None:
        self.stored: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = sink.take(parts_of(body, str(self.headers.get_param("boundary"))))
                self.send_response(200)
                self.send_header("Content-Type", "application/dicom+json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a gateway was killed meanwhile
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, files: list[bytes]) -> bytes:
        """Keep files; return the answer (PS3.18 10.5.3, PS3.18 annex I)."""
        items = []
        for file in files:
            found = pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True)
            with self._lock:
                self.stored.setdefault(found.SOPInstanceUID, []).append(digest(data_set_bytes(file)))
            items.append(
                {
                    "00081150": {"vr": "UI", "Value": [found.SOPClassUID]},
                    "00081155": {"vr": "UI", "Value": [found.SOPInstanceUID]},
                }
            )
        return json.dumps({"00081199": {"vr": "SQ", "Value": items}}).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def digest(data_set: bytes) -> str:
    return hashlib.sha256(data_set).hexdigest()
