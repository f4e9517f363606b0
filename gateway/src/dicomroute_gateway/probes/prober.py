"""When targets and nodes are probed: at the start, after a change, now and then, and when somebody asks."""

import asyncio
import random
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from dicomroute_gateway.configuration.destinations import AnyDestination, CloudTargetDestination
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.deliver.worker import Worker
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.dicomweb.client import Client
from dicomroute_gateway.dicomweb.credentials.files import version
from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.node.threads import in_thread

from .echo import echo
from .findings import Findings, Stores, findings, node_findings
from .probe import probe
from .steps import Probed

_JITTER: Final = 0.1
_MOST_NODES: Final = 16
"""How many nodes are tested at once: each test has a thread, and there may be a thousand nodes."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Intervals:
    """How many seconds pass between two probes of a target: one that works, one that fails, and at least.

    A node says its own; one that fails is tested at least as often as a target.
    """

    working: float = 300.0
    failing: float = 60.0
    least: float = 10.0


@dataclass(frozen=True, slots=True)
class Tested:
    """A test that somebody asked for, and what is known after it."""

    probed: Probed
    findings: Findings


class TooManyTests(Exception):
    """As many tests are under way as may be."""


@dataclass
class _Target:
    """A destination, and how it stands. With other `facts`, which is all that requests are made of, it is another."""

    destination: AnyDestination
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
    """Probes the destinations of a gateway, each at most once at a time. Lives in one event loop.

    One that works again is given at once what waits for it.
    """

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        secrets: Path,
        tokens: TokenCache,
        workers: Mapping[Destination, Worker],
        contexts: TlsContexts,
        intervals: Intervals = Intervals(),
    ) -> None:
        self._configuration = configuration
        self._secrets = secrets
        self._tokens = tokens
        self._workers = workers
        self._contexts = contexts
        self._intervals = intervals
        self._nodes_at_once = asyncio.Semaphore(_MOST_NODES)
        self._targets: dict[Destination, _Target] = {}

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
                self._begin(name, known)

    async def test(self, destination: Destination, calling_ae_title: str = "") -> Tested | None:
        """Probe a destination now, or wait for the probe under way; None when there is none of that name.

        With a calling AE title a node is tested as if it were called with that, which says nothing of deliveries.
        Raises TooManyTests.
        """
        while True:
            target = self._wanted().get(destination)
            if target is None:
                return None
            if calling_ae_title and not isinstance(target, CloudTargetDestination):
                if self._nodes_at_once.locked():
                    raise TooManyTests
                probed = await self._probe(target, calling_ae_title)
                return Tested(probed, _findings(target, probed, Stores()))
            known = self._known(destination, target)
            task = known.task or self._begin(destination, known)
            is_current = known.task_facts == known.facts
            await asyncio.wait({task})
            if is_current:
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
                if known.probed is None:  # the gateway ends
                    return None
                return Tested(known.probed, _findings(target, known.probed, self._stores(destination, known)))

    def probed(self, destination: Destination) -> Probed | None:
        """Return the last probe of a destination; None where none is made by itself."""
        known = self._targets.get(destination)
        return known.probed if known is not None and self._intervals_of(known.destination) is not None else None

    def findings(self, destination: Destination) -> Findings | None:
        """Return what is known of a destination; None before its first probe."""
        known, probed = self._targets.get(destination), self.probed(destination)
        if known is None or probed is None:
            return None
        return _findings(known.destination, probed, self._stores(destination, known))

    async def stop(self) -> None:
        """End what is under way."""
        tasks = [one.task for one in self._targets.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wanted(self) -> dict[Destination, AnyDestination]:
        return {one.key: one for one in self._configuration().destinations}

    def _intervals_of(self, destination: AnyDestination) -> Intervals | None:
        """Return how often a destination is probed; None for one that is tested when somebody asks alone."""
        if isinstance(destination, CloudTargetDestination):
            return self._intervals
        own = float(destination.connection_test_seconds)
        return Intervals(own, min(own, self._intervals.failing), min(own, self._intervals.least)) if own else None

    def _known(self, name: Destination, target: AnyDestination) -> _Target:
        facts = (target, tuple(version(self._secrets, file) for file in target.files))
        known = self._targets.get(name)
        if known is None:
            known = self._targets[name] = _Target(target, facts, time.time())
        elif known.facts != facts:
            known.destination, known.facts, known.since, known.due = target, facts, time.time(), 0.0
        return known

    def _is_due(self, name: Destination, known: _Target, now: float) -> bool:
        intervals = self._intervals_of(known.destination)
        if intervals is None:
            return False
        worker = self._workers.get(name)
        is_waiting = worker is not None and worker.is_waiting
        begins_to_wait = is_waiting and not known.was_waiting
        if begins_to_wait and now < known.begun + intervals.least:
            return False  # look again, so that the edge is not lost
        known.was_waiting = is_waiting
        if begins_to_wait:
            return True
        if now < known.due or (known.probed is not None and _serves(known.destination, worker)):
            return False
        stores = self._stores(name, known)
        if stores.proof and stores.taken_time is not None and stores.taken_time > time.time() - intervals.working:
            known.due = now + self._pause(intervals.working)
            return known.probed is None
        return True

    def _stores(self, name: Destination, known: _Target) -> Stores:
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

    def _begin(self, name: Destination, known: _Target) -> asyncio.Task[Probed]:
        known.begun, known.task_facts = time.monotonic(), known.facts
        task = asyncio.get_running_loop().create_task(self._probe(known.destination), name=f"probe {name}")
        known.task = task
        task.add_done_callback(lambda done: self._done(name, known, done))
        return task

    async def _probe(self, target: AnyDestination, calling_ae_title: str = "") -> Probed:
        if not isinstance(target, CloudTargetDestination):
            async with self._nodes_at_once:
                return await in_thread(partial(echo, target, self._contexts, calling_ae_title), f"test {target.key}")
        client = Client(self._secrets, self._tokens)  # connections of its own: a kept one would prove nothing
        try:
            return await probe(client, target)
        finally:
            await client.close()

    def _done(self, name: Destination, known: _Target, task: asyncio.Task[Probed]) -> None:
        known.task = None
        if task.cancelled():
            return
        error, intervals = task.exception(), self._intervals_of(known.destination) or self._intervals
        if error is not None:
            log.error("probe.error", destination=name, exc_info=error)
            known.due = time.monotonic() + self._pause(intervals.failing)
            return
        before, after = known.probed, task.result()
        known.probed = after
        is_failing = _fails(known.destination, after)
        pause = intervals.failing if is_failing else intervals.working
        if known.task_facts == known.facts:
            known.due = time.monotonic() + self._pause(pause)
        self._say(name, known)
        worker = self._workers.get(name)
        if worker is not None and before is not None and _fails(known.destination, before) and not is_failing:
            worker.hurry()

    def _say(self, name: Destination, known: _Target) -> None:
        found = self.findings(name)
        if found is None or known.said == (found.ready.status, found.ready.reason):
            return
        known.said = (found.ready.status, found.ready.reason)
        say = log.warning if found.ready.status is False else log.info
        event = "target.probed" if isinstance(known.destination, CloudTargetDestination) else "node.tested"
        say(event, destination=name, reason=found.ready.reason, message=found.ready.message)

    @staticmethod
    def _pause(seconds: float) -> float:
        return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311


def _findings(destination: AnyDestination, probed: Probed, stores: Stores) -> Findings:
    is_target = isinstance(destination, CloudTargetDestination)
    return findings(probed, stores) if is_target else node_findings(probed, stores)


def _fails(destination: AnyDestination, probed: Probed) -> bool:
    """Whether a probe by itself says that the destination does not work."""
    return _findings(destination, probed, Stores()).fails


def _serves(destination: AnyDestination, worker: Worker | None) -> bool:
    """Whether a node has an association for deliveries: one that serves no second has no place for a test."""
    is_node = not isinstance(destination, CloudTargetDestination)
    return is_node and worker is not None and worker.in_flight > 0 and not worker.is_waiting
