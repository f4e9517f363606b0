"""The checks of a CloudTarget."""

from collections.abc import Collection, Iterator, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.credentials import MACHINE_IDENTITIES, AuthType
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.api.warning_conditions import CredentialsInClear

from .finding import Check, Finding, run_chain


def check_target(target: CloudTarget, machine_identities: Collection[str] = MACHINE_IDENTITIES) -> list[Finding]:
    """Return the findings of a target; `machine_identities` are the credentials of that kind which are allowed."""
    accepted = Finding("CloudTarget", target.metadata.name, Accepted.ACCEPTED, True, "the manifest is consistent")
    if target.spec.auth.type in MACHINE_IDENTITIES and target.spec.auth.type not in machine_identities:
        sentence = (
            f"{target.spec.auth.type} uses the identity of the Kubernetes node, which may have more permissions than "
            "this target needs: ask the platform team to allow it with the chart's gateway.machineIdentities: "
            f"[{target.spec.auth.type}]"
        )
        accepted = Finding(
            "CloudTarget",
            target.metadata.name,
            Accepted.MACHINE_IDENTITY_NOT_ALLOWED,
            False,
            sentence,
            "spec.auth.type",
        )
    return [accepted, *run_chain(CREDENTIALS_IN_CLEAR, target)]


def plain_http(target: CloudTarget) -> Iterator[Finding]:
    """A credential does not cross a network in clear text; loopback is no network."""
    auth = target.spec.auth
    if auth.type is AuthType.NONE:
        return
    urls = [("spec.url", target.spec.url)]
    if auth.oauth2_client_credentials is not None:
        urls.append(("spec.auth.oauth2ClientCredentials.tokenURL", auth.oauth2_client_credentials.token_url))
    for field, text in urls:
        try:
            url = urlsplit(text)
        except ValueError:  # an IPv6 address that is none: requests will say so, and nothing is sent
            continue
        if url.scheme == "http" and not _is_loopback(url.hostname or ""):
            yield Finding(
                "CloudTarget",
                target.metadata.name,
                CredentialsInClear.PLAIN_HTTP,
                True,
                f"the credential for {url.hostname} crosses the network unencrypted: use https://",
                field,
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


CREDENTIALS_IN_CLEAR: Sequence[Check[CloudTarget]] = (plain_http,)
