"""DIMSE messages: command sets that say too little, too much or the wrong thing (entry 11)."""

import struct

from pdus import (
    CT,
    MR,
    VERIFICATION,
    command_element,
    command_set,
    data_set,
    echo_request,
    element,
    message,
    store_values,
    uid_value,
    us,
)
from peer import Aborted, Answered, new_uid

from .row import Expected, Play, Port, Row, Served, Stored, commanded, served, served_after, stored

_NO_MEANING = "PS3.8 table 9-10: Sta6, invalid PDU, AA-8; "
_UNRECOGNIZED = "PS3.7 C.5: 0211H, unrecognized operation"
_ASSUMED = "PS3.7 6.3.1"


def _request(field: int, data: bool = False, sop_class: str = CT) -> bytes:
    """Return a command set with the elements that requests of any kind have."""
    return command_set(
        {
            0x0002: uid_value(sop_class),
            0x0100: us(field),
            0x0110: us(1),
            0x0800: us(0 if data else 0x0101),
            0x1000: uid_value("1.2.3"),
        }
    )


def _reused(port: Port) -> Expected:
    """Three instances under one Message ID, each sent before the answer to the one before it."""
    uids = [new_uid() for _ in range(3)]
    peer = port.associated()
    for uid in uids:
        peer.awaits(uid, data_set(uid))
    peer.send(b"".join(message(1, command_set(store_values(uid)), data_set(uid)) for uid in uids))
    answers = [peer.answer() for _ in uids]
    return Served() if answers == [Answered(0)] * 3 else answers[-1]


def _unawaited(port: Port) -> Expected:
    """Fifty instances sent without awaiting an answer; the answers come in the order of the requests."""
    uids = [new_uid() for _ in range(50)]
    peer = port.associated()
    for number, uid in enumerate(uids):
        peer.awaits(uid, data_set(uid))
        peer.send(message(1, command_set(store_values(uid, message_id=number)), data_set(uid)))
    answers = [peer.answer() for _ in uids]
    assert peer.responded_to == list(range(50))
    return Served() if answers == [Answered(0)] * 50 else answers[-1]


def _on_verification(sop_class: str) -> Play:
    def play(port: Port) -> Expected:
        uid = new_uid()
        return port.associated().store(data_set(uid), uid, {0x0002: uid_value(sop_class)}, context_id=3)

    return play


def _long_on_verification(port: Port) -> Expected:
    """Two megabytes for the SOP class of Verification, in its context: no file of it may stay behind."""
    uid = new_uid()
    data = data_set(uid, element(0x7FE00010, "OW", bytes(2_000_000)), sop_class=VERIFICATION)
    return port.associated().store(data, uid, {0x0002: uid_value(VERIFICATION)}, context_id=3)


def _command_in_data(port: Port) -> Expected:
    uid = new_uid()
    return port.associated().send(message(1, command_set(store_values(uid))) * 2).answer()


STORES = (
    Row(11, "a C-STORE-RQ that says it has no data set", Answered(0xC000), "PS3.4 table B.2-1; PS3.7 9.3.1.1",
        commanded(command_set({**store_values("1.2.3"), 0x0800: us(0x0101)}))),
    Row(11, "a C-STORE-RQ without Command Data Set Type", Answered(0xC000), "PS3.4 table B.2-1; PS3.7 9.3.1.1",
        commanded(command_set({k: v for k, v in store_values("1.2.3").items() if k != 0x0800}))),
    Row(11, "a C-STORE-RQ, and a further command set in place of its data set", Aborted(2, 5),
        _NO_MEANING + "PS3.8 E.1", _command_in_data),
    Row(11, "a C-STORE-RQ without Affected SOP Class UID", Answered(0x0122), "PS3.7 C.5: SOP class not supported",
        stored(data_set, changes={0x0002: None})),
    Row(11, "a C-STORE-RQ without Affected SOP Instance UID", Answered(0x0117), "PS3.7 C.5: invalid SOP Instance",
        stored(data_set, changes={0x1000: None})),
    Row(11, "a C-STORE-RQ without Message ID", Aborted(2, 6), _NO_MEANING + "PS3.7 9.3.1.1: nothing to respond to",
        stored(data_set, changes={0x0110: None})),
    Row(11, "a C-STORE-RQ without Priority", Stored(), "PS3.7 9.3.1.1; the gateway has no priorities",
        stored(data_set, changes={0x0700: None})),
    Row(11, "a C-STORE-RQ of Priority FFFFH", Stored(), "PS3.7 9.3.1.1; the gateway has no priorities",
        stored(data_set, changes={0x0700: us(0xFFFF)})),
    Row(11, "a C-STORE-RQ of another SOP class than its context", Answered(0x0122),
        "PS3.7 C.5: SOP class not supported", stored(data_set, changes={0x0002: uid_value(MR)})),
    Row(11, "a C-STORE-RQ of 2 MB in the context of Verification, of its SOP class", Answered(0x0211), _UNRECOGNIZED,
        _long_on_verification),
    Row(11, "a C-STORE-RQ in the context of Verification, of CT", Answered(0x0211), _UNRECOGNIZED,
        _on_verification(CT)),
    Row(11, "one Message ID for three C-STORE-RQs that overlap", Served(),
        "PS3.7 9.1.1.1.1: unique among outstanding ones; they are performed one by one", _reused),
    Row(11, "50 C-STORE-RQs without awaiting a response", Served(),
        "PS3.7 D.3.3.3: without a window one at a time; they are performed one by one", _unawaited),
)  # fmt: skip


