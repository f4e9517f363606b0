"""An origin server that finds and gives back what it keeps by the standard, strictly, or as one provider does.

It matches by PS3.4 C.2.2.2 and decodes percent signs once (PS3.18 10.4 and 10.6). It shares no code with the gateway.
What it does otherwise is a `Play`: each is something that a real server does.
"""

import fnmatch
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pydicom
from pydicom.dataset import Dataset

_UNIQUE: Final = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
_OWN: Final = ("limit", "offset", "includefield", "fuzzymatching")
_DEFAULTS: Final = {
    "studies": ["StudyDate", "StudyTime", "AccessionNumber", "PatientName", "PatientID", "StudyID"],
    "series": ["Modality", "SeriesNumber"],
    "instances": ["SOPClassUID", "InstanceNumber", "Rows", "Columns"],
}
_AZURE: Final = frozenset((
    "StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "ReferringPhysicianName",
    "StudyDate", "StudyDescription", "ModalitiesInStudy", "SeriesInstanceUID", "Modality", "SOPInstanceUID",
    "PerformedProcedureStepStartDate",
))  # fmt: skip


@dataclass
class Play:
    """How a server differs: as its provider does, or as what breaks on the way.

    Of a retrieval, `cut_after` parts come whole and the next one in half; `stall_after` bytes come and then none;
    `slowly` a byte a second; `content_type` is said of each part.
    """

    provider: str = "Strict"
    most: int = 1000
    ignores_offset: bool = False
    repeats_pages: bool = False
    statuses: list[int] = field(default_factory=list)
    """With what the next requests are answered instead."""
    retry_after: str | None = "0"
    delay_seconds: float = 0.0
    is_slow: bool = False
    stall_after: int | None = None
    cut_after: int | None = None
    without: frozenset[str] = frozenset()
    """Instances that a retrieval of more than one leaves out, with 206."""
    strangers: list[bytes] = field(default_factory=list)
    """Files that retrievals give beside what was asked for."""
    content_type: str = "application/dicom"
    single_part: bool = False
    refuses_as_stored: bool = False
    answer: Callable[[list[dict[str, Any]]], bytes] | None = None
    """How a page is written instead."""


