"""Compares an instance with what a destination has of its UID, by WADO-RS (PS3.18 10.4), holding neither in memory.

The data sets are compared, byte for byte: a server may write the File Meta Information anew.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from typing import BinaryIO, Final

from dicomroute_gateway.configuration.destinations import CloudTargetDestination
from dicomroute_gateway.dicomweb import resources
from dicomroute_gateway.dicomweb.client import Client, Response, TransportFailed
from dicomroute_gateway.prepare.parcel import Parcel
from dicomroute_gateway.spool.content import Content
from dicomroute_gateway.spool.part10 import meta_length

from .duplicates import Found

_ACCEPT: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_BLOCK_BYTES: Final = 1 << 18
_MOST_HEAD_BYTES: Final = 1 << 16
"""How much may precede a part, or a data set in its file."""


class _NotComparable(Exception):
    """The answer holds no whole instance; the message says why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found; `status` is the HTTP status of the answer, `message` what a person is told."""

    found: Found
    status: int | None
    message: str = ""


async def compare(client: Client, target: CloudTargetDestination, parcel: Parcel) -> Comparison:
    """Compare a parcel with the destination's instance. Raises CredentialFault, Unreadable."""
    path = resources.instance(target, parcel)
    if path is None:
        return Comparison(Found.UNKNOWN, None, "a UID of the instance cannot be part of a URL")
    try:
        async with client.request(target, "GET", path, {"Accept": _ACCEPT}) as response:
            if response.status in (404, 410):
                return Comparison(Found.ABSENT, response.status)
            if response.status != 200:
                return Comparison(Found.UNKNOWN, response.status, "its instance cannot be retrieved")
            with parcel.file.open() as content:
                is_equal = await _is_equal(_part(response), content)
            return Comparison(Found.IDENTICAL if is_equal else Found.DIFFERENT, response.status)
    except TransportFailed as error:
        return Comparison(Found.UNKNOWN, None, f"its instance cannot be retrieved: {error}")
    except _NotComparable as error:
        return Comparison(Found.UNKNOWN, 200, f"its instance cannot be compared: {error}")


async def _is_equal(theirs: AsyncIterator[bytes], content: Content) -> bool:
    """Return whether the data set of a file that arrives in blocks is that of an open file."""
    head = b""
    async for block in theirs:
        head += block
        if (begin := meta_length(head)) is not None or len(head) > _MOST_HEAD_BYTES:
            break
    else:
        begin = meta_length(head)
    own = await asyncio.to_thread(content.read_at, 0, _MOST_HEAD_BYTES)
    own_begin = meta_length(own)
    if begin is None or own_begin is None:
        raise _NotComparable("it is not a DICOM file")
    if _transfer_syntax(head[:begin]) != _transfer_syntax(own[:own_begin]):
        raise _NotComparable("it has another transfer syntax")
    ours = content.stream(own_begin)
    is_equal = await _begins_with(ours, head[begin:])
    left = content.length + _MOST_HEAD_BYTES - len(head)
    async for block in theirs:
        left -= len(block)
        if left < 0:
            raise _NotComparable("it is longer than the instance that was sent")
        # Read to its end all the same: one that is cut off is not whole, and says nothing.
        is_equal = is_equal and await _begins_with(ours, block)
    return is_equal and not ours.read(1)


async def _begins_with(ours: BinaryIO, block: bytes) -> bool:
    return await asyncio.to_thread(ours.read, len(block)) == block


def _transfer_syntax(head: bytes) -> bytes:
    """Return the Transfer Syntax UID (0002,0010) of File Meta Information."""
    at = head.find(b"\x02\x00\x10\x00UI", 132)
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    return head[at + 8 : at + 8 + length].rstrip(b"\0 ") if at >= 0 else b""


async def _part(response: Response) -> AsyncIterator[bytes]:
    """Yield the content of the first part of an answer (RFC 2046 5.1), or all of an answer that has no parts."""
    kind = Message()
    kind["Content-Type"] = response.headers.get("Content-Type", "")
    if kind.get_content_type() == "application/dicom":
        while block := await response.read(_BLOCK_BYTES):
            yield block
        return
    boundary = kind.get_param("boundary")
    if kind.get_content_type() != "multipart/related" or not isinstance(boundary, str) or not boundary:
        raise _NotComparable("the answer contains no instance")
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    buffer = b"\r\n"  # the first delimiter may be the first line
    while (start := buffer.find(delimiter)) < 0 or (begin := buffer.find(b"\r\n\r\n", start + len(delimiter))) < 0:
        block = await response.read(_BLOCK_BYTES)
        if not block or len(buffer) > _MOST_HEAD_BYTES + _BLOCK_BYTES:
            raise _NotComparable("the answer contains no part")
        buffer += block
    buffer = buffer[begin + 4 :]
    while (end := buffer.find(delimiter)) < 0:
        keep = len(delimiter) - 1
        if len(buffer) > keep:
            yield buffer[:-keep]
            buffer = buffer[-keep:]
        block = await response.read(_BLOCK_BYTES)
        if not block:
            raise _NotComparable("the answer is incomplete")
        buffer += block
    yield buffer[:end]
