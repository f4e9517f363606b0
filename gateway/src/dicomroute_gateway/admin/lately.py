"""What was made a moment ago and is good enough for who asks now."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lately(Generic[T]):
    """Makes something again only when it is older than so many seconds."""

    def __init__(self, seconds: float, make: Callable[[], T]) -> None:
        self._seconds = seconds
        self._make = make
        self._made: tuple[float, T] | None = None

    def get(self) -> T:
        """Return it. Raises what `make` raises."""
        now = time.monotonic()
        if self._made is None or now - self._made[0] >= self._seconds:
            self._made = (now, self._make())
        return self._made[1]
