"""Routes whose load balancer lets them share one address: which may, and what is said to those that may not."""

from typing import Any

import pytest
from manifests import Json, changed, node, route, target

from dicomroute_operator.api.inputs import Existing
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.gather.existing import rivals_of
from dicomroute_operator.gather.route import gather_route

METALLB = {"metallb.io/allow-shared-ip": "pacs"}
CILIUM = {"lbipam.cilium.io/sharing-key": "pacs"}


def sharing(name: str, created: str, port: int, annotations: dict[str, str], policy: str = "Cluster") -> DicomRoute:
    service: dict[str, Any] = {
        "type": "LoadBalancer",
        "loadBalancerIP": "203.0.113.200",
        "externalTrafficPolicy": policy,
        "annotations": annotations,
        "ports": [{"listener": "dicom", "port": port}],
    }
    document: Json = changed(route(gateway={"service": service}), "metadata.name", name)
    document["metadata"] |= {"namespace": "imaging", "creationTimestamp": created}
    return DicomRoute.model_validate(document)


def conflicts(newer: DicomRoute, older: DicomRoute) -> list[Finding]:
    nodes = [DicomNode.model_validate(node(aeTitle="CT1", anyAddress=True))]
    existing = Existing(rivals=rivals_of(newer, [older, newer]))
    inputs = gather_route(newer, nodes, [CloudTarget.model_validate(target())], existing=existing)
    return [one for one in check_route(inputs) if f"{one.reason}" == "Conflicted"]


@pytest.mark.parametrize(
    ("older", "newer", "policy", "shared"),
    [
        pytest.param((104, METALLB), (11112, METALLB), "Cluster", True, id="one key, ports of their own"),
        pytest.param((104, METALLB), (104, METALLB), "Cluster", False, id="one key, one port"),
        pytest.param(
            (104, METALLB), (11112, {**METALLB, "metallb.io/allow-shared-ip": "other"}), "Cluster", False, id="two keys"
        ),
        pytest.param((104, METALLB), (11112, {}), "Cluster", False, id="one of them has no key"),
        pytest.param((104, METALLB), (11112, METALLB), "Local", False, id="MetalLB, callers' addresses kept"),
        pytest.param((104, CILIUM), (11112, CILIUM), "Local", True, id="another load balancer"),
        pytest.param((104, METALLB), (11112, CILIUM), "Cluster", False, id="keys of two load balancers"),
    ],
)
def test_one_address_for_two_routes(
    older: tuple[int, dict[str, str]], newer: tuple[int, dict[str, str]], policy: str, shared: bool
) -> None:
    first = sharing("first", "2026-01-01T00:00:00Z", *older, policy=policy)
    second = sharing("second", "2026-01-02T00:00:00Z", *newer, policy=policy)
    found = conflicts(second, first)
    assert (found == []) is shared
    assert conflicts(first, second) == [], "the older one keeps it"
    if not shared:
        assert "imaging/first already uses address 203.0.113.200" in found[0].message
        assert ("different ports; with MetalLB, also externalTrafficPolicy: Cluster" in found[0].message) == bool(
            newer[1]
        )
