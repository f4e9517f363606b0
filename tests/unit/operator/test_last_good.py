"""While a manifest is not accepted the last configuration goes on, without what was removed since."""

import json
from dataclasses import replace
from typing import Any

from manifests import changed, node, profile, route, target

from dicomroute_operator.api.inputs import Existing, RouteInputs
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.profile import DeidentificationProfile
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.reconcile.last_good import last_accepted, without_removed
from dicomroute_operator.render.gateway_configuration import (
    configuration_data,
    configuration_text,
    gateway_configuration,
)
from dicomroute_operator.render.support import told, unsupported

OTHER = changed(node(aeTitle="MR1", anyAddress=True), "metadata.name", "mr-1")
TO_PACS = [{"kind": "DicomNode", "name": "archive", "required": False, "callingAETitle": "TOPACS"}]
BOTH = [{"name": "ct-1"}, {"name": "mr-1"}]


def inputs(*documents: dict[str, Any], nodes: list[dict[str, str]] = BOTH) -> RouteInputs:
    one = DicomRoute.model_validate(changed(route(), "spec.listeners.0.sources.nodes", nodes))
    return gather_route(
        one,
        [DicomNode.model_validate(d) for d in documents if d["kind"] == "DicomNode"],
        [CloudTarget.model_validate(d) for d in documents if d["kind"] == "CloudTarget"],
    )


ACCEPTED = json.loads(json.dumps(gateway_configuration(inputs(node(), OTHER, target()))))


def callers(configuration: dict[str, Any]) -> list[str]:
    return [one["node"] for one in configuration["listeners"][0]["sources"]["callers"]]


def test_nothing_changes_while_everything_is_there() -> None:
    assert json.loads(json.dumps(without_removed(ACCEPTED, inputs(node(), OTHER, target())))) == ACCEPTED


def test_a_deleted_node_is_refused_and_a_deleted_target_gone() -> None:
    kept = without_removed(ACCEPTED, inputs(node()))
    assert callers(kept) == ["ct-1"]
    assert kept["destinations"] == []
    assert kept["rules"] == ACCEPTED["rules"], "so that its deliveries are held"


def test_what_comes_back_is_back() -> None:
    without = without_removed(ACCEPTED, inputs(node()))
    assert without["destinations"] == []
    assert without_removed(ACCEPTED, inputs(node(), OTHER, target()))["destinations"] == ACCEPTED["destinations"]


def test_a_node_that_its_listener_no_longer_names_is_refused() -> None:
    assert callers(without_removed(ACCEPTED, inputs(node(), OTHER, target(), nodes=BOTH[:1]))) == ["ct-1"]


def test_a_node_that_was_never_accepted_is_not_let_in() -> None:
    first = gateway_configuration(inputs(node(), OTHER, target(), nodes=BOTH[:1]))
    assert callers(without_removed(first, inputs(node(), OTHER, target()))) == ["ct-1"]


def test_a_narrowed_network_counts_as_it_is_now() -> None:
    narrowed = node(aeTitle="CT1", allowedSources=["192.0.2.7/32"])
    kept = without_removed(ACCEPTED, inputs(narrowed, OTHER, target()))
    assert kept["listeners"][0]["sources"]["callers"][0]["networks"] == ["192.0.2.7/32"]


def test_a_node_as_a_destination_is_as_it_is_now_and_gone_when_it_is_gone() -> None:
    def with_pacs(*documents: dict[str, Any], **spec: Any) -> RouteInputs:
        pacs = changed(node(aeTitle="PACS", **spec), "metadata.name", "archive")
        found = inputs(node(), OTHER, target(), *documents, *([pacs] if spec else []))
        both = [{"kind": "CloudTarget", "name": "archive"}, {"kind": "DicomNode", "name": "archive"}]
        changes = {"rules": [{"name": "everything", "destinations": both}], "destinations": TO_PACS}
        return replace(found, route=DicomRoute.model_validate(route(**changes)))

    accepted = gateway_configuration(with_pacs(host="192.0.2.9"))
    assert [one["kind"] for one in accepted["destinations"]] == ["CloudTarget", "DicomNode"]
    moved = without_removed(accepted, with_pacs(host="192.0.2.10"))["destinations"][1]
    assert (moved["host"], moved["callingAETitle"], moved["required"]) == ("192.0.2.10", "TOPACS", False)
    assert [one["kind"] for one in without_removed(accepted, with_pacs())["destinations"]] == ["CloudTarget"]


KEY = "a key"


