"""PDUs and PDVs: lengths, other protocols, fragments out of order (entries 3, 4, 6, 13)."""

import itertools
import random

from pdus import (
    APPLICATION_CONTEXT,
    ASSOCIATE_RQ,
    COMMAND,
    CONTEXTS,
    DATA,
    LAST,
    MR,
    P_DATA_TF,
    associate_request,
    command_set,
    context,
    data_set,
    echo_request,
    element,
    message,
    p_data,
    pdu,
    pdv,
    store_values,
    user_information,
)
from peer import Aborted, Answered, new_uid

from .row import (
    Expected,
    Gone,
    Play,
    Port,
    Row,
    Served,
    Stored,
    associated,
    connected,
    ended,
    fragments,
    receiving,
    requested,
    served,
    served_after,
)

_MAX_PDU_BYTES = 131072
"""What the gateway says it takes, by default."""

_EARLY = "PS3.8 table 9-10: Sta2, unrecognized or invalid PDU, AA-1; 9.3.8: reason 0 from the service-user"
_INVALID = "PS3.8 table 9-10: Sta6, invalid PDU, AA-8; "
_HEADER = "PS3.8 E.2: message control header"
_CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + bytes(160)


def _maximum(maximum: int) -> Row:
    return Row(13, f"a maximum length of {maximum} bytes", Served(),
               "PS3.8 D.1.1: no P-DATA-TF to the peer is longer; E.1: fragments of even length",
               lambda port: served(port.associated(maximum=maximum)))  # fmt: skip


def _longest(port: Port) -> Expected:
    """Send a data set as one P-DATA-TF of exactly the agreed length."""
    uid = new_uid()
    head = data_set(uid, without=[0x7FE00010])
    padding = _MAX_PDU_BYTES - 6 - len(head) - 12
    data = head + element(0x7FE00010, "OW", bytes(padding))
    peer = port.associated().awaits(uid, data).send(message(1, command_set(store_values(uid))))
    return peer.send(p_data(pdv(1, DATA | LAST, data))).answer()


def _pieces(*lengths: int) -> Play:
    def play(port: Port) -> Expected:
        uid = new_uid()
        data = data_set(uid)
        ends = [0, *itertools.accumulate(lengths), len(data)]
        pieces = [data[start:end] for start, end in itertools.pairwise(ends)]
        peer = port.associated().awaits(uid, data).send(message(1, command_set(store_values(uid))))
        return peer.send(fragments(*pieces)).answer()

    return play


def _two_messages_in_one_pdu(port: Port) -> Expected:
    one = pdv(3, COMMAND | LAST, echo_request())
    peer = port.associated().send(p_data(one, one))
    first = peer.answer()
    return served(peer) if (first, peer.answer()) == (Answered(0), Answered(0)) else first


def _data_behind_echo(port: Port) -> Expected:
    peer = port.associated().send(message(3, echo_request()) + fragments(bytes(100), context_id=3))
    first = peer.answer()
    return peer.answer() if first == Answered(0) else first


def _endless_data_set(port: Port) -> None:
    uid = new_uid()
    peer = port.associated().send(message(1, command_set(store_values(uid))))
    peer.send(p_data(pdv(1, DATA, data_set(uid, without=[0x7FE00010]) + element(0x7FE00010, "OW", b"", 0xFFFFFFFE))))
    piece = p_data(pdv(1, DATA, bytes(100_000)))
    for _ in range(1000):
        peer.send(piece)
    peer.reset()


LENGTHS = (
    Row(3, "an A-ASSOCIATE-RQ of 256 KiB and one byte", Aborted(0), _EARLY,
        connected(pdu(ASSOCIATE_RQ, bytes(100), length=(1 << 18) + 1))),
    Row(3, "a P-DATA-TF one byte longer than agreed", Aborted(2, 6), _INVALID + "D.1.1: a protocol error",
        associated(pdu(P_DATA_TF, bytes(100), length=_MAX_PDU_BYTES + 1))),
    Row(3, "a P-DATA-TF as long as agreed", Stored(), "PS3.8 D.1.1", _longest),
)  # fmt: skip

