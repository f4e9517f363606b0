"""What is heard of a peer while its message is being answered, and what is left for later."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from dicomroute_gateway.dimse.cancel import hears_cancel
from dicomroute_gateway.dimse.command import encode_elements
from dicomroute_gateway.dimse.stream import PDUStream, PDUType, encode_abort, encode_command, encode_pdu
from dicomroute_gateway.dimse.wire import PeerGone, Wire

RELEASE = encode_pdu(PDUType.RELEASE_RQ, bytes(4))
ECHO = encode_command(
    1, encode_elements([(0x0100, struct.pack("<H", 0x0030)), (0x0110, b"\7\0"), (0x0800, b"\1\1")]), 0
)


def cancel(message_id: int) -> bytes:
    """Return a C-CANCEL-RQ (PS3.7 table 9.3-9)."""
    elements = [(0x0100, struct.pack("<H", 0x0FFF)), (0x0120, struct.pack("<H", message_id)), (0x0800, b"\1\1")]
    return encode_command(1, encode_elements(elements), 0)


@pytest.fixture
def wired() -> Iterator[tuple[socket.socket, PDUStream]]:
    peer, ours = socket.socketpair()
    draining = os.eventfd(0)
    yield peer, PDUStream(Wire(ours), draining, lambda: None)
    peer.close()
    ours.close()
    os.close(draining)


def test_a_cancel_is_heard_for_its_message_alone(wired: tuple[socket.socket, PDUStream]) -> None:
    peer, stream = wired
    assert not hears_cancel(stream, 7)
    peer.sendall(cancel(6))
    assert not hears_cancel(stream, 7)
    peer.sendall(cancel(5) + cancel(7)[:11])
    assert not hears_cancel(stream, 7), "it has not come whole"
    peer.sendall(cancel(7)[11:])
    assert hears_cancel(stream, 7)
    assert stream.buffered == 0


def test_a_release_ends_it_and_stays_to_be_answered(wired: tuple[socket.socket, PDUStream]) -> None:
    peer, stream = wired
    peer.sendall(RELEASE)
    assert hears_cancel(stream, 7)
    assert hears_cancel(stream, 7)
    assert stream.read_header(1, may_drain=False) == (PDUType.RELEASE_RQ, 4)


def test_what_is_for_later_stays_and_hides_what_is_behind_it(wired: tuple[socket.socket, PDUStream]) -> None:
    peer, stream = wired
    peer.sendall(ECHO + cancel(7))
    assert not hears_cancel(stream, 7)
    kind, length = stream.read_header(1, may_drain=False)
    (fragment,) = stream.read_fragments(length, 1)
    assert (kind, bytes(fragment.data)) == (PDUType.P_DATA_TF, ECHO[12:])
    assert hears_cancel(stream, 7)


def test_an_abort_and_the_end_of_the_connection_are_heard(wired: tuple[socket.socket, PDUStream]) -> None:
    peer, stream = wired
    peer.sendall(encode_abort(0, 0))
    with pytest.raises(PeerGone) as aborted:
        hears_cancel(stream, 7)
    assert aborted.value.reason == "AbortedByPeer"
    stream.pass_over(4)
    peer.close()
    with pytest.raises(PeerGone):
        hears_cancel(stream, 7)


def test_more_than_is_looked_at_is_left_alone(wired: tuple[socket.socket, PDUStream]) -> None:
    peer, stream = wired
    peer.setblocking(False)
    sent = peer.send(encode_pdu(PDUType.P_DATA_TF, struct.pack(">IBB", 200_002, 1, 0) + bytes(200_000)))
    assert sent > 1 << 16
    assert not hears_cancel(stream, 7)
    assert stream.buffered <= sent