def _echoed(command: bytes, data: bytes | None = None) -> Play:
    """Send a command set that is a C-ECHO-RQ after all, and then what a healthy peer sends."""

    def play(port: Port) -> Expected:
        peer = port.associated().send(message(3, command, data))
        answer = peer.answer()
        return served(peer) if answer == Answered(0) else answer

    return play


_N_SERVICES = {
    0x0100: "N-EVENT-REPORT",
    0x0110: "N-GET",
    0x0120: "N-SET",
    0x0130: "N-ACTION",
    0x0140: "N-CREATE",
    0x0150: "N-DELETE",
}
_QUERIES = {0x0020: "C-FIND", 0x0010: "C-GET", 0x0021: "C-MOVE"}

OPERATIONS = (
    *(
        Row(11, f"{name}-RQ in a storage context", Answered(0x0211), _UNRECOGNIZED, commanded(_request(field)))
        for field, name in _N_SERVICES.items()
    ),
    *(
        Row(11, f"{name}-RQ with its identifier in a storage context", Answered(0x0211), _UNRECOGNIZED,
            commanded(_request(field, data=True), data=element(0x00080052, "CS", b"STUDY ")))
        for field, name in _QUERIES.items()
    ),
    Row(11, "C-ECHO-RQ in a storage context", Answered(0x0211), _UNRECOGNIZED, commanded(echo_request())),
    Row(11, "C-ECHO-RQ with a data set", Served(), "PS3.7 9.3.5.1 forbids it, and has no answer to it",
        _echoed(_request(0x0030, data=True, sop_class=VERIFICATION), bytes(1000))),
    Row(11, "Command Field 7777H", Answered(0x0211), _UNRECOGNIZED, commanded(_request(0x7777))),
    Row(11, "Command Field 0000H with a data set", Answered(0x0211), _UNRECOGNIZED,
        commanded(_request(0x0000, data=True), data=bytes(1000))),
    Row(11, "a C-STORE-RSP that answers nothing", Served(), "PS3.7 8.1", served_after(message(1, _request(0x8001)))),
    Row(11, "10,000 C-CANCEL-RQs", Served(), "PS3.7 9.3.2.3: it has no response",
        served_after(message(1, command_set({0x0100: us(0x0FFF), 0x0120: us(1), 0x0800: us(0x0101)})) * 10_000)),
)  # fmt: skip


_EXPLICIT_COMMAND = element(0x00000000, "UL", struct.pack("<I", 10)) + element(0x00000100, "US", us(1))
_ECHO = {0x0002: uid_value(VERIFICATION), 0x0100: us(0x0030), 0x0110: us(1), 0x0800: us(0x0101)}

COMMAND_SETS = (
    Row(11, "an empty command set", Aborted(2, 6), _NO_MEANING + _ASSUMED, commanded(b"")),
    Row(11, "a command set without Command Field", Aborted(2, 6), _NO_MEANING + "PS3.7 E.1",
        commanded(command_set({0x0110: us(1), 0x0800: us(0x0101)}))),
    Row(11, "a command set that ends in an element header", Aborted(2, 6), _NO_MEANING + _ASSUMED,
        commanded(echo_request()[:-5])),
    Row(11, "an element longer than its command set", Aborted(2, 6), _NO_MEANING + _ASSUMED,
        commanded(echo_request() + command_element(0x1000, b"1.2.3", 0xFFFFFFFF))),
    Row(11, "an element of another group in a command set", Aborted(2, 6), _NO_MEANING + _ASSUMED,
        commanded(echo_request() + element(0x00100010, "", b"Quixlebury"))),
    Row(11, "a Command Field of 4 bytes", Aborted(2, 6), _NO_MEANING + "PS3.7 E.1: US",
        commanded(command_set({**_ECHO, 0x0100: bytes((0x30, 0, 0, 0))}))),
    Row(11, "a command set in Explicit VR", Aborted(2, 6), _NO_MEANING + "PS3.7 6.3.1: Implicit VR Little Endian",
        commanded(_EXPLICIT_COMMAND)),
    Row(11, "a group length of FFFFFFFFH", Served(), "PS3.7 E.1; nothing depends on it",
        _echoed(command_element(0, b"\xff" * 4) + echo_request()[12:])),
    Row(11, "60,000 bytes of unknown elements", Served(), "PS3.7 E.1; they are passed over",
        _echoed(command_set({**_ECHO, **{number: bytes(1000) for number in range(0x2000, 0x203C)}}))),
)  # fmt: skip

MESSAGES = (*STORES, *OPERATIONS, *COMMAND_SETS)
