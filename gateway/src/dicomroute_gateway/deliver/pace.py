"""How fast a destination is given deliveries: what it takes side by side, in one batch, and when not at all. Pure.

A destination that fails is left alone, longer each time, and then asked with one delivery (a circuit breaker). One that
throttles is given half. One whose answers stay quick while all lanes are in use is given one lane more, one whose
answers become slow fewer: more lanes would wait in its queue instead of ours.
"""

from collections.abc import Callable
from typing import Final

from .transport import Limits

_SLOW: Final = 4.0
_SLOW_SECONDS: Final = 0.25
"""Answers are slow that take so many times as long as the quickest of late, and so much longer."""
_FORGET: Final = 1.02
"""By how much the quickest answer is forgotten with each one: a server that has become slower is taken as it is."""
_BYTES_A_SHARE: Final = 4 << 20
"""Answers to requests larger than this may take longer in proportion."""


class Pace:
    """The pace of one destination. Times are seconds of a monotonic clock."""

    def __init__(self, limits: Limits) -> None:
        self.lanes = limits.lanes
        self.batch_instances = limits.batch_instances
        self.batch_bytes = limits.batch_bytes
        self._limits = limits
        self._most_lanes = limits.most_lanes
        self._faults = 0
        self._not_before = 0.0
        self._quickest: float | None = None
        self._quick = 0

    @property
    def is_asking(self) -> bool:
        """Whether nobody knows if the destination is back: it is then asked with one delivery at a time."""
        return self._faults > 0

    def may_begin(self, now: float, busy: int) -> bool:
        """Return whether an attempt may begin beside `busy` others."""
        return now >= self._not_before and busy < (1 if self.is_asking else self.lanes)

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

    def throttled(self) -> None:
        """Take note that the destination asks for less."""
        self.lanes = max(1, self.lanes // 2)
        self._quick = 0

    def bounded(self, most_lanes: int | None) -> None:
        """Take note of how many attempts side by side the destination serves; None: nobody knows of a bound."""
        self._most_lanes = min(most_lanes or self._limits.most_lanes, self._limits.most_lanes)
        self.lanes = min(self.lanes, self._most_lanes)

    def answered(self, seconds: float, request_bytes: int, busy: int) -> None:
        """Take note of how long an answer took while `busy` attempts were under way."""
        cost = seconds / max(1.0, request_bytes / _BYTES_A_SHARE)
        self._quickest = cost if self._quickest is None else min(cost, self._quickest * _FORGET)
        if cost > self._quickest * _SLOW + _SLOW_SECONDS:
            self.lanes = max(1, self.lanes - max(1, self.lanes // 4))
            self._quick = 0
            return
        self._quick += busy >= self.lanes
        if self._quick >= self.lanes:
            self.lanes, self._quick = min(self._most_lanes, self.lanes + 1), 0

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
