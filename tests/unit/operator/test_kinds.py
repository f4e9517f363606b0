"""Kinds: one entry says all that the rest of the house has to know of one."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from manifests import BASES, PLURALS, changed, profile, route
from pydantic import Field

from dicomroute_cli.examine import examine
from dicomroute_cli.manifests.world import load_world
from dicomroute_operator.api.conditions import Accepted, ResolvedRefs
from dicomroute_operator.api.meta import Model, OwnerMeta
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.warning_conditions import CredentialsInClear
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.kinds.crd import crds
from dicomroute_operator.kinds.kind import AGE, Kind
from dicomroute_operator.kinds.listed import KINDS
from dicomroute_operator.reconcile.world import Key, World

ROUTE = Key("DicomRoute", "default", "ct-to-cloud")


class BellSpec(Model):
    volume: int = Field(default=3, ge=1, le=10, description="How loud it is.")


class Bell(Model):
    """Rings."""

    kind: ClassVar[str] = "Bell"

    metadata: OwnerMeta
    spec: BellSpec = Field(description="How it rings.")
    status: BellSpec | None = Field(default=None, description="How it rang.")


def rings_for(route: DicomRoute, name: str, labels: Mapping[str, str]) -> bool:
    return labels.get("for") == route.metadata.name and name == "night"


def loud(bell: Bell) -> list[Finding]:
    accepted = Finding("Bell", bell.metadata.name, Accepted.ACCEPTED, True, "it rings")
    found = Finding("Bell", bell.metadata.name, CredentialsInClear.PLAIN_HTTP, True, "it wakes people", "spec.volume")
    return [accepted, found] if bell.spec.volume > 7 else [accepted]


def bell(name: str, volume: int = 3) -> dict[str, Any]:
    return {
        "apiVersion": "dicomroute.dev/v1alpha1",
        "kind": "Bell",
        "metadata": {"name": name, "labels": {"for": "ct-to-cloud"}},
        "spec": {"volume": volume},
    }


def body(document: dict[str, Any], version: int = 1) -> dict[str, Any]:
    meta = {"namespace": "default", "uid": document["kind"], "resourceVersion": str(version), "generation": version}
    return {**document, "metadata": {**document["metadata"], **meta}}


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind more: its entry in the list, and nothing else."""
    monkeypatch.setitem(KINDS, "Bell", Kind(Bell, "bells", "dbell", (AGE,), rings_for, loud))


@pytest.mark.usefixtures("bells")
def test_a_kind_more_is_one_entry_for_cluster_and_command_line(tmp_path: Path) -> None:
    made = next(one for one in crds() if one["spec"]["names"]["kind"] == "Bell")
    assert made["metadata"]["name"] == "bells.dicomroute.dev"
    schema = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["spec"]["properties"]["volume"]["maximum"] == 10

    world = World()
    world.observe("DicomRoute", body(route()), deleted=False)
    night, day = Key("Bell", "default", "night"), Key("Bell", "default", "day")
    assert world.observe("Bell", body(bell("night")), deleted=False) == {night, ROUTE}
    assert world.observe("Bell", {**body(bell("day")), "spec": {"volume": "deafening"}}, deleted=False) == {day}
    assert world.blocker(ROUTE) is None
    assert world.observe("Bell", {**body(bell("night"), 2), "spec": {"volume": "deafening"}}, deleted=False) == {
        night,
        ROUTE,
    }
    assert world.blocker(ROUTE) == night

    file = tmp_path / "bells.yaml"
    file.write_text(yaml.safe_dump_all([bell("night", 9), bell("day"), bell("dusk", 11)]))
    loaded = load_world([file])
    assert loaded.objects["Bell"].keys() == {("default", "night"), ("default", "day")}
    said = [(one.object, one.field, one.is_error) for one in examine(loaded)]
    assert said == [("Bell/dusk", "spec.volume", True), ("Bell/night", "spec.volume", False)]


def test_every_kind_has_what_the_house_asks_of_it(root: Path) -> None:
    chart = (root / "tests" / "golden" / "chart" / "defaults.yaml").read_text()
    granted = re.findall(r"apiGroups: \[dicomroute.dev\]\n  resources: \[(.*)\]", chart)
    for plurals in granted:
        assert {one.removesuffix("/status") for one in plurals.split(", ")} == {one.plural for one in KINDS.values()}
    assert len(granted) == 4, "to watch, to say how they stand, to edit, to view"
    assert KINDS.keys() == BASES.keys() == PLURALS.keys(), "a manifest to start from, in tests/support/manifests.py"
    for name, one in KINDS.items():
        assert one.name == name
        assert (one.status is None) == (name == "DicomRoute"), "what it says of itself"
        assert (root / "crds" / f"{one.plural}.yaml").exists(), "run `make generate`"
    writers = (root / "charts" / "dicomroute" / "templates" / "admission-writers.yaml").read_text()
    with_secrets = {one.plural for one in KINDS.values() if "SecretRef" in str(one.model.model_json_schema())}
    assert with_secrets
    for plural in with_secrets:
        assert f'"{plural}" (list' in writers, "whose Secrets its writers may name"


def test_a_profile_that_is_newer_keeps_the_routes_that_name_it_as_they_are() -> None:
    world = World()
    treated = changed(route(), "spec.rules.0.deidentify", {"name": "research"})
    world.observe("DicomRoute", body(treated), deleted=False)
    newer = body(changed(profile(), "spec.options", "of tomorrow"))
    key = Key("DeidentificationProfile", "default", "research")
    assert world.observe("DeidentificationProfile", newer, deleted=False) == {key, ROUTE}
    assert world.blocker(ROUTE) == key, "taken as absent, the route would be told that it is not there"
    assert KINDS["DeidentificationProfile"].not_found is ResolvedRefs.PROFILE_NOT_FOUND
