"""A key is worked on by one worker at a time, once for many askings, and again after a failure."""

import asyncio

from dicomroute_operator.reconcile import queue as module
from dicomroute_operator.reconcile.queue import ReconcileError, WorkQueue


def test_many_askings_are_one_and_an_asking_meanwhile_is_another() -> None:
    async def scenario() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()
        worked: list[str] = []

        async def work(key: str) -> None:
            worked.append(key)
            begun.set()
            await go_on.wait()

        queue = WorkQueue(work, workers=4)
        for _ in range(5):
            await queue.add("a")
        task = asyncio.create_task(queue.run())
        await begun.wait()
        assert worked == ["a"]
        for _ in range(5):
            await queue.add("a")
        await asyncio.sleep(0.01)
        assert worked == ["a"], "two workers at one key"
        go_on.set()
        while queue.completed < 2:
            await asyncio.sleep(0.001)
        assert worked == ["a", "a"]
        assert len(queue) == 0
        task.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_failure_stops_no_other_key_and_is_tried_again(monkeypatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.01)

    async def scenario() -> None:
        tried: list[str] = []

        async def work(key: str) -> None:
            tried.append(key)
            if tried.count("bad") < 3 and key == "bad":
                raise ValueError("not yet")

        queue = WorkQueue(work, workers=1)
        await queue.add("bad")
        await queue.add("good")
        task = asyncio.create_task(queue.run())
        while queue.completed < 2:
            await asyncio.sleep(0.001)
        assert tried[:2] == ["bad", "good"]
        assert tried.count("bad") == 3
        assert queue.failed == 2
        task.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_work_that_begins_earlier_makes_up_for_what_was_to_come_later() -> None:
    async def scenario() -> None:
        worked: list[str] = []

        async def work(key: str) -> None:
            worked.append(key)

        queue = WorkQueue(work, workers=1)
        queue.later("a", 0.05)
        queue.later("b", 0.05)
        await queue.add("a", patiently=True)
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(0.3)
        assert worked == ["a", "b"]
        task.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_one_that_fails_waits_for_its_next_attempt_when_asked_patiently() -> None:
    async def scenario() -> None:
        tried: list[str] = []

        async def work(key: str) -> None:
            tried.append(key)
            raise ValueError("not yet")

        queue = WorkQueue(work, workers=1)
        await queue.add("a")
        task = asyncio.create_task(queue.run())
        while not queue.failed:
            await asyncio.sleep(0.001)
        await queue.add("a", patiently=True)
        await asyncio.sleep(0.05)
        assert tried == ["a"]
        await queue.add("a")
        while queue.failed < 2:
            await asyncio.sleep(0.001)
        assert tried == ["a", "a"]
        task.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_what_was_changed_is_tried_anew_however_often_it_has_failed() -> None:
    async def scenario() -> None:
        pauses: list[float] = []

        async def work(key: str) -> None:
            raise ReconcileError("not yet")

        queue = WorkQueue(work, workers=1)
        queue.later = lambda key, seconds: pauses.append(seconds)  # type: ignore[method-assign]
        task = asyncio.create_task(queue.run())
        for attempt in range(1, 8):
            await queue._put("a")  # as its own attempts are
            while queue.failed < attempt:
                await asyncio.sleep(0.001)
        assert pauses[-1] >= 32
        await queue.add("a")
        while queue.failed < 8:
            await asyncio.sleep(0.001)
        assert pauses[-1] <= 1
        task.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 10))
