"""Conditions as the API conventions have them: a transition time that moves with the status alone."""

from collections.abc import Sequence

from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.reason import Reason
from dicomroute_operator.checks.finding import Finding


def condition(reason: Reason, status: bool | None, message: str) -> Condition:
    """Return a condition without times; status None is Unknown."""
    word = "Unknown" if status is None else str(status)
    return Condition(
        type=reason.condition_type, status=word, reason=str(reason), message=message, last_transition_time=""
    )


def first_of_each_type(findings: Sequence[Finding]) -> list[Condition]:
    """Return a condition for each type that was found: the first finding of a chain wins, the rest are counted."""
    by_type: dict[str, list[Finding]] = {}
    for finding in findings:
        by_type.setdefault(finding.type, []).append(finding)
    return [
        condition(first.reason, first.status, first.message + (f" (and {len(rest)} more)" if rest else ""))
        for first, *rest in by_type.values()
    ]


def settle(new: Sequence[Condition], previous: Sequence[Condition], generation: int, now: str) -> list[Condition]:
    """Return the new conditions with generation and times; a status that did not change keeps its time."""
    before = {one.type: one for one in previous}
    settled = []
    for one in new:
        old = before.get(one.type)
        same = old is not None and old.status == one.status
        time = old.last_transition_time if old is not None and same else now
        settled.append(one.model_copy(update={"observed_generation": generation, "last_transition_time": time}))
    return settled
