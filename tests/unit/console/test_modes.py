"""Modes on screen: which there are, and what is applied to set one and to give it back."""

from typing import Any

import pytest
from manifests import route

from dicomroute_console.pages.modes import mode_fields, with_mode

PACS = {"kind": "DicomNode", "name": "pacs"}
ARCHIVE = {"kind": "CloudTarget", "name": "archive"}


def test_a_mode_is_set_beside_what_was_set() -> None:
    assert with_mode({"a": 1}, "queryRetrieve.mode", "Refuse") == {"a": 1, "queryRetrieve": {"mode": "Refuse"}}
    before = {"queryRetrieve": {"x": 1}}
    assert with_mode(before, "queryRetrieve.mode", "Refuse") == {"queryRetrieve": {"x": 1, "mode": "Refuse"}}
    assert before == {"queryRetrieve": {"x": 1}}


@pytest.mark.parametrize(
    ("field", "section", "keys", "mode"),
    [
        ("listeners[dicom].mode", "listeners", {"name": "dicom"}, "RefuseAssociations"),
        ("destinations[DicomNode/pacs].mode", "destinations", PACS, "HoldDeliveries"),
        ("rules[ct].mode", "rules", {"name": "ct"}, "HoldDeliveries"),
    ],
)
def test_the_mode_of_a_part_is_applied_by_its_keys_and_given_back_when_it_is_running_again(
    field: str, section: str, keys: dict[str, Any], mode: str
) -> None:
    """An item that had only a mode would stay when its owner removes it, and be invalid."""
    other = {**keys, "name": "another", "mode": mode}
    before = {"unmatched": "Hold", section: [other]}
    held = with_mode(before, field, mode)
    assert held == {"unmatched": "Hold", section: [other, {**keys, "mode": mode}]}
    assert with_mode(held, field, "Running") == before
    assert with_mode({section: [{**keys, "mode": mode}]}, field, "Running") == {}
    mine = {section: [{**keys, "mode": mode, "when": "true"}]}
    assert with_mode(mine, field, "Running") == {section: [{**keys, "when": "true"}]}
    # What another owner holds is not the console's to give back: the API server names the owner.
    assert with_mode({}, field, "Running") == {section: [{**keys, "mode": "Running"}]}


def test_every_part_of_a_route_has_a_mode() -> None:
    rules = [
        {"name": "ct", "mode": "HoldDeliveries", "destinations": [ARCHIVE, PACS]},
        {"name": "everything", "destinations": [PACS]},
    ]
    spec = route(rules=rules, destinations=[{**PACS, "mode": "HoldDeliveries"}])["spec"]
    assert [(one.field, one.now) for one in mode_fields(spec)] == [
        ("mode", "Running"),
        ("listeners[dicom].mode", "Running"),
        ("destinations[CloudTarget/archive].mode", "Running"),
        ("destinations[DicomNode/pacs].mode", "HoldDeliveries"),
        ("rules[ct].mode", "HoldDeliveries"),
        ("rules[everything].mode", "Running"),
    ]
    assert mode_fields({**spec, "queryRetrieve": {"mode": "Refuse"}})[1].others == ["Running"]
