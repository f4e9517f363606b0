"""Data sets: their syntax, their structure, their text (entries 12, 18, 19, 20, 21)."""

import random
import struct
import zlib
from collections.abc import Callable

from pdus import (
    APPLICATION_CONTEXT,
    BIG_ENDIAN,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_LOSSLESS,
    MR,
    context,
    data_set,
    element,
    uid_value,
    user_information,
)
from peer import Accepted, Answered

from .row import Held, Play, Row, Stored, requested, stored

_MISMATCH = "PS3.4 table B.2-1: A900H, Data Set does not match SOP Class"
_CANNOT = "PS3.4 table B.2-1: C000H, cannot understand; "
_ARCHIVE = "; behind what routing reads, and the archive is the one to judge it"
_UNDEFINED = 0xFFFFFFFF
_STATION = 0x00081010  # no rule of the tests reads it
_PIXELS = 0x7FE00010
_SEQUENCE = 0x00081032  # Procedure Code Sequence, before the UIDs of study and series


def _item(value: bytes, length: int | None = None) -> bytes:
    return element(0xFFFEE000, "", value, length)


_ZEROS, _BOMB_MEGABYTES = b"a great many zeros", 128
_ITEM_END, _SEQUENCE_END = element(0xFFFEE00D, ""), element(0xFFFEE0DD, "")


def _with(*more: bytes, syntax: str = EXPLICIT) -> Play:
    """Store a data set with these elements."""
    return stored(lambda uid: data_set(uid, *more), syntax)


def _nested(depth: int, *, is_closed: bool) -> bytes:
    opened = element(_SEQUENCE, "SQ", b"", _UNDEFINED) + _item(b"", _UNDEFINED)
    closed = (_ITEM_END + _SEQUENCE_END) * depth if is_closed else b""
    return opened * depth + closed


def _deflated(make: Callable[[str], bytes], behind: bytes = b"") -> Play:
    """Store a deflated data set; where it says _ZEROS, there are as many megabytes of zeros."""

    def deflate(uid: str) -> bytes:
        compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        before, mark, after = make(uid).partition(_ZEROS)
        pieces = [before, *[bytes(1 << 20)] * (_BOMB_MEGABYTES if mark else 0), after]
        data = b"".join(map(compressor.compress, pieces)) + compressor.flush() + behind
        return data + b"\0" * (len(data) % 2)

    return stored(deflate, DEFLATED)


def _deflated_odd() -> Play:
    """Store a deflated data set without the NULL that makes its length even."""

    def deflate(uid: str) -> bytes:
        for comment in (b"", b"of another length"):
            compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
            whole = data_set(uid, element(0x00204000, "LT", comment + b" " * (len(comment) % 2)))
            data = compressor.compress(whole) + compressor.flush()
            if len(data) % 2:
                return data
        return data + b"\0" * (1 - len(data) % 2)

    return stored(deflate, DEFLATED)


def _file(uid: str) -> bytes:
    """Return a whole DICOM file: preamble, prefix, File Meta Information, data set."""
    meta = element(0x00020010, "UI", uid_value(EXPLICIT))
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta + data_set(uid)


def _behind(head: bytes) -> Play:
    """Store a data set that begins with something else."""
    return stored(lambda uid: head + data_set(uid))


def _doubled(uid: str) -> bytes:
    at = data_set(uid).index(element(0x00080060, "CS", b"CT"))
    return data_set(uid)[:at] + element(0x00080018, "UI", uid_value(uid + ".1")) + data_set(uid)[at:]


