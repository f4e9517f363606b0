"""Egress is what targets need, and never the addresses where clouds hand out identities."""

from ipaddress import ip_network
from typing import Any

import pytest
from manifests import changed, node, route, target

from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.render.egress import METADATA_ADDRESSES, egress


def rules(url: str) -> list[dict[str, Any]]:
    inputs = gather_route(DicomRoute.model_validate(route()), [], [CloudTarget.model_validate(target(url=url))])
    names, *rest = egress(inputs)
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
    for block, forbidden in zip(rule["to"], METADATA_ADDRESSES, strict=True):
        assert block["ipBlock"]["except"] == [forbidden]
        assert ip_network(forbidden).subnet_of(ip_network(block["ipBlock"]["cidr"]))


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
    _, rule = egress(gather_route(DicomRoute.model_validate(to_pacs), [called], []))
    assert rule["to"][0]["ipBlock"]["cidr"] == cidr
    assert rule["ports"] == [{"port": port, "protocol": "TCP"}]


def test_a_node_that_is_no_destination_is_not_open() -> None:
    called = DicomNode.model_validate(node(aeTitle="PACS", host="192.0.2.9"))
    (names,) = egress(gather_route(DicomRoute.model_validate(route()), [called], []))
    assert {port["port"] for port in names["ports"]} == {53, 5353}
