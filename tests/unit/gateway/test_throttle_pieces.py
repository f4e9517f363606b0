"""A throttle gives out what its rate allows, whoever asks, in pieces of even length."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.throttle import Throttle


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_without_a_bound_everything_goes_at_once() -> None:
    assert Throttle(lambda: None, Clock()).piece(1 << 20) == (1 << 20, 0.0)


@given(st.lists(st.integers(1, 3_000_000), min_size=1, max_size=8), st.integers(1024, 10_000_000))
def test_pieces_take_as_long_as_the_rate_says_and_all_but_the_last_are_even(lengths: list[int], rate: int) -> None:
    clock = Clock()
    throttle = Throttle(lambda: rate, clock)
    began = clock.now
    for length in lengths:
        left = length
        while left:
            taken, seconds = throttle.piece(left)
            assert 0 < taken <= left
            assert taken == left or taken % 2 == 0
            clock.now += seconds
            left -= taken
    assert clock.now - began >= sum(lengths) / rate - 0.26
    assert clock.now - began <= sum(lengths) / rate + 0.01


def test_a_window_without_bandwidth_lets_what_is_under_way_end_at_the_last_rate() -> None:
    clock, rates = Clock(), [8192, 0]
    throttle = Throttle(lambda: rates[0], clock)
    throttle.piece(4096)
    rates.pop(0)
    _, seconds = throttle.piece(4096)
    assert 0 < seconds <= 1.0


def test_blocks_come_out_as_they_went_in() -> None:
    async def collected() -> bytes:
        return b"".join([piece async for piece in Throttle(lambda: 50_000, Clock()).pieces(block)])

    block = bytes(range(256)) * 999
    assert asyncio.run(collected()) == block
