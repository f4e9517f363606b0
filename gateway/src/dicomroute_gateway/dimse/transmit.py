"""The sending half of a requestor: P-DATA-TF PDUs, written together and without copying what they carry."""

import array
import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Iterable, Iterator
from typing import Final

from .failures import SourceFailed
from .stream import PDV_HEADER_BYTES, PDUType, PeerGone, PeerStalled, acknowledge_at_once

MOST_SENT_PDU_BYTES: Final = 1 << 20
"""For a peer that takes PDUs of any length."""
_MOST_PIECES: Final = 1024
"""IOV_MAX of Linux."""
_PDV_OVERHEAD: Final = 2
"""Context identifier and message control header count into the length of a PDV (PS3.8 table 9-23)."""
_LAST: Final = 0x02

Piece = bytes | memoryview


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


def write(connection: socket.socket, pieces: list[Piece], stall_timeout_seconds: float) -> None:
    """Write the pieces to a connection that does not block, as many of them in one call as it takes.

    Raises PeerSpoke where the peer has to be heard before more can be written, PeerGone, and PeerStalled when not one
    byte was taken for the time given.
    """
    first = 0
    while first < len(pieces):
        try:
            written = connection.sendmsg(pieces[first : first + _MOST_PIECES])
        except BlockingIOError:
            _wait_writable(connection, stall_timeout_seconds)
            continue
        except OSError as error:
            raise PeerGone(str(error)) from error
        while first < len(pieces) and written >= len(pieces[first]):
            written -= len(pieces[first])
            first += 1
        if written:
            pieces[first] = memoryview(pieces[first])[written:]


def has_spoken(connection: socket.socket) -> bool:
    """Return whether something can be received, an end of the connection included."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def await_answer(connection: socket.socket, timeout_seconds: float) -> float:
    """Wait until something can be received; return when the whole answer is due, on the monotonic clock.

    What was written may still be on its way for long: the time counts anew as long as some of it still goes out.
    Raises PeerStalled, PeerGone.
    """
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    waiting = _unacknowledged_bytes(connection)
    while True:
        acknowledge_at_once(connection)
        deadline = time.monotonic() + timeout_seconds
        if poll.poll(timeout_seconds * 1000):
            return deadline
        before, waiting = waiting, _unacknowledged_bytes(connection)
        if waiting >= before:
            raise PeerStalled


def _unacknowledged_bytes(connection: socket.socket) -> int:
    """Return how much of what was written has not reached the peer's machine yet."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(connection, termios.TIOCOUTQ, count)  # SIOCOUTQ, tcp(7)
    except OSError:
        return 0
    return count[0]


def _wait_writable(connection: socket.socket, timeout_seconds: float) -> None:
    """Wait for room to write; a connection over which bytes still go out, however slowly, does not stall."""
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLOUT)
    waiting = _unacknowledged_bytes(connection)
    while True:
        ready = poll.poll(timeout_seconds * 1000)
        if ready:
            (_, events) = ready[0]
            if events & ~select.POLLOUT:
                raise PeerSpoke
            return
        before, waiting = waiting, _unacknowledged_bytes(connection)
        if waiting >= before:
            raise PeerStalled


def _header(context_id: int, count: int, *, is_last: bool) -> bytes:
    """Return the headers of a P-DATA-TF with one fragment of a data set (PS3.8 tables 9-22 and 9-23, E.2)."""
    item_length = count + _PDV_OVERHEAD
    pdu_length = item_length + PDV_HEADER_BYTES - _PDV_OVERHEAD
    return struct.pack(">BxIIBB", PDUType.P_DATA_TF, pdu_length, item_length, context_id, _LAST if is_last else 0)
