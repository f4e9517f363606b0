"""The steps by which the gateway prepares what a rule takes, as its configuration has them. Pure."""

from typing import Any

from dicomroute_operator.api.route import Rule
from dicomroute_operator.api.transform import GivenAttribute, TransformStep


def steps(rule: Rule) -> list[dict[str, Any]]:
    """Return the steps of a rule, none where its destinations get what came as it came."""
    if not rule.transform:
        return []
    return [{"step": "Transform", "changes": [_change(step) for step in rule.transform]}]


def _change(step: TransformStep) -> dict[str, Any]:
    if step.set_ is not None:
        return _given("Set", step.set_)
    if step.replace is not None:
        return _given("Replace", step.replace)
    if step.copy_ is not None:
        return {
            "kind": "Copy",
            "attribute": step.copy_.to,
            "source": step.copy_.from_,
            "record": step.copy_.record,
        }
    assert step.remove is not None, "the schema lets no step without a change pass"
    return {"kind": "Remove", "attribute": step.remove.attribute, "record": step.remove.record}


def _given(kind: str, given: GivenAttribute) -> dict[str, Any]:
    return {
        "kind": kind,
        "attribute": given.attribute,
        "value": given.value,
        "vr": given.vr,
        "record": given.record,
    }
