"""Egress is what targets need, and never the addresses where clouds hand out identities."""

from collections.abc import Sequence
from typing import Any

import pytest
from auths import MEMBERS, auth
from manifests import changed, node, route, target

from dicomroute_operator.api.credentials import MACHINE_IDENTITIES
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.render.egress import IDENTITY_NETWORKS, egress
from dicomroute_operator.render.network import service


def rules(url: str, allowed: Sequence[str] = MACHINE_IDENTITIES, **spec: Any) -> list[dict[str, Any]]:
    one = CloudTarget.model_validate(target(url=url, **spec))
    inputs = gather_route(DicomRoute.model_validate(route()), [], [one])
    names, *rest = egress(inputs, allowed)
    assert {port["port"] for port in names["ports"]} == {53, 5353}
    return rest


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("https://192.0.2.7/dicom-web", "192.0.2.7/32", 443),
        ("http://192.0.2.7:8042", "192.0.2.7/32", 8042),
        ("https://[2001:db8::7]/x", "2001:db8::7/128", 443),
    ],
)
def test_a_literal_address_is_open_alone(url: str, address: str, port: int) -> None:
    assert rules(url) == [{"to": [{"ipBlock": {"cidr": address}}], "ports": [{"port": port, "protocol": "TCP"}]}]


def test_a_host_name_is_open_by_port_but_for_metadata_services() -> None:
    (rule,) = rules("https://archive.example/dicom-web")
    assert rule["ports"] == [{"port": 443, "protocol": "TCP"}]
    closed = [one for block in rule["to"] for one in block["ipBlock"]["except"]]
    assert closed == [*IDENTITY_NETWORKS]


METADATA = {"ipBlock": {"cidr": "169.254.169.254/32"}}


@pytest.mark.parametrize("type_", MEMBERS)
def test_the_metadata_service_is_open_to_the_identities_that_it_gives(type_: str) -> None:
    found = [rule for rule in rules("https://192.0.2.7/", auth=auth(type_)) if METADATA in rule["to"]]
    assert bool(found) == (type_ in ("AzureManagedIdentity", "GoogleWorkloadIdentity"))
    assert all(rule["ports"] == [{"port": 80, "protocol": "TCP"}] for rule in found)


@pytest.mark.parametrize("type_", MACHINE_IDENTITIES)
def test_the_metadata_service_is_closed_where_the_platform_does_not_allow_it(type_: str) -> None:
    (rule,) = rules("https://192.0.2.7/", (), auth=auth(type_))
    assert rule["to"] == [{"ipBlock": {"cidr": "192.0.2.7/32"}}]


def test_what_gives_tokens_is_open_too() -> None:
    url = "http://192.0.2.8:8080/token"
    found = rules("https://192.0.2.7/", auth=auth("OAuth2ClientCredentials", tokenURL=url))
    assert [rule["to"][0]["ipBlock"]["cidr"] for rule in found] == ["192.0.2.7/32", "192.0.2.8/32"]


def test_a_proxy_is_open_in_the_place_of_what_it_reaches() -> None:
    proxy = {"url": "http://192.0.2.9:3128", "noProxy": ["192.0.2.8"]}
    token = auth("OAuth2ClientCredentials", tokenURL="https://192.0.2.8/token")
    found = rules("https://archive.example/", auth=token, proxy=proxy)
    places = [(rule["to"][0]["ipBlock"]["cidr"], rule["ports"][0]["port"]) for rule in found]
    assert places == [("192.0.2.8/32", 443), ("192.0.2.9/32", 3128)], "and not the port of archive.example"


