"""Connections: silence, slowness, many at once, and ends at every moment (entries 1, 2, 8, 9, 10)."""

from collections.abc import Callable

from pdus import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    P_DATA_TF,
    RELEASE_RP,
    RELEASE_RQ,
    abort,
    associate_request,
    command_set,
    data_set,
    echo_request,
    message,
    p_data,
    pdu,
    pdv,
    release,
    store_values,
    us,
)
from peer import Aborted, Accepted, Answered, Closed, Peer, Released, new_uid
from processes import wait_until

from .row import Expected, Gone, Play, Port, Row, Served, Stored, associated, connected, ended, receiving, served

_ARTIM = "PS3.8 table 9-10: Sta2, ARTIM timer expired, AA-2"
_USER_ABORT = "PS3.8 table 9-10: Sta6, A-ABORT request, AA-1"
_ABORTED_EARLY = "PS3.8 table 9-10: Sta2, A-ABORT, AA-2"
_ABORTED = "PS3.8 table 9-10: Sta6, A-ABORT, AA-3"
_TRANSPORT = "PS3.8 table 9-10: transport connection closed, AA-4"
_LIMITS = "beyond the standard: a healthy peer is served within a second"


def _trickled(data: bytes) -> Play:
    return lambda port: port.connect().trickle(data, 0.05).answer()


def _half_open(port: Port) -> Expected:
    for _ in range(1000):
        port.connect()
    return served(port.associated())


def _storm(leave: Callable[[Peer], None]) -> Play:
    def play(port: Port) -> Expected:
        for number in range(1000):
            peer = port.connect()
            if number % 2:
                peer.send(associate_request()[: number % 100])
            leave(peer)
        return served(port.associated())

    return play


def _stalled(port: Port) -> Expected:
    """Forty peers that have stopped, each in one of five places; beside them the others are served."""
    for _ in range(8):
        port.connect()
        port.connect().send(b"\x01\x00\x00")
        port.connect().send(associate_request()[:100])
        port.associated().send(b"\x04\x00\x00")
        port.receiving()
    return served(port.associated())


def _aborted_associations(port: Port) -> Expected:
    for _ in range(200):
        port.associated().send(abort()).close()
    return served(port.associated())


def _resets(reach: Callable[[Port], Peer]) -> Play:
    return ended(lambda port: reach(port).reset())


def _half_closed(reach: Callable[[Port], Peer]) -> Play:
    return lambda port: reach(port).half_close().answer()


def _store_sent(port: Port) -> Peer:
    uid = new_uid()
    data = data_set(uid)
    return port.associated().awaits(uid, data).send(message(1, command_set(store_values(uid)), data))


def _released(port: Port) -> Peer:
    peer = port.associated()
    assert peer.release() == Released()
    return peer


def _in_one_segment(port: Port) -> Expected:
    peer = port.connect().send(associate_request() + message(3, echo_request()) * 3 + release())
    answers = [peer.answer() for _ in range(6)]
    expected = [Accepted(), *[Answered(0)] * 3, Released(), Closed()]
    return Served() if answers == expected else answers[-1]


def _byte_by_byte(port: Port) -> Expected:
    uid = new_uid()
    peer = port.connect().trickle(associate_request(), 0)
    assert peer.answer() == Accepted()
    data = data_set(uid)
    return peer.awaits(uid, data).trickle(message(1, command_set(store_values(uid)), data, 100), 0).answer()


_TINY = message(1, command_set(store_values("1.2.3"))) + p_data(*[pdv(1, 0, bytes(2))] * 10_000) * 13
"""A megabyte of fragments of two bytes; they do not end their data set."""


def _tiny_fragments(port: Port) -> Expected:
    answers = set()
    for _ in range(5):
        port.associated().send(_TINY)
        answers.add(served(port.associated()))
    return answers.pop() if len(answers) == 1 else Aborted(0)


def _unread(port: Port) -> Expected:
    """Requests whose long UID comes back in each answer; none is read, until the gateway has had enough."""
    values = {**store_values("1" * 10_000), 0x0800: us(0x0101)}
    port.connect(receive_buffer_bytes=4096).associated().flood(message(1, command_set(values)) * 10)
    wait_until(lambda: port.associations() == 0, "the association stands", 10)
    return Closed()


