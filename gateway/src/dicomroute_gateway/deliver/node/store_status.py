"""What an attempt with C-STORE means for its instance (PS3.4 B.2.3, PS3.7 annex C, PS3.8 9.3.3 and 9.3.4). Pure.

A response speaks of its one instance. A failure without a response says nothing of it, but for a presentation context
that was refused: that is a refusal of all instances of that SOP class in that transfer syntax.
"""

from dataclasses import dataclass
from typing import Final

from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.dimse.failures import (
    AFTER_REQUEST,
    AssociationRejected,
    ContextRefusal,
    ContextRefused,
    RequestorFailure,
)
from dicomroute_gateway.reasons import Reason


@dataclass(frozen=True, slots=True)
class StoreJudgement:
    """The outcome of an attempt, and a sentence for a person, without patient data; "" for a plain success."""

    outcome: AttemptOutcome
    sentence: str = ""


_MAY_HAVE_ARRIVED: Final = frozenset((*AFTER_REQUEST.values(), Reason.RESPONSE_TIMED_OUT))
"""Reasons of attempts after which the destination may have the instance all the same: a duplicate is our own."""


_BROKEN_OFF: Final = {
    Reason.ABORTED_BY_PEER: Reason.ABORTED_BY_PEER_DURING_REQUEST,
    Reason.RELEASED_BY_PEER: Reason.RELEASED_BY_PEER_DURING_REQUEST,
    Reason.CONNECTION_LOST: Reason.CONNECTION_LOST_DURING_REQUEST,
    Reason.PROTOCOL_VIOLATION: Reason.PROTOCOL_VIOLATION_DURING_REQUEST,
    Reason.UNEXPECTED_RESPONSE: Reason.UNEXPECTED_RESPONSE_DURING_REQUEST,
}
"""Reasons why a request could not be sent to its end, and what they become, as an association may break too."""

_AT_AN_INSTANCE: Final = frozenset(
    (*AFTER_REQUEST.values(), Reason.RESPONSE_TIMED_OUT, Reason.SEND_STALLED, *_BROKEN_OFF.values())
)
"""Reasons of attempts that failed while the destination dealt with the instance: what breaks it may be in there."""


def of_status(status: int) -> StoreJudgement:
    """Return what the Status (0000,0900) of a C-STORE response means for the instance."""
    meaning = _STATUSES.get(status) or next((m for first, last, m in _RANGES if first <= status <= last), _UNKNOWN)
    verdict, reason, sentence = meaning
    return StoreJudgement(AttemptOutcome(verdict, reason, status), sentence)


def of_failure(failure: RequestorFailure, *, began: bool = False) -> StoreJudgement:
    """Return what it means for an instance that no response came, or that it could not be sent.

    `began` says that the association stood and the instance's request had begun. A rejection for good is one of our
    configuration or the peer's; everything else may pass.
    """
    if isinstance(failure, ContextRefused):
        verdict, reason = _CONTEXTS[failure.refusal]
        return StoreJudgement(AttemptOutcome(verdict, reason), str(failure))
    paused = isinstance(failure, AssociationRejected) and not failure.is_transient
    reason = _BROKEN_OFF.get(failure.reason, failure.reason) if began else failure.reason
    outcome = AttemptOutcome(
        Verdict.PAUSE if paused else Verdict.RETRY,
        reason,
        at_the_instance=reason in _AT_AN_INSTANCE,
        may_have_arrived=reason in _MAY_HAVE_ARRIVED,
    )
    return StoreJudgement(outcome, str(failure))


_Meaning = tuple[Verdict, Reason, str]

_UNKNOWN: Final[_Meaning] = (
    Verdict.DOUBTFUL,
    Reason.UNEXPECTED_STATUS,
    "the peer answered with an unknown status: its log says what it means",
)

