"""Microsoft Entra ID: a secret, a certificate, the identity of the pod, or that of its machine.

Each type asks for its own identity and never falls back to another. The requests are those of Microsoft's identity
platform, v2.0; the tests hold them against what azure-identity sends.
"""

import base64
import os
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from dicomroute_gateway.configuration.credentials import (
    AzureClientCertificateAuth,
    AzureClientSecretAuth,
    AzureManagedIdentityAuth,
    AzureWorkloadIdentityAuth,
)
from dicomroute_gateway.deliver.faults import CredentialFault

from .assertion import signed
from .exchange import Exchange, Request, bearer_token
from .files import digest, read_text
from .tokens import Token, TokenSource

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 600
_METADATA_HOST: Final = "http://169.254.169.254"


def secret_source(auth: AzureClientSecretAuth, secrets: Path, exchange: Exchange) -> TokenSource:
    """Return where tokens for a secret come from. Raises CredentialFault."""
    secret = read_text(secrets, auth.client_secret_file)
    url = _token_url(auth.authority_host, auth.tenant_id)
    request = _request(url, auth.client_id, auth.scope, {"client_secret": secret})
    identity = (auth.model_dump_json(), digest(secret))
    return TokenSource(auth.type, identity, lambda: bearer_token(exchange, request))


def certificate_source(auth: AzureClientCertificateAuth, secrets: Path, exchange: Exchange) -> TokenSource:
    """Return where tokens for a certificate come from. Raises CredentialFault."""
    certificate, key = read_text(secrets, auth.certificate_file), read_text(secrets, auth.key_file)
    url = _token_url(auth.authority_host, auth.tenant_id)

    def assertion() -> Mapping[str, str]:
        now = int(time.time())
        claims = {
            "aud": url,
            "iss": auth.client_id,
            "sub": auth.client_id,
            "jti": str(uuid.uuid4()),
            "nbf": now,
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        headers = {"x5t#S256": _thumbprint(certificate, auth.certificate_file)}
        value = signed(claims, key, "PS256", headers, auth.key_file)
        return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": value}

    identity = (auth.model_dump_json(), digest(certificate, key))
    return _asserting(auth.type, identity, url, (auth.client_id, auth.scope), assertion, exchange)


def workload_source(auth: AzureWorkloadIdentityAuth, exchange: Exchange) -> TokenSource:
    """Return where tokens for the pod's service account come from; its token is read anew for each of them.

    Raises CredentialFault when the webhook has not given it to the pod.
    """
    tenant = auth.tenant_id or _injected("AZURE_TENANT_ID")
    host = auth.authority_host or os.environ.get("AZURE_AUTHORITY_HOST") or "https://login.microsoftonline.com"
    file = _injected("AZURE_FEDERATED_TOKEN_FILE")

    def assertion() -> Mapping[str, str]:
        try:
            value = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _no_identity("the file in AZURE_FEDERATED_TOKEN_FILE cannot be read") from error
        return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": value}

    identity = (auth.model_dump_json(), tenant, host, file)
    return _asserting(auth.type, identity, _token_url(host, tenant), (auth.client_id, auth.scope), assertion, exchange)


def managed_source(auth: AzureManagedIdentityAuth, exchange: Exchange) -> TokenSource:
    """Return where tokens for the machine's identity come from: its instance metadata service."""
    host = os.environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST", _METADATA_HOST).rstrip("/")
    query = {"api-version": "2018-02-01", "resource": auth.scope.removesuffix("/.default")}
    if auth.client_id:
        query["client_id"] = auth.client_id
    text = "&".join(f"{name}={value}" for name, value in query.items())
    request = Request(f"{host}/metadata/identity/oauth2/token?{text}", None, {"Metadata": "true"}, local=True)
    identity = (auth.model_dump_json(), host)
    return TokenSource(auth.type, identity, lambda: bearer_token(exchange, request))


def _asserting(
    name: str,
    identity: tuple[str, ...],
    url: str,
    client: tuple[str, str],
    assertion: Callable[[], Mapping[str, str]],
    exchange: Exchange,
) -> TokenSource:
    async def fetch() -> Token:
        return await bearer_token(exchange, _request(url, *client, assertion()))

    return TokenSource(name, identity, fetch)


def _request(url: str, client_id: str, scope: str, proof: Mapping[str, str]) -> Request:
    form = {"grant_type": "client_credentials", "client_id": client_id, "scope": scope, **proof}
    return Request(url, form, {"Accept": "application/json"})


def _token_url(authority_host: str, tenant: str) -> str:
    return f"{authority_host.rstrip('/')}/{tenant}/oauth2/v2.0/token"


def _thumbprint(certificate: str, file: str) -> str:
    """Return the SHA-256 thumbprint of a certificate in PEM, by which Entra knows it (RFC 7515 4.1.8)."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError as error:
        raise CredentialFault("CertificateUnusable", f"{file} is not a certificate in PEM: write it again") from error
    return base64.urlsafe_b64encode(found.fingerprint(SHA256())).decode().rstrip("=")


def _injected(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise _no_identity(f"{name} is not set")
    return value


def _no_identity(what: str) -> CredentialFault:
    return CredentialFault(
        "WorkloadIdentityMissing",
        f"{what}: the webhook of Azure Workload Identity gives it to the pod when it starts; is it installed, and is "
        "the pod newer than the target?",
    )
