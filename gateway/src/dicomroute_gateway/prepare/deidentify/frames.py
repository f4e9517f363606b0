"""Takes comments and applications' data out of compressed frames; what a decoder needs stays as it is. Pure.

JPEG and JPEG-LS: COM and APPn segments (ISO/IEC 10918-1 B.2.4.5, B.2.4.6), but the ones that say how colours are
coded. JPEG 2000: COM segments of main and tile-part headers (ISO/IEC 15444-1 A.9.2). What follows the image is cut.
"""

import re
from collections.abc import Generator, Iterator
from typing import Final

from dicomroute_gateway.reasons import Reason

from .syntaxes import Frames
from .withheld import Withheld

_SOI: Final = b"\xff\xd8"
_SOC: Final = b"\xff\x4f"
_EOI: Final = 0xD9
_SOS: Final = 0xDA
_ALONE: Final = frozenset((0x01, *range(0xD0, 0xD8)))
_COLOUR: Final = ((0xE0, b"JFIF\0", 16), (0xEE, b"Adobe", 14), (0xE8, b"mrfx", 9))
"""Marker, identifier and length in bytes of APPn segments without room for anything else."""
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_MARKER_LS: Final = re.compile(rb"\xff[\x80-\xfe]", re.DOTALL)
"""Within coded data: in JPEG-LS a bit 0 follows each 0xFF (ISO/IEC 14495-1 A.1)."""
_JPEG_LS: Final = 0xF7
_SOT: Final = 0x90
_SOD: Final = 0x93
_EOC: Final = 0xD9
_COM_2000: Final = 0x64
_STARTS: Final = {Frames.JPEG: _SOI, Frames.JPEG_2000: _SOC}


def whole_frames(fragments: Iterator[bytes], offsets: list[int], count: int, kind: Frames) -> Iterator[bytes]:
    """Yield frames of the fragments of encapsulated pixels, each without what does not belong to its image.

    `offsets` are those of the Basic Offset Table, which may be empty; `count` is the Number of Frames. Raises
    Withheld.
    """
    starts = frozenset(offsets)
    frame, at = bytearray(), 0
    for fragment in fragments:
        begins = at in starts if starts else count > 1 and fragment.startswith(_STARTS[kind])
        if frame and begins:
            yield cleaned(bytes(frame), kind)
            frame.clear()
        frame += fragment
        at += 8 + len(fragment)
    if frame:
        yield cleaned(bytes(frame), kind)


def cleaned(frame: bytes, kind: Frames) -> bytes:
    """Return a frame without comments and applications' data. Raises Withheld when it cannot be walked through."""
    try:
        parts = _jpeg(frame) if kind is Frames.JPEG else _jpeg_2000(frame)
        whole = b"".join(parts)
    except (IndexError, ValueError) as error:
        raise Withheld(Reason.CANNOT_BE_READ, f"a frame is not what its transfer syntax says: {error}") from error
    return whole + b"\0" * (len(whole) % 2)


def _jpeg(frame: bytes) -> Iterator[bytes]:
    if not frame.startswith(_SOI):
        raise ValueError("it does not begin with an image")
    yield _SOI
    at, is_ls = 2, False
    while True:
        while frame[at] == 0xFF and frame[at + 1] == 0xFF:  # fill bytes (B.1.1.2)
            at += 1
        if frame[at] != 0xFF:
            raise ValueError("it has no marker where one belongs")
        marker = frame[at + 1]
        if marker == _EOI:
            yield frame[at : at + 2]
            return
        if marker in _ALONE:
            yield frame[at : at + 2]
            at += 2
            continue
        end = at + 2 + _length(frame, at + 2)
        is_ls = is_ls or marker == _JPEG_LS
        if not _is_comment(marker, frame[at + 4 : end]):
            yield frame[at:end]
        at = end
        if marker == _SOS:
            found = (_MARKER_LS if is_ls else _MARKER).search(frame, at)
            if found is None:  # an image without its end is one that decoders take
                yield frame[at:].rstrip(b"\0") if is_ls else frame[at:]
                return
            yield frame[at : found.start()]
            at = found.start()


def _is_comment(marker: int, content: bytes) -> bool:
    if marker == 0xFE:
        return True
    if not 0xE0 <= marker <= 0xEF:
        return False
    for known, identifier, length in _COLOUR:
        if marker == known and content.startswith(identifier):
            return len(content) + 2 > length
    return True


def _jpeg_2000(frame: bytes) -> Iterator[bytes]:
    if not frame.startswith(_SOC):
        raise ValueError("it does not begin with a code stream")
    yield _SOC
    at = 2
    while True:
        if frame[at] != 0xFF:
            raise ValueError("it has no marker where one belongs")
        marker = frame[at + 1]
        if marker == _EOC:
            yield frame[at : at + 2]
            return
        end = at + 2 + _length(frame, at + 2)
        if marker == _SOT:
            at = yield from _tile_part(frame, at, end)
            if at >= len(frame) or not frame[at:].strip(b"\0"):
                return
            continue
        if marker != _COM_2000:
            yield frame[at:end]
        at = end


def _tile_part(frame: bytes, start: int, at: int) -> Generator[bytes, None, int]:
    """Yield a tile-part with the length that it then has (A.4.2); return where it ends."""
    length = int.from_bytes(frame[start + 6 : start + 10], "big")
    end = start + length if length else len(frame) - len(frame[frame.rfind(b"\xff\xd9") :])
    if not at < end <= len(frame):
        raise ValueError("a tile-part reaches beyond it")
    header = bytearray()
    while frame[at + 1] != _SOD:
        if frame[at] != 0xFF:
            raise ValueError("it has no marker where one belongs")
        after = at + 2 + _length(frame, at + 2)
        if frame[at + 1] != _COM_2000:
            header += frame[at:after]
        at = after
    if at + 2 > end:
        raise ValueError("a header of a tile-part reaches beyond it")
    body = frame[at:end]
    now = 12 + len(header) + len(body) if length else 0
    yield frame[start : start + 6] + now.to_bytes(4, "big") + frame[start + 10 : start + 12]
    yield bytes(header)
    yield body
    return end


def _length(frame: bytes, at: int) -> int:
    length = int.from_bytes(frame[at : at + 2], "big")
    if length < 2 or at + length > len(frame):
        raise ValueError("a segment reaches beyond it")
    return length
