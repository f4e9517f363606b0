"""How fast the spool fills is known after five minutes, and follows the last ten."""

from dicomroute_gateway.admin.fill_rate import FillRate


def test_growth_is_that_of_the_last_ten_minutes() -> None:
    rate = FillRate()
    for second in range(0, 270, 10):
        rate.add(second, 1000 * second)
        assert rate.bytes_per_second == 0, "too early to say"
    for second in range(270, 3600, 10):
        rate.add(second, 1000 * second)
    assert rate.bytes_per_second == 1000
    for second in range(3600, 4300, 30):
        rate.add(second, 3_600_000 - 500 * (second - 3600))
    assert rate.bytes_per_second == -500
