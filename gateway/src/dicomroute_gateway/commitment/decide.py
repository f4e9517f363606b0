"""Whether an instance is committed to: it is where the route promises that it is, with its identity. Pure.

| the newest version in the ledger | what is said |
|---|---|
| its SOP class is none that is stored here | 0122 |
| there is none; it was discarded, or dropped without a destination | 0112 |
| it has another SOP class | 0119 |
| delivered to every destination that counts, as it came or losslessly in another syntax, and confirmed | committed |
| a destination that counts is not owed it; refused it, or was skipped; is sent it in another form | 0110 |
| pending, waiting for its study, in flight, held or unconfirmed at one | wait, and 0110 when the time is over |

Failure Reasons are those of PS3.3 C.14.1.1. A destination that counts is one that the route names for it; where it
names none, each that the rules named for the instance and that is required. An instance for which none counts is never
committed to.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from dicomroute_gateway.destination import Destination
from dicomroute_gateway.dimse.negotiation import is_storage_class
from dicomroute_gateway.dimse.storage_commitment import Reference
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, Received

DUPLICATE_ACCEPTED: Final = Reason.DUPLICATE_ACCEPTED
"""Reason of a delivery to a destination that has something else of the UID, with which the manifest is content."""


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of an instance that is not committed to (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    SOP_CLASS_NOT_SUPPORTED = 0x0122


class CommitmentVerdict(IntEnum):
    """What is said of an instance where it is no failure."""

    COMMITTED = 0
    WAITS = 1


@dataclass(frozen=True, slots=True)
class Known:
    """The newest version of an instance, as the ledger has it; one without deliveries and hold was discarded."""

    received: Received
    deliveries: Mapping[Destination, DeliveryRecord]
    hold: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """Which destinations count: those that are `named`, and where none is, all but the `optional` ones."""

    named: frozenset[Destination]
    optional: Collection[Destination] = ()

    def counted(self, known: Known) -> frozenset[Destination]:
        """Return the destinations that have to have an instance."""
        return self.named or frozenset(known.deliveries.keys() - set(self.optional))


def decide(reference: Reference, known: Known | None, promise: Promise) -> FailureReason | CommitmentVerdict:
    """Return what is said of an instance; `known` is its newest version."""
    if not is_storage_class(reference.sop_class_uid):
        return FailureReason.SOP_CLASS_NOT_SUPPORTED
    if known is None or not (known.deliveries or known.hold):
        return FailureReason.NO_SUCH_OBJECT_INSTANCE
    if known.received.sop_class_uid != reference.sop_class_uid:
        return FailureReason.CLASS_INSTANCE_CONFLICT
    if known.hold:
        return CommitmentVerdict.WAITS
    counted = promise.counted(known)
    verdicts = {_at(known.deliveries.get(destination)) for destination in counted}
    if not counted or FailureReason.PROCESSING_FAILURE in verdicts:
        return FailureReason.PROCESSING_FAILURE
    return CommitmentVerdict.WAITS if CommitmentVerdict.WAITS in verdicts else CommitmentVerdict.COMMITTED


def _at(delivery: DeliveryRecord | None) -> FailureReason | CommitmentVerdict:
    """Return what is said of one delivery."""
    if delivery is None or delivery.recipe:
        return FailureReason.PROCESSING_FAILURE
    match delivery.state:
        case DeliveryState.DELIVERED:
            reasons = {delivery.reason, *(attempt.reason for attempt in delivery.earlier)}
            return FailureReason.PROCESSING_FAILURE if DUPLICATE_ACCEPTED in reasons else CommitmentVerdict.COMMITTED
        case DeliveryState.PENDING | DeliveryState.WAITING | DeliveryState.UNCONFIRMED | DeliveryState.HELD:
            return CommitmentVerdict.WAITS
        case DeliveryState.SKIPPED | DeliveryState.DEAD_LETTERED:
            return FailureReason.PROCESSING_FAILURE
