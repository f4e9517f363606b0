"""The requestor's A-ASSOCIATE: contexts grouped, A-ASSOCIATE-RQ encoded, its answers decoded (PS3.8 9.3.2 to 9.3.4).

Each pair of abstract and transfer syntax is a context of its own, so that the acceptor says of each whether it
takes it: of several transfer syntaxes in one context it would choose one (PS3.8 9.3.3.2).
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from dicomroute_gateway.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

from .failures import AssociationRejected, ContextRefusal
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
from .negotiation import VERIFICATION, ProposedContext
from .stream import PDUType, encode_pdu

MOST_CONTEXTS: Final = 128
"""Identifiers are the odd numbers from 1 to 255 (PS3.8 table 9-13)."""
_USUAL_MAX_PDU_BYTES: Final = 16_384
"""For a peer that leaves out what it takes, though the sub-item is mandatory: what every one takes."""
_PROTOCOL_VERSION: Final = 1
_CONTEXT_HEAD_BYTES: Final = 4
_MOST_UID_BYTES: Final = 64
_REFUSALS: Final = {
    1: ContextRefusal.USER_REJECTION,
    2: ContextRefusal.NO_REASON,
    3: ContextRefusal.ABSTRACT_SYNTAX_NOT_SUPPORTED,
    4: ContextRefusal.TRANSFER_SYNTAXES_NOT_SUPPORTED,
}


class Syntaxes(NamedTuple):
    """What a data set is and how it is encoded: SOP class UID and transfer syntax UID."""

    abstract_syntax: str
    transfer_syntax: str


NOTHING: Final[Mapping[str, tuple[bool, bool]]] = {}
VERIFYING: Final = Syntaxes(VERIFICATION, "1.2.840.10008.1.2")
"""The context of a C-ECHO."""


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """An A-ASSOCIATE-AC: of each proposed pair its context identifier, or why it has none to send in.

    `max_pdu_bytes` 0 is without limit.
    """

    contexts: Mapping[Syntaxes, int | ContextRefusal]
    max_pdu_bytes: int
    implementation_class_uid: str
    implementation_version_name: str


def group_contexts(wanted: Iterable[Syntaxes]) -> list[tuple[ProposedContext, ...]]:
    """Return what to propose on each association so that everything wanted can be sent: once each, in this order."""
    pairs = list(dict.fromkeys(wanted))
    return [
        tuple(
            ProposedContext(2 * index + 1, pair.abstract_syntax, (pair.transfer_syntax,))
            for index, pair in enumerate(pairs[start : start + MOST_CONTEXTS])
        )
        for start in range(0, len(pairs), MOST_CONTEXTS)
    ]


def encode_associate_request(
    calling_ae_title: str,
    called_ae_title: str,
    contexts: Sequence[ProposedContext],
    max_pdu_bytes: int,
    roles: Mapping[str, tuple[bool, bool]] = NOTHING,
) -> bytes:
    """Return an A-ASSOCIATE-RQ; `max_pdu_bytes` is the longest P-DATA-TF that this side takes.

    `roles` are whether this side is SCU and SCP of a SOP class, where it is not the SCU alone (PS3.7 D.3.3.4). Without
    an asynchronous operations window one operation is under way at a time (PS3.7 annex D.3.3.3).
    """
    items = [encode_item(ItemType.APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode())]
    for context in contexts:
        value = bytes((context.context_id, 0, 0, 0))
        value += encode_item(ItemType.ABSTRACT_SYNTAX, context.abstract_syntax.encode())
        for transfer_syntax in context.transfer_syntaxes:
            value += encode_item(ItemType.TRANSFER_SYNTAX, transfer_syntax.encode())
        items.append(encode_item(ItemType.PRESENTATION_CONTEXT_RQ, value))
    user = (
        encode_item(ItemType.MAXIMUM_LENGTH, struct.pack(">I", max_pdu_bytes))
        + encode_item(ItemType.IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS_UID.encode())
        + b"".join(encode_role(uid, role) for uid, role in roles.items())
        + encode_item(ItemType.IMPLEMENTATION_VERSION_NAME, IMPLEMENTATION_VERSION_NAME.encode())
    )
    items.append(encode_item(ItemType.USER_INFORMATION, user))
    fixed = struct.pack(">HH", _PROTOCOL_VERSION, 0) + _title(called_ae_title) + _title(calling_ae_title) + bytes(32)
    return encode_pdu(PDUType.ASSOCIATE_RQ, fixed + b"".join(items))


def decode_associate_accept(body: bytes, proposed: Sequence[ProposedContext]) -> AssociateAccept:
    """Return the A-ASSOCIATE-AC in `body`, the PDU without its six header bytes, as the answer to `proposed`.

    Whoever accepts is taken as he is: what does not fit is left out, and a context without an answer is not accepted.
    Titles and reserved bytes are not looked at (PS3.8 table 9-17). Raises ProtocolViolation for one that is too short.
    """
    if len(body) < FIXED_BYTES:
        raise invalid(f"an A-ASSOCIATE-AC of {len(body)} bytes; the fixed part alone has {FIXED_BYTES}")
    answers: dict[int, tuple[int, str]] = {}
    user_information = b""
    for kind, value in decode_whole_items(body[FIXED_BYTES:]):
        if kind == ItemType.PRESENTATION_CONTEXT_AC and len(value) >= _CONTEXT_HEAD_BYTES:
            identifier, result, transfer_syntax = _answer(value)
            answers[identifier] = (result, transfer_syntax)
        elif kind == ItemType.USER_INFORMATION:
            user_information = value
    if not answers:
        list(decode_items(body[FIXED_BYTES:]))  # what is no acceptance at all is not taken for one that accepts nothing
    maximum, class_uid, version_name = _USUAL_MAX_PDU_BYTES, "", ""
    for kind, value in decode_whole_items(user_information):
        if kind == ItemType.MAXIMUM_LENGTH:
            said = decode_maximum_length(value)
            maximum = maximum if said is None else said
        elif kind == ItemType.IMPLEMENTATION_CLASS_UID:
            class_uid = decode_uid(value[:_MOST_UID_BYTES])
        elif kind == ItemType.IMPLEMENTATION_VERSION_NAME:
            version_name = value[:16].strip(b" \0").decode("ascii", "backslashreplace")
    contexts: dict[Syntaxes, int | ContextRefusal] = {}
    for context in proposed:
        for transfer_syntax in context.transfer_syntaxes:
            pair = Syntaxes(context.abstract_syntax, transfer_syntax)
            contexts[pair] = _usable(context.context_id, transfer_syntax, answers.get(context.context_id))
    return AssociateAccept(contexts, maximum, class_uid, version_name)


def decode_associate_reject(body: bytes) -> AssociationRejected:
    """Return the A-ASSOCIATE-RJ in `body` (PS3.8 table 9-21).

    Raises ProtocolViolation when it has not the four bytes of one.
    """
    if len(body) != 4:
        raise invalid(f"an A-ASSOCIATE-RJ of {len(body)} bytes")
    return AssociationRejected(result=body[1], source=body[2], diagnostic=body[3])


def _usable(identifier: int, transfer_syntax: str, answer: tuple[int, str] | None) -> int | ContextRefusal:
    if answer is None:
        return ContextRefusal.NOT_ANSWERED
    result, accepted = answer
    if result:
        return _REFUSALS.get(result, ContextRefusal.NO_REASON)
    return identifier if accepted == transfer_syntax else ContextRefusal.OTHER_TRANSFER_SYNTAX


def _answer(value: bytes) -> tuple[int, int, str]:
    identifier, result = value[0], value[2]
    if result:
        return identifier, result, ""  # the transfer syntax beside a refusal is not significant (PS3.8 table 9-18)
    rest = decode_whole_items(value[_CONTEXT_HEAD_BYTES:])
    syntaxes = [decode_uid(uid) for kind, uid in rest if kind == ItemType.TRANSFER_SYNTAX]
    return identifier, result, syntaxes[0] if syntaxes else ""


def _title(text: str) -> bytes:
    """Return an AE title in its field of 16 bytes (PS3.8 table 9-11)."""
    return text.encode("ascii", "replace")[:16].ljust(16)
