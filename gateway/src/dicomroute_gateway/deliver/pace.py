"""How fast a destination is given deliveries: what it takes side by side, in one batch, and when not at all. Pure.

A destination that fails is left alone, longer each time, and then asked with one delivery (a circuit breaker).
"""

from collections.abc import Callable
from typing import Final

from .lanes import Lanes
from .transport import BatchLimits

_QUICK_SECONDS: Final = 0.25
_SLOW_SECONDS: Final = 1.0
"""A batch answered within the first lets the next ones carry more, one that takes longer than the other less."""
_MORE_INSTANCES: Final = 10
_SMALL_BYTES: Final = 4 << 20
"""Batches of more instances than at first have so many bytes at most: large ones are quicker side by side."""


class Pace:
    """The pace of one destination. Times are seconds of a monotonic clock."""

    def __init__(self, limits: BatchLimits) -> None:
        self.lanes = Lanes(limits)
        self.batch_instances = limits.batch_instances
        self.batch_bytes = limits.batch_bytes
        self._limits = limits
        self._faults = 0
        self._not_before = 0.0
        self._asked_until = 0.0
        """Until when the destination itself asks to be left alone."""

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
        self._faults, self._not_before, self._asked_until = 0, 0.0, 0.0

    def fault(self, now: float, wait_seconds: float | None, backoff: Callable[[int], float]) -> None:
        """Take note that the destination failed; several attempts that failed at the same time are one fault."""
        if now >= self._not_before:
            self._faults += 1
            self._not_before = now + backoff(self._faults)
        self._asked_until = max(self._asked_until, now + (wait_seconds or 0.0))
        self._not_before = max(self._not_before, self._asked_until)

    def worked(self) -> None:
        """Take note that the destination took something: no pause is left but one that it asks for."""
        self._faults, self._not_before = 0, self._asked_until

    def most_bytes(self, instances: int) -> int:
        """Return how many bytes a batch of so many instances has at most."""
        return self.batch_bytes if instances <= self._limits.batch_instances else min(self.batch_bytes, _SMALL_BYTES)

    def refused(self, instances: int, request_bytes: int) -> None:
        """Take note that a batch of so many instances and bytes was too much."""
        self.batch_instances = max(1, min(self.batch_instances, instances // 2))
        self.batch_bytes = max(1, min(self.batch_bytes, request_bytes // 2))

    def stored(self, instances: int, request_bytes: int, answer_seconds: float | None) -> None:
        """Take note that a batch was stored; one that used what it may lets the next ones grow again.

        Where the way there takes most of the time (the answer comes at once), more go together than at first.
        """
        least = self._limits.batch_instances
        if answer_seconds is not None and answer_seconds > _SLOW_SECONDS and self.batch_instances > least:
            self.batch_instances = max(least, self.batch_instances // 2)
        elif instances >= self.batch_instances:
            if self.batch_instances < least:
                self.batch_instances += 1
            elif answer_seconds is not None and answer_seconds < _QUICK_SECONDS:
                more = self.batch_instances + _MORE_INSTANCES
                self.batch_instances = min(self._limits.most_batch_instances, more)
        if request_bytes * 2 >= self.batch_bytes:
            self.batch_bytes = min(self._limits.batch_bytes, self.batch_bytes + self.batch_bytes // 4 + 1)
