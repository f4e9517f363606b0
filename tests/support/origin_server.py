"""A small DICOMweb origin server that keeps what it is sent and answers as it is told to (PS3.18 10.4, 10.5).

It stores by POST and PUT, gives back by GET, deletes by DELETE; how one request is answered instead is a play (see
`origin_plays`), taken from a list, one a store request. Without one it stores and says so.
"""

import json
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from corpus import data_set_bytes
from multipart_parts import parts_of

JSON: Final = "application/dicom+json"


@dataclass(frozen=True)
class Reply:
    """An answer. `announced_bytes` is its Content-Length if that is not its length; `is_reset` sends an RST instead."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    announced_bytes: int | None = None
    is_reset: bool = False


@dataclass(frozen=True)
class Request:
    """A request as it came; `uids` are the SOP Instance UIDs of its parts."""

    method: str
    path: str
    headers: Mapping[str, str]
    uids: tuple[str, ...]
    time: float


Play = Callable[["OriginServer", list[bytes]], Reply]


class OriginServer:
    """A server on a free port of the loopback interface.

    `keeps_first`: what it has of a UID stays when another comes, and the answer is success (as Orthanc does without
    OverwriteInstances).
    """

    def __init__(self, *, keeps_first: bool = False, root: str = "/dicom-web") -> None:
        self.files: dict[str, bytes] = {}
        """The stored files by SOP Instance UID."""
        self.kept: set[bytes] = set()
        """Every file that it ever stored."""
        self.requests: list[Request] = []
        self.plays: deque[Play] = deque()
        self.retrievals: deque[Callable[[bytes], Reply]] = deque()
        """How retrievals of what is there are answered, one each; then as they should be."""
        self.always: Play | None = None
        """How store requests are answered when no play is left."""
        self.keeps_first = keeps_first
        self.deletes = True
        self.lock = threading.RLock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server._answer(self, server._store)

            def do_PUT(self) -> None:
                server._answer(self, server._store)

            def do_GET(self) -> None:
                server._answer(self, server._retrieve)

            def do_DELETE(self) -> None:
                server._answer(self, server._delete)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a gateway hung up
        self.port = self._server.server_port
        self.root = root
        self.url = f"http://127.0.0.1:{self.port}{root}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def methods(self, uid: str = "") -> list[str]:
        """Return the methods of the requests, of those with an instance if it is named."""
        with self.lock:
            return [one.method for one in self.requests if not uid or uid in one.uids or f"/{uid}" in one.path]

    def keep(self, file: bytes) -> str:
        """Store a file; return its SOP Instance UID."""
        uid = uid_of(file)
        with self.lock:
            if not (self.keeps_first and uid in self.files):
                self.files[uid] = file
                self.kept.add(file)
        return uid

    def has(self, uid: str, data_set: bytes) -> bool:
        """Return whether it has this instance with this data set."""
        with self.lock:
            return uid in self.files and data_set_bytes(self.files[uid]) == data_set

    def _answer(self, handler: BaseHTTPRequestHandler, act: Callable[[str, str, list[bytes]], Reply]) -> None:
        content = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        boundary = handler.headers.get_param("boundary") if content else None
        files = parts_of(content, str(boundary)) if boundary else []
        uids = tuple(uid_of(file) for file in files)
        with self.lock:
            self.requests.append(Request(handler.command, handler.path, dict(handler.headers), uids, time.monotonic()))
        reply = act(handler.command, handler.path, files)
        time.sleep(reply.delay_seconds)
        if reply.is_reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(handler.connection.detach())
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        if reply.content_type:
            handler.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        length = len(reply.body) if reply.announced_bytes is None else reply.announced_bytes
        if reply.status != 204:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(reply.body)
        if length != len(reply.body):
            handler.close_connection = True

    def _store(self, method: str, _: str, files: list[bytes]) -> Reply:
        if method == "PUT":
            with self.lock:
                self.files |= {uid_of(file): file for file in files}
                self.kept |= set(files)
            return Reply(body=result([uid_of(file) for file in files]))
        with self.lock:
            play = self.plays.popleft() if self.plays else self.always
        return play(self, files) if play else stored(self, files)

    def _retrieve(self, _: str, path: str, __: list[bytes]) -> Reply:
        with self.lock:
            file = self.files.get(path.rpartition("/")[2])
            if file is None:
                return Reply(404, b"", "")
            return self.retrievals.popleft()(file) if self.retrievals else retrieved(file)

    def _delete(self, _: str, path: str, __: list[bytes]) -> Reply:
        if not self.deletes:
            return Reply(405, b"", "")
        with self.lock:
            return Reply(204 if self.files.pop(path.rpartition("/")[2], None) else 404, b"", "")


def stored(server: OriginServer, files: list[bytes]) -> Reply:
    """Keep everything, and say so."""
    return Reply(body=result([server.keep(file) for file in files]))


def retrieved(file: bytes, content_type: str = 'multipart/related; type="application/dicom"; boundary=x') -> Reply:
    """Return the answer to a retrieval (PS3.18 8.6.1.2)."""
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--x--\r\n"
    return Reply(body=body, content_type=content_type)


def result(
    stored: list[str],
    failed: Mapping[str, Any] | None = None,
    nameless: list[Any] | None = None,
    warnings: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a Store Instances Response in the DICOM JSON model: UIDs, and reasons of failures and warnings."""

    def item(uid: str, tag: str = "", reason: Any = None) -> dict[str, Any]:
        return {
            **({"00081155": {"vr": "UI", "Value": [uid]}} if uid else {}),
            **({tag: {"vr": "US", "Value": [reason]}} if tag else {}),
        }

    noted = warnings or {}
    referenced = [item(uid, "00081196", noted[uid]) if uid in noted else item(uid) for uid in stored]
    failures = [item(uid, "00081197", reason) for uid, reason in (failed or {}).items()]
    failures += [item("", "00081197", reason) for reason in nameless or []]
    document: dict[str, Any] = {}
    if referenced:
        document["00081199"] = {"vr": "SQ", "Value": referenced}
    if failures:
        document["00081198"] = {"vr": "SQ", "Value": failures}
    return json.dumps(document).encode()


def uid_of(file: bytes) -> str:
    """Return the Media Storage SOP Instance UID (0002,0003) of a file."""
    at = file.index(b"\2\0\3\0UI", 132)
    length = int.from_bytes(file[at + 6 : at + 8], "little")
    return file[at + 8 : at + 8 + length].rstrip(b"\0").decode()
