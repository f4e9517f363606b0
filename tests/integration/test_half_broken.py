"""A destination of which half the answers fail is no outage, and an instance that fails alone comes to an end."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Final

import pytest
from delivering import TARGET
from origin_server import OriginServer
from scripted_destination import BROKE_OFF, SERVER_ERROR, STORED, UNREACHABLE, Run

from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState

BUSY: Final = AttemptOutcome(Verdict.RETRY, "Busy", 503)
BAD_GATEWAY: Final = AttemptOutcome(Verdict.RETRY, "ServerError", 502)
HTML: Final = AttemptOutcome(Verdict.RETRY, "AnswerWithoutResult", 200)
NOTHING: Final = AttemptOutcome(Verdict.RETRY, "AnswerWithoutResult", 204)
EMPTY: Final = AttemptOutcome(Verdict.RETRY, "AnswerNamesNoInstance", 200)
REFUSED: Final = AttemptOutcome(Verdict.RETRY, "ConnectionFailed")
NOT_FOUND: Final = AttemptOutcome(Verdict.PAUSE, "NotFound", 404)
FAULTS: Final = {
    "503": BUSY, "502": BAD_GATEWAY, "500": SERVER_ERROR, "reset": BROKE_OFF, "HTML": HTML, "204": NOTHING,
    "empty": EMPTY, "404": NOT_FOUND, "refused": REFUSED,
}  # fmt: skip


@dataclass(frozen=True)
class Course:
    """How many requests nine in ten instances took (the last ones wait for their luck), and how many ran at a time."""

    requests: int
    side_by_side: float


def course_of(folder: Path, server: OriginServer, answer: Callable[[list[int]], AttemptOutcome], count: int) -> Course:
    """Deliver so many small instances."""
    courses: list[Course] = []
    stored: Counter[int] = Counter()
    busy: list[int] = []

    def counted(numbers: list[int]) -> AttemptOutcome:
        outcome = answer(numbers)
        stored.update(numbers if outcome is STORED else [])
        busy.append(run.worker._busy)
        return outcome

    async def acts(run: Run) -> None:
        run.receive(count)
        await run.until(lambda: run.delivering.spool.snapshot().instances.owed <= count // 10, 60)
        courses.append(Course(len(busy), mean(busy)))
        async with asyncio.timeout(60):
            while run.delivering.spool.snapshot().instances.owed:  # one that failed many times waits for minutes
                run.let_time_pass()
                await asyncio.sleep(0.02)

    run = Run(folder, server, counted, lambda _: 0.02)
    run.play(acts)
    assert (len(stored), max(stored.values())) == (count, 1), "nothing is stored twice"
    return courses[0]


@pytest.mark.parametrize("name", FAULTS)
def test_at_a_server_that_fails_half_the_time_goodput_is_a_third_of_that_at_a_healthy_one(
    tmp_path: Path, server: OriginServer, name: str
) -> None:
    """Counted, not timed: so many more requests, times so many fewer of them at a time."""
    dice = random.Random(7)
    healthy = course_of(tmp_path / "healthy", server, lambda _: STORED, 1200)
    half = course_of(tmp_path / "half", server, lambda _: FAULTS[name] if dice.random() < 0.5 else STORED, 1200)
    goodput = healthy.requests / half.requests * half.side_by_side / healthy.side_by_side
    assert goodput > 0.3, f"{half} in place of {healthy}"


def test_one_that_takes_nothing_any_more_is_asked_with_one_delivery_at_a_time(
    tmp_path: Path, server: OriginServer
) -> None:
    is_down = []

    async def acts(run: Run) -> None:
        before = run.receive(50)
        await run.until(lambda: all(map(run.is_delivered, before)), 20)
        is_down.append(True)
        asked = len(run.transport.requests)
        run.receive(400)
        await run.until(lambda: run.worker.is_waiting and not run.worker.in_flight, 20)
        assert len(run.transport.requests) - asked < 40
        for _ in range(5):
            asked = len(run.transport.requests)
            run.let_time_pass()
            await run.until(lambda: len(run.transport.requests) > asked, 10)  # noqa: B023
            assert run.worker._busy <= 1
            assert len(run.transport.requests[-1]) == 1
            await run.until(lambda: not run.worker._busy, 10)
        is_down.clear()
        run.let_time_pass()
        await run.until(lambda: not run.delivering.spool.snapshot().instances.owed, 15)

    Run(tmp_path, server, lambda _: UNREACHABLE if is_down else STORED).play(acts)


@pytest.mark.parametrize("name", ["502", "500", "reset", "HTML"])
def test_one_that_is_down_with_a_few_instances_left_is_asked_with_one_at_a_time(
    tmp_path: Path, server: OriginServer, name: str
) -> None:
    is_down: list[bool] = []

    async def acts(run: Run) -> None:
        before = run.receive(50)
        await run.until(lambda: all(map(run.is_delivered, before)), 20)
        is_down.append(True)
        run.receive(5)
        for _ in range(12):
            run.let_time_pass()
            await asyncio.sleep(0.05)
        await run.until(lambda: run.worker.is_waiting, 5)
        for _ in range(5):
            run.let_time_pass()
            await asyncio.sleep(0.03)
            assert run.worker._busy <= 1

    Run(tmp_path, server, lambda _: FAULTS[name] if is_down else STORED).play(acts)


def of_poison(run: Run, identifier: int) -> DeliveryRecord | None:
    entries = run.delivering.spool.entries(lambda entry: entry.received.id == identifier)
    return entries[0].deliveries[TARGET] if entries else None


@pytest.mark.parametrize("name", ["empty", "204", "HTML", "500", "reset"])
def test_an_instance_that_fails_alone_while_its_neighbours_pass_is_a_dead_letter_in_the_end(
    tmp_path: Path, server: OriginServer, name: str
) -> None:
    poison: list[int] = []

    async def acts(run: Run) -> None:
        received = run.receive(20)
        poison.append(received[4])
        for _ in range(100):
            run.receive()
            await asyncio.sleep(0.05)
            run.let_time_pass()
            found = of_poison(run, poison[0])
            if found is not None and found.state is DeliveryState.DEAD_LETTERED:
                break
        found = of_poison(run, poison[0])
        assert found is not None
        assert (found.state, found.reason) == (DeliveryState.DEAD_LETTERED, FAULTS[name].reason)
        assert found.refusals == 3, "contentAttempts"

    Run(tmp_path, server, lambda numbers: FAULTS[name] if poison and poison[0] in numbers else STORED).play(acts)


def test_an_answer_that_names_nothing_ends_without_neighbours_where_others_passed(
    tmp_path: Path, server: OriginServer
) -> None:
    poison: list[int] = []

    async def acts(run: Run) -> None:
        received = run.receive(20)
        poison.append(received[4])
        await run.until(lambda: sum(map(run.is_delivered, received)) == 19, 10)
        for _ in range(12):
            run.let_time_pass()
            await asyncio.sleep(0.05)
        found = of_poison(run, poison[0])
        assert found is not None
        assert found.state is DeliveryState.DEAD_LETTERED

    Run(tmp_path, server, lambda numbers: EMPTY if poison and poison[0] in numbers else STORED).play(acts)


@pytest.mark.parametrize("name", ["503", "502", "500", "reset", "HTML", "204", "empty", "refused", "404"])
def test_an_outage_never_makes_a_dead_letter(tmp_path: Path, server: OriginServer, name: str) -> None:
    """Neither of the last ones that are left, nor of many, after others passed."""
    is_down: list[bool] = []

    async def acts(run: Run) -> None:
        before = run.receive(50)
        await run.until(lambda: all(map(run.is_delivered, before)), 20)
        is_down.append(True)
        run.receive(5 if name == "empty" else 1)  # one that is taken and not named may be at fault itself
        for number in range(30):
            run.let_time_pass()
            await asyncio.sleep(0.03)
            if number == 15:
                run.receive(25)
        assert run.delivering.spool.snapshot().instances.dead_lettered == 0
        is_down.clear()
        for _ in range(20):
            run.let_time_pass()
            await asyncio.sleep(0.05)
        assert run.delivering.spool.snapshot().instances.owed == 0

    Run(tmp_path, server, lambda _: FAULTS[name] if is_down else STORED).play(acts)


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("name", ["empty", "500", "reset"])
def test_a_server_that_fails_at_random_makes_no_dead_letter(
    tmp_path: Path, server: OriginServer, name: str, share: float
) -> None:
    dice = random.Random(3)

    async def acts(run: Run) -> None:
        for number in range(60):
            run.receive(10 if number % 2 else 1)
            await asyncio.sleep(0.03)
            run.let_time_pass()
        assert run.delivering.spool.snapshot().instances.dead_lettered == 0

    Run(tmp_path, server, lambda _: FAULTS[name] if dice.random() < share else STORED).play(acts)
