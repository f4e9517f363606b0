"""A configuration that a ConfigMap has no room for: what is said of it, and what goes on meanwhile."""

import json
from typing import Any

import pytest
from manifests import changed, node, route, target

from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.reconcile.configuration_size import has_room, no_more_than_accepted, too_large
from dicomroute_operator.reconcile.last_good import without_removed
from dicomroute_operator.render.gateway_configuration import (
    MAX_CONFIGURATION_BYTES,
    configuration_text,
    gateway_configuration,
)

FIRST, SECOND = "192.0.2.0/25", "192.0.2.128/25"
SELECTED = {"selector": {"matchLabels": {"site": "north"}}}


def inputs(*nodes: dict[str, Any], **spec: Any) -> RouteInputs:
    one = DicomRoute.model_validate(changed(route(**spec), "spec.listeners.0.sources", SELECTED))
    known = [DicomNode.model_validate(document) for document in nodes]
    return gather_route(one, known, [CloudTarget.model_validate(target())])


def scanner(name: str, *networks: str, **spec: Any) -> dict[str, Any]:
    one = node(**{"aeTitle": "CT1", "allowedSources": [*networks], **spec})
    return changed(one, "metadata.name", name)


def many(count: int) -> list[dict[str, Any]]:
    networks = [f"2001:db8:1:{number:x}::/64" for number in range(64)]
    return [scanner(f"ct-{number}", *networks) for number in range(count)]


def test_nothing_is_said_of_what_has_room() -> None:
    one = inputs(*many(4))
    assert too_large(one, gateway_configuration(one)) == []


def test_what_has_room_alone_without_white_space_is_written_without() -> None:
    configuration = gateway_configuration(inputs(*many(600)))
    text = configuration_text(configuration)
    assert len(json.dumps(configuration, indent=1)) > MAX_CONFIGURATION_BYTES
    assert has_room(text)
    assert json.loads(text) == configuration
    assert "\n" not in text[:-1]


def test_the_largest_part_is_named_and_what_makes_it_smaller() -> None:
    one = inputs(*many(900))
    configuration = gateway_configuration(one)
    (found,) = too_large(one, configuration)
    assert (str(found.reason), found.status, found.field) == (
        "ConfigurationTooLarge",
        False,
        "spec.listeners[0].sources",
    )
    size = len(configuration_text(configuration))
    assert f"has {size} bytes, but a ConfigMap can hold only {MAX_CONFIGURATION_BYTES}" in found.message
    assert "the 900 DicomNodes of listener dicom" in found.message
    rules = [
        {
            "name": f"rule-{number}",
            "when": f"instance.StudyDescription == '{number}'",
            "destinations": [{"kind": "CloudTarget", "name": "archive"}],
            "transform": [
                {"set": {"attribute": "PatientName", "value": f"'{step}{'x' * 2000}'"}} for step in range(16)
            ],
        }
        for number in range(40)
    ]
    with_rules = inputs(scanner("ct-1", FIRST), rules=rules)
    (found,) = too_large(with_rules, gateway_configuration(with_rules))
    assert found.field == "spec.rules"
    assert "the 40 rules with their treatments" in found.message


CALLER = {"node": "ct-1", "callingAETitles": ["CT1"], "anyAddress": False, "networks": [FIRST]}


@pytest.mark.parametrize(
    ("now", "goes_on"),
    [
        pytest.param(scanner("ct-1", FIRST, SECOND), CALLER, id="what it gained waits"),
        pytest.param(scanner("ct-1", SECOND), {**CALLER, "networks": [SECOND]}, id="what is not more is as it is now"),
        pytest.param(
            scanner("ct-1", FIRST, callingAETitles=["CT1", "CT1_QR"]), CALLER, id="a title that it gained waits"
        ),
        pytest.param(
            scanner("ct-1", FIRST, certificates=[{"dnsName": "ct-1.example"}]),
            {**CALLER, "certificates": [{"dnsName": "ct-1.example"}]},
            id="a certificate that it must show now, it must show",
        ),
        pytest.param(scanner("ct-1", SECOND, "203.0.113.0/24"), None, id="nothing is left that it could before"),
    ],
)
def test_what_goes_on_has_the_room_that_it_had(now: dict[str, Any], goes_on: dict[str, Any] | None) -> None:
    accepted = gateway_configuration(inputs(scanner("ct-1", FIRST), scanner("ct-2", FIRST)))
    going_on = without_removed(accepted, inputs(now))
    kept = no_more_than_accepted(going_on, accepted)
    assert kept["listeners"][0]["sources"]["callers"] == ([goes_on] if goes_on is not None else [])
    assert {name: kept[name] for name in kept if name != "listeners"} == {
        name: going_on[name] for name in going_on if name != "listeners"
    }


def test_nodes_that_query_gain_nothing_either() -> None:
    asked = {"listeners": ["dicom"], "clients": SELECTED, "archives": [{"kind": "CloudTarget", "name": "archive"}]}
    accepted = gateway_configuration(inputs(scanner("ct-1", FIRST), queryRetrieve=asked))
    grown = inputs(scanner("ct-1", FIRST, SECOND), queryRetrieve=asked)
    kept = no_more_than_accepted(without_removed(accepted, grown), accepted)
    assert [one["networks"] for one in kept["queryRetrieve"]["clients"]] == [[FIRST]]
