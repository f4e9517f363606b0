"""A-ASSOCIATE-RQs whose items do not fit or mean nothing (entry 7)."""

import struct

from pdus import (
    APPLICATION_CONTEXT,
    CONTEXTS,
    CT,
    EXPLICIT,
    VERIFICATION,
    associate_request,
    context,
    item,
    pdu,
    user_information,
)
from peer import Aborted, Accepted, Rejected

from .row import Play, Row, connected, requested

_INVALID = "PS3.8 table 9-10: Sta2, invalid PDU, AA-1; {}; 9.3.8: reason 0 from the service-user"
_TITLES = "PS3.8 tables 9-11, 9-21"


def _with(*sub_items: bytes) -> Play:
    """Send a request with more user information."""
    return requested(APPLICATION_CONTEXT, CONTEXTS, user_information(*sub_items))


def _contexts(*contexts: bytes) -> Play:
    return requested(APPLICATION_CONTEXT, *contexts, user_information())


def _called(calling: bytes = b"CT1", called: bytes = b"CTGATE") -> Play:
    return requested(calling=calling, called=called)


def _counted(uid: bytes, rest: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">H", len(uid) if length is None else length) + uid + rest


_EVERY = tuple(context(number, CT) for number in range(1, 256, 2))
_NO_ABSTRACT_SYNTAX = item(0x20, bytes((1, 0, 0, 0)) + item(0x40, EXPLICIT.encode()))
_NO_TRANSFER_SYNTAX = item(0x20, bytes((1, 0, 0, 0)) + item(0x30, CT.encode()))
_TWO_ABSTRACT_SYNTAXES = item(
    0x20,
    bytes((1, 0, 0, 0)) + item(0x30, VERIFICATION.encode()) + item(0x30, CT.encode()) + item(0x40, EXPLICIT.encode()),
)
_OVERRUN = item(0x20, bytes((1, 0, 0, 0)) + item(0x30, CT.encode(), length=500))

LENGTHS = (
    Row(7, "a request without its last fixed byte", Aborted(0), _INVALID.format("table 9-11"),
        connected(pdu(1, associate_request()[6:73]))),
    Row(7, "a request without an item", Aborted(0), _INVALID.format("9.3.2"),
        connected(pdu(1, associate_request()[6:74]))),
    Row(7, "an item longer than the PDU", Aborted(0), _INVALID.format("9.3.2"),
        _contexts(CONTEXTS, item(0x20, bytes(10), length=5000))),
    Row(7, "a PDU that ends in an item header", Aborted(0), _INVALID.format("9.3.2"), _contexts(CONTEXTS, b"\x20\0\0")),
    Row(7, "a sub-item longer than its presentation context", Aborted(0), _INVALID.format("9.3.2.2"),
        _contexts(_OVERRUN)),
    Row(7, "a presentation context of 3 bytes", Aborted(0), _INVALID.format("table 9-13"),
        _contexts(item(0x20, bytes((1, 0, 0))))),
    Row(7, "a sub-item longer than the user information", Accepted(), "PS3.8 9.3.2.3; nothing of it is needed",
        _with(item(0x55, b"NAME", length=500))),
    Row(7, "a maximum length sub-item of 3 bytes", Accepted(), "PS3.8 table D.1-1; taken as none",
        _with(item(0x51, b"\0\0\1"))),
    Row(7, "a UID longer than its role selection sub-item", Accepted(), "PS3.7 table D.3-9; taken as none",
        _with(item(0x54, _counted(CT.encode(), b"\1\1", length=500)))),
    Row(7, "a UID longer than its extended negotiation sub-item", Accepted(), "PS3.7 table D.3-11; taken as none",
        _with(item(0x56, _counted(CT.encode(), length=500)))),
)  # fmt: skip

