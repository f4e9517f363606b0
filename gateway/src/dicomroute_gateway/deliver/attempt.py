"""What an attempt makes of a delivery. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from dicomroute_gateway.reasons import NoReason, Reason, recalled
from dicomroute_gateway.spool.records import Attempt, DeliveryRecord, DeliveryState, Received

from .outcome import AttemptOutcome, Verdict

EARLIER_ATTEMPTS: Final = 9
"""How many attempts before the last are remembered of each delivery."""

CONTENT: Final = frozenset((Verdict.REFUSED, Verdict.DOUBTFUL, Verdict.DUPLICATE, Verdict.CONFLICT))
"""Verdicts on the content of an instance."""


def after(
    delivery: DeliveryRecord,
    outcome: AttemptOutcome,
    stamp: float,
    alone: bool,
    content_attempts: int,
    *,
    is_its_own: bool = False,
    confirms: bool = False,
) -> DeliveryRecord:
    """Return the state of a delivery after an attempt with this outcome; what is sent is to be confirmed by some.

    Only a refusal of the content itself, of an instance sent alone, leads to a dead letter, and what fails alone in the
    same way while others pass (`is_its_own`): a definite one the second time, a doubtful one after `content_attempts`.
    """
    refused = alone and (outcome.verdict in CONTENT or is_its_own)
    refusals = delivery.refusals + refused
    state = DeliveryState.PENDING
    if outcome.verdict is Verdict.DELIVERED:
        state = DeliveryState.UNCONFIRMED if confirms else DeliveryState.DELIVERED
    elif outcome.verdict is Verdict.WITHHELD:
        state = DeliveryState.HELD
    elif refused and refusals >= (2 if outcome.verdict is Verdict.REFUSED else content_attempts):
        state = DeliveryState.DEAD_LETTERED
    return replace(
        delivery,
        state=state,
        attempts=delivery.attempts + 1,
        refusals=refusals,
        reason=outcome.reason,
        status=outcome.status,
        time=stamp,
        earlier=_earlier(delivery),
        may_have_arrived=delivery.may_have_arrived or outcome.may_have_arrived or state is DeliveryState.UNCONFIRMED,
    )


def held_back(delivery: DeliveryRecord, reason: Reason, stamp: float) -> DeliveryRecord:
    """Return the state of a delivery that is held before any attempt at it; `stamp` is in seconds since 1970."""
    return replace(
        delivery, state=DeliveryState.HELD, reason=reason, status=None, time=stamp, earlier=_earlier(delivery)
    )


def after_asking(
    delivery: DeliveryRecord, outcome: AttemptOutcome, stamp: float, content_attempts: int, *, is_over: bool
) -> DeliveryRecord | None:
    """Return the state of a delivery that was sent, once its destination said this of it; None: ask again.

    What the destination says that it does not have is a refusal of the content, and attempted again as such. Where it
    says nothing at all until the time is over (`is_over`), the delivery is attempted again, and that counts for
    nothing: an outage never leads to a dead letter.
    """
    if outcome.verdict in CONTENT:
        record = after(delivery, outcome, stamp, True, content_attempts)
    elif outcome.verdict is Verdict.DELIVERED or is_over:
        record = after(delivery, outcome, stamp, False, content_attempts)
    else:
        return None
    return replace(record, attempts=delivery.attempts, may_have_arrived=True)


def _earlier(delivery: DeliveryRecord) -> tuple[Attempt, ...]:
    if delivery.time is None:
        return delivery.earlier
    last = Attempt(delivery.time, delivery.reason, delivery.status)
    return (*delivery.earlier, last)[-EARLIER_ATTEMPTS:]


def is_our_own(received: Received, delivery: DeliveryRecord) -> bool:
    """Return whether what a destination has of this UID is what an earlier attempt brought there.

    It is when one was sent, and its answer was lost or did not name the instance. Of a later version nobody knows: the
    destination has the earlier one from us, too.
    """
    return delivery.may_have_arrived and not received.follows


def may_be_its_own(outcome: AttemptOutcome) -> bool:
    """Return whether a fault may be an instance's own: the destination answered, or broke off while it dealt with it.

    The statuses that say nothing of the instance are those of HTTP; none of a C-STORE that is a fault has their number.
    """
    if outcome.verdict is Verdict.PAUSE:
        return False
    if outcome.is_own or outcome.broke_off:
        return True
    return outcome.at_the_instance or outcome.status not in (None, 408, 425, 429, 503)


def content_may_be_the_cause(fault: AttemptOutcome) -> bool:
    """Return whether a fault may be for what an instance holds: what is in it breaks the one who deals with it."""
    return fault.verdict is Verdict.RETRY and (
        fault.broke_off or fault.at_the_instance or fault.reason in _AT_THE_CONTENT
    )


_AT_THE_CONTENT: Final = frozenset(
    (
        Reason.ANSWER_NAMES_NO_INSTANCE,
        Reason.ANSWER_WITHOUT_RESULT,
        Reason.NOT_IN_ANSWER,
        Reason.SERVER_ERROR,
        Reason.UNEXPECTED_STATUS,
    )
)


def apart(
    deliveries: Sequence[DeliveryRecord], faults: Mapping[int, AttemptOutcome], others: Reason | NoReason = ""
) -> list[AttemptOutcome]:
    """Return what becomes of a batch of which some cannot be sent: those as `faults` say, the others in smaller ones.

    `faults` are outcomes by their place in the batch. Of the others `others` is the reason, where the request had
    begun; where it had not, the reason of their last attempt.
    """

    def apart_from(delivery: DeliveryRecord) -> AttemptOutcome:
        return AttemptOutcome(Verdict.ALONE, others or recalled(delivery.reason) or Reason.NOT_SENT, delivery.status)

    return [faults.get(index) or apart_from(delivery) for index, delivery in enumerate(deliveries)]
