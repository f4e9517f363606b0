"""What a delivery becomes when its instance comes, comes again, or when its study is complete. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from dicomroute_gateway.destination import Destination
from dicomroute_gateway.reasons import Reason

from .records import AgainRecord, DeliveryRecord, DeliveryState, Received, Release, StudyRecord

OVER_QUOTA: Final = Reason.OVER_QUOTA
"""Reason of a delivery that was skipped because an optional destination is owed as much as it may be."""
STUDY_NOT_COMPLETE: Final = Reason.STUDY_NOT_COMPLETE
"""Reason of a delivery that is made once its study is complete."""
STUDY_REVISED: Final = Reason.STUDY_REVISED
"""Reason of a delivery that is held, as its instance came after its study was complete."""
STUDY_CONDITION_FALSE: Final = Reason.STUDY_CONDITION_FALSE
"""Reason of a delivery that is not made, as the condition of its rule over the study is false."""
STUDY_RULE_ERROR: Final = Reason.STUDY_RULE_ERROR
"""Reason of a delivery that is held, as the condition of its rule over the study has no answer."""
CAME_AGAIN: Final = Reason.CAME_AGAIN
"""Reason of a delivery of something that its destination has, or may have, already."""
SUPERSEDED: Final = Reason.SUPERSEDED
"""Reason of a delivery that was given up because its destination has a later version."""

AWAITED: Final = (DeliveryState.PENDING, DeliveryState.UNCONFIRMED)
"""States of deliveries that come to an end by themselves, if their destinations do their part."""
UNSENT: Final = (*AWAITED, DeliveryState.WAITING)
"""Those, and what is to be sent once its study is complete."""
DONE: Final = (DeliveryState.DELIVERED, DeliveryState.SKIPPED)
"""States of deliveries of which nothing is left to do."""
_HELD: Final = {Release.HOLD: STUDY_REVISED, Release.ERROR: STUDY_RULE_ERROR}


def sent_again(released_by_plan: Mapping[str, Release]) -> frozenset[str]:
    """Return the plans by which what was sent of earlier revisions is sent again."""
    return frozenset(plan for plan, release in released_by_plan.items() if release is Release.SEND_ALL)


def released(delivery: DeliveryRecord, study: StudyRecord, is_superseded: bool) -> DeliveryRecord:
    """Return a delivery as it stands once its study is complete; one that did not wait for that stays as it is."""
    if delivery.state is not DeliveryState.WAITING:
        return delivery
    # One of a plan that nobody could read is for a person to decide.
    release = study.released.get(delivery.plan, Release.ERROR)
    if release in _HELD:
        return replace(delivery, state=DeliveryState.HELD, reason=_HELD[release], time=study.time)
    if release is Release.SKIP:
        return replace(delivery, state=DeliveryState.SKIPPED, reason=STUDY_CONDITION_FALSE, time=study.time)
    if is_superseded:
        return replace(delivery, state=DeliveryState.SKIPPED, reason=SUPERSEDED, time=study.time)
    return replace(delivery, state=DeliveryState.PENDING, reason=CAME_AGAIN if delivery.may_have_arrived else "")


def came_again(delivery: DeliveryRecord) -> DeliveryRecord:
    """Return a delivery that is made once more, of one that was made or given up; any other stays as it is."""
    if delivery.state not in DONE:
        return delivery
    delivered = delivery.state is DeliveryState.DELIVERED
    return DeliveryRecord(
        delivery.id,
        delivery.destination,
        DeliveryState.PENDING,
        reason=CAME_AGAIN,
        may_have_arrived=delivered or delivery.may_have_arrived,
        recipe=delivery.recipe,
        plan=delivery.plan,
    )


def begun(received: Received, destination: Destination) -> DeliveryRecord:
    """Return a delivery as it stands when an instance is received."""
    recipe, plan = received.recipes.get(destination, ""), received.waits.get(destination, "")
    state = DeliveryState.WAITING if plan else DeliveryState.PENDING
    reason = STUDY_NOT_COMPLETE if plan else ""
    return DeliveryRecord(received.id, destination, state, reason=reason, recipe=recipe, plan=plan)


def over_quota(received: Received, destination: Destination, identifier: int) -> DeliveryRecord:
    """Return a delivery that is not made because the destination is owed as much as it may be."""
    recipe = received.recipes.get(destination, "")
    return DeliveryRecord(
        identifier, destination, DeliveryState.SKIPPED, reason=OVER_QUOTA, time=received.time, recipe=recipe
    )


def owed_again(record: AgainRecord, destination: Destination, before: DeliveryRecord | None) -> DeliveryRecord:
    """Return a delivery of an instance that came again: its destination has it if it was delivered there.

    It is prepared as the rules of now say; a treatment is never taken back from a delivery that was promised one.
    """
    recipe = record.recipes.get(destination, "") or (before.recipe if before is not None else "")
    plan = record.waits.get(destination, "")
    state = DeliveryState.WAITING if plan else DeliveryState.PENDING
    reason = STUDY_NOT_COMPLETE if plan else ""
    if before is None:
        return DeliveryRecord(record.id, destination, state, reason=reason, recipe=recipe, plan=plan)
    if before.state in AWAITED:  # what is on its way waits for nothing
        return replace(before, state=DeliveryState.PENDING, refusals=0, recipe=recipe)
    if before.state not in DONE:
        return replace(before, state=state, reason=reason or before.reason, refusals=0, recipe=recipe, plan=plan)
    again = came_again(before)
    return replace(again, state=state, reason=reason or again.reason, recipe=recipe, plan=plan)


def as_decided(record: DeliveryRecord, known: DeliveryRecord) -> DeliveryRecord:
    """Return what an attempt came to, where it was decided meanwhile that it is prepared in another way from now on.

    Or where a person decided that what refused it is forgotten.
    """
    if record.state in (DeliveryState.DELIVERED, DeliveryState.UNCONFIRMED):
        return record
    record = replace(record, recipe=known.recipe)
    is_next = known.attempts + 1 == record.attempts
    if not is_next or known.refusals + 1 >= record.refusals:
        return record
    return replace(record, state=DeliveryState.PENDING, refusals=known.refusals)