ITEMS = (
    Row(7, "no presentation context", Aborted(0), _INVALID.format("9.3.2: one or more"),
        requested(APPLICATION_CONTEXT, user_information())),
    Row(7, "no user information", Accepted(), "PS3.8 9.3.2: one; nothing of it is needed",
        requested(APPLICATION_CONTEXT, CONTEXTS)),
    Row(7, "no application context", Rejected(1, 1, 2), "PS3.8 table 9-21: application-context-name-not-supported",
        requested(CONTEXTS, user_information())),
    Row(7, "another application context", Rejected(1, 1, 2),
        "PS3.8 table 9-21: application-context-name-not-supported",
        requested(item(0x10, b"1.2.3"), CONTEXTS, user_information())),
    Row(7, "protocol version 2 alone", Rejected(1, 2, 2), "PS3.8 tables 9-11, 9-21: protocol-version-not-supported",
        requested(version=2)),
    Row(7, "all protocol versions at once", Accepted(), "PS3.8 table 9-11: only bit 0 is tested",
        requested(version=0xFFFF)),
    Row(7, "an even presentation context ID", Aborted(0), _INVALID.format("table 9-13: odd"), _contexts(context(2))),
    Row(7, "presentation context ID 0", Aborted(0), _INVALID.format("table 9-13: odd"), _contexts(context(0))),
    Row(7, "one presentation context ID twice", Aborted(0), _INVALID.format("7.1.1.13: unique"),
        _contexts(context(1), context(1, VERIFICATION))),
    Row(7, "128 presentation contexts", Accepted((0,) * 128), "PS3.8 table 9-13: 1 to 255, odd", _contexts(*_EVERY)),
    Row(7, "129 presentation contexts", Aborted(0), _INVALID.format("7.1.1.13: unique"),
        _contexts(*_EVERY, context(1))),
    Row(7, "a presentation context with two abstract syntaxes", Aborted(0), _INVALID.format("9.3.2.2: one"),
        _contexts(_TWO_ABSTRACT_SYNTAXES)),
    Row(7, "a presentation context without an abstract syntax", Accepted((3,)),
        "PS3.8 table 9-18: abstract-syntax-not-supported", _contexts(_NO_ABSTRACT_SYNTAX)),
    Row(7, "a presentation context without a transfer syntax", Accepted((4,)),
        "PS3.8 table 9-18: transfer-syntaxes-not-supported", _contexts(_NO_TRANSFER_SYNTAX)),
    Row(7, "an abstract syntax of 65 characters", Accepted((3,)), "PS3.8 table 9-18: abstract-syntax-not-supported",
        _contexts(context(1, "1." * 32 + "1"))),
    Row(7, "an abstract syntax that is no UID", Accepted((3, 3)), "PS3.8 table 9-18: abstract-syntax-not-supported",
        _contexts(context(1, "../../etc/passwd"), context(3, "1.2\r\n3"))),
    Row(7, "a transfer syntax that is no UID", Accepted((4,)), "PS3.8 table 9-18: transfer-syntaxes-not-supported",
        _contexts(context(1, CT, "$(reboot)"))),
    Row(7, "10,000 unknown sub-items", Accepted(), "PS3.8 D.2: unrecognized sub-items are ignored",
        _with(item(0x6A, b"") * 10_000)),
    Row(7, "1,000 role selections for one SOP class", Accepted(), "PS3.7 D.3.3.4",
        _with(item(0x54, _counted(CT.encode(), b"\1\1")) * 1000)),
    Row(7, "a user identity that runs past its end", Accepted(), "PS3.7 D.3.3.7: an acceptor may ignore it",
        _with(item(0x58, b"\2\1\xff\xffadmin"))),
)  # fmt: skip

TITLES = (
    Row(7, "no called AE title", Rejected(1, 1, 7), _TITLES, _called(called=b"")),
    Row(7, "a called AE title of 16 NULs", Rejected(1, 1, 7), _TITLES, _called(called=bytes(16))),
    Row(7, "no calling AE title", Rejected(1, 1, 3), _TITLES, _called(b"")),
    Row(7, "a calling AE title in small letters", Rejected(1, 1, 3), _TITLES, _called(b"ct1")),
    Row(7, "a calling AE title with a line break and a log line", Rejected(1, 1, 3), _TITLES,
        _called(b'CT1\r\n{"event":1')),
    Row(7, "a calling AE title with a backslash", Rejected(1, 1, 3), _TITLES, _called(b"CT1\\CT1")),
    Row(7, "a calling AE title with a NUL in it", Rejected(1, 1, 3), _TITLES, _called(b"CT1\0X")),
    Row(7, "a calling AE title beyond ASCII", Rejected(1, 1, 3), _TITLES, _called("CT1Ä".encode())),
    Row(7, "a called AE title with escape sequences of a terminal", Rejected(1, 1, 7), _TITLES,
        _called(called=b"\x1b[2J\x1b[31mGATE")),
)  # fmt: skip

ASSOCIATION_REQUESTS = (*LENGTHS, *ITEMS, *TITLES)
