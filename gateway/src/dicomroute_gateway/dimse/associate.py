"""The A-ASSOCIATE PDUs: A-ASSOCIATE-RQ decoded, A-ASSOCIATE-AC and -RJ encoded (PS3.8 9.3.2 to 9.3.4, annex D).

Own code, because every peer's first bytes pass here: each length is checked against what encloses it, and
128 proposed contexts take a fraction of a millisecond (docs/adr/0003-association-layer.md).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from dicomroute_gateway.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

from .negotiation import ContextResult, NegotiatedContext, ProposedContext
from .stream import PDV_HEADER_BYTES, AbortReason, PDUType, ProtocolViolation, encode_pdu

MAX_ASSOCIATE_BYTES: Final = 1 << 18
APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
_STORAGE_LEVEL_2_FULL: Final = bytes((2, 0, 0, 0, 0, 0))
"""Service class application information: level 2, no digital signatures, no coercion (PS3.4 B.3.1)."""


class Item(IntEnum):
    """Item and sub-item types (PS3.8 9.3.2, PS3.7 annex D.3)."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ. AE titles are without the spaces that fill them; `max_pdu_bytes` 0 is without limit."""

    protocol_version: int
    called_ae_title: str
    calling_ae_title: str
    application_context: str
    contexts: tuple[ProposedContext, ...]
    max_pdu_bytes: int
    proposes_window: bool
    roles: tuple[tuple[str, bool, bool], ...]
    """SOP class UID, and whether the requestor proposes itself as SCU and as SCP of it."""
    extended: tuple[str, ...]
    """SOP class UIDs for which extended negotiation is proposed."""
    echoed: bytes
    """Both titles and the reserved bytes behind them as they came, to be sent back unchanged (PS3.8 table 9-17)."""


def decode_associate_request(body: bytes) -> AssociateRequest:
    """Return the A-ASSOCIATE-RQ in `body`, the PDU without its six header bytes.

    Raises ProtocolViolation when an item does not fit what encloses it or a mandatory one is missing.
    """
    if len(body) < 68:
        raise _invalid(f"an A-ASSOCIATE-RQ of {len(body)} bytes; the fixed part alone has 68")
    (version,) = struct.unpack_from(">H", body)
    application_context = ""
    contexts: list[ProposedContext] = []
    user_information: bytes | None = None
    for kind, value in _items(body[68:]):
        if kind == Item.APPLICATION_CONTEXT:
            application_context = _uid(value)
        elif kind == Item.PRESENTATION_CONTEXT_RQ:
            contexts.append(_context(value))
        elif kind == Item.USER_INFORMATION:
            user_information = value
    if not contexts or user_information is None:
        raise _invalid("an A-ASSOCIATE-RQ needs a presentation context and user information")
    identifiers = [context.context_id for context in contexts]
    if len(set(identifiers)) != len(identifiers):
        raise _invalid("two presentation contexts have one identifier")
    maximum, window = 0, False
    roles: list[tuple[str, bool, bool]] = []
    extended: list[str] = []
    for kind, value in _items(user_information):
        if kind == Item.MAXIMUM_LENGTH:
            if len(value) != 4:
                raise _invalid("the maximum length sub-item has no 4 bytes")
            (maximum,) = struct.unpack(">I", value)
        elif kind == Item.ASYNCHRONOUS_OPERATIONS_WINDOW:
            window = True
        elif kind == Item.ROLE_SELECTION:
            uid, rest = _counted_uid(value)
            if len(rest) != 2:
                raise _invalid("a role selection sub-item has no two roles")
            roles.append((uid, bool(rest[0]), bool(rest[1])))
        elif kind == Item.EXTENDED_NEGOTIATION:
            extended.append(_counted_uid(value)[0])
    if maximum and maximum < PDV_HEADER_BYTES + 2:
        raise _invalid(f"a maximum length of {maximum} bytes carries nothing")
    return AssociateRequest(
        protocol_version=version,
        called_ae_title=_title(body[4:20]),
        calling_ae_title=_title(body[20:36]),
        application_context=application_context,
        contexts=tuple(contexts),
        max_pdu_bytes=maximum,
        proposes_window=window,
        roles=tuple(roles),
        extended=tuple(extended),
        echoed=body[4:68],
    )


