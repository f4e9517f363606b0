"""How much a destination may be sent at a moment of the week, in its own time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dicomroute_gateway.configuration.destinations import Bandwidth, Weekday, Window
from dicomroute_gateway.deliver.bandwidth import bytes_per_second

BERLIN, KATHMANDU = "Europe/Berlin", "Asia/Kathmandu"
DAYS = list(Weekday)
IN, OUT = 1000, 5000


def window(start: str, end: str, *days: Weekday, most: int = IN) -> Window:
    return Window(start=start, end=end, max_bytes_per_second=most, **({"days": list(days)} if days else {}))


def at(bandwidth: Bandwidth, text: str, zone: str = "UTC") -> int | None:
    """Return the bound at a local time."""
    return bytes_per_second(bandwidth, datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def only(one: Window, zone: str = "UTC") -> Bandwidth:
    return Bandwidth(max_bytes_per_second=OUT, time_zone=zone, windows=[one])


def test_without_a_bandwidth_there_is_no_bound() -> None:
    assert bytes_per_second(None, 0.0) is None
    assert at(Bandwidth(windows=[window("08:00", "18:00")]), "2026-03-10T07:59:59") is None
    assert at(Bandwidth(max_bytes_per_second=OUT), "2026-03-10T07:59:59") == OUT


@pytest.mark.parametrize(
    "clock, bound",
    [("07:59:59.999", OUT), ("08:00:00", IN), ("12:00:00", IN), ("17:59:59.999", IN), ("18:00:00", OUT)],
)
def test_a_window_begins_with_its_start_and_is_over_at_its_end(clock: str, bound: int) -> None:
    assert at(only(window("08:00", "18:00")), f"2026-03-10T{clock}") == bound


@pytest.mark.parametrize(
    "moment, bound",
    [
        ("2026-03-06T21:59", OUT),  # a Friday
        ("2026-03-06T22:00", IN),
        ("2026-03-06T23:59:59.999", IN),
        ("2026-03-07T00:00", IN),
        ("2026-03-07T05:59", IN),
        ("2026-03-07T06:00", OUT),
        ("2026-03-07T22:00", OUT),
        ("2026-03-08T05:00", OUT),
        ("2026-03-06T05:00", OUT),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_that_it_begins_on(moment: str, bound: int) -> None:
    assert at(only(window("22:00", "06:00", Weekday.FRIDAY)), moment) == bound


def test_a_sunday_night_ends_on_monday() -> None:
    night = only(window("22:00", "06:00", Weekday.SUNDAY))
    assert [at(night, f"2026-03-{day}T03:00") for day in ("08", "09", "10")] == [OUT, IN, OUT]


def test_equal_ends_are_a_day_from_its_start() -> None:
    whole = only(window("06:00", "06:00", Weekday.MONDAY))
    moments = ("2026-03-09T05:59", "2026-03-09T06:00", "2026-03-10T05:59", "2026-03-10T06:00")
    assert [at(whole, moment) for moment in moments] == [OUT, IN, IN, OUT]
    midnight = only(window("00:00", "00:00", Weekday.MONDAY))
    moments = ("2026-03-08T23:59", "2026-03-09T00:00", "2026-03-09T23:59", "2026-03-10T00:00")
    assert [at(midnight, moment) for moment in moments] == [OUT, IN, IN, OUT]
    until_midnight = only(window("18:00", "00:00"))
    assert [at(until_midnight, f"2026-03-09T{clock}") for clock in ("17:59", "23:59", "00:00")] == [OUT, IN, OUT]


def test_the_first_window_that_it_is_counts() -> None:
    both = Bandwidth(
        max_bytes_per_second=OUT, windows=[window("12:00", "13:00", most=0), window("08:00", "18:00", most=IN)]
    )
    assert [at(both, f"2026-03-10T{clock}") for clock in ("11:00", "12:30", "13:00", "19:00")] == [IN, 0, IN, OUT]


def test_days_and_times_are_those_of_the_time_zone() -> None:
    working = only(window("08:00", "18:00", Weekday.MONDAY), KATHMANDU)  # UTC+05:45
    utc = ("2026-03-09T02:14:59", "2026-03-09T02:15:00", "2026-03-09T12:14:59", "2026-03-09T12:15:00")
    assert [at(working, moment) for moment in utc] == [OUT, IN, IN, OUT]
    early = only(window("00:00", "04:00", Weekday.TUESDAY), KATHMANDU)
    assert at(early, "2026-03-09T20:00") == IN, "it is Tuesday there already"


def test_when_summer_time_begins_a_window_in_the_missing_hour_is_not() -> None:
    """On 29 March 2026 Berlin goes from 02:00 to 03:00, at 01:00 UTC."""
    missing = only(window("02:00", "03:00"), BERLIN)
    assert [at(missing, f"2026-03-29T{clock}") for clock in ("00:59:59", "01:00:00", "01:30:00")] == [OUT] * 3
    across = only(window("01:00", "04:00"), BERLIN)
    moments = ("2026-03-28T23:59:59", "2026-03-29T00:00", "2026-03-29T01:59:59", "2026-03-29T02:00")
    assert [at(across, moment) for moment in moments] == [OUT, IN, IN, OUT], "two hours long"


def test_when_summer_time_ends_a_window_in_the_repeated_hour_is_twice() -> None:
    """On 25 October 2026 Berlin goes from 03:00 to 02:00, at 01:00 UTC."""
    repeated = only(window("02:00", "03:00"), BERLIN)
    utc = ("2026-10-24T23:59:59", "2026-10-25T00:00", "2026-10-25T00:59:59", "2026-10-25T01:30", "2026-10-25T02:00")
    assert [at(repeated, moment) for moment in utc] == [OUT, IN, IN, IN, OUT]
    night = only(window("22:00", "06:00", Weekday.SATURDAY), BERLIN)
    hours = [datetime(2026, 10, 24, 19, tzinfo=UTC) + timedelta(hours=hour) for hour in range(12)]
    assert [bytes_per_second(night, hour.timestamp()) for hour in hours] == [OUT] + [IN] * 9 + [OUT] * 2


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="no time zone"):
        Bandwidth(time_zone="Europe/Atlantis")


@given(
    st.integers(0, 24 * 60 - 1),
    st.integers(0, 24 * 60 - 1),
    st.sets(st.sampled_from(DAYS), min_size=1),
    st.integers(0, 2 * 7 * 24 * 60 - 1),
)
def test_a_window_is_as_long_as_it_says_on_its_days(start: int, end: int, days: set[Weekday], minute: int) -> None:
    """Against another way to say it: minutes of the week, counted from each start."""

    def clock(minutes: int) -> str:
        return f"{minutes // 60:02}:{minutes % 60:02}"

    monday = datetime(2026, 3, 2, tzinfo=UTC)
    length = (end - start) % (24 * 60) or 24 * 60
    starts = {DAYS.index(day) * 24 * 60 + start for day in days}
    week = 7 * 24 * 60
    expected = any((minute - begin) % week < length for begin in starts)
    bound = bytes_per_second(
        only(window(clock(start), clock(end), *days)), (monday + timedelta(minutes=minute)).timestamp()
    )
    assert bound == (IN if expected else OUT)
