"""Which hosts are reached without the proxy. Pure."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network


def bypasses(no_proxy: Sequence[str], host: str) -> bool:
    """Return whether `host`, a name or a literal address, is reached directly.

    An entry is a host name, which stands for its subdomains too, an address, or a network in CIDR notation. Names are
    not resolved: a network is compared with literal addresses alone.
    """
    host = host.strip("[]").rstrip(".").lower()
    try:
        address = ip_address(host)
    except ValueError:
        names = (entry.lstrip("*").strip(".").lower() for entry in no_proxy)
        return any(name and (host == name or host.endswith(f".{name}")) for name in names)
    for entry in no_proxy:
        try:
            network = ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            continue
        if address in network:
            return True
    return False
