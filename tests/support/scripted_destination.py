"""A destination that answers as a function says, and a worker that is given deliveries to it meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from delivering import TARGET, Delivering
from origin_server import OriginServer

from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.deliver.transport import BatchLimits, Item, Sent
from dicomroute_gateway.spool.records import DeliveryState

STORED: Final = AttemptOutcome(Verdict.DELIVERED, "Stored", 200)
SERVER_ERROR: Final = AttemptOutcome(Verdict.RETRY, "ServerError", 500)
BROKE_OFF: Final = AttemptOutcome(Verdict.RETRY, "ConnectionLost", broke_off=True)
UNREACHABLE: Final = AttemptOutcome(Verdict.RETRY, "ConnectionFailed")


class Scripted:
    """A destination that answers as a function says, which may let time pass."""

    limits = BatchLimits(lanes=8, most_lanes=8, batch_instances=10, most_batch_instances=10, batch_bytes=1 << 20)

    def __init__(self, answer: Callable[[list[int]], AttemptOutcome], seconds: Callable[[list[int]], float]) -> None:
        self._answer = answer
        self._seconds = seconds
        self.requests: list[list[int]] = []

    async def send(self, items: Sequence[Item]) -> AsyncGenerator[Sent]:
        numbers = [item.received.id for item in items]
        self.requests.append(numbers)
        await asyncio.sleep(self._seconds(numbers))
        yield Sent([self._answer(numbers)] * len(items), "")

    async def close(self) -> None:
        """Nothing is kept."""


class Run:
    """A worker at work, with what it is given meanwhile."""

    def __init__(
        self,
        folder: Path,
        server: OriginServer,
        answer: Callable[[list[int]], AttemptOutcome],
        seconds: Callable[[list[int]], float] = lambda _: 0.001,
    ) -> None:
        self.transport = Scripted(answer, seconds)
        self.delivering = Delivering(folder, server, transport=self.transport, most_backoff_seconds=300)
        self.worker = self.delivering.worker

    def receive(self, count: int = 1, series: str = "") -> list[int]:
        found = [self.delivering.receive(b"\0" * 20, series=series).id for _ in range(count)]
        self.worker.offer([one.id for one in self.delivering.spool.take_fresh()])
        return found

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)

    def let_time_pass(self) -> None:
        """End every pause, and forget nothing of why it was made."""
        self.worker._pace._not_before = 0.0
        self.worker._line.hurry()
        self.worker._changed.set()

    def is_delivered(self, identifier: int) -> bool:
        entries = self.delivering.spool.entries(lambda entry: entry.received.id == identifier)
        return not entries or entries[0].deliveries[TARGET].state is DeliveryState.DELIVERED

    def play(self, acts: Callable[["Run"], Any]) -> None:
        async def run() -> None:
            task = asyncio.create_task(self.worker.run())
            try:
                await acts(self)
            finally:
                self.worker.stop()
                await task
                await self.delivering.settling.close()
                self.delivering.close()

        asyncio.run(run())
