"""What a destination's attempts of late say of it: whether it works, works at times, or is down. Pure.

One of which half the answers fail (a balancer with one broken backend of two) is no outage: what failed is sent again
soon, and others go on beside it. One that takes nothing any more is asked with one delivery at a time.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from dicomroute_gateway.reasons import Reason

from .attempt import content_may_be_the_cause, may_be_its_own
from .outcome import AttemptOutcome, Verdict

OUT_OF_PATIENCE: Final = (Reason.TIMED_OUT, Reason.RESPONSE_TIMED_OUT)
"""Reasons of attempts that took all the time that a destination has."""

_ATTEMPTS_LOOKED_AT: Final = 16
_MOST_FAULTS_IN_A_ROW: Final = 12
"""At one that fails every second time so many in a row are one case in thousands."""
_FAULTS_OF_SOME_WEIGHT: Final = 3
"""Fewer faults of late, or in a row, say nothing of the destination: they may be those of instances."""
_MIXED_SHARE: Final = 0.25
_REFUSALS_OF_US: Final = (401, 402, 403, 407)
"""A credential that is refused is not tried over and over, whoever takes it at times."""
_ANSWERED_AS_STORED: Final = (Reason.ANSWER_NAMES_NO_INSTANCE, Reason.NOT_IN_ANSWER)
"""The destination took the request for one that it can store, and says nothing of the instance."""
_MOST_REMEMBERED: Final = 1000


class Health:
    """The attempts of one destination, as far as they are remembered."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=_ATTEMPTS_LOOKED_AT)
        """Of each attempt whether the destination took something."""
        self._in_a_row = 0
        """How many attempts failed since it took something last, but for those of one instance again and again."""
        self._last_alone: int | None = None
        self._taken = 0
        self._failed = 0
        """How many attempts it took something of, and how many it did not, but for those of the following."""
        self._alone: OrderedDict[int, _Failed] = OrderedDict()
        """The instances that failed alone."""

    def took(self, alone: int | None) -> None:
        """Take note that it took something of an attempt; `alone` is the instance if that was the only one."""
        if alone is None or self._alone.pop(alone, None) is None:
            self._recent.append(True)
        self._in_a_row, self._last_alone = 0, None
        self._taken += 1

    def failed(self, alone: int | None, fault: AttemptOutcome) -> None:
        """Take note that an attempt failed; that one which failed alone at its instance does so again says nothing."""
        is_repeated = alone is not None and alone in self._alone and may_be_its_own(fault)
        if not is_repeated or alone != self._last_alone:
            self._in_a_row += _weight(fault)
        self._last_alone = alone
        if not is_repeated:
            self._recent.append(False)
            self._failed += 1

    @property
    def share(self) -> float:
        """Which share of the attempts of late failed."""
        return self._recent.count(False) / len(self._recent) if self._recent else 0.0

    @property
    def is_mixed(self) -> bool:
        """Whether so many attempts fail, beside others, that a fault says nothing of its instance."""
        faults = self._recent.count(False)
        return faults < len(self._recent) and faults >= _FAULTS_OF_SOME_WEIGHT and self.share >= _MIXED_SHARE

    def goes_on(self, fault: AttemptOutcome) -> bool:
        """Return whether the destination is given more after this fault, because others get through."""
        if fault.status in _REFUSALS_OF_US or (fault.verdict is Verdict.PAUSE and fault.status is None):
            return False
        return any(self._recent) and self._in_a_row < _MOST_FAULTS_IN_A_ROW

    def counts(self, alone: int, fault: AttemptOutcome) -> bool:
        """Take note of how an instance failed alone, which `failed` was told; return whether that counts against it.

        It does where what it holds may be the cause, others pass, and it fails in the same way as before. An answer
        that takes the request and says nothing of the instance is one of a server that works, where others passed at
        all; of any other fault nobody knows unless others passed since the last time.
        """
        before = self._alone.get(alone)
        self._alone[alone] = _Failed(fault.reason, fault.status, self._taken, self._failed)
        self._alone.move_to_end(alone)
        if len(self._alone) > _MOST_REMEMBERED:
            self._alone.popitem(last=False)
        if not content_may_be_the_cause(fault):
            return False
        works = not self.is_mixed and self._in_a_row < _FAULTS_OF_SOME_WEIGHT
        answered = fault.reason in _ANSWERED_AS_STORED and self._taken > 0 and works
        if before is None:
            return answered
        passed, others_failed = self._taken - before.taken, self._failed - before.failed
        if (before.reason, before.status) != (fault.reason, fault.status) or others_failed > passed * _MIXED_SHARE:
            return False
        return (passed > 0 and not self.is_mixed) or answered


@dataclass(frozen=True, slots=True)
class _Failed:
    """How an instance failed alone, and how many attempts were taken and failed by then."""

    reason: Reason
    status: int | None
    taken: int
    failed: int


def _weight(fault: AttemptOutcome) -> int:
    """Return how much a fault says for the destination being down: more where nothing came in all the time it has."""
    return 4 if fault.status is None and fault.reason in OUT_OF_PATIENCE else 1
