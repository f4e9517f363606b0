"""Reads PDUs from a wire without copying what they carry (PS3.8 section 9.3)."""

import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from .wire import PeerGone, PeerStalled, Wire

PDU_HEADER_BYTES: Final = 6
PDV_HEADER_BYTES: Final = 6
_BUFFER_BYTES: Final = 1 << 20
"""A data set up to about this size is received, and written, in one piece."""
_LEAST_RECEIVE_BYTES: Final = 1 << 12
_IDLE_SECONDS: Final = 5.0
"""After so long without a byte the memory of the buffer is given back."""
_SMALL_PDV_BYTES: Final = 32
_MAX_SMALL_PDVS: Final = 10_000
"""So many more small PDVs than others may come; a message of a modality has one, the last of its data set."""
_OPENING_BYTES: Final = 16
_PEEKED_BYTES: Final = 1 << 16
"""As far as it is looked ahead while a message is being answered."""


class PDUType(IntEnum):
    """PDU types (PS3.8 section 9.3.1)."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class AbortReason(IntEnum):
    """Reasons of an A-ABORT by the service provider (PS3.8 section 9.3.8)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class Draining(Exception):
    """The gateway is shutting down and nothing is under way on this connection."""


class ProtocolViolation(Exception):
    """The peer sent what the standard does not allow here; the association is to be aborted."""

    def __init__(self, reason: AbortReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a presentation data value.

    `data` is a view into the receive buffer: it is valid until `PDUStream` calls for the buffer back.
    """

    context_id: int
    is_command: bool
    ends_message: bool
    data: memoryview


class PDUStream:
    """The receiving half of a connection, with its time-outs.

    `draining` is a descriptor that becomes readable, and stays so, when the gateway shuts down. `before_reuse` is
    called before bytes that were handed out as views are overwritten.
    """

    def __init__(self, wire: Wire, draining: int, before_reuse: Callable[[], None]) -> None:
        self._wire = wire
        self._draining = draining
        self._before_reuse = before_reuse
        self._is_kept = False
        # Private: no more of it is in memory than has been received into, and all of that can be given back.
        self._buffer = mmap.mmap(-1, _BUFFER_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._small_pdvs = 0
        self._opening = b""

    @property
    def buffered(self) -> int:
        """How many received bytes have not been read yet."""
        return self._end - self._start

    @property
    def opening(self) -> bytes:
        """What came first."""
        return self._opening or bytes(self._view[: min(self._end, _OPENING_BYTES)])

    def keep(self) -> None:
        """Leave the views that were handed out as they are for as long as the buffer has room."""
        self._is_kept = True

    def let_go(self) -> None:
        """Use the buffer again: nobody needs the views any more."""
        self._is_kept = False

    def read_header(self, timeout_seconds: float, *, may_drain: bool) -> tuple[int, int]:
        """Return type and length of the next PDU.

        With `may_drain`, raises Draining in place of waiting for a PDU that has not begun.
        """
        deadline = time.monotonic() + timeout_seconds
        while self.buffered < PDU_HEADER_BYTES:
            self._fill(deadline, may_drain=may_drain and self.buffered == 0)
        self._opening = self._opening or self.opening
        kind, length = struct.unpack_from(">BxI", self._view, self._start)
        self._start += PDU_HEADER_BYTES
        return kind, length

    def peek(self) -> tuple[int, memoryview] | None:
        """Return type and body of the next PDU, which stays where it is; None while it is not there, whole and short.

        Never waits. The body is valid until the next call of this object. Raises PeerGone.
        """
        while self.buffered < _PEEKED_BYTES and self._wire.has_spoken():
            try:
                self._fill(time.monotonic(), may_drain=False)
            except PeerStalled:
                break
        if self.buffered < PDU_HEADER_BYTES:
            return None
        kind, length = struct.unpack_from(">BxI", self._view, self._start)
        begin = self._start + PDU_HEADER_BYTES
        return (kind, self._view[begin : begin + length]) if length <= self.buffered - PDU_HEADER_BYTES else None

    def wait(self, seconds: float) -> None:
        """Wait until something more can be received, or the time is up. Raises PeerGone."""
        self._wire.wait_to_receive(seconds)

    def pass_over(self, length: int) -> None:
        """Take the PDU that was peeked at, whose body has `length` bytes."""
        self._start += PDU_HEADER_BYTES + length

    def read_body(self, length: int, deadline: float) -> bytes:
        """Return the `length` bytes of a small PDU; `deadline` is on the monotonic clock."""
        parts = bytearray()
        while len(parts) < length:
            if not self.buffered:
                self._fill(deadline, may_drain=False)
            parts += self._take(length - len(parts))
        return bytes(parts)

    def read_fragments(self, length: int, stall_timeout_seconds: float) -> Iterator[Fragment]:
        """Yield what a P-DATA-TF of `length` bytes carries, in the pieces in which it arrives.

        Raises ProtocolViolation for presentation data values that do not fit their PDU
        (PS3.8 section 9.3.5.1 and annex E.2), and for a peer that sends next to nothing in each of very many: they
        would cost others the time of the processor.
        """
        if not length:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "a P-DATA-TF without a PDV")
        while length:
            if length < PDV_HEADER_BYTES:
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "a P-DATA-TF ends inside a PDV header")
            while self.buffered < PDV_HEADER_BYTES:
                self._fill(time.monotonic() + stall_timeout_seconds, may_drain=False)
            item_length, context_id, flags = struct.unpack_from(">IBB", self._view, self._start)
            self._start += PDV_HEADER_BYTES
            length -= PDV_HEADER_BYTES
            remaining = item_length - 2
            if remaining < 0 or remaining > length:
                raise ProtocolViolation(
                    AbortReason.INVALID_PARAMETER, f"a PDV of {item_length} bytes does not fit its P-DATA-TF"
                )
            length -= remaining
            if remaining < _SMALL_PDV_BYTES:
                self._small_pdvs += 1
                if self._small_pdvs > _MAX_SMALL_PDVS:
                    raise ProtocolViolation(
                        AbortReason.NOT_SPECIFIED,
                        f"more than {_MAX_SMALL_PDVS} PDVs of fewer than {_SMALL_PDV_BYTES} bytes",
                    )
            elif self._small_pdvs:
                self._small_pdvs -= 1
            is_command, is_last = bool(flags & 0x01), bool(flags & 0x02)
            if not remaining:
                yield Fragment(context_id, is_command, is_last, self._view[0:0])
            while remaining:
                if not self.buffered:
                    self._fill(time.monotonic() + stall_timeout_seconds, may_drain=False)
                data = self._take(remaining)
                remaining -= len(data)
                yield Fragment(context_id, is_command, is_last and not remaining, data)

    def wait_closed(self, timeout_seconds: float) -> None:
        """Wait for the peer to close, as the acceptor does after A-RELEASE-RP or A-ABORT (PS3.8 9.2.3, Sta13)."""
        deadline = time.monotonic() + timeout_seconds
        try:
            while True:
                self._start = self._end = 0
                self._fill(deadline, may_drain=False)
        except (PeerGone, PeerStalled):
            return

    def _take(self, limit: int) -> memoryview:
        stop = min(self._end, self._start + limit)
        data = self._view[self._start : stop]
        self._start = stop
        return data

    def _fill(self, deadline: float, *, may_drain: bool) -> None:
        """Receive at least one byte more."""
        if self._start == self._end and not self._is_kept:
            self._start = self._end = 0
        elif len(self._view) - self._end < _LEAST_RECEIVE_BYTES:
            self._before_reuse()
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        while True:
            try:
                self._end += self._wire.receive_into(self._view[self._end :])
            except BlockingIOError:
                self._wait(deadline, may_drain=may_drain)
            else:
                return

    def _wait(self, deadline: float, *, may_drain: bool) -> None:
        """Wait until something can be received."""
        others = (self._draining,) if may_drain else ()
        remaining = max(0.0, deadline - time.monotonic())
        ready = self._wire.wait_to_receive(min(remaining, _IDLE_SECONDS), *others)
        if not ready and remaining > _IDLE_SECONDS:
            if not self._is_kept and not self.buffered:
                self._start = self._end = 0
                self._buffer.madvise(mmap.MADV_DONTNEED)
            ready = self._wire.wait_to_receive(remaining - _IDLE_SECONDS, *others)
        if not ready:
            raise PeerStalled
        if self._wire.fileno() not in ready:
            raise Draining


def send_all(wire: Wire, data: bytes, timeout_seconds: float) -> None:
    """Send `data` in one write where the wire takes it; a peer that does not read raises PeerStalled."""
    view = memoryview(data)
    deadline = time.monotonic() + timeout_seconds
    while view:
        try:
            view = view[wire.send((view,)) :]
        except BlockingIOError as error:
            if not wire.can_send(max(0.0, deadline - time.monotonic())):
                raise PeerStalled from error


def encode_pdu(kind: PDUType, body: bytes) -> bytes:
    """Return a PDU of the given type (PS3.8 section 9.3.1)."""
    return struct.pack(">BxI", kind, len(body)) + body


def encode_abort(source: int, reason: int) -> bytes:
    """Return an A-ABORT: source 0 is the service user, 2 the service provider (PS3.8 section 9.3.8)."""
    return encode_pdu(PDUType.ABORT, bytes((0, 0, source, reason)))


def encode_command(context_id: int, command: bytes, max_pdu_bytes: int) -> bytes:
    """Return a command set as P-DATA-TF PDUs no longer than the peer takes; 0 is without limit."""
    return _encode_fragments(context_id, command, max_pdu_bytes, 0x01)


def encode_data_set(context_id: int, data_set: bytes, max_pdu_bytes: int) -> bytes:
    """Return a short data set as P-DATA-TF PDUs no longer than the peer takes; 0 is without limit."""
    return _encode_fragments(context_id, data_set, max_pdu_bytes, 0x00)


def _encode_fragments(context_id: int, data: bytes, max_pdu_bytes: int, kind: int) -> bytes:
    room = (max_pdu_bytes or len(data) + PDV_HEADER_BYTES) - PDV_HEADER_BYTES
    room -= room % 2  # fragments are of even length (PS3.8 E.1)
    pdus = bytearray()
    for start in range(0, len(data), room):
        piece = data[start : start + room]
        flags = kind | (0x02 if start + room >= len(data) else 0)
        pdus += encode_pdu(PDUType.P_DATA_TF, struct.pack(">IBB", len(piece) + 2, context_id, flags) + piece)
    return bytes(pdus)


class DrainSignal:
    """Tells every idle connection at once that the gateway shuts down."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.is_set = False

    def fileno(self) -> int:
        """Return the descriptor that turns readable."""
        return self._descriptor

    def set(self) -> None:
        """Begin to drain; it is never unset."""
        self.is_set = True
        os.eventfd_write(self._descriptor, 1)

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self._descriptor)
