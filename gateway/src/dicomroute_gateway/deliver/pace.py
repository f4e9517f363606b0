"""How fast a destination is given deliveries: what it takes side by side, in one batch, and when not at all. Pure.

A destination that fails is left alone, longer each time, and then asked with one delivery (a circuit breaker).
"""

from collections.abc import Callable

from .lanes import Lanes
from .transport import Limits


class Pace:
    """The pace of one destination. Times are seconds of a monotonic clock."""

    def __init__(self, limits: Limits) -> None:
        self.lanes = Lanes(limits)
        self.batch_instances = limits.batch_instances
        self.batch_bytes = limits.batch_bytes
        self._limits = limits
        self._faults = 0
        self._not_before = 0.0

    @property
    def is_asking(self) -> bool:
        """Whether nobody knows if the destination is back: it is then asked with one delivery at a time."""
        return self._faults > 0

    def may_begin(self, now: float, busy: int, asking: int) -> bool:
        """Return whether an attempt may begin beside `busy` others, of which `asking` began to ask whether it is back.

        Those that are under way since before a fault say nothing of that, however long they go on.
        """
        return now >= self._not_before and (asking < 1 if self.is_asking else busy < self.lanes.count)

    def seconds_until(self, now: float) -> float:
        """Return for how long the destination is left alone."""
        return max(0.0, self._not_before - now)

    def hurry(self) -> None:
        """Ask it now, as if it had never failed."""
        self._faults, self._not_before = 0, 0.0

    def fault(self, now: float, wait_seconds: float | None, backoff: Callable[[int], float]) -> None:
        """Take note that the destination failed; several attempts that failed at the same time are one fault."""
        if now >= self._not_before:
            self._faults += 1
            self._not_before = now + backoff(self._faults)
        self._not_before = max(self._not_before, now + (wait_seconds or 0.0))

    def worked(self) -> None:
        """Take note that the destination took something."""
        self._faults = 0

    def refused(self, instances: int, request_bytes: int) -> None:
        """Take note that a batch of so many instances and bytes was too much."""
        self.batch_instances = max(1, min(self.batch_instances, instances // 2))
        self.batch_bytes = max(1, min(self.batch_bytes, request_bytes // 2))

    def stored(self, instances: int, request_bytes: int) -> None:
        """Take note that a batch was stored; one that used what it may lets the next ones grow again."""
        if instances >= self.batch_instances:
            self.batch_instances = min(self._limits.batch_instances, self.batch_instances + 1)
        if request_bytes * 2 >= self.batch_bytes:
            self.batch_bytes = min(self._limits.batch_bytes, self.batch_bytes + self.batch_bytes // 4 + 1)
