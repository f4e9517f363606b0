"""Names: UIDs and titles that would be paths, commands or log lines elsewhere (entries 14, 15, 17)."""

from pdus import data_set, element
from peer import Answered, Rejected, new_uid

from .row import Expected, Port, Row, Stored, named, requested, stored

_INVALID = "PS3.5 9.1; PS3.7 C.5: 0117H, invalid SOP Instance"
_TITLE = "PS3.8 table 9-21: calling-AE-title-not-recognized"
_LINE = '\r\n{"event": "forged", "level": "info"}'

_NO_UIDS = {
    "../../forged": "a path to folders above",
    "/tmp/forged": "an absolute path",
    "..\\forged": "a path of Windows",
    "1.2.3/../forged": "a path behind a UID",
    "1.2\0.3": "a NUL in it",
    "1.2.3\n": "a line feed behind it",
    f"1.2.3{_LINE}": "a log line behind it",
    "1." * 32 + "1": "65 characters",
    "1" * 10_000: "10,000 characters",
    "1.2.³": "a digit beyond ASCII",
    "1.2.é": "a letter beyond ASCII",
    "": "no character",
    ".": "a period alone",
    "..": "two periods",
    "1..2": "an empty component",
    ".1.2": "a period before it",
    "1.2.": "a period behind it",
    "1.2;reboot": "a command of a shell behind it",
    "$(reboot)": "a command of a shell",
}


def _twice(port: Port) -> Expected:
    """Two instances of one UID with different bytes; the archive gets both."""
    uid = new_uid()
    peer = port.associated()
    first = peer.store(data_set(uid), uid)
    second = peer.store(data_set(uid, element(0x00280010, "US", b"\3\0")), uid)
    return first if first != Answered(0) else second


def _padded(port: Port) -> Expected:
    uid = new_uid()
    return port.associated().store(data_set(uid), uid, {0x1000: uid.encode() + b"\0\0"})


NAMES = (
    *(
        Row(14, f"a SOP Instance UID: {what}", Answered(0x0117), _INVALID, named(uid))
        for uid, what in _NO_UIDS.items()
    ),
    Row(14, "a SOP Instance UID: a component with a leading zero", Stored(),
        "PS3.5 9.1 forbids it; devices send it, and refused it would be lost", named("1.2.826.0.1.3680043.10.99.007")),
    Row(14, "a SOP Instance UID: 64 characters", Stored(), "PS3.5 9.1", named("1.2.826.0.1.3680043.10.99." + "7" * 38)),
    Row(14, "a SOP Instance UID filled up with two NULs in the command set", Stored(), "PS3.5 9.1: one NUL",
        _padded),
    Row(14, "an Affected SOP Class UID: a path", Answered(0x0122), "PS3.7 C.5: SOP class not supported",
        stored(data_set, changes={0x0002: b"../../forged"})),
    Row(14, "a Study Instance UID: a path", Stored(), "PS3.5 9.1; the archive is the one to judge it",
        stored(lambda uid: data_set(uid, element(0x0020000D, "UI", b"../../forged")))),
    Row(14, "a Series Instance UID: a log line", Stored(), "PS3.5 9.1; the archive is the one to judge it",
        stored(lambda uid: data_set(uid, element(0x0020000E, "UI", _LINE.encode())))),
    Row(14, "no Study Instance UID", Stored(), "PS3.3 C.7.2.1; the archive is the one to judge it",
        stored(lambda uid: data_set(uid, without=[0x0020000D]))),
    *(
        Row(15, f"a calling AE title: {title}", Rejected(1, 1, 3), _TITLE, requested(calling=title.encode()))
        for title in ("$(reboot)", "`reboot`", "CT1;reboot", "CT1|reboot", "../CT1", "%s%n%x")
    ),
    Row(15, "a patient ID and a station name: commands of a shell", Stored(), "PS3.5 6.2: LO, SH",
        stored(lambda uid: data_set(uid, element(0x00100020, "LO", b"QX-4711;$(touch /tmp/forged)"),
                                    element(0x00081010, "SH", b"`reboot`")))),
    Row(17, "two instances of one SOP Instance UID with different bytes", Stored(),
        "PS3.4 B.2.2; the archive gets both, and is the one to judge them", _twice),
)  # fmt: skip
