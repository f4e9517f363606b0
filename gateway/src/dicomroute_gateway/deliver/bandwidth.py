"""How much a destination may be sent at a moment. Pure: the time is an argument."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dicomroute_gateway.configuration.destinations import Bandwidth, Weekday, Window

_DAYS = list(Weekday)


def bytes_per_second(bandwidth: Bandwidth | None, now: float) -> int | None:
    """Return the bound at `now`, in seconds since 1970: 0 when nothing is sent, None when there is none."""
    if bandwidth is None:
        return None
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(bandwidth.time_zone))
    for window in bandwidth.windows:
        if _is_in(window, local):
            return window.max_bytes_per_second
    return bandwidth.max_bytes_per_second


def _is_in(window: Window, local: datetime) -> bool:
    start, end, clock = time.fromisoformat(window.start), time.fromisoformat(window.end), local.time()
    today = _DAYS[local.weekday()]
    if start < end:
        return today in window.days and start <= clock < end
    # Over midnight: this evening, or the morning after a day that it began on; equal ends are a whole day.
    yesterday = _DAYS[(local - timedelta(days=1)).weekday()]
    return (today in window.days and clock >= start) or (yesterday in window.days and clock < end)
