"""Hands what the spool owes to the workers of its destinations."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.spool.spool import Spool

from .worker import Worker


class Deliverer:
    """All deliveries of a gateway. Lives in one event loop."""

    def __init__(self, spool: Spool, configuration: Callable[[], Configuration], secrets: Path) -> None:
        self._spool = spool
        self._configuration = configuration
        self._secrets = secrets
        self._workers: dict[str, Worker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def workers(self) -> Mapping[str, Worker]:
        """The workers by destination (KIND/NAME)."""
        return self._workers

    def start(self) -> None:
        """Begin to deliver, in the running event loop."""
        for destination in self._configuration().destinations:
            self._worker(str(destination.key))
        asyncio.get_running_loop().add_reader(self._spool.fresh_descriptor, self._take)
        self._take()

    def reconsider(self) -> None:
        """Take a changed configuration into account at once."""
        for destination in self._configuration().destinations:
            self._worker(str(destination.key))
        self.hurry(None)

    def hurry(self, destination: str | None) -> None:
        """Attempt at once what waits for a later attempt, to one destination (KIND/NAME) or to all."""
        for name, worker in self._workers.items():
            if destination in (None, name):
                worker.hurry()

    async def stop(self, timeout_seconds: float) -> None:
        """Let the attempts under way end, but not for longer than `timeout_seconds`."""
        asyncio.get_running_loop().remove_reader(self._spool.fresh_descriptor)
        for worker in self._workers.values():
            worker.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=timeout_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _take(self) -> None:
        by_destination: dict[str, list[int]] = defaultdict(list)
        for owed in self._spool.take_fresh():
            by_destination[owed.destination].append(owed.id)
        for destination, identifiers in by_destination.items():
            self._worker(destination).offer(identifiers)

    def _worker(self, destination: str) -> Worker:
        worker = self._workers.get(destination)
        if worker is None:
            worker = Worker(destination, self._spool, self._configuration, self._secrets)
            self._workers[destination] = worker
            self._tasks[destination] = asyncio.get_running_loop().create_task(
                worker.run(), name=f"deliver {destination}"
            )
        return worker
