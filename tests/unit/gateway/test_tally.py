"""How a retrieval stands, and with which status it ends."""

import pytest

from dicomroute_gateway.dimse.command import Command, CommandField, Status, SubOperations, encode_response
from dicomroute_gateway.query.tally import MOST_SUB_OPERATIONS, Listed, Tally

UIDS = ["1.1", "1.2", "1.3", "1.4"]


def tally(**statuses: int) -> Tally:
    """Return a tally of four sub-operations, of which some were answered."""
    one = Tally()
    one.begin(UIDS)
    for name, status in statuses.items():
        one.stored(f"1.{name[1:]}", status)
    return one


@pytest.mark.parametrize(
    "statuses, listed, is_cancelled, status",
    [
        ({"n1": 0, "n2": 0, "n3": 0, "n4": 0}, Listed.ALL, False, Status.SUCCESS),
        ({"n1": 0, "n2": 0, "n3": 0, "n4": 0xB000}, Listed.ALL, False, Status.SUB_OPERATIONS_FAILED),
        ({"n1": 0, "n2": 0, "n3": 0, "n4": 0x0107}, Listed.ALL, False, Status.SUB_OPERATIONS_FAILED),
        ({"n1": 0, "n2": 0, "n3": 0, "n4": 0xA700}, Listed.ALL, False, Status.SUB_OPERATIONS_FAILED),
        ({"n1": 0, "n2": 0, "n3": 0, "n4": 0}, Listed.SOME, False, Status.SUB_OPERATIONS_FAILED),
        ({"n1": 0, "n2": 0, "n3": 0, "n4": 0}, Listed.NOT_KNOWN, False, Status.CANNOT_CALCULATE_MATCHES),
        ({"n1": 0xC000, "n2": 0xA700, "n3": 0x0122, "n4": 0xA900}, Listed.ALL, False, Status.CANNOT_PERFORM),
        ({"n1": 0xB006, "n2": 0xA700, "n3": 0x0122, "n4": 0xA900}, Listed.ALL, False, Status.SUB_OPERATIONS_FAILED),
        ({"n1": 0}, Listed.ALL, True, Status.CANCEL),
    ],
)
def test_a_retrieval_ends_with_what_came_of_it(
    statuses: dict[str, int], listed: Listed, is_cancelled: bool, status: Status
) -> None:
    assert tally(**statuses).final_status(listed, is_cancelled=is_cancelled) is status


def test_nothing_to_retrieve_is_a_success() -> None:
    one = Tally()
    one.begin([])
    assert one.final_status(Listed.ALL, is_cancelled=False) is Status.SUCCESS
    assert one.final(with_remaining=False) == SubOperations(None, 0, 0, 0)
    assert one.final(with_remaining=True) == SubOperations(0, 0, 0, 0)


def test_before_everything_is_listed_what_is_known_remains_and_never_nothing() -> None:
    one = Tally()
    assert one.pending().remaining == 1
    one.found(17)
    assert one.pending().remaining == 17
    one.found(70_000)
    assert one.pending().remaining == MOST_SUB_OPERATIONS
    one.begin([])
    assert one.pending().remaining == 1


def test_each_counts_once_and_those_that_failed_are_named() -> None:
    one = tally(n1=0, n2=0xB000, n3=0xC000)
    for again in ("1.1", "1.3", "9.9"):
        one.stored(again, 0xA700)
    assert one.pending() == SubOperations(1, 1, 1, 1)
    assert one.failed_uids == ("1.3",)
    one.fail_the_rest()
    assert one.final(with_remaining=False) == SubOperations(None, 1, 2, 1)
    assert one.failed_uids == ("1.3", "1.4")


def test_counts_are_said_in_a_response_and_remaining_where_some_remain() -> None:
    request = Command(CommandField.C_MOVE_RQ, 7, True, "1.2.840.10008.5.1.4.1.2.2.2", "", "")
    for counts, wanted in ((SubOperations(3, 2, 1, 0), 4), (SubOperations(None, 2, 1, 0), 3)):
        data = encode_response(request, 0xFF00, "", counts)
        elements = [data.find(bytes((0, 0, 0x20 + n, 0x10))) >= 0 for n in range(4)]
        assert sum(elements) == wanted
        assert elements[0] == (counts.remaining is not None)
