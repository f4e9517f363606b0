"""How servers answer a store request, as their makers document it or as they were seen to: plays of `OriginServer`."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

from origin_server import JSON, OriginServer, Play, Reply, result, stored, uid_of


def status(code: int, body: bytes = b"", content_type: str = "", **headers: str) -> Play:
    """Store nothing, and answer with a status that names no instance. `_` in a header's name is a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda *_: Reply(code, body, content_type, named)


def refuse(reason: Any, code: int = 409) -> Play:
    """Store nothing: every instance failed for one reason."""
    return lambda _, files: Reply(code, result([], {uid_of(file): reason for file in files}))


def refuse_some(chosen: Callable[[str], bool], reason: Any, code: int = 202) -> Play:
    """Refuse the instances that are chosen, store the others."""

    def play(server: OriginServer, files: list[bytes]) -> Reply:
        uids = [uid_of(file) for file in files]
        kept = [server.keep(file) for file, uid in zip(files, uids, strict=True) if not chosen(uid)]
        return Reply(code if len(kept) < len(files) else 200, result(kept, {u: reason for u in uids if chosen(u)}))

    return play


def warn(reason: Any, code: int = 202) -> Play:
    """Store everything, with a warning."""

    def play(server: OriginServer, files: list[bytes]) -> Reply:
        uids = [server.keep(file) for file in files]
        return Reply(code, result(uids, warnings=dict.fromkeys(uids, reason)))

    return play


def unless_it_exists(reason: Any, code: int = 409, body: bytes | None = None) -> Play:
    """Refuse what is there already and keep the rest, as Azure does by 45070; `body` is said in place of the list."""

    def play(server: OriginServer, files: list[bytes]) -> Reply:
        with server.lock:
            there = {uid_of(file) for file in files} & server.files.keys()
        kept = [server.keep(file) for file in files if uid_of(file) not in there]
        if not there:
            return Reply(body=result(kept))
        answer = result(kept, dict.fromkeys(there, reason)) if body is None else body
        return Reply(202 if kept else code, answer, JSON if body is None else "application/json")

    return play


def google(*, knows_it: bool = True) -> Play:
    """Google: the same again is stored; other content of a UID is a conflict, and an error says it or it does not."""
    error = {"error": {"code": 409, "status": "ALREADY_EXISTS" if knows_it else "FAILED_PRECONDITION"}}

    def play(server: OriginServer, files: list[bytes]) -> Reply:
        with server.lock:
            differs = any(server.files.get(uid_of(file), file) != file for file in files)
        if differs:
            return Reply(409, json.dumps([error]).encode(), "application/json")
        return stored(server, files)

    return play


def reset_after_upload(server: OriginServer, files: list[bytes]) -> Reply:
    """Store everything; the connection breaks before the answer."""
    stored(server, files)
    return Reply(is_reset=True)


def cut_off(server: OriginServer, files: list[bytes]) -> Reply:
    """Store everything; the answer ends in the middle, the connection with it."""
    body = stored(server, files).body
    return Reply(body=body[: len(body) // 2], announced_bytes=len(body))


def truncated_json(server: OriginServer, files: list[bytes]) -> Reply:
    """Store everything; the answer is whole by its length and is no JSON."""
    body = stored(server, files).body
    return Reply(body=body[:-3])


def parts_until(count: int, code: int, content_type: str = "") -> Play:
    """Store the first parts and fail at the next, without a list: Azure's 503 midway, dcm4chee's 500 of text."""

    def play(server: OriginServer, files: list[bytes]) -> Reply:
        for file in files[:count]:
            server.keep(file)
        return stored(server, files) if len(files) <= count else Reply(code, b"it failed", content_type)

    return play


def omit(chosen: Callable[[str], bool]) -> Play:
    """Neither store nor name some instances: 200 (Azure's reader ends early when the stream breaks; Orthanc < 1.6)."""

    def play(server: OriginServer, files: list[bytes]) -> Reply:
        return Reply(body=result([server.keep(file) for file in files if not chosen(uid_of(file))]))

    return play


def as_xml(server: OriginServer, files: list[bytes]) -> Reply:
    """Store everything, and answer in the Native DICOM Model (PS3.19 A.1), as dcm4chee does when it is not asked."""
    items = "".join(
        f'<Item number="{number}"><DicomAttribute tag="00081155" vr="UI"><Value number="1">{server.keep(file)}'
        "</Value></DicomAttribute></Item>"
        for number, file in enumerate(files, 1)
    )
    body = f'<NativeDicomModel><DicomAttribute tag="00081199" vr="SQ">{items}</DicomAttribute></NativeDicomModel>'
    return Reply(body=body.encode(), content_type="application/dicom+xml")


def with_parameters(server: OriginServer, files: list[bytes]) -> Reply:
    """Store everything; the media type has a parameter."""
    return Reply(body=stored(server, files).body, content_type="application/dicom+json; charset=utf-8")


def late(seconds: float) -> Play:
    """Store everything, and answer late."""
    return lambda server, files: Reply(body=stored(server, files).body, delay_seconds=seconds)


def compressed(server: OriginServer, files: list[bytes]) -> Reply:
    """Store everything; the answer is compressed, which nobody asked for."""
    return Reply(body=gzip.compress(stored(server, files).body), headers={"Content-Encoding": "gzip"})


def gzip_bomb(megabytes: int) -> Play:
    """Answer with a body that is a thousand times as long when it is unpacked."""
    packer = zlib.compressobj(9, wbits=31)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    return lambda *_: Reply(body=body, headers={"Content-Encoding": "gzip"})
