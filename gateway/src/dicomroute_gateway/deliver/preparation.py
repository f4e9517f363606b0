"""What a delivery is sent as: the instance as it came, or what the recipe makes of it that was promised."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from dicomroute_gateway.configuration.holds import TREATMENT_NOT_IN_FORCE
from dicomroute_gateway.intake.reroute import TreatmentNotInForce, treatment_in_force
from dicomroute_gateway.prepare.failures import DecoderDied, TranscodingFailed, TreatmentFailed
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.spool.content import UNREADABLE, Unreadable
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Treatment

from .holding import NOT_DEIDENTIFIED, takes_deidentified_only
from .outcome import AttemptOutcome, Verdict
from .transport import Due, Item

PREPARING: Final = ThreadPoolExecutor(2, thread_name_prefix="prepare")
"""Threads of its own, for all destinations: preparing takes long, and others wait for those of asyncio."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unprepared:
    """An instance has no form that can be sent: what that means for it, and what a person is told."""

    outcome: AttemptOutcome
    sentence: str


async def prepare_in_force(preparing: Preparing, spool: Spool, active: Active, due: Due) -> Item | Unprepared:
    """Return a delivery with the parcel that is sent, as the rules in force treat it (`treatment_in_force`).

    Another treatment than the one that was promised is written down before anything of it is sent.
    """

    def bring() -> Due:
        recipe = treatment_in_force(spool, active, due.received, due.delivery)
        if recipe == due.delivery.recipe:
            return due
        spool.decisions.treat([Treatment(due.received.id, due.delivery.destination, recipe)])
        return Due(due.received, replace(due.delivery, recipe=recipe, refusals=0))

    destination = due.delivery.destination
    try:
        if active.recipes_for.get(destination, {due.delivery.recipe}) != {due.delivery.recipe}:
            due = await asyncio.get_running_loop().run_in_executor(PREPARING, bring)
    except TreatmentNotInForce:
        sentence = "rules treat what its destination gets, and do not say how this instance is treated"
        return Unprepared(AttemptOutcome(Verdict.WITHHELD, TREATMENT_NOT_IN_FORCE), sentence)
    except Exception as error:
        return unprepared(error.__cause__ if isinstance(error.__cause__, Unreadable) else error)
    strict = takes_deidentified_only(destination, active.configuration)
    return await prepare(preparing, due, deidentified_only=strict)


async def prepare(preparing: Preparing, due: Due, *, deidentified_only: bool = False) -> Item | Unprepared:
    """Return a delivery with the parcel that is sent; the parcel of a treated one is whole and safe by then.

    With `deidentified_only` what no de-identifying recipe has made is withheld, whatever was promised before.
    """
    recipe = due.delivery.recipe
    try:
        if recipe:
            make = partial(preparing.treated, due.received, recipe)
            parcel = await asyncio.get_running_loop().run_in_executor(PREPARING, make)
        else:
            parcel = preparing.parcel(due.received)
    except (TreatmentFailed, TranscodingFailed) as error:
        return _withheld(error)
    except Exception as error:
        return unprepared(error)
    if deidentified_only and not parcel.recipe.deidentifies:
        sentence = (
            "the destination accepts de-identified instances only, but this instance was received before that and is "
            "not de-identified"
        )
        return Unprepared(AttemptOutcome(Verdict.WITHHELD, NOT_DEIDENTIFIED), sentence)
    fault = parcel.file.fault()
    return unprepared(fault) if fault is not None else Item(due.received, due.delivery, parcel)


def _withheld(error: TreatmentFailed | TranscodingFailed) -> Unprepared:
    """Return what becomes of an instance that its recipe cannot prepare: what came is not for this destination."""
    if isinstance(error, TreatmentFailed):
        return Unprepared(AttemptOutcome(Verdict.WITHHELD, error.reason), str(error))
    reason = Reason.DECODER_FAILED if isinstance(error, DecoderDied) else Reason.TRANSCODING_FAILED
    return Unprepared(AttemptOutcome(Verdict.WITHHELD, reason), str(error))


def unprepared(error: Exception) -> Unprepared:
    """Return what becomes of an instance of which another form could not be written."""
    match error:
        case DecoderDied():
            return Unprepared(AttemptOutcome(Verdict.DOUBTFUL, Reason.DECODER_FAILED, is_own=True), str(error))
        case TranscodingFailed():
            sentence = f"the instance cannot be sent as received, and cannot be converted: {error}"
            return Unprepared(AttemptOutcome(Verdict.REFUSED, Reason.TRANSCODING_FAILED, is_own=True), sentence)
        case Unreadable():
            return Unprepared(AttemptOutcome(Verdict.RETRY, error.reason), str(error))
        case OSError():
            return Unprepared(AttemptOutcome(Verdict.RETRY, UNREADABLE), str(error))
    log.error("delivery.unprepared", exc_info=error)
    sentence = "the gateway failed to convert the instance; its log says why"
    return Unprepared(AttemptOutcome(Verdict.DOUBTFUL, Reason.GATEWAY_ERROR, is_own=True), sentence)
