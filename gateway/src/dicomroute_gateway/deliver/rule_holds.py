"""Holds what only rules name that hold their deliveries, where other rules name the destination too.

Which of them that is the instance says, so its head is read again: only while a rule of the destination is held.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from dicomroute_gateway.configuration.holds import RULE_HELD
from dicomroute_gateway.intake.reroute import is_held_by_rules
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Treatment

from .attempt import held_back
from .delivery_log import names_of
from .preparation import PREPARING
from .settling import Settling
from .transport import Due

log = structlog.get_logger(__name__)


async def hold_by_rules(
    spool: Spool, in_force: Callable[[], Active], settling: Settling, batch: Sequence[Due]
) -> list[Due]:
    """Write down which deliveries to one destination the rules in force hold; return those.

    They are made again when rules change (`reroute.treat_again`). Raises SpoolFailed, OSError.
    """
    active = in_force()
    if not batch or batch[0].delivery.destination not in active.configuration.rules.partly_held:
        return []

    def look() -> list[Due]:
        return [due for due in batch if is_held_by_rules(spool, active, due.received, due.delivery.destination)]

    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(PREPARING, look)
    if not found or in_force() is not active:
        return []
    now = time.time()
    await settling.settle([held_back(due.delivery, RULE_HELD, now) for due in found])
    log.info("delivery.held", destination=batch[0].delivery.destination, reason=RULE_HELD, **names_of(found))
    if in_force() is not active:  # whoever looks through what is held for the rules of now may have been there before
        again = [Treatment(due.received.id, due.delivery.destination, due.delivery.recipe) for due in found]
        await loop.run_in_executor(PREPARING, spool.decisions.treat, again)
    return found
