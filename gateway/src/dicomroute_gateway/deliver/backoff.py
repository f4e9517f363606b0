"""How long to wait before the next attempt. Pure: the random number is an argument."""

from typing import Final

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
