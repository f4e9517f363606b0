"""The A-ASSOCIATE PDUs: A-ASSOCIATE-RQ decoded, A-ASSOCIATE-AC and -RJ encoded (PS3.8 9.3.2 to 9.3.4, annex D).

Own code, because every peer's first bytes pass here: each length is checked against what encloses it, and
128 proposed contexts take a fraction of a millisecond (docs/adr/0003-association-layer.md).
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from dicomroute_gateway.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

from .items import (
    APPLICATION_CONTEXT,
    FIXED_BYTES,
    ItemType,
    decode_items,
    decode_maximum_length,
    decode_uid,
    decode_whole_items,
    encode_item,
    encode_role,
    invalid,
)
from .negotiation import NegotiatedContext, ProposedContext
from .stream import PDUType, encode_pdu

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


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
    extended: tuple[tuple[str, bytes], ...]
    """SOP class UID and service class application information of each extended negotiation that is proposed."""
    echoed: bytes
    """Both titles and the reserved bytes behind them as they came, to be sent back unchanged (PS3.8 table 9-17)."""


def decode_associate_request(body: bytes) -> AssociateRequest:
    """Return the A-ASSOCIATE-RQ in `body`, the PDU without its six header bytes.

    Raises ProtocolViolation when an item does not fit what encloses it or there is no presentation context. Of the user
    information, of which nothing is needed, what does not fit is left out.
    """
    if len(body) < FIXED_BYTES:
        raise invalid(f"an A-ASSOCIATE-RQ of {len(body)} bytes; the fixed part alone has {FIXED_BYTES}")
    (version,) = struct.unpack_from(">H", body)
    application_context = ""
    contexts: list[ProposedContext] = []
    user_information = b""
    for kind, value in decode_items(body[FIXED_BYTES:]):
        if kind == ItemType.APPLICATION_CONTEXT:
            application_context = decode_uid(value)
        elif kind == ItemType.PRESENTATION_CONTEXT_RQ:
            contexts.append(_context(value))
        elif kind == ItemType.USER_INFORMATION:
            user_information = value
    if not contexts:
        raise invalid("an A-ASSOCIATE-RQ needs a presentation context")
    identifiers = [context.context_id for context in contexts]
    if len(set(identifiers)) != len(identifiers):
        raise invalid("two presentation contexts have one identifier")
    maximum, window = 0, False
    roles: list[tuple[str, bool, bool]] = []
    extended: list[tuple[str, bytes]] = []
    for kind, value in decode_whole_items(user_information):
        if kind == ItemType.MAXIMUM_LENGTH:
            maximum = decode_maximum_length(value) or 0
        elif kind == ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW:
            window = True
        elif kind == ItemType.ROLE_SELECTION:
            uid, rest = _counted_uid(value)
            if uid and len(rest) == 2:
                roles.append((uid, bool(rest[0]), bool(rest[1])))
        elif kind == ItemType.EXTENDED_NEGOTIATION:
            uid, information = _counted_uid(value)
            if uid:
                extended.append((uid, information))
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
        echoed=body[4:FIXED_BYTES],
    )


def encode_associate_accept(
    request: AssociateRequest,
    contexts: Sequence[NegotiatedContext],
    max_pdu_bytes: int,
    *,
    roles: Mapping[str, tuple[bool, bool]] = NOTHING,
    extended: Mapping[str, bytes] = NOTHING,
) -> bytes:
    """Return the A-ASSOCIATE-AC to `request`, with what is answered to roles and extended negotiation by SOP class.

    An asynchronous operations window is answered with 1/1.
    """
    user = [encode_item(ItemType.MAXIMUM_LENGTH, struct.pack(">I", max_pdu_bytes))]
    user.append(encode_item(ItemType.IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS_UID.encode()))
    if request.proposes_window:
        user.append(encode_item(ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW, struct.pack(">HH", 1, 1)))
    for uid, role in roles.items():
        user.append(encode_role(uid, role))
    user.append(encode_item(ItemType.IMPLEMENTATION_VERSION_NAME, IMPLEMENTATION_VERSION_NAME.encode()))
    for uid, information in extended.items():
        user.append(encode_item(ItemType.EXTENDED_NEGOTIATION, _count(uid) + information))
    items = [encode_item(ItemType.APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode())]
    for context in contexts:
        transfer_syntax = encode_item(ItemType.TRANSFER_SYNTAX, context.transfer_syntax.encode())
        head = bytes((context.context_id, 0, context.result, 0))
        items.append(encode_item(ItemType.PRESENTATION_CONTEXT_AC, head + transfer_syntax))
    items.append(encode_item(ItemType.USER_INFORMATION, b"".join(user)))
    fixed = struct.pack(">HH", 1, 0) + request.echoed
    return encode_pdu(PDUType.ASSOCIATE_AC, fixed + b"".join(items))


def encode_associate_reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return encode_pdu(PDUType.ASSOCIATE_RJ, bytes((0, result, source, reason)))


def _context(data: bytes) -> ProposedContext:
    if len(data) < 4:
        raise invalid("a presentation context is cut off")
    identifier = data[0]
    if identifier % 2 == 0:
        raise invalid(f"presentation context identifier {identifier} is not odd")
    abstract_syntax = ""
    transfer_syntaxes: list[str] = []
    for kind, value in decode_items(data[4:]):
        if kind == ItemType.ABSTRACT_SYNTAX:
            if abstract_syntax:
                raise invalid("a presentation context has two abstract syntaxes")
            abstract_syntax = decode_uid(value)
        elif kind == ItemType.TRANSFER_SYNTAX:
            transfer_syntaxes.append(decode_uid(value))
    return ProposedContext(identifier, abstract_syntax, tuple(transfer_syntaxes))


def _counted_uid(value: bytes) -> tuple[str, bytes]:
    """Return a UID that its length precedes, and what is behind it; "" where it does not fit."""
    length = int.from_bytes(value[:2], "big")
    if len(value) < 2 + length:
        return "", b""
    return decode_uid(value[2 : 2 + length]), value[2 + length :]


def _title(field: bytes) -> str:
    return field.strip(b" \0").decode("ascii", "backslashreplace")


def _count(uid: str) -> bytes:
    return struct.pack(">H", len(uid)) + uid.encode()
