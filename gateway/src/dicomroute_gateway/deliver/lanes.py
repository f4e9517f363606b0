"""How many attempts a destination is given side by side. Pure.

More lanes are worth having while they carry more: what a server does not do at once waits in its queue instead of
ours, until somebody loses patience. So a quarter more is tried while all are in use, and kept if at least half of what
that could bring came of it. One whose answers become slow, and one that throttles or loses patience, is given fewer.
"""

from statistics import fmean
from typing import Final

from .transport import BatchLimits

_SLOW: Final = 4.0
_SLOW_SECONDS: Final = 0.25
"""Answers are slow that take so many times as long as the quickest of late, and so much longer."""
_FORGET: Final = 1.02
"""By how much the quickest answer is forgotten with each one: a server that has become slower is taken as it is."""
_BYTES_A_SHARE: Final = 4 << 20
"""Answers to requests larger than this may take longer in proportion."""
_ROUNDS_BEFORE_ANOTHER_TRY: Final = 20
_ATTEMPTS_OF_A_TRIAL: Final = 16
_HELPED: Final = 0.7
"""Fewer lanes help if no more than so much of the share of faults is left."""
_ATTEMPTS_WITHOUT_A_TRIAL: Final = 500
_LEAST_OF_A_TRIAL: Final = 2


class Lanes:
    """The lanes of one destination. A round is as many answers as there are lanes, with all of them in use."""

    def __init__(self, limits: BatchLimits) -> None:
        self.count = limits.lanes
        self._limits = limits
        self._most = limits.most_lanes
        self._quickest: float | None = None
        self._round: list[float] = []
        self._before: tuple[int, float] | None = None
        """How many lanes there were before more were tried, and how long an answer took then."""
        self._is_settling = False
        """Whether answers still come that began beside fewer."""
        self._rounds_to_wait = 0
        self._fewer_since = 0.0
        self._trial: tuple[int, float] | None = None
        """How many lanes there were before fewer were tried for the faults beside successes, and which share failed."""
        self._tried = 0
        self._failed = 0
        self._left_without_trial = 0

    def bounded(self, most: int | None) -> None:
        """Take note of how many attempts side by side the destination serves; None: nobody knows of a bound."""
        self._most = min(most or self._limits.most_lanes, self._limits.most_lanes)
        self.count = min(self.count, self._most)

    def too_many(self, now: float, began: float) -> None:
        """Take note that an attempt that began then shows that there are too many; those of one time are one sign."""
        if began >= self._fewer_since:
            self._fewer_since = now
            self._close(self.count // 2)

    @property
    def is_in_trial(self) -> bool:
        """Whether it is being tried how many fail with fewer lanes."""
        return self._trial is not None

    def mixed(self, *, is_fault: bool, share: float) -> None:
        """Take note of an attempt at a destination of which some fail and others do not; `share` of late failed.

        Half the lanes are tried: kept if fewer fail then. Where as many fail, it is not for the number of lanes.
        """
        if self._left_without_trial:
            self._left_without_trial -= 1
            return
        if self._trial is None:
            if is_fault and self.count > _LEAST_OF_A_TRIAL:
                self._trial, self._tried, self._failed = (self.count, share), 0, 0
                self._close(max(_LEAST_OF_A_TRIAL, self.count // 2))
            return
        self._tried += 1
        self._failed += is_fault
        if self._tried >= _ATTEMPTS_OF_A_TRIAL:
            (more, share_then), self._trial = self._trial, None
            if self._failed / self._tried > share_then * _HELPED:
                self.count = min(more, self._most)
                self._left_without_trial = _ATTEMPTS_WITHOUT_A_TRIAL

    def answered(self, seconds: float, request_bytes: int, busy: int) -> None:
        """Take note of how long an answer took while `busy` attempts were under way."""
        cost = seconds / max(1.0, request_bytes / _BYTES_A_SHARE)
        self._quickest = cost if self._quickest is None else min(cost, self._quickest * _FORGET)
        if cost > self._quickest * _SLOW + _SLOW_SECONDS:
            self._close(self.count - max(1, self.count // 4))
        elif busy >= self.count:
            self._round.append(cost)
            if len(self._round) >= self.count:
                mean = fmean(self._round)
                self._round.clear()
                self._end_round(mean)

    def _end_round(self, cost: float) -> None:
        if self._is_settling:
            self._is_settling = False
            return
        if self._before is not None:
            (fewer, cost_then), self._before = self._before, None
            gained = (self.count / max(cost, 1e-9)) / (fewer / max(cost_then, 1e-9))
            if gained - 1 < (self.count / fewer - 1) / 2:
                self._close(fewer)
                return
        if self._rounds_to_wait:
            self._rounds_to_wait -= 1
            return
        more = min(self._most, self.count + max(1, self.count // 4))
        if more > self.count:
            self._before, self._is_settling = (self.count, cost), True
            self.count = more

    def _close(self, count: int) -> None:
        """Go on with so many, for a while."""
        self.count = max(1, count)
        self._before, self._is_settling = None, False
        self._round.clear()
        self._rounds_to_wait = _ROUNDS_BEFORE_ANOTHER_TRY