SYNTAXES = (
    Row(12, "Implicit VR in a context of Explicit VR", Answered(0xC000), _CANNOT + "PS3.5 A.2",
        stored(lambda uid: data_set(uid, implicit=True))),
    Row(12, "Explicit VR in a context of Implicit VR", Answered(0xC000), _CANNOT + "PS3.5 A.1",
        stored(data_set, IMPLICIT)),
    Row(12, "Little Endian in a context of Big Endian", Answered(0xA900), _MISMATCH + "; PS3.5 A.3",
        stored(data_set, BIG_ENDIAN)),
    Row(12, "Big Endian in its context", Stored(), "PS3.5 A.3",
        stored(lambda uid: data_set(uid, order=">"), BIG_ENDIAN)),
    Row(12, "a data set not deflated in a context of Deflated", Answered(0xC000), _CANNOT + "PS3.5 A.5",
        stored(data_set, DEFLATED)),
    Row(12, "a private transfer syntax", Accepted((4,)), "PS3.8 table 9-18: transfer-syntaxes-not-supported",
        requested(APPLICATION_CONTEXT, context(1, CT, "1.3.46.670589.33.1.4.1"), user_information())),
)  # fmt: skip

POLYGLOTS = (
    Row(18, "a whole DICOM file in place of a data set", Answered(0xC000), _CANNOT + "PS3.7 6.3.1", stored(_file)),
    Row(18, "a data set behind the head of a Windows program", Answered(0xC000), _CANNOT + "PS3.5 7.1.2",
        _behind(b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0".ljust(128, b"\0"))),
    Row(18, "a data set behind the head of a Linux program", Answered(0xC000), _CANNOT + "PS3.5 7.1.2",
        _behind(b"\x7fELF\2\1\1\0".ljust(64, b"\0"))),
    Row(18, "a data set behind a script", Answered(0xC000), _CANNOT + "PS3.5 7.1.2", _behind(b"#!/bin/sh\nreboot\n\n")),
)  # fmt: skip

UIDS = (
    Row(19, "an empty data set", Answered(0xA900), _MISMATCH, stored(lambda _: b"")),
    Row(19, "no SOP Class UID", Answered(0xA900), _MISMATCH, stored(lambda uid: data_set(uid, without=[0x00080016]))),
    Row(19, "no SOP Instance UID", Answered(0xA900), _MISMATCH,
        stored(lambda uid: data_set(uid, without=[0x00080018]))),
    Row(19, "another SOP Class UID than in the command set", Answered(0xA900), _MISMATCH,
        stored(lambda uid: data_set(uid, sop_class=MR))),
    Row(19, "another SOP Instance UID than in the command set", Answered(0xA900), _MISMATCH,
        stored(lambda uid: data_set(uid + ".1"))),
    Row(19, "a SOP Instance UID of 65,534 bytes", Answered(0xA900), _MISMATCH,
        _with(element(0x00080018, "UI", b"1" * 65_534))),
    Row(19, "the UIDs behind a greater tag", Answered(0xA900), _MISMATCH + "; PS3.5 7.1: increasing tags",
        _behind(element(0x40100004, "US", b"1 "))),
    Row(19, "the SOP Instance UID before the SOP Class UID", Stored(), "PS3.5 7.1 forbids it, and routing finds both",
        stored(lambda uid: element(0x00080018, "UI", uid_value(uid))
               + data_set(uid, without=[0x00080018]))),
    Row(19, "a second SOP Instance UID behind the first", Answered(0xC000), _CANNOT + "PS3.5 7.1: at most once",
        stored(_doubled)),
)  # fmt: skip


STRUCTURE = (
    Row(19, "an element longer than the data set, read by routing", Answered(0xC000), _CANNOT + "PS3.5 7.1.1",
        stored(lambda uid: data_set(uid, without=[_PIXELS, 0x00280010, 0x00280011])
               .replace(b"UI\x0c\x001.2.3.4.5.7", b"UI\xff\xf01.2.3.4.5.7"))),
    Row(19, "an element longer than the data set, not read by routing", Answered(0xC000), _CANNOT + "PS3.5 7.1.1",
        _with(element(_STATION, "SH", b"", 0xFFFE))),
    Row(19, "an element of 4 GiB", Answered(0xC000), _CANNOT + "PS3.5 7.1.1",
        _with(element(0x00081199, "UT", b"", 0xFFFFFFFE))),
    Row(19, "an element of 4 GiB in Implicit VR", Answered(0xC000), _CANNOT + "PS3.5 7.1.1",
        stored(lambda uid: data_set(uid, element(_STATION, "", b"", 0xFFFFFFFE), implicit=True), IMPLICIT)),
    Row(19, "Pixel Data longer than the data set", Stored(), "PS3.5 7.1.1" + _ARCHIVE,
        _with(element(_PIXELS, "OW", bytes(8), 1 << 20))),
    Row(19, "a data set that ends in an element header", Answered(0xC000), _CANNOT + "PS3.5 7.1.1",
        stored(lambda uid: data_set(uid)[:-30][: data_set(uid).index(b"\x20\0\x0d\0") + 6])),
    Row(19, "two elements of odd length", Stored(), "PS3.5 7.1.1 forbids it; they are read as they stand",
        _with(element(_STATION, "SH", b"odd"), element(0x00081090, "LO", b"odder"))),
    Row(19, "a data set of odd length", Answered(0xC000), _CANNOT + "PS3.5 7.1: of even length",
        _with(element(_STATION, "SH", b"odd"))),
    Row(19, "a data set with a byte behind its end", Answered(0xC000), _CANNOT + "PS3.5 7.1: of even length",
        stored(lambda uid: data_set(uid) + b"\0")),
    Row(19, "a deflated data set of odd length", Answered(0xC000), _CANNOT + "PS3.5 A.5: a NULL is added",
        _deflated_odd()),
    Row(19, "an element without VR in Explicit VR", Answered(0xC000), _CANNOT + "PS3.5 7.1.2",
        _with(element(_STATION, "", b"CT "))),
    Row(19, "an element of an unknown VR", Stored(), "PS3.5 7.1.2; it is passed over",
        _with(element(_STATION, "ZZ", b"CT"))),
    Row(19, "the SOP Instance UID as VR LO", Stored(), "PS3.6; its value is read as it stands",
        stored(lambda uid: data_set(uid, element(0x00080018, "LO", uid_value(uid))))),
    Row(19, "Rows as text where a rule reads it", Held(), "PS3.6: US", _with(element(0x00280010, "LO", b"many"))),
    Row(19, "elements of group 0000 before the data set", Answered(0xC000), _CANNOT + "PS3.5 7.1: reserved groups",
        _behind(element(0x00000000, "UL", bytes(4)))),
    Row(19, "elements of group 0002 before the data set, of another transfer syntax", Answered(0xC000),
        _CANNOT + "PS3.5 7.1: reserved groups", _behind(element(0x00020010, "UI", uid_value(JPEG_LOSSLESS)))),
    Row(19, "elements of group 0003 before the data set", Stored(), "PS3.5 7.1 forbids it; they are passed over",
        _behind(element(0x00030010, "LO", b"private "))),
    Row(19, "100,000 random bytes", Answered(0xC000), _CANNOT + "PS3.5 7.1",
        stored(lambda _: b"\x08\0\x05\0" + random.Random(19).randbytes(100_000))),
    Row(19, "100,000 bytes of zero", Answered(0xC000), _CANNOT + "PS3.5 7.1", stored(lambda _: bytes(100_000))),
    Row(19, "100,000 bytes of zero in Implicit VR", Answered(0xC000), _CANNOT + "PS3.5 7.1: reserved groups",
        stored(lambda _: bytes(100_000), IMPLICIT)),
)  # fmt: skip

SEQUENCES = (
    Row(19, "sequences 10,000 deep", Stored(), "PS3.5 7.5.1", _with(_nested(10_000, is_closed=True))),
    Row(19, "sequences 10,000 deep, never closed", Answered(0xC000), _CANNOT + "PS3.5 7.5.2",
        _with(_nested(10_000, is_closed=False))),
    Row(19, "a sequence of undefined length, never closed", Answered(0xC000), _CANNOT + "PS3.5 7.5.2",
        _with(element(_SEQUENCE, "SQ", _item(b""), _UNDEFINED))),
    Row(19, "encapsulated Pixel Data of undefined length, never closed", Stored(), "PS3.5 A.4" + _ARCHIVE,
        _with(element(_PIXELS, "OB", _item(b"") + _item(bytes(100)), _UNDEFINED), syntax=JPEG_LOSSLESS)),
    Row(19, "a delimiter outside a sequence", Answered(0xC000), _CANNOT + "PS3.5 7.5.2",
        _behind(_SEQUENCE_END)),
    Row(19, "an item of a sequence that is longer than the data set", Answered(0xC000), _CANNOT + "PS3.5 7.5.2",
        _with(element(_SEQUENCE, "SQ", _item(b"", 1 << 20) + _SEQUENCE_END, _UNDEFINED))),
    Row(19, "UN of undefined length that is a sequence in Implicit VR", Stored(), "PS3.5 6.2.2",
        _with(element(0x00091001, "UN", _item(element(0x00080100, "", b"x "), _UNDEFINED) + _ITEM_END + _SEQUENCE_END,
                      _UNDEFINED))),
    Row(19, "a sequence of 1,000,000 empty items", Answered(0xC000), _CANNOT + "more than the gateway reads to route",
        _with(element(_SEQUENCE, "SQ", _item(b"") * 1_000_000 + _SEQUENCE_END, _UNDEFINED))),
)  # fmt: skip

SIZES = (
    Row(20, "a deflate bomb of 128 MiB before the UIDs of the study", Answered(0xC000), _CANNOT + "64 MiB are inflated",
        _deflated(lambda uid: data_set(uid, element(0x00081199, "UT", _ZEROS, _BOMB_MEGABYTES << 20)))),
    Row(20, "a deflate bomb of 128 MiB in the Pixel Data", Stored(), "PS3.5 A.5" + _ARCHIVE,
        _deflated(lambda uid: data_set(uid, element(_PIXELS, "OW", _ZEROS, _BOMB_MEGABYTES << 20)))),
    Row(20, "a deflated data set with 1,000 bytes behind its end", Stored(), "PS3.5 A.5" + _ARCHIVE,
        _deflated(data_set, behind=bytes(1000))),
    Row(20, "Rows, Columns, bits and frames as large as they go", Stored(), "PS3.3 C.7.6.3; pixels are not decoded",
        _with(element(0x00280008, "IS", b"2147483647"), element(0x00280010, "US", b"\xff\xff"),
              element(0x00280011, "US", b"\xff\xff"), element(0x00280100, "US", b"\xff\xff"))),
    Row(20, "Rows and Columns of 0", Stored(), "PS3.3 C.7.6.3; pixels are not decoded",
        _with(element(0x00280010, "US", b"\0\0"), element(0x00280011, "US", b"\0\0"))),
    Row(20, "a Basic Offset Table of 4 GiB that points nowhere", Stored(), "PS3.5 A.4; pixels are not decoded",
        _with(element(_PIXELS, "OB", _item(b"\xff" * 400, 0xFFFFFFF0) + _item(b"\xff\xd8\xff\xd9") + _SEQUENCE_END,
                      _UNDEFINED), syntax=JPEG_LOSSLESS)),
)  # fmt: skip

_CHARACTER_SET = 0x00080005
_NAME, _ID, _DESCRIPTION, _FRAMES, _THICKNESS = 0x00100010, 0x00100020, 0x00081030, 0x00280008, 0x00180050

TEXT = (
    Row(21, "a Specific Character Set that does not exist", Held(), "PS3.3 C.12.1.1.2: defined terms",
        _with(element(_CHARACTER_SET, "CS", b"ISO_IR 999"))),
    Row(21, "a Specific Character Set of 10,000 empty values", Stored(), "PS3.3 C.12.1.1.2; read as the default one",
        _with(element(_CHARACTER_SET, "CS", b"\\" * 10_000))),
    Row(21, "a Specific Character Set with a log line", Held(), "PS3.3 C.12.1.1.2: defined terms",
        _with(element(_CHARACTER_SET, "CS", b'\r\n{"event": "forged"} '))),
    Row(21, "bytes that are no UTF-8 where that is announced", Held(), "PS3.5 6.1.2.3",
        _with(element(_CHARACTER_SET, "CS", b"ISO_IR 192"), element(_NAME, "PN", b"Quixlebury^\xff\xfe\xc3( "))),
    Row(21, "escape sequences of ISO 2022 that were not announced", Held(), "PS3.5 6.1.2.5",
        _with(element(_CHARACTER_SET, "CS", b"\\ISO 2022 IR 87"),
              element(_NAME, "PN", b"Quixlebury^\x1b$)C\x1b$B\xff"))),
    Row(21, "a patient ID with line breaks and a log line", Stored(), "PS3.5 6.2: LO has no control characters",
        _with(element(_ID, "LO", b'QX-4711\r\n{"event": "forged", "level": "info"} '))),
    Row(21, "a patient's name with NULs and escape sequences of a terminal", Held(),
        "PS3.5 6.2: PN has no control characters; 6.1.2.5",
        _with(element(_NAME, "PN", b"Quixlebury\0^\x1b[2J\x1b[31m "))),
    Row(21, "a text of 1 MB that no rule reads", Stored(), "PS3.5 6.2: UT",
        _with(element(0x00104000, "UT", b"Quixlebury" * 100_000))),
    Row(21, "a text of 1 MB that a rule reads", Held(), "PS3.5 6.2: LO, 64 characters; rules read 64 KiB",
        _with(element(_DESCRIPTION, "UT", b"Quixlebury" * 100_000))),
    Row(21, "two values where the standard allows one, and a rule reads them", Held(), "PS3.6: VM 1",
        _with(element(_ID, "LO", b"QX-4711\\QX-4712 "))),
    Row(21, "an IS that is no number", Held(), "PS3.5 6.2: IS", _with(element(_FRAMES, "IS", b"many"))),
    Row(21, "an IS with an underscore", Held(), "PS3.5 6.2: IS", _with(element(_FRAMES, "IS", b"1_00"))),
    Row(21, "a DS that is not a number", Held(), "PS3.5 6.2: DS", _with(element(_THICKNESS, "DS", b"nan "))),
    Row(21, "a DS that is infinite", Held(), "PS3.5 6.2: DS", _with(element(_THICKNESS, "DS", b"infinity"))),
    Row(21, "a text with a NUL in its midst", Held(), "PS3.5 6.2: LO has no control characters",
        _with(element(_DESCRIPTION, "LO", b"CHEST\0OBJECTED"))),
    Row(21, "a text with a byte order mark in its midst", Held(), "PS3.5 6.1: libraries read it as they like",
        _with(element(_CHARACTER_SET, "CS", b"ISO_IR 192"), element(_DESCRIPTION, "LO", "OBJ\ufeffECTED ".encode()))),
    Row(21, "a DS of 64 KB of digits", Held(), "PS3.5 6.2: DS, 16 bytes",
        _with(element(_THICKNESS, "DS", b"1" * 65_532))),
    Row(21, "an IS beyond 64 bits", Held(), "PS3.5 6.2: IS, 32 bits",
        _with(element(_FRAMES, "IS", b"99999999999999999999"))),
    Row(21, "an IS of 1.0", Stored(), "PS3.5 6.2: IS; it is read as 1", _with(element(_FRAMES, "IS", b"1.0 "))),
    Row(21, "Latin-9", Stored(), "PS3.3 table C.12-2: ISO_IR 203",
        _with(element(_CHARACTER_SET, "CS", b"ISO_IR 203"), element(_NAME, "PN", b"Quixlebury^\xa4"))),
    Row(21, "a misspelt Specific Character Set, and pure ASCII", Stored(), "PS3.3 C.12.1.1.2: defined terms",
        _with(element(_CHARACTER_SET, "CS", b"ISO-IR 100"))),
    Row(21, "a misspelt Specific Character Set, and more than ASCII", Held(), "PS3.3 C.12.1.1.2: defined terms",
        _with(element(_CHARACTER_SET, "CS", b"ISO-IR 100"), element(_NAME, "PN", b"Quixlebury^\xfc"))),
)  # fmt: skip

DATA_SETS = (*SYNTAXES, *POLYGLOTS, *UIDS, *STRUCTURE, *SEQUENCES, *SIZES, *TEXT)
