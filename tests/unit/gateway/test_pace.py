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
    assert not one.may_begin(101.9, 0, 0), "attempts that failed together are one fault"
    assert one.may_begin(102.0, 0, 0)
    assert not one.may_begin(102.0, 1, 1)
    one.fault(102.0, None, lambda failures: 2.0 * failures)
    assert one.seconds_until(102.0) == 4.0
    one.worked()
    assert one.may_begin(106.0, 7, 7)


def test_what_is_under_way_since_before_a_fault_keeps_nobody_from_asking() -> None:
    one = pace()
    one.fault(100.0, None, lambda _: 1.0)
    assert one.may_begin(101.0, busy=7, asking=0)
    assert not one.may_begin(101.0, busy=8, asking=1)


def test_it_waits_as_long_as_the_server_asks() -> None:
    one = pace()
    one.fault(0.0, 30.0, lambda _: 1.0)
    assert one.seconds_until(0.0) == 30.0
    one.hurry()
    assert one.may_begin(0.0, 0, 0)


def test_a_refused_batch_makes_the_next_ones_smaller_until_they_are_stored() -> None:
    one = pace()
    one.refused(10, 900)
    assert (one.batch_instances, one.batch_bytes) == (5, 450)
    one.refused(1, 300)
    assert one.batch_instances == 1
    for _ in range(50):
        one.stored(one.batch_instances, one.batch_bytes)
    assert (one.batch_instances, one.batch_bytes) == (10, 1000)
