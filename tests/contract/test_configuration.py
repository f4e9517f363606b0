"""The contract between operator and gateway: what the one renders, the other loads, by the published schema."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dicomroute_gateway.configuration.load import load
from dicomroute_gateway.rules.routing import compile_rules

ROOT = Path(__file__).parents[2]
GOLDEN = sorted(ROOT.glob("tests/golden/*/configuration.json"))


def holds(whole: Any, part: Any) -> bool:
    """Whether everything in `part` is in `whole`, which may have defaults besides."""
    if isinstance(part, dict):
        return all(name in whole and holds(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda path: path.parent.name)
def test_the_gateway_loads_what_the_operator_renders(file: Path) -> None:
    loaded = load(file.read_text(), compile_rules)
    assert loaded.findings == ()
    again = json.loads(loaded.configuration.model_dump_json(by_alias=True, exclude_none=True))
    rendered = json.loads(file.read_text())
    assert holds(again, rendered), "the gateway reads every value as it was rendered"


@pytest.mark.parametrize("file", GOLDEN, ids=lambda path: path.parent.name)
def test_the_published_schema_holds_for_what_the_operator_renders(file: Path) -> None:
    schema = json.loads((ROOT / "gateway" / "configuration.schema.json").read_text())
    Draft202012Validator(schema).validate(json.loads(file.read_text()))