def encode_associate_accept(
    request: AssociateRequest, contexts: Sequence[NegotiatedContext], max_pdu_bytes: int
) -> bytes:
    """Return the A-ASSOCIATE-AC to `request`.

    An asynchronous operations window is answered with 1/1, a requestor's wish to be SCU is granted, and for
    storage classes level of support 2, full, is stated.
    """
    accepted = {c.abstract_syntax for c in contexts if c.result is ContextResult.ACCEPTANCE}
    user = [_item(Item.MAXIMUM_LENGTH, struct.pack(">I", max_pdu_bytes))]
    user.append(_item(Item.IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS_UID.encode()))
    if request.proposes_window:
        user.append(_item(Item.ASYNCHRONOUS_OPERATIONS_WINDOW, struct.pack(">HH", 1, 1)))
    for uid, as_scu in {uid: as_scu for uid, as_scu, _ in request.roles}.items():
        if uid in accepted:
            user.append(_item(Item.ROLE_SELECTION, _count(uid) + bytes((as_scu, 0))))
    user.append(_item(Item.IMPLEMENTATION_VERSION_NAME, IMPLEMENTATION_VERSION_NAME.encode()))
    for uid in dict.fromkeys(request.extended):
        if uid in accepted:
            user.append(_item(Item.EXTENDED_NEGOTIATION, _count(uid) + _STORAGE_LEVEL_2_FULL))
    items = [_item(Item.APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode())]
    for context in contexts:
        transfer_syntax = _item(Item.TRANSFER_SYNTAX, context.transfer_syntax.encode())
        head = bytes((context.context_id, 0, context.result, 0))
        items.append(_item(Item.PRESENTATION_CONTEXT_AC, head + transfer_syntax))
    items.append(_item(Item.USER_INFORMATION, b"".join(user)))
    fixed = struct.pack(">HH", 1, 0) + request.echoed
    return encode_pdu(PDUType.ASSOCIATE_AC, fixed + b"".join(items))


def encode_associate_reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return encode_pdu(PDUType.ASSOCIATE_RJ, bytes((0, result, source, reason)))


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(data):
        if offset + 4 > len(data):
            raise _invalid("an item is cut off")
        kind, length = struct.unpack_from(">BxH", data, offset)
        offset += 4
        if offset + length > len(data):
            raise _invalid(f"item {kind:02X} of {length} bytes does not fit what encloses it")
        yield kind, data[offset : offset + length]
        offset += length


def _context(data: bytes) -> ProposedContext:
    if len(data) < 4:
        raise _invalid("a presentation context is cut off")
    identifier = data[0]
    if identifier % 2 == 0:
        raise _invalid(f"presentation context identifier {identifier} is not odd")
    abstract_syntax = ""
    transfer_syntaxes: list[str] = []
    for kind, value in _items(data[4:]):
        if kind == Item.ABSTRACT_SYNTAX:
            if abstract_syntax:
                raise _invalid("a presentation context has two abstract syntaxes")
            abstract_syntax = _uid(value)
        elif kind == Item.TRANSFER_SYNTAX:
            transfer_syntaxes.append(_uid(value))
    return ProposedContext(identifier, abstract_syntax, tuple(transfer_syntaxes))


def _counted_uid(value: bytes) -> tuple[str, bytes]:
    if len(value) < 2:
        raise _invalid("a UID length is cut off")
    (length,) = struct.unpack_from(">H", value)
    if 2 + length > len(value):
        raise _invalid("a UID does not fit its sub-item")
    return _uid(value[2 : 2 + length]), value[2 + length :]


def _uid(value: bytes) -> str:
    text = value.rstrip(b"\0 ")
    if len(text) > 64 or not text.isascii():
        raise _invalid("a UID has more than 64 characters or others than digits and periods")
    return text.decode("ascii")


def _title(field: bytes) -> str:
    return field.strip(b" \0").decode("ascii", "backslashreplace")


def _item(kind: Item, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _count(uid: str) -> bytes:
    return struct.pack(">H", len(uid)) + uid.encode()


def _invalid(message: str) -> ProtocolViolation:
    return ProtocolViolation(AbortReason.INVALID_PARAMETER, message)
