"""Brings what waits with a treatment of before under the one that is in force, in a thread of its own."""

import asyncio
from collections.abc import Callable

import structlog

from dicomroute_gateway.configuration.rules import Rules
from dicomroute_gateway.intake.reroute import treat_again
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.spool.errors import SpoolFailed
from dicomroute_gateway.spool.spool import Spool

log = structlog.get_logger(__name__)


class Treating:
    """Follows the rules in force; `active` returns those."""

    def __init__(self, spool: Spool, active: Callable[[], Active]) -> None:
        self._spool = spool
        self._active = active
        self._applied: Rules | None = None
        """The rules that all that waits has been looked at for; None before the first time."""
        self._task: asyncio.Task[None] | None = None
        self._is_ending = False

    async def stop(self) -> None:
        """Return when nothing is being changed any more."""
        self._is_ending = True
        if self._task is not None:
            await self._task

    def follow(self) -> None:
        """Begin to apply changed rules, unless that is under way."""
        if not self._spool.is_loaded or (self._task is not None and not self._task.done()):
            return
        active = self._active()
        if active.configuration.rules != self._applied:
            self._task = asyncio.create_task(self._apply(active))

    async def _apply(self, active: Active) -> None:
        try:
            changed = await asyncio.to_thread(treat_again, self._spool, active, lambda: self._is_ending)
        except (SpoolFailed, OSError) as error:
            log.error("treatment.not_applied", error=str(error))
            return
        self._applied = active.configuration.rules
        if changed:
            log.info("treatment.applied", deliveries=changed)
