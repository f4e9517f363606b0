"""The acceptor's own reading of PDUs, on bytes that a test has."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from pdus import P_DATA_TF

from dicomroute_gateway.dimse.stream import DrainSignal, PDUStream, ProtocolViolation
from dicomroute_gateway.dimse.wire import PeerGone, Wire

_MAX_BODY_BYTES = 1 << 18


class Segments(socket.socket):
    """A connection whose peer has sent these segments and closed: each is received by itself, and none is awaited."""

    def __init__(self, segments: Sequence[bytes]) -> None:
        super().__init__()
        self._segments = [segment for segment in segments if segment]

    def recv_into(self, view: memoryview, *_: int) -> int:  # type: ignore[override]
        assert len(view), "there is no room to receive"
        if not self._segments:
            return 0
        segment = self._segments.pop(0)
        piece, rest = segment[: len(view)], segment[len(view) :]
        if rest:
            self._segments.insert(0, rest)
        view[: len(piece)] = piece
        return len(piece)


@dataclass
class Received:
    """What was read: PDUs of other types with their bodies, PDVs with what they carry, and how it ended."""

    pdus: list[tuple[int, bytes]] = field(default_factory=list)
    pdvs: list[tuple[int, bool, bool, bytes]] = field(default_factory=list)
    ended_with: str = ""


def read(segments: Sequence[bytes], *, keeps: bool = False) -> Received:
    """Read as an association does. `keeps` leaves the pieces in the buffer until they are called back."""
    received = Received()
    pieces: list[memoryview] = []
    lengths: list[int] = []
    whole = bytearray()

    def flush() -> None:
        for piece in pieces:
            whole.extend(piece)
        pieces.clear()

    drain = DrainSignal()
    with Segments(segments) as connection:
        stream = PDUStream(Wire(connection), drain.fileno(), flush)
        try:
            while True:
                kind, length = stream.read_header(1, may_drain=False)
                if kind != P_DATA_TF:
                    if length > _MAX_BODY_BYTES:
                        raise ProtocolViolation(6, "long")  # type: ignore[arg-type]
                    received.pdus.append((kind, stream.read_body(length, float("inf"))))
                    continue
                for fragment in stream.read_fragments(length, 1):
                    if keeps:
                        stream.keep()
                    pieces.append(fragment.data)
                    lengths.append(len(fragment.data))
                    received.pdvs.append((fragment.context_id, fragment.is_command, fragment.ends_message, b""))
                    if fragment.ends_message or not keeps:
                        flush()
                        stream.let_go()
        except (ProtocolViolation, PeerGone) as error:
            received.ended_with = type(error).__name__
        finally:
            flush()
            drain.close()
    ends = pairwise([0, *accumulate(lengths)])
    received.pdvs = [(*one[:3], bytes(whole[slice(*end)])) for one, end in zip(received.pdvs, ends, strict=True)]
    return received


def joined(pdvs: Sequence[tuple[int, bool, bool, bytes]]) -> list[tuple[int, bool, bytes]]:
    """Return messages: what is read of a PDV in several pieces belongs together."""
    messages: list[tuple[int, bool, bytes]] = []
    data = b""
    for context, is_command, is_last, piece in pdvs:
        data += piece
        if is_last:
            messages.append((context, is_command, data))
            data = b""
    return messages