OTHERS = (
    Row(4, "an HTTP request", Aborted(0), _EARLY, connected(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")),
    Row(4, "a TLS ClientHello on a port without TLS", Aborted(0), _EARLY, connected(_CLIENT_HELLO)),
    Row(4, "an SSH banner", Aborted(0), _EARLY, connected(b"SSH-2.0-OpenSSH_9.2\r\n")),
    Row(4, "a PROXY protocol header before the A-ASSOCIATE-RQ", Aborted(0), _EARLY,
        connected(b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 11112\r\n" + associate_request())),
    Row(4, "an HL7 message", Aborted(0), _EARLY, connected(b"\x0bMSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\r\x1c\r")),
    Row(4, "100,000 random bytes", Aborted(0), _EARLY, connected(b"\x93" + random.Random(4).randbytes(100_000))),
)  # fmt: skip

VALUES = (
    Row(6, "a P-DATA-TF without a PDV", Aborted(2, 6), _INVALID + "table 9-22: one or more PDVs", associated(p_data())),
    Row(6, "a P-DATA-TF that ends in a PDV header", Aborted(2, 6), _INVALID + "table 9-23",
        associated(p_data(b"\0\0\0\4\1"))),
    Row(6, "a PDV of length 0", Aborted(2, 6), _INVALID + "table 9-23", associated(p_data(pdv(1, 3, b"", 0)))),
    Row(6, "a PDV of length 1", Aborted(2, 6), _INVALID + "table 9-23", associated(p_data(pdv(1, 3, b"", 1)))),
    Row(6, "a PDV one byte longer than its P-DATA-TF", Aborted(2, 6), _INVALID + "table 9-23",
        associated(p_data(pdv(1, 3, bytes(10), 13)))),
    Row(6, "a PDV of length FFFFFFFFH", Aborted(2, 6), _INVALID + "table 9-23",
        associated(p_data(pdv(1, 3, bytes(10), 0xFFFFFFFF)))),
    Row(6, "a PDV of a context that was not proposed", Aborted(2, 6), _INVALID + "table 9-23",
        associated(message(99, echo_request()))),
    Row(6, "a PDV of context 0", Aborted(2, 6), _INVALID + "table 9-23", associated(message(0, echo_request()))),
    Row(6, "a PDV of a context that was refused", Aborted(2, 6), _INVALID + "table 9-18",
        lambda port: port.associated(context(1), context(5, "1.2.840.10008.5.1.4.1.2.2.1"))
        .send(message(5, echo_request())).answer()),
    Row(6, "a data set in another context than its command set", Aborted(2, 6), _INVALID + "E.1",
        lambda port: port.associated(context(1), context(5, MR))
        .send(message(1, command_set(store_values("1.2.3"))) + fragments(bytes(100), context_id=5)).answer()),
    Row(6, "a data set before its command set", Aborted(2, 5), _INVALID + "PS3.7 6.3.1",
        associated(fragments(bytes(100)))),
    Row(6, "a command fragment in a data set", Aborted(2, 5), _INVALID + "E.1: no interleaving",
        receiving(message(1, echo_request()))),
    Row(6, "a data set behind a C-ECHO-RQ that has none", Aborted(2, 5), _INVALID + "PS3.7 9.3.5.1", _data_behind_echo),
    Row(6, "a command set without an end", Aborted(2, 6), _INVALID + "PS3.7 6.3.1",
        associated(p_data(pdv(1, COMMAND, bytes(16_000))) * 5)),
    Row(6, "a data set of 100 MB without an end, then RST", Gone(), "PS3.8 E.2: message control header",
        ended(_endless_data_set)),
    Row(6, "10,000 PDVs without a byte before a message", Served(), _HEADER,
        served_after(p_data(*[pdv(3, COMMAND, b"")] * 10_000) + message(3, echo_request()))),
    Row(6, "fragments of an odd number of bytes", Stored(), "PS3.8 E.1 forbids them, and has no answer to them",
        _pieces(1, 3, 99)),
    Row(6, "the reserved bits of the message control header set", Served(), _HEADER + ": never checked by the receiver",
        served_after(p_data(pdv(3, 0xFC | COMMAND | LAST, echo_request())))),
    Row(6, "two messages in one P-DATA-TF", Served(), "PS3.8 E.1 forbids it, and has no answer to it",
        _two_messages_in_one_pdu),
)  # fmt: skip

MAXIMUM_LENGTHS = (
    *(_maximum(length) for length in (0, 8, 16, 17, 4095, 0xFFFFFFFF)),
    Row(13, "a maximum length of 7 bytes, which carries no fragment", Aborted(0),
        "PS3.8 table 9-10: Sta2, invalid PDU, AA-1; D.1.1, E.1",
        requested(APPLICATION_CONTEXT, CONTEXTS, user_information(maximum=7))),
)  # fmt: skip

PROTOCOL = (*LENGTHS, *OTHERS, *VALUES, *MAXIMUM_LENGTHS)
