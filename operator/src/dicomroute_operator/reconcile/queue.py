"""A queue of keys: each is worked on by one worker at a time, and only once however often it was asked for."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog

_FIRST_PAUSE_SECONDS: Final = 1.0
_MAX_PAUSE_SECONDS: Final = 300.0

log = structlog.get_logger(__name__)

K = TypeVar("K")


class ReconcileError(Exception):
    """Something that was foreseen went wrong; the message says what, and the same is tried again."""


class WorkQueue(Generic[K]):
    """Runs `work(key)` for keys. A failed one is tried again after 1 s, 2 s, up to 5 min, with jitter."""

    def __init__(self, work: Callable[[K], Awaitable[None]], workers: int) -> None:
        self._work = work
        self._workers = workers
        self._waiting: dict[K, None] = {}
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        """How often the last attempts of a key have failed."""
        self._timers: dict[K, asyncio.TimerHandle] = {}
        """When a key is asked for by itself; work that begins earlier makes up for it."""
        self._available = asyncio.Condition()
        self._tasks: set[asyncio.Future[None]] = set()
        self.completed = 0
        self.failed = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    async def add(self, key: K, *, patiently: bool = False) -> None:
        """Ask for a key; one that is being worked on is worked on once more afterwards.

        Patiently: one that has failed waits for its next attempt. Otherwise somebody has changed it: it is tried at
        once, and should that fail too, its pauses begin again.
        """
        if not patiently:
            self._failures.pop(key, None)
        elif key in self._failures and key in self._timers:
            return
        await self._put(key)

    async def _put(self, key: K) -> None:
        async with self._available:
            if key in self._running:
                self._again.add(key)
            else:
                self._waiting[key] = None
                self._available.notify()

    def later(self, key: K, seconds: float) -> None:
        """Ask for a key in a while, unless it is worked on before that. A later call replaces an earlier one."""
        self._forget_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._is_due, key)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            async with self._available:
                await self._available.wait_for(lambda: self._waiting)
                key = next(iter(self._waiting))
                del self._waiting[key]
                self._running.add(key)
            self._forget_timer(key)
            try:
                await self._work(key)
            except Exception as error:
                self.failed += 1
                self._retry(key, error)
            else:
                self.completed += 1
                self._failures.pop(key, None)
            async with self._available:
                self._running.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self._waiting[key] = None
                    self._available.notify()

    def _retry(self, key: K, error: Exception) -> None:
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        pause = min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(count, 20)) * random.uniform(0.5, 1.0)  # noqa: S311
        log.warning(
            "reconcile.failed",
            key=str(key),
            again_in_seconds=round(pause, 1),
            error=str(error),
            exc_info=None if isinstance(error, ReconcileError) else error,
        )
        self.later(key, pause)

    def _forget_timer(self, key: K) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    def _is_due(self, key: K) -> None:
        self._timers.pop(key, None)
        task = asyncio.ensure_future(self._put(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
