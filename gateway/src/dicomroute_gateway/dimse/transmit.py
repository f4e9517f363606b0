"""The sending half of a requestor: P-DATA-TF PDUs, written together and without copying what they carry."""

import struct
import time
from collections.abc import Iterable, Iterator
from typing import Final

from .failures import SourceFailed
from .stream import PDV_HEADER_BYTES, PDUType
from .wire import PeerStalled, Piece, Readiness, Wire

MOST_SENT_PDU_BYTES: Final = 1 << 20
"""For a peer that takes PDUs of any length."""
_PDV_OVERHEAD: Final = 2
"""Context identifier and message control header count into the length of a PDV (PS3.8 table 9-23)."""
_LAST: Final = 0x02


class PeerSpoke(Exception):
    """Something can be received though the peer has nothing to say before it has the whole message."""


def fragment_room(max_pdu_bytes: int) -> int:
    """Return how many bytes of a data set fit into one P-DATA-TF of the peer's maximum length; 0 is without limit."""
    room = min(max_pdu_bytes or MOST_SENT_PDU_BYTES, MOST_SENT_PDU_BYTES) - PDV_HEADER_BYTES
    return room - room % 2  # fragments are of even length (PS3.8 E.1)


def data_pdus(context_id: int, length: int, blocks: Iterable[memoryview], room: int) -> Iterator[list[Piece]]:
    """Yield for each block what to write: headers, each before the `room` bytes or less of the block that it announces.

    Raises SourceFailed when the blocks have not `length` bytes together.
    """
    if not length:
        yield [_header(context_id, 0, is_last=True)]
        return
    full = _header(context_id, room, is_last=False)
    for block in blocks:
        size = len(block)
        length -= size
        if length < 0 or (length and size % 2):
            raise SourceFailed("a data set has more bytes than were announced, or a block of odd length in its midst")
        pieces: list[Piece] = []
        for start in range(0, size, room):
            piece = block[start : start + room]
            is_last = not length and start + room >= size
            whole = len(piece) == room and not is_last
            pieces += (full if whole else _header(context_id, len(piece), is_last=is_last), piece)
        yield pieces
    if length:
        raise SourceFailed(f"a data set ends {length} bytes early")


def write(wire: Wire, pieces: list[Piece], stall_timeout_seconds: float) -> None:
    """Write the pieces, as many of them in one call as the wire takes.

    Raises PeerSpoke where the peer has to be heard before more can be written, PeerGone, and PeerStalled when not one
    byte was taken for the time given.
    """
    first = 0
    while first < len(pieces):
        try:
            written = wire.send(pieces[first:] if first else pieces)
        except BlockingIOError:
            _wait_writable(wire, stall_timeout_seconds)
            continue
        while first < len(pieces) and written >= len(pieces[first]):
            written -= len(pieces[first])
            first += 1
        if written:
            pieces[first] = memoryview(pieces[first])[written:]


def await_answer(wire: Wire, timeout_seconds: float) -> float:
    """Wait until something can be received; return when the whole answer is due, on the monotonic clock.

    What was written may still be on its way for long: the time counts anew as long as some of it still goes out.
    Raises PeerStalled, PeerGone.
    """
    waiting = wire.unsent_bytes()
    while True:
        deadline = time.monotonic() + timeout_seconds
        if wire.wait_to_receive(timeout_seconds):
            return deadline
        before, waiting = waiting, wire.unsent_bytes()
        if waiting >= before:
            raise PeerStalled


def _wait_writable(wire: Wire, timeout_seconds: float) -> None:
    """Wait for room to write; a connection over which bytes still go out, however slowly, does not stall."""
    waiting = wire.unsent_bytes()
    while True:
        ready = wire.wait_to_send(timeout_seconds)
        if ready is Readiness.TO_RECEIVE:
            raise PeerSpoke
        if ready is not None:
            return
        before, waiting = waiting, wire.unsent_bytes()
        if waiting >= before:
            raise PeerStalled


def _header(context_id: int, count: int, *, is_last: bool) -> bytes:
    """Return the headers of a P-DATA-TF with one fragment of a data set (PS3.8 tables 9-22 and 9-23, E.2)."""
    item_length = count + _PDV_OVERHEAD
    pdu_length = item_length + PDV_HEADER_BYTES - _PDV_OVERHEAD
    return struct.pack(">BxIIBB", PDUType.P_DATA_TF, pdu_length, item_length, context_id, _LAST if is_last else 0)
