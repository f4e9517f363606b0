"""Loading a configuration: what one mistake costs, and what it does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from dicomroute_gateway.configuration.destinations import CloudTargetDestination, DicomNodeDestination
from dicomroute_gateway.configuration.load import ConfigurationError, load, untold
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.rules.routing import compile_rules

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/full/configuration.json").read_text())
GOOD = Configuration.model_validate(GOLDEN)


def text(**changes: Any) -> str:
    return json.dumps({**GOLDEN, **changes})


def test_a_broken_rule_keeps_the_last_good_rules_and_takes_the_rest_over() -> None:
    broken = {**GOLDEN["rules"], "rules": [{**GOLDEN["rules"]["rules"][0], "when": "instance.Modalty == 'CT'"}]}
    loaded = load(text(rules=broken, mode="Running"), compile_rules, GOOD)
    assert loaded.configuration.rules == GOOD.rules
    assert loaded.configuration.mode == "Running"
    (finding,) = loaded.findings
    assert finding.reason == "RuleInvalid"
    assert "did you mean instance.Modality?" in finding.message


def test_a_broken_listener_keeps_the_last_good_listeners() -> None:
    loaded = load(text(listeners=[{"name": "x"}]), compile_rules, GOOD)
    assert loaded.configuration.listeners == GOOD.listeners
    assert [finding.section for finding in loaded.findings] == ["listeners"]


def test_a_broken_destination_keeps_its_last_good_self_and_no_other() -> None:
    by_name = {one["name"]: one for one in GOLDEN["destinations"]}
    archive, research, pacs = by_name["archive"], by_name["research"], by_name["pacs"]
    unknown = {**archive, "name": "new", "auth": {"type": "Kerberos"}}
    loaded = load(
        text(destinations=[{**archive, "url": 5}, unknown, {**research, "accepts": "Any"}, {**pacs, "port": 0}]),
        compile_rules,
        GOOD,
    )
    targets = [d for d in loaded.configuration.destinations if isinstance(d, CloudTargetDestination)]
    assert {d.name: (d.url, d.accepts) for d in targets} == {
        "archive": (archive["url"], "Any"),
        "research": (research["url"], "Any"),
    }
    assert sorted(finding.section for finding in loaded.findings) == [
        "destinations[CloudTarget/archive]",
        "destinations[CloudTarget/new]",
        "destinations[DicomNode/pacs]",
    ]
    (node,) = [d for d in loaded.configuration.destinations if isinstance(d, DicomNodeDestination)]
    assert (node.host, node.port, node.calling_ae_title) == ("pacs.example", 11104, "TOPACS")


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "Europe", "../UTC", "/etc/hostname", ""])
def test_a_time_zone_that_does_not_exist_costs_its_destination_alone(zone: str) -> None:
    by_name = {one["name"]: one for one in GOLDEN["destinations"]}
    archive, research = by_name["archive"], by_name["research"]
    elsewhere = {**archive, "url": "http://new.example", "bandwidth": {"maxBytesPerSecond": 5000, "timeZone": zone}}
    loaded = load(text(destinations=[elsewhere, research], mode="Running"), compile_rules, GOOD)
    targets = [d for d in loaded.configuration.destinations if isinstance(d, CloudTargetDestination)]
    assert {d.name: d.url for d in targets} == {"archive": archive["url"], "research": research["url"]}
    assert loaded.configuration.mode == "Running"
    (finding,) = loaded.findings
    assert f"there is no time zone {zone!r}: write one such as Europe/Berlin" in finding.message


def test_a_removed_destination_is_gone_at_once() -> None:
    loaded = load(text(destinations=[]), compile_rules, GOOD)
    assert loaded.configuration.destinations == []
    assert loaded.findings == ()


@pytest.mark.parametrize(
    "content, sentence",
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (text(schemaVersion=2), "run the matching gateway image"),
        (text(unknownField=1), "unknownField"),
        (text(mode="Sleeping"), "mode"),
    ],
)
def test_what_cannot_be_loaded_at_all_says_why(content: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        load(content, compile_rules, GOOD)


def test_without_a_last_good_a_broken_section_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="listeners"):
        load(text(listeners=[]), compile_rules)


TREATED = {"name": "treated", "when": "", "destinations": [{"kind": "CloudTarget", "name": "archive"}]}
STEP = {"step": "Transform", "changes": [{"kind": "Remove", "attribute": "PatientComments"}]}
BROKEN_RULE = {"name": "broken", "when": "instance.Modality ==", "destinations": TREATED["destinations"]}


def rules_of(*rules: dict[str, Any]) -> dict[str, Any]:
    return {**GOLDEN["rules"], "rules": list(rules)}


def withheld(configuration: Configuration) -> list[str]:
    return [one.name for one in configuration.treatment_not_in_force]


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (rules_of({**TREATED, "steps": [STEP]}), []),
        (rules_of({**TREATED, "steps": [STEP]}, BROKEN_RULE), ["archive"]),
        (rules_of(TREATED, BROKEN_RULE), []),
        (rules_of({**TREATED, "steps": [{"step": "Scramble"}]}), ["archive"]),
        ("nonsense", []),
    ],
)
def test_what_the_newest_rules_treat_and_those_in_force_do_not_is_withheld(newest: Any, expected: list[str]) -> None:
    loaded = load(text(rules=newest), compile_rules, GOOD)
    assert withheld(loaded.configuration) == expected
    again = load(loaded.configuration.model_dump_json(by_alias=True), compile_rules)
    assert withheld(again.configuration) == expected, "it does not survive a start from the last good one"


def test_a_treatment_that_was_in_force_goes_on_beside_a_mistake() -> None:
    good = load(text(rules=rules_of({**TREATED, "steps": [STEP]})), compile_rules).configuration
    elsewhere = {**BROKEN_RULE, "destinations": [{"kind": "DicomNode", "name": "pacs"}]}
    same = load(text(rules=rules_of({**TREATED, "steps": [STEP]}, elsewhere)), compile_rules, good)
    assert withheld(same.configuration) == []
    other = {"step": "Transform", "changes": [{"kind": "Remove", "attribute": "PatientAddress"}]}
    newer = load(text(rules=rules_of({**TREATED, "steps": [other]}, BROKEN_RULE)), compile_rules, good)
    assert withheld(newer.configuration) == ["archive"], "it would get what the older treatment makes"


def test_a_document_that_cannot_be_used_at_all_withholds_what_it_treats() -> None:
    newest = {**GOLDEN, "rules": rules_of({**TREATED, "steps": [STEP]}), "unheardOf": True}
    assert [one.name for one in untold(GOOD, json.dumps(newest))] == ["archive"]
    assert untold(GOOD, "no JSON") == []


def test_a_broken_destination_takes_no_more_than_it_says() -> None:
    (archive,) = [one for one in GOLDEN["destinations"] if one["name"] == "archive"]
    others = [one for one in GOLDEN["destinations"] if one["name"] != "archive"]
    strict = {**archive, "accepts": "DeidentifiedOnly", "url": 5}
    loaded = load(text(destinations=[strict, *others]), compile_rules, GOOD)
    (found,) = [one for one in loaded.configuration.destinations if one.name == "archive"]
    assert found.accepts == "DeidentifiedOnly"
