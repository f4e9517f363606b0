"""PDUs, command sets and data elements, each length as the caller wants it (PS3.8 9.3, PS3.7 9.3, PS3.5 7.1).

It shares no code with the gateway: what a test sends and reads is judged by the standard alone.
"""

import struct
from collections.abc import Mapping, Sequence

CT, MR, VERIFICATION = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
DATA, COMMAND, LAST = 0, 1, 2
"""The bits of the message control header (PS3.8 E.2)."""

PLANTED_NAME, PLANTED_ID = "Quixlebury^Zebedee", "QX-4711-77"
PLANTED = ("Quixlebury", "QX-4711", "Zebedee")
"""What every data set says of its patient, and no log may repeat."""

_LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")


def pdu(kind: int, body: bytes = b"", length: int | None = None) -> bytes:
    """Return a PDU (PS3.8 9.3.1)."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def abort(source: int = 0, reason: int = 0) -> bytes:
    return pdu(ABORT, bytes((0, 0, source, reason)))


def release() -> bytes:
    return pdu(RELEASE_RQ, bytes(4))


def item(kind: int, value: bytes, length: int | None = None) -> bytes:
    """Return an item or sub-item of an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    return struct.pack(">BxH", kind, len(value) if length is None else length) + value


APPLICATION_CONTEXT = item(0x10, b"1.2.840.10008.3.1.1.1")


def context(identifier: int, abstract_syntax: str = CT, *transfer_syntaxes: str) -> bytes:
    """Return a presentation context item; without a transfer syntax it proposes Explicit VR Little Endian."""
    syntaxes = b"".join(item(0x40, uid.encode()) for uid in transfer_syntaxes or (EXPLICIT,))
    return item(0x20, bytes((identifier, 0, 0, 0)) + item(0x30, abstract_syntax.encode("latin-1")) + syntaxes)


def user_information(*sub_items: bytes, maximum: int = 0) -> bytes:
    """Return the user information item: the maximum length, an implementation class UID, and more sub-items."""
    known = item(0x51, struct.pack(">I", maximum)) + item(0x52, b"1.2.3.4")
    return item(0x50, known + b"".join(sub_items))


CONTEXTS = context(1) + context(3, VERIFICATION, IMPLICIT)


def associate_request(
    *items: bytes, calling: bytes = b"CT1", called: bytes = b"CTGATE", version: int = 1, length: int | None = None
) -> bytes:
    """Return an A-ASSOCIATE-RQ; without items it proposes context 1 for CT and context 3 for Verification."""
    variable = b"".join(items) or APPLICATION_CONTEXT + CONTEXTS + user_information()
    fixed = struct.pack(">HH", version, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    return pdu(ASSOCIATE_RQ, fixed + variable, length)


def pdv(context_id: int, flags: int, fragment: bytes, length: int | None = None) -> bytes:
    """Return a presentation data value item (PS3.8 9.3.5.1)."""
    return struct.pack(">IBB", len(fragment) + 2 if length is None else length, context_id, flags) + fragment


def p_data(*pdvs: bytes, length: int | None = None) -> bytes:
    return pdu(P_DATA_TF, b"".join(pdvs), length)


def command_set(values: Mapping[int, bytes]) -> bytes:
    """Return a command set with its group length, in Implicit VR Little Endian (PS3.7 6.3.1)."""
    body = b"".join(command_element(tag, value) for tag, value in sorted(values.items()))
    return command_element(0x0000, struct.pack("<I", len(body))) + body


def command_element(number: int, value: bytes, length: int | None = None) -> bytes:
    """Return the element (0000,`number`)."""
    return struct.pack("<HHI", 0, number, len(value) if length is None else length) + value


def us(value: int) -> bytes:
    return struct.pack("<H", value)


def uid_value(text: str) -> bytes:
    data = text.encode("latin-1")
    return data + b"\0" * (len(data) % 2)


def echo_request(message_id: int = 1) -> bytes:
    """Return the command set of a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return command_set(
        {0x0002: uid_value(VERIFICATION), 0x0100: us(0x0030), 0x0110: us(message_id), 0x0800: us(0x0101)}
    )


def store_values(uid: str, sop_class: str = CT, message_id: int = 1) -> dict[int, bytes]:
    """Return the elements of a C-STORE-RQ command set (PS3.7 9.3.1.1), to be changed."""
    return {
        0x0002: uid_value(sop_class),
        0x0100: us(0x0001),
        0x0110: us(message_id),
        0x0700: us(0),
        0x0800: us(0),
        0x1000: uid_value(uid),
    }


def message(context_id: int, command: bytes, data: bytes | None = None, fragment_bytes: int = 16_000) -> bytes:
    """Return a DIMSE message as P-DATA-TFs of one fragment each."""
    parts = [p_data(pdv(context_id, COMMAND | LAST, command))]
    if data is not None:
        starts = range(0, max(1, len(data)), fragment_bytes)
        for start in starts:
            last = LAST if start == starts[-1] else 0
            parts.append(p_data(pdv(context_id, DATA | last, data[start : start + fragment_bytes])))
    return b"".join(parts)


def element(tag: int, vr: str, value: bytes = b"", length: int | None = None, order: str = "<") -> bytes:
    """Return a data element; with an empty VR in Implicit VR Little Endian. `length` None is the true one."""
    count = len(value) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if not vr:
        return head + struct.pack("<I", count) + value
    if vr in _LONG_VRS:
        return head + vr.encode() + struct.pack(f"{order}HI", 0, count) + value
    return head + vr.encode() + struct.pack(f"{order}H", count) + value


def data_set(
    uid: str,
    *more: bytes,
    without: Sequence[int] = (),
    sop_class: str = CT,
    order: str = "<",
    implicit: bool = False,
) -> bytes:
    """Return a small CT instance of the planted patient; `more` are encoded elements, put in by their tags.

    An element of `more` replaces the one of its tag; what `without` names is left out.
    """
    values = [
        (0x00080005, "CS", b"ISO_IR 100"),
        (0x00080016, "UI", uid_value(sop_class)),
        (0x00080018, "UI", uid_value(uid)),
        (0x00080060, "CS", b"CT"),
        (0x00100010, "PN", PLANTED_NAME.encode()),
        (0x00100020, "LO", PLANTED_ID.encode()),
        (0x0020000D, "UI", b"1.2.3.4.5.6\0"),
        (0x0020000E, "UI", b"1.2.3.4.5.7\0"),
        (0x00280010, "US", struct.pack(f"{order}H", 2)),
        (0x00280011, "US", struct.pack(f"{order}H", 2)),
        (0x7FE00010, "OW", bytes(range(8))),
    ]
    elements = {tag: element(tag, "" if implicit else vr, value, order=order) for tag, vr, value in values}
    for one in more:
        group, number = struct.unpack_from(f"{order}HH", one)
        elements[group << 16 | number] = one
    return b"".join(data for tag, data in sorted(elements.items()) if tag not in without)
