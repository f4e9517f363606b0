"""What can keep a requestor from an answer: each failure by its type, with a reason to count and a sentence to show."""

from enum import Enum
from typing import Final

from dicomroute_gateway.reasons import Reason


class ContextRefusal(Enum):
    """Why nothing can be sent in a presentation context (PS3.8 table 9-18; the last three are our own findings)."""

    USER_REJECTION = Reason.USER_REJECTION
    NO_REASON = Reason.NO_REASON
    ABSTRACT_SYNTAX_NOT_SUPPORTED = Reason.ABSTRACT_SYNTAX_NOT_SUPPORTED
    TRANSFER_SYNTAXES_NOT_SUPPORTED = Reason.TRANSFER_SYNTAXES_NOT_SUPPORTED
    NOT_ANSWERED = Reason.NOT_ANSWERED
    """The A-ASSOCIATE-AC says nothing of it."""
    OTHER_TRANSFER_SYNTAX = Reason.OTHER_TRANSFER_SYNTAX
    """Accepted with a transfer syntax that was not proposed, in which nothing may be sent (PS3.8 9.3.3.2)."""
    NOT_PROPOSED = Reason.NOT_PROPOSED
    """This association was opened without it."""


class RequestorFailure(Exception):
    """No response came, or nothing could be sent. The message is a sentence, without patient data."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def note_request_was_sent(self) -> None:
        """Put into the reason that the whole request had gone out: the peer may have done what it asks."""
        self.reason = AFTER_REQUEST.get(self.reason, self.reason)


class NotConnected(RequestorFailure):
    """There is no connection: DNSFailed, ConnectionRefused, ConnectTimedOut or ConnectionFailed."""


class AssociationRejected(RequestorFailure):
    """An A-ASSOCIATE-RJ, with result, source and reason as the peer gave them (PS3.8 table 9-21)."""

    def __init__(self, result: int, source: int, diagnostic: int) -> None:
        self.result, self.source, self.diagnostic = result, source, diagnostic
        reason, why = _REJECTIONS.get((source, diagnostic), (Reason.ASSOCIATION_REJECTED, "gives no known reason"))
        how = "for now" if self.is_transient else "for good"
        numbers = f"result {result}, source {source}, reason {diagnostic}"
        super().__init__(reason, f"the peer rejects the association {how}: it {why} (A-ASSOCIATE-RJ: {numbers})")

    @property
    def is_transient(self) -> bool:
        """Whether the peer says that the same request may be accepted later."""
        return self.result == _TRANSIENT


class AssociationAborted(RequestorFailure):
    """An A-ABORT of the peer: source 0 is its application, 2 its DICOM library (PS3.8 table 9-26)."""

    def __init__(self, source: int, diagnostic: int, during: str) -> None:
        self.source, self.diagnostic = source, diagnostic
        numbers = f"A-ABORT: source {source}, reason {diagnostic}"
        super().__init__(
            Reason.ABORTED_BY_PEER, f"the peer aborted the association {during} ({numbers}): its log says why"
        )


class AssociationReleased(RequestorFailure):
    """The peer asked to release the association and got its answer."""

    def __init__(self, during: str) -> None:
        super().__init__(Reason.RELEASED_BY_PEER, f"the peer released the association {during}")


class ConnectionLost(RequestorFailure):
    """The connection ended without a word."""

    def __init__(self, during: str) -> None:
        super().__init__(Reason.CONNECTION_LOST, f"the peer closed the connection {during}")


class TimedOut(RequestorFailure):
    """The peer did not do what was asked of it in time: AssociationTimedOut, SendStalled or ResponseTimedOut."""


class Interrupted(RequestorFailure):
    """Another thread of this gateway ended the association."""

    def __init__(self) -> None:
        super().__init__(
            Reason.INTERRUPTED, "the gateway ended the association, because it shuts down or the destination changed"
        )


class PeerViolation(RequestorFailure):
    """The peer sent what the standard does not allow here, and the association was aborted."""

    def __init__(self, message: str, reason: Reason = Reason.PROTOCOL_VIOLATION) -> None:
        super().__init__(reason, message)


class ContextRefused(RequestorFailure):
    """An instance cannot be sent on this association, because its presentation context was not accepted."""

    def __init__(self, refusal: ContextRefusal, abstract_syntax: str, transfer_syntax: str) -> None:
        self.refusal = refusal
        what = f"SOP class {abstract_syntax} in transfer syntax {transfer_syntax}"
        super().__init__(refusal.value, f"the peer does not accept {what}: {_CONTEXTS[refusal]}")


class SourceFailed(RequestorFailure):
    """Our own bytes could not be read, or are not as many as they should be; the peer is not at fault."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.SPOOL_UNREADABLE, message)


AFTER_REQUEST: Final = {
    Reason.ABORTED_BY_PEER: Reason.ABORTED_BY_PEER_AFTER_REQUEST,
    Reason.RELEASED_BY_PEER: Reason.RELEASED_BY_PEER_AFTER_REQUEST,
    Reason.CONNECTION_LOST: Reason.CONNECTION_LOST_AFTER_REQUEST,
    Reason.INTERRUPTED: Reason.INTERRUPTED_AFTER_REQUEST,
    Reason.PROTOCOL_VIOLATION: Reason.PROTOCOL_VIOLATION_AFTER_REQUEST,
    Reason.UNEXPECTED_RESPONSE: Reason.UNEXPECTED_RESPONSE_AFTER_REQUEST,
}
"""Reasons of failures before a whole request was sent, and what they become after that."""

_TRANSIENT: Final = 2

_REJECTIONS: Final = {
    (1, 1): (Reason.ASSOCIATION_REJECTED, "gives no reason; its log may"),
    (1, 2): (Reason.APPLICATION_CONTEXT_NOT_SUPPORTED, "does not support the DICOM application context"),
    (1, 3): (Reason.CALLING_AE_TITLE_NOT_RECOGNIZED, "does not know our AE title: add the calling AE title there"),
    (1, 7): (Reason.CALLED_AE_TITLE_NOT_RECOGNIZED, "has another AE title: correct the called AE title here"),
    (2, 1): (Reason.ASSOCIATION_REJECTED, "gives no reason; its log may"),
    (2, 2): (Reason.PROTOCOL_VERSION_NOT_SUPPORTED, "does not support version 1 of the upper layer protocol"),
    (3, 1): (Reason.TEMPORARY_CONGESTION, "is congested"),
    (3, 2): (
        Reason.LOCAL_LIMIT_EXCEEDED,
        "has reached its limit of associations: raise that limit, or use fewer associations",
    ),
}
"""Reason and clause by source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

_CONTEXTS: Final = {
    ContextRefusal.USER_REJECTION: "it refused the presentation context",
    ContextRefusal.NO_REASON: "it refused the presentation context without a reason",
    ContextRefusal.ABSTRACT_SYNTAX_NOT_SUPPORTED: "it does not support the SOP class",
    ContextRefusal.TRANSFER_SYNTAXES_NOT_SUPPORTED: "it does not support the transfer syntax for this SOP class",
    ContextRefusal.NOT_ANSWERED: "it left the presentation context out of its A-ASSOCIATE-AC, against the standard",
    ContextRefusal.OTHER_TRANSFER_SYNTAX: "it accepted a transfer syntax that was not proposed, against the standard",
    ContextRefusal.NOT_PROPOSED: "the association was opened without that presentation context",
}
