"""The CRDs keep the API conventions of Kubernetes: a linter over the generated schemas."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from dicomroute_operator.kinds.crd import crds

Node = tuple[str, dict[str, Any]]
MAPS_OF_STRINGS = ("labels", "annotations", "nodeSelector", "matchLabels", "requests", "limits")
NOT_OUR_OWN = ("apiVersion", "kind", "metadata")


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[Node]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        if path or name not in NOT_OUR_OWN:
            yield from nodes(inner, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def all_nodes() -> list[Node]:
    return [
        (f"{crd['spec']['names']['kind']}{path}", schema)
        for crd in crds()
        for path, schema in nodes(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    ]


EVERY = pytest.mark.parametrize("path, schema", all_nodes(), ids=[path for path, _ in all_nodes()])


@EVERY
def test_every_field_is_described_in_a_sentence(path: str, schema: dict[str, Any]) -> None:
    if path.endswith("[]"):
        return
    description = schema.get("description", "")
    assert description.endswith("."), path
    assert len(description) > 10, path


@EVERY
def test_every_value_is_bounded(path: str, schema: dict[str, Any]) -> None:
    match schema.get("type"):
        case "string":
            assert "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time", path
        case "array":
            assert "maxItems" in schema, path
        case "integer":
            assert "minimum" in schema, path
            assert schema["format"] in ("int32", "int64"), path
        case "object" if "additionalProperties" in schema:
            assert "maxProperties" in schema, path


@EVERY
def test_every_list_says_how_it_merges(path: str, schema: dict[str, Any]) -> None:
    if schema.get("type") != "array":
        return
    assert schema["x-kubernetes-list-type"] in ("map", "set", "atomic"), path
    if schema["x-kubernetes-list-type"] == "map":
        for key in schema["x-kubernetes-list-map-keys"]:
            assert key in schema["items"]["properties"], path
            assert key in schema["items"]["required"], path


@EVERY
def test_names_and_types_are_those_of_the_conventions(path: str, schema: dict[str, Any]) -> None:
    assert schema.get("type") != "number", f"{path}: no floats"
    assert "$ref" not in schema
    assert "anyOf" not in schema
    assert not schema.get("nullable")
    for name, inner in schema.get("properties", {}).items():
        assert re.fullmatch(r"[a-z][a-zA-Z0-9]*", name), path
        assert name not in ("phase", "reference"), f"{path}: use conditions, and Ref"
        if inner.get("type") == "object" and "additionalProperties" in inner:
            assert name in MAPS_OF_STRINGS, f"{path}.{name}: a list of named objects in place of a map"
        if "imeout" in name or "ackoff" in name:
            assert name.endswith("Seconds"), f"{path}.{name}: units belong in names"


@EVERY
def test_every_optional_field_of_a_spec_has_a_default_or_a_described_absence(path: str, schema: dict[str, Any]) -> None:
    if ".spec" not in path:
        return
    for name, inner in schema.get("properties", {}).items():
        if name in schema.get("required", []) or "default" in inner:
            continue
        described = "Absent" in inner["description"] or "for type" in inner["description"]
        described = described or inner.get("type") == "object"
        assert described or inner.get("type") == "object", f"{path}.{name}"


@EVERY
def test_every_rule_says_what_to_do(path: str, schema: dict[str, Any]) -> None:
    for validation in schema.get("x-kubernetes-validations", []):
        assert len(validation["message"]) > 20, path
        assert not validation["message"].endswith("."), path


@pytest.mark.parametrize("crd", crds(), ids=lambda crd: crd["metadata"]["name"])
def test_every_kind_has_status_columns_short_name_and_category(crd: dict[str, Any]) -> None:
    (version,) = crd["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    assert crd["spec"]["names"]["categories"] == ["dicom"]
    assert crd["spec"]["names"]["shortNames"]
    assert [column["name"] for column in version["additionalPrinterColumns"]][-1] == "Age"
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert "observedGeneration" in status
