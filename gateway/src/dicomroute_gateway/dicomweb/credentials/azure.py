"""Microsoft Entra ID: a secret, a certificate, the identity of the pod, or that of its machine.

Each type asks for its own identity and never falls back to another. azure-identity asks for the first three, not for
the identity of the machine: there it would choose another one by the environment.
"""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomroute_gateway.configuration.credentials import (
    AzureClientCertificateAuth,
    AzureClientSecretAuth,
    AzureManagedIdentityAuth,
    AzureWorkloadIdentityAuth,
)
from dicomroute_gateway.dicomweb.faults import CredentialFault
from dicomroute_gateway.reasons import Reason

from .exchange import Exchange, Request, bearer_token
from .files import digest, named, read_text
from .tokens import Token, TokenSource

if TYPE_CHECKING:
    from .entra import Entra

_METADATA_HOST: Final = "http://169.254.169.254"


def secret_source(auth: AzureClientSecretAuth, secrets: Path, exchange: Exchange) -> TokenSource:
    """Return where tokens for a secret come from. Raises CredentialFault."""
    secret = read_text(secrets, auth.client_secret_file)

    async def fetch() -> Token:
        entra = await _entra(exchange, auth.authority_host, auth.tenant_id, auth.client_id, auth.scope)
        return await entra.token(entra.by_secret(secret))

    return TokenSource(auth.type, (auth.model_dump_json(), digest(secret)), fetch)


def certificate_source(auth: AzureClientCertificateAuth, secrets: Path, exchange: Exchange) -> TokenSource:
    """Return where tokens for a certificate come from. Raises CredentialFault."""
    certificate, key = read_text(secrets, auth.certificate_file), read_text(secrets, auth.key_file)

    async def fetch() -> Token:
        entra = await _entra(exchange, auth.authority_host, auth.tenant_id, auth.client_id, auth.scope)
        try:
            credential = await asyncio.to_thread(entra.by_certificate, f"{certificate}\n{key}")
        except Exception as error:  # of a key there are as many kinds of errors as there are keys
            raise _unusable(auth, certificate) from error
        return await entra.token(credential)

    return TokenSource(auth.type, (auth.model_dump_json(), digest(certificate, key)), fetch)


def workload_source(auth: AzureWorkloadIdentityAuth, exchange: Exchange) -> TokenSource:
    """Return where tokens for the pod's service account come from; its token is read anew for each of them.

    Raises CredentialFault when the webhook has not given it to the pod.
    """
    tenant = auth.tenant_id or _injected("AZURE_TENANT_ID")
    host = auth.authority_host or os.environ.get("AZURE_AUTHORITY_HOST") or "https://login.microsoftonline.com"
    file = _injected("AZURE_FEDERATED_TOKEN_FILE")

    async def fetch() -> Token:
        entra = await _entra(exchange, host, tenant, auth.client_id, auth.scope)
        try:
            credential = entra.by_file(file)
        except ValueError as error:
            raise _no_identity(
                "AZURE_TENANT_ID is not a tenant, or AZURE_AUTHORITY_HOST is not https://HOST"
            ) from error
        try:
            return await entra.token(credential)
        except (OSError, UnicodeDecodeError) as error:
            raise _no_identity("the file in AZURE_FEDERATED_TOKEN_FILE cannot be read") from error

    return TokenSource(auth.type, (auth.model_dump_json(), tenant, host, file), fetch)


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


async def _entra(exchange: Exchange, authority_host: str, tenant_id: str, client_id: str, scope: str) -> "Entra":
    """Return a client of Entra ID; the library is imported on a thread, as it takes a tenth of a second."""

    def imported() -> "Entra":
        from .entra import Entra  # noqa: PLC0415  # only where a token of Entra ID is used

        return Entra(exchange, authority_host, tenant_id, client_id, scope)

    return await asyncio.to_thread(imported)


def _unusable(auth: AzureClientCertificateAuth, certificate: str) -> CredentialFault:
    """Return what is wrong with a certificate and a key that the library does not take."""
    from cryptography import x509  # noqa: PLC0415

    try:
        x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        sentence = f"{named(auth.certificate_file)} is not a certificate in PEM: write it again"
        return CredentialFault(Reason.CERTIFICATE_UNUSABLE, sentence)
    sentence = f"{named(auth.key_file)} is not a private RSA key in PEM without a password: write it again"
    return CredentialFault(Reason.CREDENTIAL_INVALID, sentence)


def _injected(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise _no_identity(f"{name} is not set")
    return value


def _no_identity(what: str) -> CredentialFault:
    return CredentialFault(
        Reason.WORKLOAD_IDENTITY_MISSING,
        f"{what}: the webhook of Azure Workload Identity gives it to the pod at its start. Check that the webhook is "
        "installed, and that the pod is newer than the target",
    )