_STATUSES: Final[dict[int, _Meaning]] = {
    # PS3.4 table B.2-1: success and warnings. What is coerced or discarded is the peer's policy.
    0x0000: (Verdict.DELIVERED, Reason.STORED, ""),
    0xB000: (
        Verdict.DELIVERED,
        Reason.DATA_ELEMENTS_COERCED,
        "the peer stored the instance, but changed data elements of it",
    ),
    0xB006: (Verdict.DELIVERED, Reason.ELEMENTS_DISCARDED, "the peer stored the instance without some of its elements"),
    0xB007: (
        Verdict.DELIVERED,
        Reason.STORED_THOUGH_NOT_OF_SOP_CLASS,
        "the peer stored the instance, but its data set does not match the SOP class",
    ),
    # PS3.7 annex C.5: failures of any operation.
    0x0105: (Verdict.DOUBTFUL, Reason.NO_SUCH_ATTRIBUTE, "the peer does not know an attribute of the instance"),
    0x0106: (
        Verdict.DOUBTFUL,
        Reason.INVALID_ATTRIBUTE_VALUE,
        "the peer refuses the value of an attribute of the instance",
    ),
    0x0110: (Verdict.DOUBTFUL, Reason.PROCESSING_FAILURE, "the peer failed to process the instance: its log says why"),
    0x0111: (Verdict.DUPLICATE, Reason.INSTANCE_EXISTS, "the peer already has an instance with this SOP Instance UID"),
    0x0112: (Verdict.DOUBTFUL, Reason.NO_SUCH_SOP_INSTANCE, "the peer looks up the instance instead of storing it"),
    0x0115: (Verdict.DOUBTFUL, Reason.INVALID_ARGUMENT_VALUE, "the peer refuses a value of the C-STORE request"),
    0x0117: (
        Verdict.REFUSED,
        Reason.INVALID_SOP_INSTANCE,
        "the peer reports that the SOP Instance UID is not valid",
    ),
    0x0118: (Verdict.REFUSED, Reason.NO_SUCH_SOP_CLASS, "the peer does not know the SOP class"),
    0x0119: (
        Verdict.REFUSED,
        Reason.CLASS_INSTANCE_CONFLICT,
        "the peer already has an instance with this UID in another SOP class",
    ),
    0x0120: (Verdict.DOUBTFUL, Reason.MISSING_ATTRIBUTE, "the instance lacks an attribute that the peer requires"),
    0x0121: (
        Verdict.DOUBTFUL,
        Reason.MISSING_ATTRIBUTE_VALUE,
        "the instance lacks the value of an attribute that the peer requires",
    ),
    0x0122: (Verdict.REFUSED, Reason.SOP_CLASS_NOT_SUPPORTED, "the peer does not support the SOP class"),
    0x0124: (
        Verdict.PAUSE,
        Reason.NOT_AUTHORIZED,
        "the peer does not allow our AE title to store: grant the permission there",
    ),
    0x0210: (
        Verdict.RETRY,
        Reason.DUPLICATE_INVOCATION,
        "the peer reports that the Message ID is still in use",
    ),
    0x0211: (
        Verdict.PAUSE,
        Reason.UNRECOGNIZED_OPERATION,
        "the peer accepted a storage context, but does not know C-STORE: it is not configured as a storage SCP",
    ),
    0x0212: (Verdict.DOUBTFUL, Reason.MISTYPED_ARGUMENT, "the peer refuses a parameter of the C-STORE request"),
    0x0213: (
        Verdict.RETRY,
        Reason.RESOURCE_LIMITATION,
        "the peer has reached a resource limit: free resources there",
    ),
    0xFE00: (Verdict.RETRY, Reason.CANCELLED, "the peer cancelled the operation without a request to cancel"),
}

_RANGES: Final[tuple[tuple[int, int, _Meaning], ...]] = (
    # PS3.4 table B.2-1; any other Bxxx is a warning too (PS3.7 annex C.4).
    (
        0xA700,
        0xA7FF,
        (Verdict.RETRY, Reason.OUT_OF_RESOURCES, "the peer has no room for the instance: free storage there"),
    ),
    (
        0xA900,
        0xA9FF,
        (
            Verdict.REFUSED,
            Reason.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
            "the peer reports that the data set does not match its SOP class",
        ),
    ),
    (
        0xB000,
        0xBFFF,
        (Verdict.DELIVERED, Reason.STORED_WITH_WARNING, "the peer stored the instance with a warning of its own"),
    ),
    (
        0xC000,
        0xCFFF,
        (Verdict.REFUSED, Reason.CANNOT_UNDERSTAND, "the peer cannot understand the data set: its log says why"),
    ),
)

_CONTEXTS: Final = {
    # PS3.8 table 9-18. A transfer syntax that is not taken keeps a reason of its own: the instance has other encodings.
    ContextRefusal.ABSTRACT_SYNTAX_NOT_SUPPORTED: (Verdict.REFUSED, Reason.SOP_CLASS_NOT_SUPPORTED),
    ContextRefusal.TRANSFER_SYNTAXES_NOT_SUPPORTED: (Verdict.REFUSED, Reason.TRANSFER_SYNTAX_NOT_SUPPORTED),
    ContextRefusal.USER_REJECTION: (Verdict.DOUBTFUL, Reason.CONTEXT_REJECTED),
    ContextRefusal.NO_REASON: (Verdict.DOUBTFUL, Reason.CONTEXT_REJECTED),
    ContextRefusal.NOT_ANSWERED: (Verdict.DOUBTFUL, Reason.CONTEXT_NOT_ANSWERED),
    ContextRefusal.OTHER_TRANSFER_SYNTAX: (Verdict.DOUBTFUL, Reason.TRANSFER_SYNTAX_NOT_PROPOSED),
    ContextRefusal.NOT_PROPOSED: (Verdict.RETRY, Reason.CONTEXT_NOT_PROPOSED),
}
