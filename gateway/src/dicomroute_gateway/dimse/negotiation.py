"""Presentation context negotiation: which abstract and transfer syntaxes this gateway accepts (PS3.8 9.3.3)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from pydicom._uid_dict import UID_dictionary
from pynetdicom.sop_class import _STORAGE_CLASSES as _STORAGE_CLASSES_OF_PYNETDICOM

_UID: Final = re.compile(r"(?!.{65})[0-9]+(?:\.[0-9]+)*")
VERIFICATION: Final = "1.2.840.10008.1.1"
MAX_UID: Final = 64
"""How many characters of a UID that a peer sent are shown: it has no more (PS3.5 9.1), whatever came."""
_MOST_NAMED: Final = 8
"""How many abstract syntaxes that were refused are named."""

UNCOMPRESSED: Final = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.1.98",  # Encapsulated Uncompressed Explicit VR Little Endian
)
LOSSLESS: Final = frozenset(
    (
        "1.2.840.10008.1.2.5",  # RLE Lossless
        "1.2.840.10008.1.2.8.1",  # Deflated Image Frame Compression
        "1.2.840.10008.1.2.4.57",  # JPEG Lossless, process 14
        "1.2.840.10008.1.2.4.58",  # JPEG Lossless, process 15 (retired)
        "1.2.840.10008.1.2.4.65",  # JPEG Lossless, process 28 (retired)
        "1.2.840.10008.1.2.4.66",  # JPEG Lossless, process 29 (retired)
        "1.2.840.10008.1.2.4.70",  # JPEG Lossless, process 14, selection value 1
        "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless Only
        "1.2.840.10008.1.2.4.92",  # JPEG 2000 Part 2 Multi-component Lossless Only
        "1.2.840.10008.1.2.4.110",  # JPEG XL Lossless
        "1.2.840.10008.1.2.4.201",  # High-Throughput JPEG 2000 Lossless Only
        "1.2.840.10008.1.2.4.202",  # High-Throughput JPEG 2000 with RPCL Options Lossless Only
    )
)
_NOT_FOR_STORAGE: Final = frozenset(
    (
        "1.2.840.10008.1.2.6.1",  # RFC 2557 MIME encapsulation
        "1.2.840.10008.1.2.6.2",  # XML Encoding
        "1.2.840.10008.1.2.7.1",  # SMPTE ST 2110: real-time streams, not data sets (PS3.22)
        "1.2.840.10008.1.2.7.2",
        "1.2.840.10008.1.2.7.3",
        "1.2.840.10008.1.20",  # Papyrus 3 Implicit VR Little Endian
    )
)
TRANSFER_SYNTAXES: Final = frozenset(
    uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax" and uid not in _NOT_FOR_STORAGE
)
STORAGE_CLASSES: Final = frozenset(
    # pydicom's dictionary has the retired classes, pynetdicom's the newest ones.
    [
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and "Storage Commitment" not in name
    ]
    + list(_STORAGE_CLASSES_OF_PYNETDICOM.values())
) - {"1.2.840.10008.1.3.10"}  # Media Storage Directory: lives in files, never on an association (PS3.4 B.5)


class ContextResult(IntEnum):
    """Result of a presentation context (PS3.8 table 9-18)."""

    ACCEPTANCE = 0
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context as the requestor proposes it."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NegotiatedContext:
    """The answer to a proposed context; `transfer_syntax` is the accepted one, or the first when refused."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    result: ContextResult

    @classmethod
    def answering(cls, proposed: ProposedContext, chosen: str | None, result: ContextResult) -> Self:
        """Return the answer to a proposed context."""
        first = proposed.transfer_syntaxes[0] if proposed.transfer_syntaxes else UNCOMPRESSED[1]
        return cls(proposed.context_id, proposed.abstract_syntax, chosen or first, result)


def is_storage_class(uid: str) -> bool:
    """Return whether instances of this SOP class are stored with C-STORE.

    All Storage SOP Classes of the standard, retired ones included, and every private SOP class: what a vendor
    defines under its own root says nothing of its service, and a context costs nothing until it is used.
    """
    return uid in STORAGE_CLASSES or bool(_UID.fullmatch(uid) and not uid.startswith("1.2.840.10008."))


def name_of(uid: str) -> str:
    """Return the name that the standard gives a UID, "" for one that it does not have."""
    entry = UID_dictionary.get(uid)
    return entry[0] if entry else ""


def abstract_syntaxes_of(contexts: Sequence[NegotiatedContext]) -> tuple[str, ...]:
    """Return the abstract syntaxes of refused contexts, each once; at most some of them."""
    return tuple(dict.fromkeys(context.abstract_syntax[:MAX_UID] for context in contexts))[:_MOST_NAMED]


def described_contexts(contexts: Sequence[NegotiatedContext]) -> list[str]:
    """Return the abstract syntaxes of refused contexts with their names, each once, and why; at most some of them."""
    named = {
        context.abstract_syntax: f"{context.abstract_syntax[:MAX_UID]} {name_of(context.abstract_syntax)}".rstrip()
        + (" (no transfer syntax)" if context.result is ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED else "")
        for context in contexts
    }
    return list(named.values())[:_MOST_NAMED]


def uncompressed_of(proposed: Sequence[str]) -> str | None:
    """Return the uncompressed syntax to accept of those proposed, or None."""
    return next((uid for uid in UNCOMPRESSED if uid in proposed), None)


def choose_transfer_syntax(proposed: Sequence[str]) -> str | None:
    """Return the syntax to accept of those proposed in one context, or None.

    The first one proposed if it is a lossless compressed one, which is then what the sender has; else, in this order,
    Explicit VR Little Endian, Implicit VR Little Endian, Deflated, Big Endian, as many senders propose more than they
    can make; else the first lossless one. A lossy one only where nothing else is in the context, so that no sender is
    led to compress lossily what it has in full quality (docs/adr/0003-association-layer.md).
    """
    usable = [uid for uid in proposed if uid in TRANSFER_SYNTAXES]
    if usable and usable[0] in LOSSLESS:
        return usable[0]
    uncompressed = uncompressed_of(usable)
    lossless = next((uid for uid in usable if uid in LOSSLESS), None)
    return uncompressed or lossless or next(iter(usable), None)
