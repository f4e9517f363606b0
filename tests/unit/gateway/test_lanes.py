"""How many attempts a destination is given side by side."""

import random

import pytest

from dicomroute_gateway.deliver.lanes import Lanes
from dicomroute_gateway.deliver.transport import BatchLimits

LIMITS = BatchLimits(lanes=8, most_lanes=32, batch_instances=10, most_batch_instances=30, batch_bytes=1000)


def lanes() -> Lanes:
    return Lanes(LIMITS)


def answers(one: Lanes, count: int, seconds: float = 0.1) -> None:
    for _ in range(count):
        one.answered(seconds, 100, busy=one.count)


def test_more_are_kept_for_as_long_as_they_carry_more() -> None:
    one = lanes()
    answers(one, 7)
    assert one.count == 8
    answers(one, 1)
    assert one.count == 10
    for _ in range(100):
        one.answered(0.1, 100, busy=3)
    assert one.count == 10, "lanes that are not needed say nothing"
    answers(one, 1000)
    assert one.count == 32


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("capacity", [1, 4, 8, 16])
def test_a_server_that_does_so_many_at_a_time_is_not_given_many_more(capacity: int, noise: float) -> None:
    one, dice = lanes(), random.Random(1)
    seen = []
    for _ in range(20_000):
        one.answered(max(1.0, one.count / capacity) * dice.uniform(1 - noise, 1 + noise), 100, busy=one.count)
        seen.append(one.count)
    later = seen[2_000:]
    assert sum(later) / len(later) <= max(8, capacity) * 1.5
    assert max(later) <= max(8, capacity) * 2.5
    assert sum(later) / len(later) >= min(8, capacity) * 0.9


def test_slow_answers_close_lanes_and_a_slower_server_is_taken_as_it_is() -> None:
    one = lanes()
    answers(one, 1)
    answers(one, 1, 2.0)
    assert one.count == 6
    answers(one, 400, 2.0)
    assert one.count > 1, "what is slow always is no sign of too much"


def test_a_large_request_may_take_longer() -> None:
    one = lanes()
    answers(one, 1)
    one.answered(10.0, 1 << 30, busy=8)
    assert one.count == 8


def test_one_that_throttles_is_given_half_once_for_those_of_one_time() -> None:
    one = lanes()
    counts = []
    for round_ in range(5):
        for _ in range(one.count):
            one.too_many(10.0 * round_ + 5, began=10.0 * round_)
        counts.append(one.count)
    assert counts == [4, 2, 1, 1, 1]


def test_a_server_behind_a_proxy_that_loses_patience_is_given_what_it_does_in_time() -> None:
    """Each that timed out was worked on for nothing, and is sent again."""
    one, capacity, patience = lanes(), 4, 30.0
    now, late, total = 0.0, 0, 2_000
    for _ in range(total):
        seconds = 5.0 * max(1.0, one.count / capacity)
        now += seconds / one.count
        if seconds > patience:
            late += 1
            one.too_many(now, now - patience)
        else:
            one.answered(seconds, 100, busy=one.count)
    assert late < total / 20


def test_no_more_than_the_destination_serves_until_nobody_knows_of_a_bound() -> None:
    one = lanes()
    one.bounded(1)
    answers(one, 40)
    assert one.count == 1
    one.bounded(None)
    answers(one, 40)
    assert one.count > 2
    one.bounded(12)
    answers(one, 1000)
    assert one.count == 12
