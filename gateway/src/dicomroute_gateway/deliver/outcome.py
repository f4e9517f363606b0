"""What an attempt means for an instance. Pure."""

from dataclasses import dataclass
from enum import Enum

from dicomroute_gateway.reasons import Reason


class Verdict(Enum):
    """What is to be done with an instance after an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """Not the instance's fault, or nobody knows: try again, for ever."""
    ALONE = "alone"
    """Refused as part of a batch: try again in halves and at last alone, so that the refusal says whom it means."""
    REFUSED = "refused"
    """The content was refused for a reason that will not change."""
    DOUBTFUL = "doubtful"
    """The content was refused for a reason that may pass."""
    DUPLICATE = "duplicate"
    """The destination has an instance of this UID: what is made of it is the target's `onDuplicate`."""
    CONFLICT = "conflict"
    """The content was refused, perhaps because the destination has another of this UID: look whether it has."""
    WITHHELD = "withheld"
    """What was promised to the destination cannot be made of it: hold it, and send nothing else."""
    PAUSE = "pause"
    """The destination takes nothing as it is configured: wait for a change, try again now and then."""


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """The verdict on one instance; `reason` and `status` are what a person is shown of it.

    `warning` is the Warning Reason (0008,1196) of an instance that was stored all the same. `is_own`: whatever the
    verdict, the destination answers, and it says nothing of other instances. `broke_off`: no answer came, of a
    destination that had begun to take the request. `at_the_instance`: it failed while the destination dealt with the
    instance. `may_have_arrived`: the destination may have the instance all the same, and a duplicate is our own.
    """

    verdict: Verdict
    reason: Reason
    status: int | None = None
    warning: int | None = None
    is_own: bool = False
    broke_off: bool = False
    at_the_instance: bool = False
    may_have_arrived: bool = False
