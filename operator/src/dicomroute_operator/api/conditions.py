"""Condition types and the reasons they may carry, each with what it means: the source of docs/conditions.md."""

from enum import Enum
from typing import Self


class Reason(Enum):
    """The reasons of one condition type. The class's doc string says what the condition is about."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        """Make a reason of its word and its meaning."""
        member = object.__new__(cls)
        member._value_ = word
        member.meaning = meaning
        return member

    @property
    def condition_type(self) -> str:
        """The type of the condition that carries this reason."""
        return type(self).__name__

    def __str__(self) -> str:
        return str(self.value)


class Accepted(Reason):
    """The manifest contradicts neither itself nor the objects that it names."""

    ACCEPTED = ("Accepted", "Nothing contradicts anything.")
    SOURCE_ADDRESS_HIDDEN = (
        "SourceAddressHidden",
        "A node may call from certain networks alone, and the Service hides the address of its callers: "
        "set externalTrafficPolicy: Local.",
    )
    ALLOWED_SOURCES_BYPASSED = (
        "AllowedSourcesBypassed",
        "Two nodes of one listener call with the same AE title, one from certain networks and one from anywhere, so "
        "that the networks protect nothing: give them different titles or the same restriction.",
    )
    SERVICE_PORT_CONFLICT = (
        "ServicePortConflict",
        "The Service would publish two listeners on one port, one of them by gateway.service.ports: give each its own.",
    )
    RULE_UNREACHABLE = (
        "RuleUnreachable",
        "With ruleMatching: First a rule without a condition takes everything, so that those behind it never apply: "
        "move it to the end.",
    )


class ResolvedRefs(Reason):
    """Every object that the manifest names exists. While one is missing, what is meant for it waits."""

    RESOLVED_REFS = ("ResolvedRefs", "All that is named exists.")
    NODE_NOT_FOUND = (
        "NodeNotFound",
        "A listener names a DicomNode that does not exist: create it, or correct the name.",
    )
    NO_NODE_SELECTED = (
        "NoNodeSelected",
        "A listener's selector chooses no DicomNode, and it names none, so that nobody may associate: label one.",
    )
    TARGET_NOT_FOUND = (
        "TargetNotFound",
        "A rule names a CloudTarget that does not exist: create it, or correct the name. Its deliveries are Held.",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        "A target's credential names a Secret that does not exist: create it. Its deliveries wait.",
    )
    SECRET_KEY_MISSING = (
        "SecretKeyMissing",
        "A target's credential names a key that its Secret does not have: add it. Its deliveries wait.",
    )


class CredentialsInClear(Reason):
    """A credential crosses a network unprotected. Present only while true."""

    PLAIN_HTTP = (
        "PlainHTTP",
        "The target's URL begins with http:// and requests carry a password: use https://, or keep the path between "
        "gateway and target on one trusted machine.",
    )


CONDITIONS: tuple[tuple[type[Reason], tuple[str, ...]], ...] = (
    (Accepted, ("DicomRoute", "DicomNode", "CloudTarget")),
    (ResolvedRefs, ("DicomRoute",)),
    (CredentialsInClear, ("CloudTarget",)),
)
"""Every condition type with the kinds that carry it."""

NEGATIVE: frozenset[type[Reason]] = frozenset((CredentialsInClear,))
"""Condition types that are present only while they are True, and then say that something is wrong."""
