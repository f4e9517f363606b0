"""What an attempt says of its destination, and of its instances: where pace, suspects and health meet. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .attempt import may_be_its_own
from .health import OUT_OF_PATIENCE, Health
from .outcome import AttemptOutcome, Verdict
from .pace import Pace
from .suspects import Suspects
from .transport import Due, Sent

_TOO_MANY: Final = (408, 429, 504)
"""Statuses of a server, or a proxy before it, that was asked for more than it does in time."""
_BUSY: Final = (502, 503)
"""Statuses of one that may be; one that is broken has them too."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is made of an attempt.

    `fault`: the destination fails, and is to be left alone. `goes_on`: others may follow at once. `soon`: what failed
    is sent again soon, as it was. `counts`: the fault counts against the one instance that was sent.
    """

    fault: AttemptOutcome | None
    goes_on: bool
    soon: bool
    counts: bool


class Judge:
    """Learns from the attempts at one destination. Times are seconds of a monotonic clock."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._suspects = Suspects()
        self._health = Health()

    @property
    def suspects(self) -> Suspects:
        """What failed since the destination took something last."""
        return self._suspects

    def waits(self) -> None:
        """Take note that the destination is left alone."""
        self._suspects.destination_failed()

    def judge(self, items: Sequence[Due], sent: Sent, busy: int, began: float, now: float) -> Judgement:
        """Learn from an attempt with these items, or a part of it; `busy` attempts were under way with it."""
        outcomes = sent.outcomes
        faults = [o for o in outcomes if o.verdict in (Verdict.RETRY, Verdict.PAUSE) and not o.is_own]
        is_taken = len(faults) < len(outcomes)
        fault = None if is_taken else faults[0]
        own = bool(faults) and self._suspects.failed([item.received for item in items], faults[0])
        one = items[0].received.id if len(items) == 1 else None
        if fault is None:
            self._health.took(one)
            self._suspects.clear()
            self._pace.worked()
        else:
            self._health.failed(one, fault)
        is_mixed = self._health.is_mixed
        self._pace_by(items, sent, faults, busy, began, now)
        counts = one is not None and fault is not None and self._health.counts(one, fault)
        if fault is None or (own and not is_mixed):
            return Judgement(None, goes_on=True, soon=False, counts=counts)
        if sent.wait_seconds is None and self._health.goes_on(fault):
            return Judgement(None, goes_on=True, soon=is_mixed or not may_be_its_own(fault), counts=counts)
        return Judgement(fault, goes_on=False, soon=False, counts=counts)

    def _pace_by(
        self, items: Sequence[Due], sent: Sent, faults: Sequence[AttemptOutcome], busy: int, began: float, now: float
    ) -> None:
        """Learn how much the destination is to be given at once."""
        outcomes, lanes = sent.outcomes, self._pace.lanes
        request_bytes = sum(item.received.content_length for item in items)
        lanes.bounded(sent.most_lanes)
        if sent.answer_seconds is not None and not faults:
            lanes.answered(sent.answer_seconds, request_bytes // sent.answers, busy)
        is_busy = any(one.status in _BUSY for one in faults)
        others_pass = bool(faults) and self._health.goes_on(faults[0])
        if any(_shows_too_many(one) for one in faults):
            lanes.too_many(now, began)
        elif lanes.is_in_trial or self._health.is_mixed or (is_busy and others_pass):
            lanes.mixed(is_fault=len(faults) == len(outcomes), share=self._health.share)
        if all(one.verdict is Verdict.ALONE for one in outcomes):
            self._pace.refused(len(items), request_bytes)
        elif all(one.verdict is Verdict.DELIVERED for one in outcomes):
            self._pace.stored(len(items), request_bytes, sent.answer_seconds)


def _shows_too_many(fault: AttemptOutcome) -> bool:
    """Return whether a fault is one of a destination that is given more than it does in time."""
    return fault.status in _TOO_MANY or fault.reason in OUT_OF_PATIENCE
