"""How fast a destination is given deliveries."""

from dicomroute_gateway.deliver.pace import Pace
from dicomroute_gateway.deliver.transport import Limits

LIMITS = Limits(lanes=8, most_lanes=12, batch_instances=10, batch_bytes=1000)


def pace() -> Pace:
    return Pace(LIMITS)


def test_a_destination_that_fails_is_left_alone_and_then_asked_with_one() -> None:
    one = pace()
    one.fault(100.0, None, lambda failures: 2.0 * failures)
    one.fault(100.1, None, lambda failures: 2.0 * failures)
    assert not one.may_begin(101.9, 0), "attempts that failed together are one fault"
    assert one.may_begin(102.0, 0)
    assert not one.may_begin(102.0, 1)
    one.fault(102.0, None, lambda failures: 2.0 * failures)
    assert one.seconds_until(102.0) == 4.0
    one.worked()
    assert one.may_begin(106.0, 7)


def test_it_waits_as_long_as_the_server_asks() -> None:
    one = pace()
    one.fault(0.0, 30.0, lambda _: 1.0)
    assert one.seconds_until(0.0) == 30.0
    one.hurry()
    assert one.may_begin(0.0, 0)


def test_one_that_throttles_is_given_half() -> None:
    one = pace()
    lanes = []
    for _ in range(5):
        one.throttled()
        lanes.append(one.lanes)
    assert lanes == [4, 2, 1, 1, 1]


def test_quick_answers_with_all_lanes_in_use_open_another_and_no_more_than_allowed() -> None:
    one = pace()
    for _ in range(7):
        one.answered(0.1, 100, busy=8)
    assert one.lanes == 8
    one.answered(0.1, 100, busy=8)
    assert one.lanes == 9
    for _ in range(100):
        one.answered(0.1, 100, busy=3)
    assert one.lanes == 9, "lanes that are not needed say nothing"
    for _ in range(1000):
        one.answered(0.1, 100, busy=one.lanes)
    assert one.lanes == 12


def test_slow_answers_close_lanes_and_a_slower_server_is_taken_as_it_is() -> None:
    one = pace()
    one.answered(0.1, 100, busy=8)
    one.answered(2.0, 100, busy=8)
    assert one.lanes == 6
    for _ in range(400):
        one.answered(2.0, 100, busy=one.lanes)
    assert one.lanes > 1, "what is slow always is no sign of too much"


def test_a_large_request_may_take_longer() -> None:
    one = pace()
    one.answered(0.1, 100, busy=8)
    one.answered(10.0, 1 << 30, busy=8)
    assert one.lanes == 8


def test_a_refused_batch_makes_the_next_ones_smaller_until_they_are_stored() -> None:
    one = pace()
    one.refused(10, 900)
    assert (one.batch_instances, one.batch_bytes) == (5, 450)
    one.refused(1, 300)
    assert one.batch_instances == 1
    for _ in range(50):
        one.stored(one.batch_instances, one.batch_bytes)
    assert (one.batch_instances, one.batch_bytes) == (10, 1000)


def test_no_more_lanes_than_the_destination_serves_until_nobody_knows_of_a_bound() -> None:
    one = pace()
    one.bounded(1)
    for _ in range(20):
        one.answered(0.1, 100, busy=one.lanes)
    assert one.lanes == 1
    one.bounded(None)
    for _ in range(3):
        one.answered(0.1, 100, busy=one.lanes)
    assert one.lanes == 3
    one.bounded(1000)
    for _ in range(1000):
        one.answered(0.1, 100, busy=one.lanes)
    assert one.lanes == 12