SILENCE = (
    Row(1, "no byte at all", Closed(), _ARTIM, connected(b"")),
    Row(1, "the first byte of a PDU header, then silence", Closed(), _ARTIM, connected(b"\x01")),
    Row(1, "half an A-ASSOCIATE-RQ, then silence", Closed(), _ARTIM, connected(associate_request()[:100])),
    Row(1, "between messages, half a PDU header, then silence", Aborted(0), _USER_ABORT, associated(b"\x04\x00\x00")),
    Row(1, "in a data set, half a PDU header, then silence", Aborted(0), _USER_ABORT, receiving(b"\x04\x00\x00")),
    Row(1, "in a data set, half a PDV header, then silence", Aborted(0), _USER_ABORT,
        receiving(pdu(P_DATA_TF, b"\x00\x00\x00", length=100))),
    Row(1, "in a data set, half a PDV, then silence", Aborted(0), _USER_ABORT,
        receiving(p_data(pdv(1, 0, bytes(100), length=500), length=504))),
    Row(2, "an A-ASSOCIATE-RQ of length FFFFFFF0H, a byte each 50 ms", Aborted(0),
        "PS3.8 table 9-10: Sta2, invalid PDU, AA-1", _trickled(pdu(ASSOCIATE_RQ, bytes(500), length=0xFFFFFFF0))),
    Row(2, "a whole A-ASSOCIATE-RQ, a byte each 50 ms", Closed(), _ARTIM, _trickled(associate_request())),
    Row(2, "a P-DATA-TF of length FFFFFFF0H", Aborted(2, 6), "PS3.8 table 9-10: Sta6, invalid PDU, AA-8; D.1",
        associated(pdu(P_DATA_TF, bytes(500), length=0xFFFFFFF0))),
)  # fmt: skip

MANY = (
    Row(8, "1,000 connections that stay silent", Served(), _LIMITS, _half_open),
    Row(8, "1,000 connections closed at once, some within an A-ASSOCIATE-RQ", Served(), _LIMITS, _storm(Peer.close)),
    Row(8, "1,000 connections reset at once, some within an A-ASSOCIATE-RQ", Served(), _LIMITS, _storm(Peer.reset)),
    Row(8, "40 connections that stall, before and within associations, messages and PDUs", Served(), _LIMITS, _stalled),
    Row(8, "200 associations, each aborted", Served(), _LIMITS, _aborted_associations),
    Row(8, "5 associations, each in a data set of 130,000 fragments of two bytes", Served(), _LIMITS, _tiny_fragments),
    Row(8, "a data set of 130,000 fragments of two bytes", Aborted(2, 0), "PS3.8 9.3.8; " + _LIMITS, associated(_TINY)),
    Row(8, "requests without end, of a peer that reads no answer", Closed(), _LIMITS, _unread),
)

ENDS = (
    Row(9, "A-ABORT in place of an A-ASSOCIATE-RQ", Closed(), _ABORTED_EARLY, connected(abort())),
    Row(9, "A-ABORT within an A-ASSOCIATE-RQ's segment, behind it", Closed(), _ABORTED,
        lambda port: _after(Accepted(), port.connect().send(associate_request() + abort()))),
    Row(9, "A-ABORT between messages", Closed(), _ABORTED, associated(abort())),
    Row(9, "A-ABORT between a command set and its data set", Closed(), _ABORTED,
        associated(message(1, command_set(store_values("1.2.3"))) + abort())),
    Row(9, "A-ABORT in a data set", Closed(), _ABORTED, receiving(abort())),
    Row(9, "A-ABORT with the reserved source 1 and reason 99", Closed(), _ABORTED, associated(abort(1, 99))),
    Row(9, "A-ABORT twice", Closed(), _ABORTED, associated(abort() + abort(2, 1))),
    Row(9, "A-ABORT behind A-RELEASE-RQ", Closed(), "PS3.8 table 9-10: Sta13, A-ABORT, AA-2",
        lambda port: _after(Released(), port.associated().send(release() + abort()))),
    Row(9, "a message behind A-RELEASE-RQ", Closed(), "PS3.8 table 9-10: Sta13, P-DATA-TF, AA-6",
        lambda port: _after(Released(), port.associated().send(release() + message(3, echo_request())))),
    Row(9, "A-RELEASE-RQ in a data set", Released(), "PS3.8 table 9-10: Sta6, A-RELEASE-RQ, AR-2",
        receiving(release())),
    Row(9, "RST before a byte", Gone(), _TRANSPORT, _resets(Port.connect)),
    Row(9, "RST within an A-ASSOCIATE-RQ", Gone(), _TRANSPORT,
        _resets(lambda port: port.connect().send(associate_request()[:100]))),
    Row(9, "RST behind an A-ASSOCIATE-RQ", Gone(), _TRANSPORT,
        _resets(lambda port: port.connect().send(associate_request()))),
    Row(9, "RST between messages", Gone(), _TRANSPORT, _resets(Port.associated)),
    Row(9, "RST in a data set", Gone(), _TRANSPORT, _resets(Port.receiving)),
    Row(9, "RST in place of waiting for the response to a C-STORE", Gone(), _TRANSPORT, _resets(_store_sent)),
    Row(9, "RST behind A-RELEASE-RP", Gone(), _TRANSPORT, _resets(_released)),
    Row(9, "half a connection closed before a byte", Closed(), _TRANSPORT, _half_closed(Port.connect)),
    Row(9, "half a connection closed within an A-ASSOCIATE-RQ", Closed(), _TRANSPORT,
        _half_closed(lambda port: port.connect().send(associate_request()[:100]))),
    Row(9, "half a connection closed between messages", Closed(), _TRANSPORT, _half_closed(Port.associated)),
    Row(9, "half a connection closed in a data set", Closed(), _TRANSPORT, _half_closed(Port.receiving)),
    Row(9, "half a connection closed behind a whole C-STORE", Stored(), "PS3.7 9.1.1.1: a response to each request",
        _half_closed(_store_sent)),
)  # fmt: skip


