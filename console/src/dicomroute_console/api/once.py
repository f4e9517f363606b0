"""Writes that are made once, however often a program repeats them: Idempotency-Key."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from dicomroute_client.documents.document import Document

KEPT_SECONDS: Final = 24 * 3600
MOST_KEPT: Final = 10_000


class Reused(Exception):
    """A key came with another request than the first time, or while the first is still being answered."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass
class _Made:
    digest: str
    at: float
    answer: Document | None = None
    task: asyncio.Task[Document] | None = None


class Once:
    """What was answered to each key of each person, in memory. A write that failed may be made again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[tuple[str, str], _Made] = {}

    async def make(self, who: str, key: str, request: bytes, write: Callable[[], Awaitable[Document]]) -> Document:
        """Return the answer of a write, which is not made if it was with this key. Raises Reused.

        `request` is all that says what is written: method, path, query and body.
        """
        if not key:
            return await write()
        digest = hashlib.sha256(request).hexdigest()
        found = self._made.get((who, key))
        if found is not None and self._clock() - found.at <= KEPT_SECONDS:
            if found.digest != digest:
                raise Reused(422, "this Idempotency-Key came with another request: make a new one")
            if found.answer is None:
                raise Reused(409, "the request with this Idempotency-Key is still being answered: ask again")
            return found.answer
        self._make_room()
        made = self._made[who, key] = _Made(digest, self._clock())

        async def run() -> Document:
            try:
                made.answer = await write()
            except BaseException:
                self._made.pop((who, key), None)
                raise
            return made.answer

        # Whoever asked may go away: what was begun is finished, and its answer kept for who asks again.
        made.task = asyncio.create_task(run())
        return await asyncio.shield(made.task)

    def _make_room(self) -> None:
        if len(self._made) < MOST_KEPT:
            return
        now = self._clock()
        kept = {key: one for key, one in self._made.items() if now - one.at <= KEPT_SECONDS}
        while len(kept) >= MOST_KEPT:
            del kept[min(kept, key=lambda key: kept[key].at)]
        self._made = kept
