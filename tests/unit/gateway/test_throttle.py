"""What is sent to a destination keeps to its bandwidth, however many lanes send."""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.deliver.cloud.stow import StowTransport
from dicomroute_gateway.dicomweb.connections import STALL_SECONDS
from dicomroute_gateway.throttle import Throttle

MOST_LANES = StowTransport.limits.most_lanes
LEAST_RATE = 1024
"""The least that a manifest takes."""


@dataclass
class FakeClock:
    """Time that passes when everybody sleeps, and not before."""

    now: float = 1000.0
    _sleepers: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _count: int = 0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        wakes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, wakes))
        await wakes

    async def pass_until(self, done: asyncio.Future[object]) -> None:
        """Wake sleepers in their order until `done` is."""
        while not done.done():
            for _ in range(5):  # everybody who can go on does
                await asyncio.sleep(0)
            if self._sleepers and not done.done():
                self.now, _, wakes = heapq.heappop(self._sleepers)
                wakes.set_result(None)


@dataclass
class Sent:
    """When how many bytes were given away, by lane."""

    pieces: list[tuple[float, int, int]] = field(default_factory=list)

    def bytes_until(self, seconds: float) -> int:
        return sum(length for when, _, length in self.pieces if when <= seconds)

    def longest_wait(self, begin: float) -> float:
        """Return the longest time that a lane waited for its next piece."""
        last: dict[int, float] = {}
        longest = 0.0
        for when, lane, _ in self.pieces:
            longest = max(longest, when - last.get(lane, begin))
            last[lane] = when
        return longest


def send(rate: Callable[[float], int | None], lanes: Sequence[Sequence[bytes]]) -> tuple[Sent, float]:
    """Send the blocks of each lane; return what was sent, in seconds from the begin, and how long it took."""
    clock, sent = FakeClock(), Sent()
    begin = clock.now
    throttle = Throttle(lambda: rate(clock.now - begin), clock)

    async def lane(number: int, blocks: Sequence[bytes]) -> None:
        for block in blocks:
            pieces = []
            async for piece in throttle.pieces(block):
                pieces.append(piece)
                sent.pieces.append((clock.now - begin, number, len(piece)))
            assert b"".join(pieces) == block

    async def every_lane() -> None:
        await asyncio.gather(*(lane(number, blocks) for number, blocks in enumerate(lanes)))

    async def run() -> None:
        done = asyncio.ensure_future(every_lane())
        await clock.pass_until(done)
        await done

    asyncio.run(run())
    return sent, clock.now - begin


@pytest.mark.parametrize("lanes", [1, 8, MOST_LANES])
@pytest.mark.parametrize("rate", [10_000, 1_000_000, 125_000_000])
def test_the_bound_is_kept_and_used_whatever_the_number_of_lanes(rate: int, lanes: int) -> None:
    blocks = [[bytes(10 * rate // lanes // 4)] * 4 for _ in range(lanes)]
    total = sum(len(block) for one in blocks for block in one)
    sent, seconds = send(lambda _: rate, blocks)
    assert seconds == pytest.approx(total / rate, abs=0.5)
    for moment in range(1, 10):
        assert sent.bytes_until(moment) <= rate * (moment + 0.3)
        assert sent.bytes_until(moment) >= rate * (moment - 0.6) - lanes * 1024


@given(
    st.integers(LEAST_RATE, 10_000_000),
    st.lists(st.lists(st.integers(0, 300_000), max_size=4), min_size=1, max_size=6),
)
def test_never_more_than_the_rate_and_a_short_burst(rate: int, lengths: list[list[int]]) -> None:
    sent, _ = send(lambda _: rate, [[bytes(length) for length in lane] for lane in lengths])
    total = 0
    for when, _, length in sent.pieces:
        total += length
        assert total <= rate * (when + 0.25) + 1
    assert total == sum(map(sum, lengths))


def test_a_pause_gives_no_credit_but_a_short_burst() -> None:
    clock = FakeClock()
    throttle = Throttle(lambda: 100_000, clock)

    async def run() -> float:
        async def one() -> None:
            async for _ in throttle.pieces(bytes(200_000)):
                pass

        await clock.pass_until(first := asyncio.ensure_future(one()))
        await first
        clock.now += 3600
        begin = clock.now
        await clock.pass_until(second := asyncio.ensure_future(one()))
        await second
        return clock.now - begin

    assert asyncio.run(run()) == pytest.approx(2.0, abs=0.3)


def test_without_a_bound_nothing_waits_and_blocks_stay_whole() -> None:
    block = bytes(10_000_000)
    sent, seconds = send(lambda _: None, [[block, block]])
    assert (seconds, [length for _, _, length in sent.pieces]) == (0.0, [len(block)] * 2)


def test_another_rate_is_in_force_within_a_moment() -> None:
    sent, seconds = send(lambda now: 1_000_000 if now < 2 else 100_000, [[bytes(4_000_000)]])
    assert sent.bytes_until(2) == pytest.approx(2_000_000, rel=0.2)
    assert seconds == pytest.approx(2 + 20, abs=3)


def test_what_is_under_way_when_nothing_may_be_sent_any_more_goes_on_at_the_last_rate() -> None:
    _, seconds = send(lambda now: 1_000_000 if now < 2 else 0, [[bytes(500_000)] * 8])
    assert seconds == pytest.approx(4, abs=0.5)


def test_what_is_under_way_without_a_bound_goes_on_without_one() -> None:
    """A large instance that was begun before the window would else take a day for its end."""
    answers = chain([None], repeat(0))
    _, seconds = send(lambda _: next(answers), [[bytes(10_000_000)] * 4])
    assert seconds < 1


def test_no_lane_waits_so_long_that_its_request_is_given_up() -> None:
    """Waiting for one's turn is no stall of the destination, but is measured as one."""
    sent, _ = send(lambda _: LEAST_RATE, [[bytes(10_000)] for _ in range(MOST_LANES)])
    assert sent.longest_wait(0.0) < STALL_SECONDS / 2
