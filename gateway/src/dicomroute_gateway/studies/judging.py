"""What the completion of a study means for the deliveries that wait for it. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from dicomroute_gateway.configuration.study import OnRevision, UnknownPlan, Wait, parse_plan
from dicomroute_gateway.rules.expression import EvaluationError, ExpressionError
from dicomroute_gateway.rules.study import Fact, compile_condition
from dicomroute_gateway.spool.records import Release, StudyBasis, StudyRecord, StudyState


def completed(study: StudyRecord, basis: StudyBasis, plans: Mapping[str, str], time: float) -> StudyRecord:
    """Return the record that completes a study; `plans` are the forms of what waits, by id.

    `study` has its series and modalities; `time` is in seconds since 1970.
    """
    done = replace(study, state=StudyState.COMPLETE, basis=basis, time=time)
    facts = facts_of(done)
    released = {plan: _released(form, facts) for plan, form in sorted(plans.items())}
    not_sent_again = study.left if Release.SEND_ALL in released.values() else 0
    return replace(done, released=released, not_sent_again=not_sent_again)


def facts_of(study: StudyRecord) -> dict[str, Fact]:
    """Return what conditions may ask of a complete study, by the names of `rules.study.STUDY_FACTS`."""
    return {
        "instances": study.total,
        "newInstances": study.instances,
        "series": len(study.series),
        "modalities": sorted(study.modalities),
        "firstArrival": int(study.first_time),
        "lastArrival": int(study.last_time),
        "basis": str(study.basis),
        "revision": study.revision,
    }


def _released(form: str, facts: Mapping[str, Fact]) -> Release:
    """Return what becomes of those that wait by a plan: one rule that wants them now is enough."""
    try:
        found = [_of_rule(wait, facts) for wait in parse_plan(form).waits]
    except UnknownPlan:
        return Release.ERROR
    order = (Release.SEND_ALL, Release.SEND, Release.HOLD, Release.ERROR, Release.SKIP)
    return min(found, key=order.index, default=Release.ERROR)


def _of_rule(wait: Wait, facts: Mapping[str, Fact]) -> Release:
    try:
        is_wanted = not wait.when_complete or compile_condition(wait.when_complete).evaluate(facts)
    except (ExpressionError, EvaluationError):
        return Release.ERROR
    if not is_wanted:
        return Release.SKIP
    if facts["revision"] == 1 or wait.on_revision is OnRevision.SEND_NEW:
        return Release.SEND
    return Release.SEND_ALL if wait.on_revision is OnRevision.SEND_ALL else Release.HOLD
