"""Renders what a gateway may reach: names, and the ports and addresses of its destinations."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from dicomroute_operator.api.delivery import Destination
from dicomroute_operator.api.inputs import RouteInputs

from .objects import Manifest

METADATA_ADDRESSES = ("169.254.169.254/32", "fd00:ec2::254/128")
"""Where clouds hand out their machines' identities: no target lives there."""

_DNS_PORTS = (53, 5353)
"""A policy sees the port of the pod behind the Service, which is 5353 on OpenShift."""


def egress(inputs: RouteInputs) -> list[Manifest]:
    """Return the egress rules: DNS, literal addresses of destinations, and for host names every address by port.

    A destination that does not exist, or of which nobody can read where it is, adds nothing: nothing is sent there
    either.
    """
    addresses: set[tuple[str, int]] = set()
    ports: set[int] = set()
    for destination in inputs.destinations():
        found = _endpoint(inputs, destination)
        if found is None:
            continue
        host, port = found
        try:
            literal = ip_address(host)
        except ValueError:
            ports.add(port)
        else:
            addresses.add((f"{literal}/{literal.max_prefixlen}", port))
    rules: list[Manifest] = [
        {"ports": [{"port": port, "protocol": protocol} for port in _DNS_PORTS for protocol in ("UDP", "TCP")]}
    ]
    rules += [
        {"to": [{"ipBlock": {"cidr": address}}], "ports": [{"port": port, "protocol": "TCP"}]}
        for address, port in sorted(addresses)
    ]
    if ports:
        everywhere = [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": [METADATA_ADDRESSES[0]]}},
            {"ipBlock": {"cidr": "::/0", "except": [METADATA_ADDRESSES[1]]}},
        ]
        rules.append({"to": everywhere, "ports": [{"port": port, "protocol": "TCP"} for port in sorted(ports)]})
    return rules


def _endpoint(inputs: RouteInputs, destination: Destination) -> tuple[str, int] | None:
    """Return host and port of a destination."""
    node, target = inputs.node_of(destination), inputs.target_of(destination)
    if node is not None and node.spec.host is not None:
        return node.spec.host, node.spec.port
    if target is None:
        return None
    try:
        url = urlsplit(target.spec.url)
        return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        return None
