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
from dicomroute_gateway.deliver.outcome import Outcome, Verdict
from dicomroute_gateway.reasons import Reason


class Step(Enum):
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


def settle(outcome: Outcome, policy: OnDuplicate, *, own: bool, follows: bool) -> Outcome | Step:
    """Return the outcome of an answer, or what has to be done to know it.

    `own`: the destination has the instance from an earlier attempt. `follows`: it is a later version of an instance
    that was in the spool, so that the destination may have kept the earlier one.
    """
    if outcome.verdict is Verdict.DELIVERED:
        return Step.COMPARE if follows and policy is not OnDuplicate.ACCEPT else outcome
    if outcome.verdict is Verdict.CONFLICT:
        return Step.OVERWRITE if policy is OnDuplicate.OVERWRITE else Step.COMPARE
    if outcome.verdict is not Verdict.DUPLICATE:
        return outcome
    if own:
        return Outcome(Verdict.DELIVERED, Reason.STORED_BEFORE, outcome.status)
    match policy:
        case OnDuplicate.ACCEPT:
            return _accepted(outcome)
        case OnDuplicate.FAIL:
            return _refused(outcome)
        case OnDuplicate.OVERWRITE:
            return Step.OVERWRITE
        case OnDuplicate.ACCEPT_IDENTICAL:
            return Step.COMPARE


def compared(outcome: Outcome, found: Found, policy: OnDuplicate, status: int | None) -> Outcome | Step:
    """Return the outcome after a comparison that was answered with the HTTP status `status`."""
    if found is Found.UNKNOWN or (found is Found.ABSENT and outcome.verdict is not Verdict.CONFLICT):
        return (
            Step.OVERWRITE
            if policy is OnDuplicate.OVERWRITE
            else Outcome(Verdict.RETRY, Reason.CANNOT_COMPARE, status, is_own=True)
        )
    if found is Found.ABSENT:
        return Outcome(Verdict.DOUBTFUL, outcome.reason, outcome.status)
    if outcome.verdict is Verdict.CONFLICT and policy is OnDuplicate.FAIL:
        return _refused(outcome)
    if found is Found.IDENTICAL:
        return outcome if outcome.verdict is Verdict.DELIVERED else Outcome(Verdict.DELIVERED, Reason.IDENTICAL, status)
    match policy:
        case OnDuplicate.ACCEPT:
            return _accepted(outcome)
        case OnDuplicate.OVERWRITE:
            return Step.OVERWRITE
        case _:
            return Outcome(Verdict.REFUSED, Reason.DUPLICATE_DIFFERS, outcome.status)


def overwritten(outcome: Outcome) -> Outcome:
    """Return the outcome of an instance after the answer to what was to replace the destination's.

    Whatever it is but success, the destination may have either: an instance that exists then proves nothing.
    """
    match outcome.verdict:
        case Verdict.DELIVERED | Verdict.REFUSED | Verdict.DOUBTFUL:
            return outcome
        case Verdict.CONFLICT:
            return Outcome(Verdict.DOUBTFUL, outcome.reason, outcome.status)
        case _:
            return Outcome(Verdict.RETRY, Reason.OVERWRITE_FAILED, outcome.status, is_own=True)


def _accepted(outcome: Outcome) -> Outcome:
    return Outcome(Verdict.DELIVERED, Reason.DUPLICATE_ACCEPTED, outcome.status)


def _refused(outcome: Outcome) -> Outcome:
    return Outcome(Verdict.REFUSED, Reason.DUPLICATE_INSTANCE, outcome.status)