class ArchiveServer:
    """A server on a free port of the loopback interface; `files` are added with `keep`."""

    def __init__(self, play: Play | None = None) -> None:
        self.play = play or Play()
        self.files: dict[str, bytes] = {}
        self.heads: dict[str, Dataset] = {}
        self.generated: dict[str, Callable[[], Iterator[bytes]]] = {}
        """Instances too large to be kept: what yields their files."""
        self.paths: list[str] = []
        self.lock = threading.Lock()
        self.busy = self.most_busy = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with server.lock:
                    server.paths.append(self.path)
                    server.busy += 1
                    server.most_busy = max(server.busy, server.most_busy)
                try:
                    server._answer(self)
                except OSError:
                    self.close_connection = True  # the gateway hung up
                finally:
                    with server.lock:
                        server.busy -= 1

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a gateway hung up
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/{'v2' if self.play.provider == 'Azure' else 'dicom-web'}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def keep(self, *files: bytes) -> None:
        for file in files:
            head = pydicom.dcmread(BytesIO(file), stop_before_pixels=True)
            self.files[str(head.SOPInstanceUID)] = file
            self.heads[str(head.SOPInstanceUID)] = head

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def searches(self) -> list[str]:
        """Return what was searched for: paths with their decoded query."""
        with self.lock:
            return [unquote(one) for one in self.paths if "?" in one]

    def queries(self) -> list[str]:
        """Return the same without connection tests, which ask for one study and name nothing."""
        return [one for one in self.searches() if not one.endswith("?limit=1")]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        play = self.play
        time.sleep(play.delay_seconds)
        with self.lock:
            status = play.statuses.pop(0) if play.statuses else 200
        if status != 200:
            _send(handler, status, b"", "text/plain", {"Retry-After": play.retry_after} if play.retry_after else {})
            return
        parts = urlsplit(handler.path)
        path = parts.path.split("/")[2:]
        if path[-1] in _UNIQUE:
            self._search(handler, path, parts.query)
        else:
            self._retrieve(handler, path)

    # -- search ----------------------------------------------------------------------------------------------

    def _search(self, handler: BaseHTTPRequestHandler, path: list[str], query: str) -> None:
        play, resource = self.play, path[-1]
        parameters = [(name, value) for name, _, value in (one.partition("=") for one in query.split("&")) if name]
        parameters = [(unquote(name), unquote(value)) for name, value in parameters]
        keys = {name: value for name, value in parameters if name not in _OWN}
        own = dict(parameters)
        if reason := self._refusal(path, keys, parameters):
            _send(handler, 400, reason.encode(), "text/plain")
            return
        within = dict(zip(path[:-1:2], path[1:-1:2], strict=False))
        found = [one for one in self._entities(resource, within) if _matches(one, keys, own, play.provider)]
        offset = 0 if play.ignores_offset else int(own.get("offset", 0))
        if play.repeats_pages:
            offset //= 2
        page = found[offset : offset + min(play.most, int(own.get("limit", play.most)))]
        included = [value for name, value in parameters if name == "includefield"]
        answers = [_json(one, resource, included, within) for one in page]
        if not answers and play.provider == "Azure":
            _send(handler, 204, b"", "")
            return
        body = play.answer(answers) if play.answer else json.dumps(answers, ensure_ascii=False).encode()
        self._send_body(handler, 200, "application/dicom+json", iter([body]), len(body))

    def _refusal(self, path: list[str], keys: Mapping[str, str], parameters: list[tuple[str, str]]) -> str:
        provider, resource = self.play.provider, path[-1]
        included = [value for name, value in parameters if name == "includefield"]
        if provider == "Azure":
            if any(not value for value in keys.values()):
                return "an empty key"
            if unknown := keys.keys() - _AZURE:
                return f"not searchable: {unknown}"
            if int(dict(parameters).get("limit", 100)) > 200:
                return "a limit of more than 200"
        if provider == "Google" and ("SOPClassUID" in keys or "00083002" in included):
            return "it does not know the key"
        if provider == "AWS" and len(path) != {"studies": 1, "series": 3, "instances": 5}[resource]:
            return "hierarchical only"
        return ""

    def _entities(self, resource: str, within: Mapping[str, str]) -> list[Dataset]:
        unique = _UNIQUE[resource]
        heads = [
            one
            for one in self.heads.values()
            if all(str(one.get(_UNIQUE[kind])) == uid for kind, uid in within.items())
        ]
        found: dict[str, Dataset] = {}
        for head in heads:
            found.setdefault(str(head.get(unique)), head)
        entities = []
        for uid, head in found.items():
            entity = Dataset()
            entity.update(head)
            same = [one for one in heads if str(one.get(unique)) == uid]
            if resource == "studies":
                entity.ModalitiesInStudy = sorted({str(one.get("Modality", "")) for one in same} - {""})
                entity.NumberOfStudyRelatedInstances = len(same)
                entity.NumberOfStudyRelatedSeries = len({one.SeriesInstanceUID for one in same})
            if resource == "series":
                entity.NumberOfSeriesRelatedInstances = len(same)
            entities.append(entity)
        return entities

    # -- retrieval -------------------------------------------------------------------------------------------

    def _retrieve(self, handler: BaseHTTPRequestHandler, path: list[str]) -> None:
        play = self.play
        within = dict(zip(path[::2], path[1::2], strict=False))
        if play.provider == "AWS" and "instances" not in within:
            _send(handler, 404, b"", "text/plain")
            return
        accept = handler.headers.get("Accept", "")
        if play.refuses_as_stored and "transfer-syntax" in accept:
            _send(handler, 406, b"", "text/plain")
            return
        uids = [
            uid
            for uid, head in self.heads.items()
            if all(str(head.get(_UNIQUE[kind])) == wanted for kind, wanted in within.items())
        ]
        if not uids:
            _send(handler, 404, b"", "text/plain")
            return
        given = [uid for uid in uids if len(uids) == 1 or uid not in play.without]
        if play.single_part and len(given) == 1:
            body = self.files[given[0]]
            self._send_body(handler, 200, "application/dicom", iter([body]), len(body))
            return
        content_type = 'multipart/related; type="application/dicom"; boundary="a boundary\'s (name)"'
        status = 200 if len(given) == len(uids) else 206
        self._send_body(handler, status, content_type, self._multipart(given), None)

    def _multipart(self, uids: list[str]) -> Iterator[bytes]:
        play = self.play
        head = f"\r\n--a boundary's (name)\r\nContent-Type: {play.content_type}\r\n\r\n".encode()
        yield b"a preamble, to be passed over"
        files: list[Callable[[], Iterator[bytes]]] = [self._file(uid) for uid in uids]
        files += [lambda file=file: iter([file]) for file in play.strangers]
        for number, file in enumerate(files):
            yield head
            if number == play.cut_after:
                first = next(file())
                yield first[: len(first) // 2]
                return
            yield from file()
        yield b"\r\n--a boundary's (name)--\r\nan epilogue"

    def _file(self, uid: str) -> Callable[[], Iterator[bytes]]:
        return self.generated.get(uid) or (lambda: iter([self.files[uid]]))

    def _send_body(
        self, handler: BaseHTTPRequestHandler, status: int, content_type: str, body: Iterator[bytes], length: int | None
    ) -> None:
        """Send a body, in chunks where its length is not said."""
        play = self.play
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        if length is None:
            handler.send_header("Transfer-Encoding", "chunked")
        else:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        sent = 0
        for block in body:
            for start in itertools.count(0, 1 if play.is_slow else 1 << 20):
                piece = block[start : start + (1 if play.is_slow else 1 << 20)]
                if not piece:
                    break
                if play.stall_after is not None and sent + len(piece) > play.stall_after:
                    piece = piece[: play.stall_after - sent]
                handler.wfile.write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
                sent += len(piece)
                if play.stall_after is not None and sent >= play.stall_after:
                    time.sleep(3600)
                if play.is_slow:
                    time.sleep(1)
        if length is None:
            handler.wfile.write(b"0\r\n\r\n")


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    content_type: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    handler.send_response(status)
    if content_type:
        handler.send_header("Content-Type", content_type)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    if status != 204:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _matches(entity: Dataset, keys: Mapping[str, str], own: Mapping[str, str], provider: str) -> bool:
    return all(_is_match(entity, name, value, own, provider) for name, value in keys.items() if value)


def _is_match(entity: Dataset, name: str, key: str, own: Mapping[str, str], provider: str) -> bool:
    element = entity.get(name)
    values = element if isinstance(element, pydicom.multival.MultiValue | list) else [element]
    texts = ["" if one is None else str(one) for one in values]
    vr = pydicom.datadict.dictionary_VR(name)
    if vr == "UI" and "," in key:
        return any(text in key.split(",") for text in texts)
    if vr in ("DA", "TM") and "-" in key:
        first, _, last = key.partition("-")
        return any(text and (not first or text >= first) and (not last or text <= last) for text in texts)
    if vr == "PN":
        texts = [text.casefold() for text in texts]
        key = key.casefold()
        if own.get("fuzzymatching") == "true":
            return any(word.startswith(key) for text in texts for word in re.split(r"[\^= ]", text))
    if re.search(r"[*?]", key) and provider not in ("Azure", "Google", "AWS"):
        pattern = re.sub(r"\[", "[[]", key)
        return any(fnmatch.fnmatchcase(text, pattern) for text in texts)
    return key in texts


def _json(entity: Dataset, resource: str, included: list[str], within: Mapping[str, str]) -> dict[str, Any]:
    wanted = list(dict.fromkeys([*_DEFAULTS[resource], *_UNIQUE.values()]))
    tags = {pydicom.datadict.tag_for_keyword(one) for one in wanted}
    tags |= {int(one, 16) for one in included if re.fullmatch("[0-9A-Fa-f]{8}", one)}
    answer = Dataset()
    for tag in sorted(one for one in tags if one is not None):
        if tag in entity:
            answer.add(entity[tag])
    if resource == "studies":
        for name in ("SeriesInstanceUID", "SOPInstanceUID"):
            if name in answer:
                delattr(answer, name)
    if resource == "series" and "SOPInstanceUID" in answer:
        del answer.SOPInstanceUID
    return dict(answer.to_json_dict(suppress_invalid_tags=True))
