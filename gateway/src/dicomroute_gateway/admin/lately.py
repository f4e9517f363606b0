"""What was made a moment ago and is good enough for who asks now: making it takes a bounded share of the time."""

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_TIMES: Final = 10
"""What took so long to make is good enough for so many times as long."""


class Lately(Generic[T]):
    """Makes something for whoever asks, and not more often than that takes a tenth of the time."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self._good_until = 0.0

    def get(self) -> T:
        """Return it. Raises what `make` raises."""
        begin = time.monotonic()
        if self._made is None or begin >= self._good_until:
            self._made = self._make()
            end = time.monotonic()
            self._good_until = end + _TIMES * (end - begin)
        return self._made
