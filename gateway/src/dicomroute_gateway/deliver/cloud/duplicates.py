"""What is made of an instance of whose UID the destination has one already: the target's `onDuplicate`. Pure.

| | our own earlier attempt | AcceptIdentical | Overwrite | Accept | Fail |
|---|---|---|---|---|---|
| "exists" | delivered | compare | overwrite | delivered | refused |
| a conflict that may be one | compare | compare | overwrite | compare | compare |
| "stored", of a later version | compare | compare | compare | delivered | compare |

The last row is for servers that keep the first and answer with success.
"""

from enum import Enum

from dicomroute_gateway.configuration.destinations import OnDuplicate
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.reasons import Reason


class NextStep(Enum):
    """What has to be done at the destination before an outcome is known."""

    COMPARE = "compare"
    OVERWRITE = "overwrite"


class Found(Enum):
    """What a comparison with the destination's instance found."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """It could not be compared."""


def settle(outcome: AttemptOutcome, policy: OnDuplicate, *, own: bool, follows: bool) -> AttemptOutcome | NextStep:
    """Return the outcome of an answer, or what has to be done to know it.

    `own`: the destination has the instance from an earlier attempt. `follows`: it is a later version of an instance
    that was in the spool, so that the destination may have kept the earlier one.
    """
    if outcome.verdict is Verdict.DELIVERED:
        return NextStep.COMPARE if follows and policy is not OnDuplicate.ACCEPT else outcome
    if outcome.verdict is Verdict.CONFLICT:
        return NextStep.OVERWRITE if policy is OnDuplicate.OVERWRITE else NextStep.COMPARE
    if outcome.verdict is not Verdict.DUPLICATE:
        return outcome
    if own:
        return AttemptOutcome(Verdict.DELIVERED, Reason.STORED_BEFORE, outcome.status)
    match policy:
        case OnDuplicate.ACCEPT:
            return _accepted(outcome)
        case OnDuplicate.FAIL:
            return _refused(outcome)
        case OnDuplicate.OVERWRITE:
            return NextStep.OVERWRITE
        case OnDuplicate.ACCEPT_IDENTICAL:
            return NextStep.COMPARE


def compared(
    outcome: AttemptOutcome, found: Found, policy: OnDuplicate, status: int | None
) -> AttemptOutcome | NextStep:
    """Return the outcome after a comparison that was answered with the HTTP status `status`."""
    if found is Found.UNKNOWN or (found is Found.ABSENT and outcome.verdict is not Verdict.CONFLICT):
        return (
            NextStep.OVERWRITE
            if policy is OnDuplicate.OVERWRITE
            else AttemptOutcome(Verdict.RETRY, Reason.CANNOT_COMPARE, status, is_own=True)
        )
    if found is Found.ABSENT:
        return AttemptOutcome(Verdict.DOUBTFUL, outcome.reason, outcome.status)
    if outcome.verdict is Verdict.CONFLICT and policy is OnDuplicate.FAIL:
        return _refused(outcome)
    if found is Found.IDENTICAL:
        return (
            outcome
            if outcome.verdict is Verdict.DELIVERED
            else AttemptOutcome(Verdict.DELIVERED, Reason.IDENTICAL, status)
        )
    match policy:
        case OnDuplicate.ACCEPT:
            return _accepted(outcome)
        case OnDuplicate.OVERWRITE:
            return NextStep.OVERWRITE
        case _:
            return AttemptOutcome(Verdict.REFUSED, Reason.DUPLICATE_DIFFERS, outcome.status)


def overwritten(outcome: AttemptOutcome) -> AttemptOutcome:
    """Return the outcome of an instance after the answer to what was to replace the destination's.

    Whatever it is but success, the destination may have either: an instance that exists then proves nothing.
    """
    match outcome.verdict:
        case Verdict.DELIVERED | Verdict.REFUSED | Verdict.DOUBTFUL:
            return outcome
        case Verdict.CONFLICT:
            return AttemptOutcome(Verdict.DOUBTFUL, outcome.reason, outcome.status)
        case _:
            return AttemptOutcome(Verdict.RETRY, Reason.OVERWRITE_FAILED, outcome.status, is_own=True)


def _accepted(outcome: AttemptOutcome) -> AttemptOutcome:
    return AttemptOutcome(Verdict.DELIVERED, Reason.DUPLICATE_ACCEPTED, outcome.status)


def _refused(outcome: AttemptOutcome) -> AttemptOutcome:
    return AttemptOutcome(Verdict.REFUSED, Reason.DUPLICATE_INSTANCE, outcome.status)
