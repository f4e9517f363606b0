"""Renders what a gateway may reach: names, and the ports and addresses of destinations, proxies and token endpoints.

An identity that the machine's metadata service gives out opens that service, where the platform allows it, and nothing
else does: a manifest that names it, or any link-local address, as a destination, token endpoint or proxy opens nothing.
"""

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from dicomroute_operator.api.credentials import AZURE_AUTHORITY_HOST
from dicomroute_operator.api.delivery import Destination
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.target import CloudTarget

from .objects import Manifest

IDENTITY_NETWORKS: Final = (
    "169.254.0.0/16",  # link-local: the metadata services of AWS, Azure, Google, Oracle and OpenStack, EKS Pod Identity
    "100.100.100.200/32",  # Alibaba Cloud: "View instance metadata"
    "168.63.129.16/32",  # Azure's platform address: "What is IP address 168.63.129.16?"
    "192.0.0.192/32",  # Oracle Cloud, of old: "Instance Metadata Service"
    "fe80::/10",  # link-local: OpenStack's fe80::a9fe:a9fe
    "fd00:ec2::/32",  # AWS: ::254 "Instance metadata", ::23 "Set up the Amazon EKS Pod Identity Agent"
    "fd20:ce::254/128",  # Google: "About VM metadata"
)
"""Where clouds hand out their machines' identities: no target lives there. Beside them the pages that say so."""
_GKE_METADATA: Final = (("169.254.169.254/32", 80), ("169.254.169.252/32", 988))
"""What the metadata server's address becomes on its way through a node of GKE: with Dataplane V2, and without."""
_AZURE_METADATA: Final = (("169.254.169.254/32", 80),)

_DNS_PORTS = (53, 5353)
"""A policy sees the port of the pod behind the Service, which is 5353 on OpenShift."""


def egress(inputs: RouteInputs, machine_identities: Collection[str]) -> list[Manifest]:
    """Return the egress rules: DNS, literal addresses, and for host names every address by port.

    `machine_identities` are the types of credentials that may ask the machine's metadata service for an identity.

    A destination that does not exist, or of which nobody can read where it is, adds nothing: nothing is sent there
    either.
    """
    addresses: set[tuple[str, int]] = set()
    ports: set[int] = set()
    for destination in inputs.called():
        target = inputs.target_of(destination)
        if target is not None:
            addresses.update(_metadata(target, machine_identities))
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
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": [one for one in IDENTITY_NETWORKS if ":" not in one]}},
            {"ipBlock": {"cidr": "::/0", "except": [one for one in IDENTITY_NETWORKS if ":" in one]}},
        ]
        rules.append({"to": everywhere, "ports": [{"port": port, "protocol": "TCP"} for port in sorted(ports)]})
    return rules


def _is_closed(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address opens nothing: where identities are handed out, and what else is link-local."""
    return any(address in ip_network(one) for one in IDENTITY_NETWORKS)


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


def _metadata(target: CloudTarget, machine_identities: Collection[str]) -> tuple[tuple[str, int], ...]:
    if target.spec.auth.type not in machine_identities:
        return ()
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