@pytest.mark.parametrize(
    ("spec", "cidr", "port"),
    [
        ({"host": "192.0.2.9"}, "192.0.2.9/32", 104),
        ({"host": "2001:db8::9", "port": 11112}, "2001:db8::9/128", 11112),
        ({"host": "pacs.example", "port": 4242}, "0.0.0.0/0", 4242),
    ],
)
def test_a_node_that_is_a_destination_is_open_at_its_port(spec: dict[str, Any], cidr: str, port: int) -> None:
    to_pacs = changed(route(), "spec.rules.0.destinations", [{"kind": "DicomNode", "name": "ct-1"}])
    called = DicomNode.model_validate(node(aeTitle="PACS", **spec))
    _, rule = egress(gather_route(DicomRoute.model_validate(to_pacs), [called], []), ())
    assert rule["to"][0]["ipBlock"]["cidr"] == cidr
    assert rule["ports"] == [{"port": port, "protocol": "TCP"}]


def test_a_node_that_is_no_destination_is_not_open() -> None:
    called = DicomNode.model_validate(node(aeTitle="PACS", host="192.0.2.9"))
    (names,) = egress(gather_route(DicomRoute.model_validate(route()), [called], []), ())
    assert {port["port"] for port in names["ports"]} == {53, 5353}


CLOSED = [
    "169.254.169.254",
    "169.254.170.23",
    "[fd00:ec2::254]",
    "[FD00:EC2:0::0254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[fe80::1]",
    "[febf::1]",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fd00:ec2::23]",
    "[fd20:ce::254]",
]


@pytest.mark.parametrize("host", CLOSED)
def test_a_manifest_does_not_open_a_metadata_service(host: str) -> None:
    assert rules(f"http://{host}/latest") == []
    assert rules(f"http://{host}:8080/") == []
    token = auth("OAuth2ClientCredentials", tokenURL=f"http://{host}/token")
    (archive,) = rules("https://192.0.2.7/", auth=token)
    assert archive["to"] == [{"ipBlock": {"cidr": "192.0.2.7/32"}}]
    assert rules("https://archive.example/", proxy={"url": f"http://{host}:80"}) == []
    to_pacs = changed(route(), "spec.rules.0.destinations", [{"kind": "DicomNode", "name": "ct-1"}])
    called = DicomNode.model_validate(node(aeTitle="PACS", host=host.strip("[]"), port=80))
    _, *rest = egress(gather_route(DicomRoute.model_validate(to_pacs), [called], []), ())
    assert rest == []


def test_an_identity_opens_the_metadata_service_as_ever_and_a_url_not_its_other_ports() -> None:
    (rule,) = rules("https://169.254.169.254:8080/", auth=auth("AzureManagedIdentity"))
    assert rule == {"to": [METADATA], "ports": [{"port": 80, "protocol": "TCP"}]}


def test_a_mapped_address_is_open_as_the_one_that_it_stands_for() -> None:
    (rule,) = rules("https://[::ffff:192.0.2.7]/")
    assert rule["to"] == [{"ipBlock": {"cidr": "192.0.2.7/32"}}]


@pytest.mark.parametrize(
    ("changes", "nodes", "ranges"),
    [
        ({}, [node()], ["192.0.2.0/24"]),
        (
            {},
            [node(aeTitle="CT1", allowedSources=["2001:db8::/64", "192.0.2.7/32"])],
            ["192.0.2.7/32", "2001:db8::/64"],
        ),
        ({}, [node(aeTitle="CT1", anyAddress=True)], None),
        ({"spec.gateway.service.loadBalancerSources": "Anywhere"}, [node()], None),
        ({"spec.gateway.service.type": "NodePort"}, [node()], None),
        ({"spec.listeners.0.sources": {"policy": "Any"}}, [node()], None),
    ],
)
def test_a_load_balancer_lets_the_networks_of_the_nodes_in(
    changes: dict[str, Any], nodes: list[dict[str, Any]], ranges: list[str] | None
) -> None:
    document = route()
    for path, value in changes.items():
        document = changed(document, path, value)
    inputs = gather_route(DicomRoute.model_validate(document), [DicomNode.model_validate(one) for one in nodes], [])
    assert service(inputs)["spec"].get("loadBalancerSourceRanges") == ranges
