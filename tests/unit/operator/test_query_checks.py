"""What the checks find of queryRetrieve, and what is rendered of it."""

from dataclasses import replace
from typing import Any

from manifests import Json, changed, node, route, target

from dicomroute_operator.api.inputs import Existing, RouteInputs
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.reconcile.last_good import without_removed
from dicomroute_operator.render.egress import egress
from dicomroute_operator.render.gateway_configuration import gateway_configuration

CLOUD = changed(target(url="https://cloud.example:8443/dicom-web"), "metadata.name", "cloud")
VIEWER = changed(node(aeTitle="VIEWER", allowedSources=["192.0.2.0/24"]), "metadata.name", "viewer")
ASKED = [{"kind": "CloudTarget", "name": "cloud"}]


def querying(**query: Any) -> Json:
    """Return a route that serves queries of the node that it admits."""
    served = {"listeners": ["dicom"], "clients": {"nodes": [{"name": "ct-1"}]}, "archives": ASKED, **query}
    return route(queryRetrieve=served)


def inputs(a_route: Json, *more: Json) -> RouteInputs:
    documents = [node(), target(), CLOUD, *more]
    last = {(one["kind"], one["metadata"]["name"]): one for one in documents}.values()
    return gather_route(
        DicomRoute.model_validate(a_route),
        [DicomNode.model_validate(one) for one in last if one["kind"] == "DicomNode"],
        [CloudTarget.model_validate(one) for one in last if one["kind"] == "CloudTarget"],
    )


def faults(a_route: Json, *more: Json) -> list[tuple[str, str]]:
    found: list[Finding] = check_route(inputs(a_route, *more))
    return [(str(one.reason), one.field) for one in found if one.is_fault]


def test_one_whose_objects_are_there_is_fine_and_recommends_tls() -> None:
    found = check_route(inputs(querying()))
    (warning,) = [one for one in found if one.is_warning]
    assert [one for one in found if one.is_fault] == []
    assert (str(warning.reason), warning.type) == ("PlainListener", "QueriesInClear")
    assert "add tls to the listener" in warning.message
    secured = changed(
        querying(),
        "spec.listeners.0.tls",
        {"certificateRef": {"name": "gateway-tls"}, "clientCertificates": "Ignored"},
    )
    assert not any(one.is_warning for one in check_route(inputs(secured)))
    assert not any(one.is_warning for one in check_route(inputs(querying(mode="Refuse"))))
    assert not any(one.is_warning for one in check_route(inputs(route())))


def test_what_it_names_exists() -> None:
    named = [{"name": "ct-1"}, {"name": "nobody"}]
    assert faults(querying(clients={"nodes": named})) == [("NodeNotFound", "spec.queryRetrieve.clients.nodes[nobody]")]
    missing = [{"kind": "CloudTarget", "name": "nowhere"}]
    assert faults(querying(archives=missing)) == [("TargetNotFound", "spec.queryRetrieve.archives[nowhere]")]
    called = changed(node(aeTitle="PACS", host="pacs.example"), "metadata.name", "pacs")
    found = faults(querying(clients={"nodes": [{"name": "ct-1"}, {"name": "pacs"}]}), called)
    assert found == [("NodeMayNotCall", "spec.queryRetrieve.clients.nodes[pacs]")]


def test_a_client_that_no_listener_admits_is_told() -> None:
    both = querying(clients={"nodes": [{"name": "ct-1"}, {"name": "viewer"}]})
    assert faults(both, VIEWER) == [("QueryClientNotAdmitted", "spec.queryRetrieve.clients")]
    admitted = changed(both, "spec.listeners.0.sources.nodes.1", {"name": "viewer"})
    assert faults(admitted, VIEWER) == []
    anybody = changed(both, "spec.listeners.0.sources", {"policy": "Any"})
    assert faults(anybody, VIEWER) == []


def test_a_query_carries_names_and_goes_to_nobody_who_may_see_none() -> None:
    closed = changed(CLOUD, "spec.accepts", "DeidentifiedOnly")
    assert faults(querying(), closed) == [("ArchiveTakesDeidentifiedOnly", "spec.queryRetrieve.archives[cloud]")]
    rendered = gateway_configuration(inputs(querying(), closed))
    assert rendered["queryRetrieve"]["archives"] == [], "whatever the checks say"


def test_what_is_rendered() -> None:
    assert "queryRetrieve" not in gateway_configuration(inputs(route())), "an older gateway does not know it"
    relational = node(
        aeTitle="CT1", allowedSources=["192.0.2.0/24"], relational="Always", defaultCharacterSet="ISO_IR 100"
    )
    selected = {"selector": {"matchLabels": {"site": "north"}}}
    found = gateway_configuration(inputs(querying(clients=selected), relational))["queryRetrieve"]
    (client,) = found["clients"]
    assert (client["node"], client["isRelational"], client["defaultCharacterSet"]) == ("ct-1", True, "ISO_IR 100")
    (archive,) = found["archives"]
    assert (archive["name"], archive["required"]) == ("cloud", True)


def test_an_archive_that_no_rule_names_is_reached_with_its_credentials() -> None:
    basic = {"type": "Basic", "basic": {"username": "u", "passwordSecretRef": {"name": "cloud", "key": "password"}}}
    closed = changed(CLOUD, "spec.auth", basic)
    seen = inputs(querying(), closed)
    assert ("Secret", "cloud", "password") in [(one.kind, one.name, one.key) for one in seen.files()]
    ports = {port["port"] for rule in egress(seen, ()) for port in rule["ports"]}
    assert 8443 in ports
    assert 8443 not in {port["port"] for rule in egress(inputs(route(), closed), ()) for port in rule["ports"]}


def test_while_a_manifest_is_not_accepted_what_was_removed_is_removed() -> None:
    accepted = gateway_configuration(inputs(querying()))
    assert without_removed(accepted, inputs(querying()))["queryRetrieve"] == accepted["queryRetrieve"]
    others = querying(clients={"nodes": [{"name": "viewer"}]}, archives=[])
    kept = without_removed(accepted, inputs(others, VIEWER))["queryRetrieve"]
    assert (kept["clients"], kept["archives"]) == ([], []), "nobody who was not accepted is let in"
    assert without_removed(accepted, inputs(route()))["queryRetrieve"]["mode"] == "Refuse"
    assert "queryRetrieve" not in without_removed(gateway_configuration(inputs(route())), inputs(querying()))


def test_a_node_for_deidentified_data_neither_asks_nor_is_moved_to() -> None:
    strict = changed(changed(VIEWER, "spec.accepts", "DeidentifiedOnly"), "spec.host", "viewer.example")
    asking = querying(clients={"nodes": [{"name": "viewer"}]}, moveDestinations={"nodes": [{"name": "viewer"}]})
    found = [reason for reason, _ in faults(asking, strict)]
    assert found.count("NodeTakesDeidentifiedOnly") == 2
    rendered = gateway_configuration(inputs(asking, strict))["queryRetrieve"]
    assert {one["accepts"] for one in (*rendered["clients"], *rendered["moveDestinations"])} == {"DeidentifiedOnly"}
    seen = inputs(asking, strict)
    older = replace(seen, existing=Existing(supports=frozenset({"Deidentify"})))
    told = gateway_configuration(older)["queryRetrieve"]
    assert (told["clients"], told["moveDestinations"]) == ([], []), "an older gateway knows of no bound"
