"""Whose fault a fault is."""

from dataclasses import replace

from spools import received

from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.deliver.suspects import Suspects
from dicomroute_gateway.spool.records import Received

ERROR, UNREACHABLE = (
    AttemptOutcome(Verdict.RETRY, "ServerError", 500),
    AttemptOutcome(Verdict.RETRY, "ConnectionFailed"),
)


def one(identifier: int, series: str = "1.2.3") -> Received:
    return replace(received(identifier), series_instance_uid=series)


def test_one_that_fails_alone_again_and_again_is_at_fault_itself_and_a_second_is_a_sign_of_the_destination() -> None:
    suspects = Suspects()
    assert suspects.failed([one(1)], ERROR)
    assert not suspects.failed([one(2)], ERROR)
    suspects.destination_failed()
    assert suspects.failed([one(1)], ERROR), "that it fails again says nothing of others"
    assert not suspects.failed([one(2)], ERROR)
    suspects.clear()
    assert suspects.failed([one(2)], ERROR)


def test_a_destination_that_cannot_be_reached_says_nothing_of_what_is_owed_to_it() -> None:
    suspects = Suspects()
    assert not suspects.failed([one(1)], UNREACHABLE)
    assert not suspects.is_any
    suspects.destination_failed()
    assert not suspects.failed([one(1)], ERROR), "it has not shown that it works"


def test_of_several_nobody_knows_which_one_it_was_and_their_series_are_known() -> None:
    suspects = Suspects()
    assert not suspects.failed([one(1), one(2, "1.2.4"), one(3, "")], ERROR)
    assert [suspects.has_like(one(9, series)) for series in ("1.2.3", "1.2.4", "1.2.5", "")] == [
        True,
        True,
        False,
        False,
    ]
    suspects.clear()
    assert not suspects.is_any
