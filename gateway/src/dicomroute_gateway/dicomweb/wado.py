"""WADO-RS: retrieves instances of a study, a series or one by one, each a file once it is whole (PS3.18 10.4).

What a server says of a part beside it is not believed: which instance it is, and in which transfer syntax, its File
Meta Information says, and which study it is of, its data set. Parts are written to disk as they come, and the next one
is read when there is room for it: no instance is ever in memory.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Final, Protocol

from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.rules.head import HeadError, scan
from dicomroute_gateway.spool.content import StoredFile, Unreadable
from dicomroute_gateway.spool.fetched import FetchedFile, FetchedFiles
from dicomroute_gateway.spool.part10 import FileMeta, file_meta

from .client import Client, Response
from .endpoint import Endpoint
from .faults import AnswerFailed, TransportFailed
from .parts import BadMultipart, Bytes, Parts, boundary_of
from .retry_after import retry_after_seconds

_MULTIPART: Final = 'multipart/related; type="application/dicom"'
_AS_STORED: Final = f"{_MULTIPART}; transfer-syntax=*"
_MOST_META_BYTES: Final = 1 << 16
_THROTTLED: Final = (429, 503)
_USUAL_WAIT_SECONDS: Final = 1.0
_MOST_WAITS: Final = 5
_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018
_STUDY_INSTANCE_UID: Final = 0x0020000D
_SERIES_INSTANCE_UID: Final = 0x0020000E
_IDENTIFYING: Final = (_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID)


@dataclass(frozen=True, slots=True)
class Part:
    """An instance that came whole: who it is by its own account, and its file, at whose end `length` bytes are its data
    set.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    length: int
    file: StoredFile


class RetrievalFailed(AnswerFailed):
    """A retrieval was not answered, or not only, with whole instances."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take, in seconds: for 64 KiB of an answer, and in all until it is no longer too busy."""

    stall_seconds: float
    busy_seconds: float


class Folder(Protocol):
    """Where parts are written."""

    def begin(self) -> FetchedFile:
        """Return a new file. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Into:
    """Files in one folder."""

    files: FetchedFiles
    folder: Path

    def begin(self) -> FetchedFile:
        """Return a new file. Raises OSError."""
        return self.files.begin(self.folder)


async def retrieve(
    client: Client, endpoint: Endpoint, path: str, folder: Folder, patience: Patience, study_instance_uid: str
) -> AsyncGenerator[Part]:
    """Yield the instances of a resource, each once it is whole; its file is the caller's from then on.

    An instance of another study than the one that is asked for is refused, and so is what is no instance: the others
    come before that is raised. What was yielded before a failure is whole.

    Raises RetrievalFailed, CredentialFault, TransportFailed, OSError of the folder.
    """
    accept, waited, waits = _AS_STORED, 0.0, 0
    while True:
        async with AsyncExitStack() as stack:
            response = await _begun(stack, client, endpoint, path, accept, patience)
            if response.status in (200, 206):
                async for part in _parts(response, folder, patience, study_instance_uid):
                    yield part
                return
            if response.status == 406 and accept == _AS_STORED:
                accept = _MULTIPART  # a server that does not know the parameter
                continue
            seconds = retry_after_seconds(response.headers.get("Retry-After"), time.time())
            seconds = _USUAL_WAIT_SECONDS * 2**waits if seconds is None else seconds
            waits += 1
            if response.status not in _THROTTLED or waits > _MOST_WAITS or waited + seconds > patience.busy_seconds:
                raise _failure(response.status)
            waited += seconds
        await asyncio.sleep(seconds)


async def _begun(
    stack: AsyncExitStack, client: Client, endpoint: Endpoint, path: str, accept: str, patience: Patience
) -> Response:
    """Return an answer that has begun in time, and ends with `stack`. Raises CredentialFault, TransportFailed."""
    try:
        async with asyncio.timeout(patience.stall_seconds):
            return await stack.enter_async_context(client.request(endpoint, "GET", path, {"Accept": accept}))
    except TimeoutError as error:
        raise TransportFailed(Reason.TIMED_OUT, f"{endpoint.url} did not begin to answer in time") from error


async def _parts(
    response: Response, folder: Folder, patience: Patience, study_instance_uid: str
) -> AsyncIterator[Part]:
    status, content_type = response.status, response.headers.get("Content-Type", "")
    boundary = boundary_of(content_type)
    kind = Message()
    kind["Content-Type"] = content_type
    if boundary is None and kind.get_content_type() != "application/dicom":
        raise RetrievalFailed(
            Reason.ANSWER_UNREADABLE, status, "the archive's answer to a retrieval contains no instances"
        )
    parts = None if boundary is None else Parts(boundary)
    writing = _Writing(folder)
    refused: RetrievalFailed | None = None
    try:
        async for block in response.blocks(patience.stall_seconds):
            for event in (Bytes(memoryview(block), begins=False),) if parts is None else parts.feed(block):
                if isinstance(event, Bytes):
                    writing.write(event.data)
                elif writing.has_begun:
                    try:
                        part = await asyncio.to_thread(writing.finish, study_instance_uid)
                    except _Refused as error:
                        refused = RetrievalFailed(error.reason, status, str(error))
                    else:
                        yield part
        if parts is None and writing.has_begun:
            try:
                yield await asyncio.to_thread(writing.finish, study_instance_uid)
            except _Refused as error:
                raise RetrievalFailed(error.reason, status, str(error)) from error
    except BadMultipart as error:
        raise RetrievalFailed(
            Reason.ANSWER_UNREADABLE, status, f"the archive's answer is not multipart: {error}"
        ) from error
    finally:
        writing.discard()
    if parts is not None and not parts.is_closed:
        raise RetrievalFailed(
            Reason.ANSWER_CUT_OFF, status, "the archive's answer ends in the middle of a part, or before the last part"
        )
    if refused is not None:
        raise refused


class _Refused(Exception):
    """A part is not what was asked for."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Writing:
    """The part that is being written."""

    def __init__(self, folder: Folder) -> None:
        self._begin: Callable[[], FetchedFile] = folder.begin
        self._file: FetchedFile | None = None

    @property
    def has_begun(self) -> bool:
        """Whether some of a part has come."""
        return self._file is not None

    def write(self, data: memoryview) -> None:
        """Append to the part. Raises OSError."""
        if self._file is None:
            self._file = self._begin()
        self._file.write(data)

    def finish(self, study_instance_uid: str) -> Part:
        """Return the part, which is whole. In a thread: it is read again. Raises _Refused, OSError."""
        assert self._file is not None
        stored = self._file.finish()
        try:
            part = _identified(stored)
            if study_instance_uid and part.study_instance_uid != study_instance_uid:
                raise _Refused(Reason.OTHER_STUDY, "the archive answered with an instance of another study")
        except _Refused:
            self.discard()
            raise
        self._file = None
        return part

    def discard(self) -> None:
        """Remove what is not given out."""
        if self._file is not None:
            self._file.discard()
            self._file = None


