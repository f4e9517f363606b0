"""Hands what the spool owes to the workers of its destinations."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

from dicomroute_gateway.destination import Destination
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.spool.spool import Spool

from .settling import Settling
from .transport import Confirmation, Transport
from .worker import Worker

_LOOK_SECONDS: Final = 0.005


class Deliverer:
    """All deliveries of a gateway; `transport` makes what carries them to a destination. Lives in one event loop."""

    def __init__(
        self,
        spool: Spool,
        preparing: Preparing,
        active: Callable[[], Active],
        transport: Callable[[Destination], Transport],
        measures: Measures,
        confirmation: Callable[[Destination], Confirmation] | None = None,
    ) -> None:
        self._measures = measures
        self._spool = spool
        self._preparing = preparing
        self._active = active
        self._transport = transport
        self._confirmation = confirmation
        self._settling = Settling(spool)
        self._workers: dict[Destination, Worker] = {}
        self._tasks: dict[Destination, asyncio.Task[None]] = {}
        self._next_look: asyncio.TimerHandle | None = None

    @property
    def workers(self) -> Mapping[Destination, Worker]:
        """The workers by destination."""
        return self._workers

    def start(self) -> None:
        """Begin to deliver, in the running event loop."""
        for destination in self._active().configuration.destinations:
            self._worker(destination.key)
        self._take()

    def reconsider(self) -> None:
        """Take a changed configuration into account at once."""
        for destination in self._active().configuration.destinations:
            self._worker(destination.key)
        self.hurry(None)

    def hurry(self, destination: Destination | None) -> None:
        """Attempt at once what waits for a later attempt, to one destination or to all."""
        for name, worker in self._workers.items():
            if destination in (None, name):
                worker.hurry()

    async def stop(self, timeout_seconds: float) -> None:
        """Let the attempts under way end, but not for longer than `timeout_seconds`."""
        asyncio.get_running_loop().remove_reader(self._spool.fresh_descriptor)
        if self._next_look is not None:
            self._next_look.cancel()
        for worker in self._workers.values():
            worker.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=timeout_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._settling.close()

    def _told(self) -> None:
        """Take what is new, and listen no longer while there is more."""
        asyncio.get_running_loop().remove_reader(self._spool.fresh_descriptor)
        self._take()

    def _take(self) -> None:
        """Hand out what is new, and look again soon; once nothing is, wait to be told.

        Of hundreds a second nobody is told one by one.
        """
        fresh = self._spool.take_fresh()
        by_destination: dict[Destination, list[int]] = defaultdict(list)
        sent: dict[Destination, list[int]] = defaultdict(list)
        for owed in fresh:
            (sent if owed.is_sent else by_destination)[owed.destination].append(owed.id)
        for destination, identifiers in by_destination.items():
            self._worker(destination).offer(identifiers)
        for destination, identifiers in sent.items():
            self._worker(destination).confirm(identifiers)
        loop = asyncio.get_running_loop()
        if fresh:
            self._next_look = loop.call_later(_LOOK_SECONDS, self._take)
        else:
            self._next_look = None
            loop.add_reader(self._spool.fresh_descriptor, self._told)

    def _worker(self, destination: Destination) -> Worker:
        worker = self._workers.get(destination)
        if worker is None:
            transport = self._transport(destination)
            worker = Worker(
                destination,
                self._spool,
                self._preparing,
                self._active,
                transport,
                self._settling,
                self._measures,
                self._confirmation(destination) if self._confirmation is not None else None,
            )
            self._workers[destination] = worker
            self._tasks[destination] = asyncio.get_running_loop().create_task(
                worker.run(), name=f"deliver {destination}"
            )
        return worker
