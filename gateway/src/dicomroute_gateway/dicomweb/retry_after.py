"""How long a server asks to be left alone. Pure."""

from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER_SECONDS: Final = 3600.0


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """Return how long a Retry-After header asks to wait: seconds or an HTTP date (RFC 9110 10.2.3), or None.

    At most an hour: a server's mistake must not put deliveries off for years.
    """
    text = (value or "").strip()
    try:
        if text.isascii() and text.isdecimal():
            seconds = float(text[:12])
        else:
            seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(MAX_RETRY_AFTER_SECONDS, max(0.0, seconds))