def _identified(stored: StoredFile) -> Part:
    """Return what a file is by its own account. Raises _Refused."""
    try:
        with stored.open() as content:
            meta = file_meta(content.read_at(0, _MOST_META_BYTES))
            if meta is None:
                raise _Refused(Reason.NOT_DICOM, "a part of the answer is not a DICOM file")
            before = meta.length_before

            def read(offset: int, length: int) -> bytes:
                return content.read_at(before + offset, length)

            elements = scan(read, meta.transfer_syntax_uid, _IDENTIFYING)
    except HeadError as error:
        raise _Refused(
            Reason.NOT_DICOM, f"a part of the answer is not a data set in its transfer syntax: {error}"
        ) from error
    except Unreadable as error:
        raise OSError(str(error)) from error
    uids = {tag: elements[tag].value.rstrip(b"\0 ").decode("latin-1") for tag in elements}
    return _part(meta, uids, stored)


def _part(meta: FileMeta, uids: dict[int, str], stored: StoredFile) -> Part:
    sop_instance_uid, sop_class_uid = uids.get(_SOP_INSTANCE_UID, ""), uids.get(_SOP_CLASS_UID, "")
    if not sop_instance_uid or (meta.sop_instance_uid and meta.sop_instance_uid != sop_instance_uid):
        raise _Refused(
            Reason.NOT_DICOM, "a part of the answer contains another instance than its file meta information says"
        )
    if not sop_class_uid or (meta.sop_class_uid and meta.sop_class_uid != sop_class_uid):
        raise _Refused(
            Reason.NOT_DICOM, "a part of the answer has another SOP class than its file meta information says"
        )
    return Part(
        uids.get(_STUDY_INSTANCE_UID, ""),
        uids.get(_SERIES_INSTANCE_UID, ""),
        sop_instance_uid,
        sop_class_uid,
        meta.transfer_syntax_uid,
        stored.length - meta.length_before,
        stored,
    )


def _failure(status: int) -> RetrievalFailed:
    match status:
        case 404 | 410:
            return RetrievalFailed(Reason.NOT_FOUND, status, f"the archive does not have the instances (HTTP {status})")
        case 401 | 403:
            return RetrievalFailed(
                Reason.NOT_AUTHORIZED, status, f"the archive does not let the gateway retrieve (HTTP {status})"
            )
        case 429 | 503:
            return RetrievalFailed(Reason.THROTTLED, status, f"the archive limits the rate of requests (HTTP {status})")
        case _ if status >= 500:
            return RetrievalFailed(
                Reason.SERVER_ERROR, status, f"the archive failed to return instances (HTTP {status})"
            )
        case _:
            return RetrievalFailed(Reason.RETRIEVAL_REFUSED, status, f"the archive refused a retrieval (HTTP {status})")
