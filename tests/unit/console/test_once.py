"""A write that is repeated with its key is made once, also when whoever asked first has gone away."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from dicomroute_client.documents.document import Document
from dicomroute_console.api.documents import Health
from dicomroute_console.api.once import KEPT_SECONDS, MOST_KEPT, Once, Reused


class Writing:
    """A write that counts, and waits or fails when it is told to."""

    def __init__(self) -> None:
        self.made = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fails = False

    async def __call__(self) -> Document:
        self.made += 1
        await self.go_on.wait()
        if self.fails:
            raise OSError("no gateway answers")
        return Health(status=f"answer {self.made}")


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_a_key_counts_for_one_person_one_request_and_a_day() -> None:
    async def story() -> None:
        now = [0.0]
        once, write = Once(lambda: now[0]), Writing()
        first = await once.make("ada", "k", b"drop", write)
        assert await once.make("ada", "k", b"drop", write) is first
        assert write.made == 1
        with pytest.raises(Reused) as reused:
            await once.make("ada", "k", b"retry", write)
        assert reused.value.status == 422
        assert await once.make("eve", "k", b"drop", write) is not first
        await once.make("ada", "", b"drop", write)
        await once.make("ada", "", b"drop", write)
        now[0] += KEPT_SECONDS + 1
        await once.make("ada", "k", b"drop", write)
        assert write.made == 5

    run(story())


def test_what_was_begun_is_finished_when_nobody_waits_any_more() -> None:
    async def story() -> None:
        once, write = Once(), Writing()
        write.go_on.clear()
        asking = asyncio.create_task(once.make("ada", "k", b"drop", write))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        with pytest.raises(Reused) as reused:
            await once.make("ada", "k", b"drop", write)
        assert reused.value.status == 409
        write.go_on.set()
        while True:
            try:
                answer = await once.make("ada", "k", b"drop", write)
                break
            except Reused:
                await asyncio.sleep(0)
        assert (answer, write.made) == (Health(status="answer 1"), 1)

    run(story())


def test_a_write_that_failed_may_be_made_again() -> None:
    async def story() -> None:
        once, write = Once(), Writing()
        write.fails = True
        with pytest.raises(OSError, match="no gateway"):
            await once.make("ada", "k", b"drop", write)
        write.fails = False
        await once.make("ada", "k", b"drop", write)
        assert write.made == 2

    run(story())


def test_ten_thousand_keys_are_kept_and_the_oldest_goes() -> None:
    async def story() -> None:
        now = [0.0]
        once, write = Once(lambda: now[0]), Writing()
        for number in range(MOST_KEPT + 1):
            now[0] = number / 1000
            await once.make("ada", str(number), b"drop", write)
        await once.make("ada", str(MOST_KEPT), b"drop", write)
        assert write.made == MOST_KEPT + 1
        await once.make("ada", "0", b"drop", write)
        assert write.made == MOST_KEPT + 2

    run(story())
