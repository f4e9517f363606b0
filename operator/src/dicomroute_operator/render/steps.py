"""The steps by which the gateway prepares what a rule takes, as its configuration has them. Pure."""

from typing import Any

from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.profile import DeidentificationProfile
from dicomroute_operator.api.route import Rule
from dicomroute_operator.api.transform import GivenAttribute, TransformStep

from . import names
from .profile import render_profile


def steps(rule: Rule, inputs: RouteInputs) -> list[dict[str, Any]]:
    """Return the steps of a rule, none where its destinations get what came as it came."""
    found: list[dict[str, Any]] = []
    if rule.transform:
        found.append({"step": "Transform", "changes": [_change(step) for step in rule.transform]})
    if rule.deidentify is not None:
        found.append(_deidentify(rule.deidentify.name, inputs))
    return found


def _deidentify(name: str, inputs: RouteInputs) -> dict[str, Any]:
    """Return the step of a profile; one that is not there lets nothing pass."""
    profile = inputs.profiles.get(name)
    if profile is None:
        missing = {"namespace": inputs.route.metadata.namespace, "name": name, "edition": "2026c", "hold": True}
        return {"step": "Deidentify", "profile": missing, "keyFile": ""}
    return deidentify_step(profile)


def deidentify_step(profile: DeidentificationProfile) -> dict[str, Any]:
    """Return the step that de-identifies by a profile, and names the files with its key and its words."""
    key, tokens = profile.spec.key_secret_ref, profile.spec.allowed_tokens_ref
    step = {
        "step": "Deidentify",
        "profile": render_profile(profile),
        "keyFile": names.mounted_file("Secret", key.name, key.key),
    }
    if tokens is not None:
        step["allowedTokensFile"] = names.mounted_file("ConfigMap", tokens.name, tokens.key)
    if (known := profile.spec.patient_id.known_ref) is not None:
        step["knownPatientIDsFile"] = names.mounted_file("ConfigMap", known.name, known.key)
    return step


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
