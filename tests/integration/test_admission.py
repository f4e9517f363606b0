"""Every rule of the resources, at its boundary, with its sentence: by a real API server and by the command line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from control_plane import ControlPlane
from manifest_cases import CASES, TRANSITIONS, Case, Transition
from manifests import PLURALS, changed, route

from dicomroute_cli.manifests.world import load_world
from dicomroute_operator.kinds.crd import crds


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_the_api_server_judges_a_manifest(control_plane: ControlPlane, case: Case) -> None:
    answer = control_plane.apply(case.document, PLURALS[case.kind])
    if case.refused:
        assert answer.code in (400, 422)
        assert case.refused in answer.message
    else:
        assert answer.code == 201, answer.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_the_command_line_judges_a_manifest_alike(tmp_path: Path, case: Case) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text(yaml.safe_dump(case.document))
    findings = load_world([file]).findings
    if case.refused:
        sentences = [f"{finding.field}: {finding.message}" for finding in findings]
        assert any(case.refused in sentence for sentence in sentences), sentences
    else:
        assert findings == []


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda one: f"{one.path} {one.before}->{one.after}")
def test_the_api_server_judges_a_change(control_plane: ControlPlane, transition: Transition) -> None:
    before = changed(route(), transition.path, transition.before)
    created = control_plane.apply(before, "dicomroutes", dry_run=False)
    assert created.code == 201, created.message
    try:
        if transition.claims:
            told = changed(created.body, "status", {"claims": list(transition.claims)})
            created = control_plane.request("PUT", f"{_path(before)}/status", told)
            assert created.code == 200, created.message
        after = changed(created.body, transition.path, transition.after)
        answer = control_plane.replace(after, "dicomroutes")
    finally:
        control_plane.request("DELETE", f"{_path(before)}")
    if transition.refused:
        assert answer.code == 422
        assert transition.refused in answer.message
    else:
        assert answer.code == 200, answer.message


def test_the_api_server_fills_in_every_default(control_plane: ControlPlane) -> None:
    answer = control_plane.apply(route(), "dicomroutes")
    spec = answer.body["spec"]
    assert spec["mode"] == "Running"
    assert spec["listeners"][0]["maxPDUBytes"] == 131072
    assert spec["listeners"][0]["sources"]["policy"] == "Nodes"
    assert spec["retry"] == {"initialBackoffSeconds": 1, "maxBackoffSeconds": 300, "contentAttempts": 8}
    assert spec["gateway"]["spool"] == {"size": "50Gi", "highWatermarkPercent": 90, "adopt": False}
    assert spec["gateway"]["service"]["externalTrafficPolicy"] == "Local"


def test_every_rule_of_the_crds_is_refused_at_least_once() -> None:
    sentences = [one.refused for one in (*CASES, *TRANSITIONS) if one.refused]
    untested = {
        message for crd in crds() for message in _messages(crd) if not any(part in message for part in sentences)
    }
    assert untested == set()


def test_kubectl_explain_describes_every_field(control_plane: ControlPlane) -> None:
    text = control_plane.kubectl("explain", "dicomroute.spec.gateway.spool")
    assert "FIELDS" in text
    assert "It can grow, but cannot be less" in text
    for plural in PLURALS.values():
        assert "<no description>" not in control_plane.kubectl("explain", "--recursive", plural)


def test_kubectl_knows_short_names_and_the_category(control_plane: ControlPlane) -> None:
    text = control_plane.kubectl("api-resources", "--api-group=dicomroute.dev", "-o=wide")
    for word in ("droute", "dnode", "ctarget", "dicom"):
        assert word in text


def _messages(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for validation in value.get("x-kubernetes-validations", []):
            yield validation["message"]
        for inner in value.values():
            yield from _messages(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _messages(inner)


def _path(document: dict[str, Any]) -> str:
    return f"/apis/{document['apiVersion']}/namespaces/default/dicomroutes/{document['metadata']['name']}"
