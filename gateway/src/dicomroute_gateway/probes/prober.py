"""When targets are probed: at the start, after a change, now and then, and when somebody asks."""

import asyncio
import random
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from dicomroute_gateway.configuration.model import CloudTargetDestination, Configuration
from dicomroute_gateway.deliver.worker import Worker
from dicomroute_gateway.dicomweb.client import Client
from dicomroute_gateway.dicomweb.credentials.files import version
from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache

from .findings import Findings, Stores, fails, findings
from .probe import probe
from .steps import Probed

_JITTER: Final = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Intervals:
    """How many seconds pass between two probes of a target: one that works, one that fails, and at least."""

    working: float = 300.0
    failing: float = 60.0
    least: float = 10.0


@dataclass
class _Target:
    """A target, and how it stands. `facts` is all that its requests are made of; another one is another target."""

    facts: Hashable
    since: float
    """When it was last changed, in seconds since 1970: deliveries before that say nothing of it."""
    due: float = 0.0
    begun: float = float("-inf")
    probed: Probed | None = None
    task: asyncio.Task[Probed] | None = None
    task_facts: Hashable = None
    was_waiting: bool = False
    said: tuple[bool | None, str] = field(default=(None, ""))


class Prober:
    """Probes the targets of a gateway, each at most once at a time. Lives in one event loop.

    A target that works again is given at once what waits for it.
    """

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        secrets: Path,
        tokens: TokenCache,
        workers: Mapping[str, Worker],
        intervals: Intervals = Intervals(),
    ) -> None:
        self._configuration = configuration
        self._secrets = secrets
        self._tokens = tokens
        self._workers = workers
        self._intervals = intervals
        self._targets: dict[str, _Target] = {}

    def follow(self) -> None:
        """Begin the probes that are due; to be called every second or so."""
        wanted = self._wanted()
        for name in self._targets.keys() - wanted.keys():
            gone = self._targets.pop(name)
            if gone.task is not None:
                gone.task.cancel()
        now = time.monotonic()
        for name, target in wanted.items():
            known = self._known(name, target)
            if known.task is None and self._is_due(name, known, now):
                self._begin(name, target, known)

    async def test(self, destination: str) -> Findings | None:
        """Probe a destination (KIND/NAME) now, or wait for the probe under way; None when it is no target."""
        while True:
            target = self._wanted().get(destination)
            if target is None:
                return None
            known = self._known(destination, target)
            task = known.task or self._begin(destination, target, known)
            is_current = known.task_facts == known.facts
            await asyncio.wait({task})
            if is_current:
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
                return self.findings(destination)

    def probed(self, destination: str) -> Probed | None:
        """Return the last probe of a destination (KIND/NAME)."""
        known = self._targets.get(destination)
        return known.probed if known is not None else None

    def findings(self, destination: str) -> Findings | None:
        """Return what is known of a destination (KIND/NAME); None before its first probe."""
        known = self._targets.get(destination)
        if known is None or known.probed is None:
            return None
        return findings(known.probed, self._stores(destination, known))

    async def stop(self) -> None:
        """End what is under way."""
        tasks = [one.task for one in self._targets.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wanted(self) -> dict[str, CloudTargetDestination]:
        destinations = self._configuration().destinations
        return {str(one.key): one for one in destinations if isinstance(one, CloudTargetDestination)}

    def _known(self, name: str, target: CloudTargetDestination) -> _Target:
        facts = (target, tuple(version(self._secrets, file) for file in target.files))
        known = self._targets.get(name)
        if known is None:
            known = self._targets[name] = _Target(facts, time.time())
        elif known.facts != facts:
            known.facts, known.since, known.due = facts, time.time(), 0.0
        return known

    def _is_due(self, name: str, known: _Target, now: float) -> bool:
        worker = self._workers.get(name)
        is_waiting = worker is not None and worker.is_waiting
        begins_to_wait = is_waiting and not known.was_waiting
        if begins_to_wait and now < known.begun + self._intervals.least:
            return False  # look again, so that the edge is not lost
        known.was_waiting = is_waiting
        if begins_to_wait:
            return True
        if now < known.due:
            return False
        stores = self._stores(name, known)
        if stores.proof and stores.taken_time is not None and stores.taken_time > time.time() - self._intervals.working:
            known.due = now + self._pause(self._intervals.working)
            return known.probed is None
        return True

    def _stores(self, name: str, known: _Target) -> Stores:
        worker = self._workers.get(name)
        if worker is None:
            return Stores()
        taken = worker.taken_time
        paused, error = worker.paused, worker.last_error
        is_refused = paused is not None and error is not None and error.time >= known.since
        return Stores(
            taken if taken is not None and taken >= known.since else None,
            paused.reason if paused is not None and is_refused else "",
            error.message if error is not None and is_refused else "",
            worker.is_waiting,
        )

    def _begin(self, name: str, target: CloudTargetDestination, known: _Target) -> asyncio.Task[Probed]:
        known.begun, known.task_facts = time.monotonic(), known.facts
        task = asyncio.get_running_loop().create_task(self._probe(target), name=f"probe {name}")
        known.task = task
        task.add_done_callback(lambda done: self._done(name, known, done))
        return task

    async def _probe(self, target: CloudTargetDestination) -> Probed:
        client = Client(self._secrets, self._tokens)  # connections of its own: a kept one would prove nothing
        try:
            return await probe(client, target)
        finally:
            await client.close()

    def _done(self, name: str, known: _Target, task: asyncio.Task[Probed]) -> None:
        known.task = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("probe.error", destination=name, exc_info=error)
            known.due = time.monotonic() + self._pause(self._intervals.failing)
            return
        before, after = known.probed, task.result()
        known.probed = after
        is_failing = fails(after)
        pause = self._intervals.failing if is_failing else self._intervals.working
        if known.task_facts == known.facts:
            known.due = time.monotonic() + self._pause(pause)
        self._say(name, known)
        worker = self._workers.get(name)
        if worker is not None and before is not None and fails(before) and not is_failing:
            worker.hurry()

    def _say(self, name: str, known: _Target) -> None:
        found = self.findings(name)
        if found is None or known.said == (found.ready.status, found.ready.reason):
            return
        known.said = (found.ready.status, found.ready.reason)
        say = log.warning if found.ready.status is False else log.info
        say("target.probed", destination=name, reason=found.ready.reason, message=found.ready.message)

    @staticmethod
    def _pause(seconds: float) -> float:
        return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
