"""How long to wait before the next attempt. Pure: the random number is an argument."""

from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER_SECONDS: Final = 3600.0
SOON_ATTEMPTS: Final = 12
"""Where half the attempts fail, so many in a row are one case in thousands."""
_SOON_SECONDS: Final = 0.005
_MOST_SOON_SECONDS: Final = 1.0


def full_jitter(failures: int, initial_seconds: float, maximum_seconds: float, random: float) -> float:
    """Return seconds to wait after `failures` in a row; `random` is in [0, 1).

    Full jitter: anything up to an exponentially growing bound, so that many senders do not come back at once. Never
    less than a tenth of the initial wait, so that a fast refusal is not asked for again without a pause.
    """
    doubled: float = initial_seconds * 2.0 ** min(failures - 1, 32)
    bound = min(maximum_seconds, doubled)
    return max(initial_seconds / 10, bound * random)


def soon(attempts: int) -> float:
    """Return seconds to wait after so many attempts in a row where others pass; meant for up to SOON_ATTEMPTS."""
    return 0.0 if attempts < 2 else min(_MOST_SOON_SECONDS, _SOON_SECONDS * 2.0**attempts)


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
