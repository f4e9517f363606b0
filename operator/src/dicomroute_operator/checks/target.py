"""The checks of a CloudTarget."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from dicomroute_operator.api.conditions import Accepted, CredentialsInClear
from dicomroute_operator.api.target import AuthType, CloudTarget

from .finding import Check, Finding, run_chain


def check_target(target: CloudTarget) -> list[Finding]:
    """Return the findings of a target."""
    accepted = Finding("CloudTarget", target.metadata.name, Accepted.ACCEPTED, True, "the manifest contradicts nothing")
    return [accepted, *run_chain(CREDENTIALS_IN_CLEAR, target)]


def plain_http(target: CloudTarget) -> Iterator[Finding]:
    """A password does not cross a network in clear text; loopback is no network."""
    try:
        url = urlsplit(target.spec.url)
    except ValueError:  # an IPv6 address that is none: requests will say so, and nothing is sent
        return
    if url.scheme == "http" and target.spec.auth.type is not AuthType.NONE and not _is_loopback(url.hostname or ""):
        yield Finding(
            "CloudTarget",
            target.metadata.name,
            CredentialsInClear.PLAIN_HTTP,
            True,
            f"the password for {url.hostname} crosses the network in clear text: use https://",
            "spec.url",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


CREDENTIALS_IN_CLEAR: Sequence[Check[CloudTarget]] = (plain_http,)