def stored(generation: int, key: str, mac_key: str = KEY) -> dict[str, str]:
    text = configuration_text({**ACCEPTED, "generation": generation})
    return configuration_data(mac_key, **{key: text})


def test_what_was_put_aside_counts_while_the_gateway_reads_what_was_made_of_it() -> None:
    live, aside = stored(3, "v1.json"), stored(3, "accepted.json")
    both = last_accepted(KEY, live, aside)
    assert (both.text, both.is_own) == (aside["accepted.json"], True)
    assert last_accepted(KEY, stored(4, "v1.json"), aside).text == stored(4, "v1.json")["v1.json"]
    assert last_accepted(KEY, live, {}).text == live["v1.json"]
    assert not last_accepted(KEY, live, stored(3, "accepted.json", "another")).is_own
    earlier = {**stored(3, "v1.json"), **stored(2, "accepted.json")}
    assert last_accepted(KEY, earlier, {}).text == earlier["accepted.json"], "as an earlier release kept it"
    assert last_accepted(KEY, {"v1.json": "{"}, {"accepted.json": "{"}).text == "{"


TREATED = [
    {
        "name": "everything",
        "destinations": [{"kind": "CloudTarget", "name": "archive"}],
        "deidentify": {"name": "research"},
    }
]


def treating(supports: frozenset[str] | None) -> RouteInputs:
    known = inputs(node(), OTHER, target())
    spec = DicomRoute.model_validate(route(rules=TREATED)).spec
    changed_route = known.route.model_copy(update={"spec": spec})
    return replace(known, route=changed_route, existing=Existing(supports=supports))


def test_what_the_newest_manifest_treats_gets_nothing_by_the_last_accepted_one() -> None:
    going_on = without_removed(ACCEPTED, treating(None))
    assert going_on["rules"] == ACCEPTED["rules"]
    assert going_on["treatmentNotInForce"] == [{"kind": "CloudTarget", "name": "archive"}]
    again = without_removed(going_on, inputs(node(), OTHER, target()))
    assert "treatmentNotInForce" not in again, "the treatment was taken back"
    assert again["destinations"] == ACCEPTED["destinations"]


def test_a_gateway_that_cannot_be_told_so_is_not_told_of_the_destination() -> None:
    going_on = without_removed(ACCEPTED, treating(frozenset()))
    assert going_on["destinations"] == []
    assert "treatmentNotInForce" not in going_on


def test_a_destination_is_named_to_a_gateway_that_can_treat_what_it_gets() -> None:
    for supports, is_told in ((None, True), (frozenset({"Deidentify"}), True), (frozenset({"Transform"}), False)):
        one = treating(supports)
        configuration = gateway_configuration(one)
        assert bool(configuration["destinations"]) is is_told
        assert configuration["rules"]["rules"][0]["steps"], (
            "an older gateway refuses the rule, and keeps none of before"
        )
        assert bool(unsupported(one)) is not is_told
        if is_told:
            assert told(configuration) == {"Deidentify"}


def test_a_profile_with_known_patients_is_named_to_a_gateway_that_knows_of_such() -> None:
    one = treating(frozenset({"Deidentify"}))
    known = DeidentificationProfile.model_validate(profile(patientID={"knownRef": {"name": "known", "key": "known"}}))
    one = replace(one, profiles={"research": known})
    assert gateway_configuration(one)["destinations"] == []
    assert "KnownPatients" in unsupported(one)
    newer = replace(one, existing=Existing(supports=frozenset({"Deidentify", "KnownPatients"})))
    (rule,) = gateway_configuration(newer)["rules"]["rules"]
    assert rule["steps"][0]["knownPatientIDsFile"] == "ConfigMap-known/known"
    assert told(gateway_configuration(newer)) == {"Deidentify", "KnownPatients"}


def test_a_node_for_deidentified_instances_is_named_to_a_gateway_that_knows_of_such() -> None:
    strict = node(aeTitle="CT1", host="ct-1.example", anyAddress=True, accepts="DeidentifiedOnly")
    rules = [{"name": "all", "destinations": [{"kind": "DicomNode", "name": "ct-1"}]}]
    known = inputs(strict, OTHER)
    one = replace(known, route=DicomRoute.model_validate(route(rules=rules)))
    (found,) = gateway_configuration(one)["destinations"]
    assert found["accepts"] == "DeidentifiedOnly"
    older = replace(one, existing=Existing(supports=frozenset({"Deidentify"})))
    assert gateway_configuration(older)["destinations"] == []
    assert told(gateway_configuration(one)) == {"NodeAccepts"}
