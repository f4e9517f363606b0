"""Renders what a gateway may reach: names, and the ports and addresses of its targets."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from dicomroute_operator.api.inputs import RouteInputs

from .objects import Manifest

METADATA_ADDRESSES = ("169.254.169.254/32", "fd00:ec2::254/128")
"""Where clouds hand out their machines' identities: no target lives there."""

_DNS_PORTS = (53, 5353)
"""A policy sees the port of the pod behind the Service, which is 5353 on OpenShift."""


def egress(inputs: RouteInputs) -> list[Manifest]:
    """Return the egress rules: DNS, literal addresses of targets, and for host names every address by port.

    A target whose URL cannot be read adds nothing: nothing is sent there either.
    """
    addresses: set[tuple[str, int]] = set()
    ports: set[int] = set()
    for destination in inputs.destinations():
        target = inputs.targets.get(destination.name)
        if target is None:
            continue
        try:
            url = urlsplit(target.spec.url)
            host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        except ValueError:
            continue
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