def _after(first: Expected, peer: Peer) -> Expected:
    answer = peer.answer()
    return peer.answer() if answer == first else answer


_EARLY = "PS3.8 table 9-10: Sta2, {}, AA-1; 9.3.8: reason 0 from the service-user"
_LATE = "PS3.8 table 9-10: Sta6, {}, AA-8"
_KNOWN = {
    ASSOCIATE_AC: "A-ASSOCIATE-AC", ASSOCIATE_RJ: "A-ASSOCIATE-RJ", RELEASE_RP: "A-RELEASE-RP",
}  # fmt: skip

UNEXPECTED = (
    *(
        Row(9, f"{name} in place of an A-ASSOCIATE-RQ", Aborted(0), _EARLY.format(name), connected(pdu(kind, bytes(4))))
        for kind, name in {**_KNOWN, P_DATA_TF: "P-DATA-TF", RELEASE_RQ: "A-RELEASE-RQ"}.items()
    ),
    *(
        Row(9, f"a PDU of type {kind:02X}H in place of an A-ASSOCIATE-RQ", Aborted(0),
            _EARLY.format("unrecognized PDU"), connected(pdu(kind, bytes(4))))
        for kind in (0x00, 0x08, 0xFF)
    ),
    *(
        Row(9, f"{name} on an association", Aborted(2, 2), _LATE.format(name), associated(pdu(kind, bytes(4))))
        for kind, name in _KNOWN.items()
    ),
    Row(9, "a second A-ASSOCIATE-RQ", Aborted(2, 2), _LATE.format("A-ASSOCIATE-RQ"), associated(associate_request())),
    *(
        Row(9, f"a PDU of type {kind:02X}H on an association", Aborted(2, 1), _LATE.format("unrecognized PDU"),
            associated(pdu(kind, bytes(4))))
        for kind in (0x00, 0x08, 0xFF)
    ),
    Row(9, "a PDU of type 08H in a data set", Aborted(2, 1), _LATE.format("unrecognized PDU"),
        receiving(pdu(8, bytes(4)))),
    Row(9, "A-RELEASE-RQ of length 0", Aborted(2, 6), _LATE.format("invalid PDU") + "; table 9-24",
        associated(pdu(RELEASE_RQ))),
    Row(9, "A-RELEASE-RQ of length 200,000", Aborted(2, 6), _LATE.format("invalid PDU") + "; table 9-24",
        associated(pdu(RELEASE_RQ, bytes(200_000)))),
    Row(9, "A-RELEASE-RQ of length FFFFFFFFH", Aborted(2, 6), _LATE.format("invalid PDU") + "; table 9-24",
        associated(pdu(RELEASE_RQ, bytes(100), length=0xFFFFFFFF))),
    Row(9, "A-ABORT of length FFFFFFFFH", Aborted(2, 6), _LATE.format("invalid PDU") + "; table 9-26",
        associated(pdu(ABORT, bytes(100), length=0xFFFFFFFF))),
)  # fmt: skip

SEGMENTS = (
    Row(10, "A-ASSOCIATE-RQ, three C-ECHO-RQs and A-RELEASE-RQ in one segment", Served(),
        "PS3.8 9.1: TCP keeps no boundaries", _in_one_segment),
    Row(10, "A-ASSOCIATE-RQ and a C-STORE in segments of one byte", Stored(), "PS3.8 9.1: TCP keeps no boundaries",
        _byte_by_byte),
)  # fmt: skip

CONNECTIONS = (*SILENCE, *MANY, *ENDS, *UNEXPECTED, *SEGMENTS)
