"""An archive that takes everything by STOW-RS and keeps the bytes, whatever they are (PS3.18 10.5).

It reads the File Meta Information alone: the data sets that it is given are not made to be read.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from multipart_parts import parts_of
from peer import Instance

_RETRIEVE = "00081199"
_PREAMBLE = bytes(128) + b"DICM"


class Archive:
    """Keeps the data sets of all instances, by SOP Instance UID in the order in which they came."""

    def __init__(self) -> None:
        self.data_sets: dict[str, list[bytes]] = {}
        self.strange: list[bytes] = []
        """The first bytes of files that do not begin with a preamble of zeros (CVE-2019-11687)."""
        self._lock = threading.Lock()
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                uids = [archive.keep(part) for part in parts_of(body, str(self.headers.get_param("boundary")))]
                stored = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in uids]
                answer = json.dumps({_RETRIEVE: {"vr": "SQ", "Value": stored}}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/dicom+json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/dicom-web"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def has(self, instance: Instance) -> bool:
        """Return whether this instance came, byte for byte."""
        with self._lock:
            return instance.data_set in self.data_sets.get(instance.sop_instance_uid, ())

    def keep(self, file: bytes) -> str:
        """Keep the data set of a file; return its SOP Instance UID, of the File Meta Information."""
        end = 144 + int.from_bytes(file[140:144], "little")
        meta, uid = file[144:end], ""
        while meta:
            # (0002,0001) OB has a length of four bytes, the others here are UI with two (PS3.10 7.1).
            head, length = (12, meta[8]) if meta[4:6] == b"OB" else (8, int.from_bytes(meta[6:8], "little"))
            if meta[2:4] == b"\3\0":
                uid = meta[head : head + length].rstrip(b"\0").decode()
            meta = meta[head + length :]
        with self._lock:
            self.data_sets.setdefault(uid, []).append(file[end:])
            if not file.startswith(_PREAMBLE):
                self.strange.append(file[:132])
        return uid
