"""Renders what a gateway may reach: names, and the ports and addresses of destinations, proxies and token endpoints.

An identity that the machine's metadata service gives out opens that service, which is closed to everything else: a
manifest that names it, or any link-local address, as a destination, token endpoint or proxy opens nothing.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from dicomroute_operator.api.credentials import AZURE_AUTHORITY_HOST
from dicomroute_operator.api.delivery import Destination
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.target import CloudTarget

from .objects import Manifest

METADATA_ADDRESSES = ("169.254.169.254/32", "fd00:ec2::254/128")
"""Where clouds hand out their machines' identities: no target lives there."""
_GKE_METADATA: Final = (("169.254.169.254/32", 80), ("169.254.169.252/32", 988))
"""What the metadata server's address becomes on its way through a node of GKE: with Dataplane V2, and without."""
_AZURE_METADATA: Final = (("169.254.169.254/32", 80),)

_DNS_PORTS = (53, 5353)
"""A policy sees the port of the pod behind the Service, which is 5353 on OpenShift."""


def egress(inputs: RouteInputs) -> list[Manifest]:
    """Return the egress rules: DNS, literal addresses, and for host names every address by port.

    A destination that does not exist, or of which nobody can read where it is, adds nothing: nothing is sent there
    either.
    """
    addresses: set[tuple[str, int]] = set()
    ports: set[int] = set()
    for destination in inputs.destinations():
        target = inputs.target_of(destination)
        if target is not None:
            addresses.update(_metadata(target))
        for host, port in _reached_by(inputs, destination):
            try:
                literal = ip_address(host)
            except ValueError:
                ports.add(port)
            else:
                # A mapped address is reached by IPv4, and would slip past what is said of that.
                literal = (literal.ipv4_mapped if isinstance(literal, IPv6Address) else None) or literal
                if not _is_closed(literal):
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


def _is_closed(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address opens nothing: metadata services, and what else is link-local (RFC 3927, RFC 4291)."""
    return address.is_link_local or any(address in ip_network(one) for one in METADATA_ADDRESSES)


def _reached_by(inputs: RouteInputs, destination: Destination) -> Iterator[tuple[str, int]]:
    """Yield hosts and ports that deliveries to a destination connect to."""
    node, target = inputs.node_of(destination), inputs.target_of(destination)
    if node is not None and node.spec.host is not None:
        yield node.spec.host, node.spec.port
    if target is not None:
        yield from _reached(target)


def _reached(target: CloudTarget) -> Iterator[tuple[str, int]]:
    """Yield whom requests to a target connect to: itself and its token endpoint, or the proxy in their place."""
    proxy = target.spec.proxy
    for url in (target.spec.url, *_token_urls(target)):
        place = _place(url)
        if place is not None and proxy is not None and not _bypasses(proxy.no_proxy, place[0]):
            place = _place(proxy.url)
        if place is not None:
            yield place


def _token_urls(target: CloudTarget) -> Iterator[str]:
    auth = target.spec.auth
    if auth.oauth2_client_credentials is not None:
        yield auth.oauth2_client_credentials.token_url
    for azure in (auth.azure_client_secret, auth.azure_client_certificate, auth.azure_workload_identity):
        if azure is not None:
            yield azure.authority_host or AZURE_AUTHORITY_HOST
    if auth.google_service_account_key is not None:
        yield "https://oauth2.googleapis.com"
    if auth.aws_web_identity is not None:
        yield f"https://sts.{auth.aws_web_identity.region}.amazonaws.com"


def _metadata(target: CloudTarget) -> tuple[tuple[str, int], ...]:
    if target.spec.auth.azure_managed_identity is not None:
        return _AZURE_METADATA
    return _GKE_METADATA if target.spec.auth.google_workload_identity is not None else ()


def _place(url: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None


def _bypasses(no_proxy: list[str], host: str) -> bool:
    """Return whether a host is reached without the proxy, as the gateway decides it (its `deliver.no_proxy`)."""
    host = host.rstrip(".").lower()
    try:
        address = ip_address(host)
    except ValueError:
        names = (entry.strip(".").lower() for entry in no_proxy)
        return any(name and (host == name or host.endswith(f".{name}")) for name in names)
    for entry in no_proxy:
        try:
            if address in ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False
