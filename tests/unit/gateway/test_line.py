"""Who waits for a destination, and in which order they are taken."""

from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.deliver.line import Line, Turn


def everything(_identifier: int) -> Turn:
    return Turn.TAKE


def test_deliveries_are_taken_in_their_order_and_wait_once() -> None:
    line = Line()
    line.add([1, 2, 3])
    line.add([2, 4])
    assert line.take(0, 3, everything) == [1, 2, 3]
    assert line.take(0, 3, everything) == [4]
    assert line.take(0, 3, everything) == []


def test_a_refused_batch_is_bisected_and_its_halves_travel_by_themselves() -> None:
    line = Line()
    line.add([9])
    line.add_halves([1, 2, 3, 4, 5])
    taken = [line.take(0, 10, everything) for _ in range(3)]
    assert taken == [[1, 2, 3], [4, 5], [9]]
    line.add_halves([7])
    assert line.take(0, 10, everything) == [7]


def test_what_waits_for_a_time_is_taken_alone_when_it_has_come() -> None:
    line = Line()
    line.add_later(5.0, 1)
    line.add_later(4.0, 2)
    line.add([3])
    assert line.next_time == 4.0
    assert [line.due(one) for one in (1, 2, 3)] == [5.0, 4.0, None]
    assert line.take(3.9, 10, everything) == [3]
    assert line.take(3.9, 10, everything) == []
    assert [line.take(5.0, 10, everything), line.take(5.0, 10, everything)] == [[2], [1]]
    assert [line.due(one) for one in (1, 2, 3)] == [None, None, None]


def test_hurry_ends_every_wait() -> None:
    line = Line()
    line.add_later(1e9, 1)
    line.hurry()
    assert (line.next_time, line.due(1)) == (None, None)
    assert line.take(0, 10, everything) == [1]


def test_what_may_not_be_made_yet_lets_others_pass() -> None:
    line = Line()
    line.add([1, 2, 3])
    turns = {1: Turn.LATER, 2: Turn.FORGET, 3: Turn.TAKE}
    assert line.take(0, 10, turns.__getitem__) == [3]
    assert 1 in line
    assert 2 not in line
    assert line.take(0, 10, everything) == [1]


def test_what_does_not_fit_stays_in_front() -> None:
    line = Line()
    line.add([1, 2, 3])
    turns = iter([Turn.TAKE, Turn.FULL])
    assert line.take(0, 10, lambda _: next(turns)) == [1]
    assert line.take(0, 10, everything) == [2, 3]


@given(st.lists(st.lists(st.integers(0, 50), max_size=12), max_size=8), st.integers(1, 12), st.randoms())
def test_nothing_is_lost_and_nothing_is_taken_twice(groups: list[list[int]], most: int, random: object) -> None:
    line, expected = Line(), set()
    for number, group in enumerate(groups):
        fresh = [one for one in dict.fromkeys(group) if one not in expected]
        expected.update(fresh)
        (line.add if number % 2 else line.add_halves)(fresh)
    taken: list[int] = []
    while some := line.take(0, most, lambda _: random.choice([Turn.TAKE, Turn.LATER, Turn.TAKE])):  # type: ignore[attr-defined]
        assert len(some) <= most
        taken += some
    while some := line.take(0, most, everything):
        taken += some
    assert sorted(taken) == sorted(expected)


def test_those_in_order_can_come_before_groups() -> None:
    line = Line()
    line.add_group([1])
    line.add([2])
    assert line.take(0, 1, everything, ready_first=True) == [2]
    assert line.take(0, 1, everything, ready_first=True) == [1]
