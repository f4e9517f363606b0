"""How fast a destination is given deliveries."""

from dataclasses import replace

from dicomroute_gateway.deliver.pace import Pace
from dicomroute_gateway.deliver.transport import BatchLimits

LIMITS = BatchLimits(lanes=8, most_lanes=12, batch_instances=10, most_batch_instances=30, batch_bytes=1000)


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
        one.stored(one.batch_instances, one.batch_bytes, None)
    assert (one.batch_instances, one.batch_bytes) == (10, 1000)


def test_more_go_together_where_answers_are_quick_and_as_many_as_at_first_where_they_become_slow() -> None:
    one = pace()
    one.stored(9, 100, 0.1)
    assert one.batch_instances == 10, "it was not full"
    one.stored(10, 100, 0.1)
    assert one.batch_instances == 20
    one.stored(20, 100, 0.1)
    one.stored(30, 100, 0.1)
    assert one.batch_instances == LIMITS.most_batch_instances == 30
    one.stored(30, 100, 0.5)
    assert one.batch_instances == 30, "neither quick nor slow"
    one.stored(3, 100, 1.5)
    assert one.batch_instances == 15
    one.stored(15, 100, 1.5)
    one.stored(10, 100, 1.5)
    assert one.batch_instances == 10


def test_a_refusal_makes_batches_smaller_that_had_grown_and_they_grow_again_by_one_up_to_the_first_size() -> None:
    one = pace()
    for _ in range(2):
        one.stored(one.batch_instances, 100, 0.1)
    one.refused(30, 100)
    assert one.batch_instances == 15
    one.refused(15, 100)
    assert one.batch_instances == 7
    one.stored(7, 10, 0.1)
    assert one.batch_instances == 8


def test_more_than_at_first_go_together_if_they_are_small() -> None:
    one = Pace(replace(LIMITS, batch_bytes=32 << 20))
    assert [one.most_bytes(count) for count in (1, 10, 11, 30)] == [32 << 20, 32 << 20, 4 << 20, 4 << 20]
    one.refused(10, 2 << 20)
    assert [one.most_bytes(count) for count in (1, 11)] == [1 << 20, 1 << 20], "no more than is taken at all"
