"""Makes the headers that authenticate a request to a CloudTarget."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dicomroute_gateway.configuration.credentials import (
    Auth,
    AWSWebIdentityAuth,
    AzureClientCertificateAuth,
    AzureClientSecretAuth,
    AzureManagedIdentityAuth,
    AzureWorkloadIdentityAuth,
    BasicAuth,
    BearerAuth,
    GoogleServiceAccountKeyAuth,
    GoogleWorkloadIdentityAuth,
    NoAuth,
    OAuth2ClientCredentialsAuth,
)
from dicomroute_gateway.dicomweb.faults import CredentialFault
from dicomroute_gateway.reasons import Reason

from . import aws, azure, google, oauth2
from .exchange import Exchange, basic
from .files import named, read_text
from .tokens import Token, TokenCache, TokenSource


@dataclass(frozen=True)
class Unsigned:
    """A request that is to be authenticated. `blocks` yields its body, the same bytes as will be sent."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    blocks: Callable[[], AsyncIterator[bytes | bytearray]] | None = None


@dataclass(frozen=True)
class Authorized:
    """The headers that authenticate a request, and the token that they came from, if another may be had."""

    headers: Mapping[str, str] = field(repr=False)
    token: Token | None = None


class Authorizer:
    """Authenticates requests by what is mounted at the moment."""

    def __init__(self, secrets: Path, tokens: TokenCache) -> None:
        self._secrets = secrets
        self._tokens = tokens

    async def authorize(
        self, auth: Auth, request: Unsigned, exchange: Exchange, refused: Token | None = None
    ) -> Authorized:
        """Return the headers for a request; after a 401 others than those of the token that was `refused`.

        Raises CredentialFault, TransportFailed.
        """
        match auth:
            case NoAuth():
                return Authorized({})
            case BasicAuth():
                password = read_text(self._secrets, auth.password_file)
                return Authorized({"Authorization": basic(auth.username, password)})
            case BearerAuth():
                return Authorized({"Authorization": f"Bearer {self._static_token(auth)}"})
            case AWSWebIdentityAuth():
                token = await self._tokens.get(aws.source(auth, exchange), refused)
                assert isinstance(token.value, aws.TemporaryKeys)
                body_digest = await _digest(request)
                return Authorized(await asyncio.to_thread(aws.sign, token.value, auth, request, body_digest), token)
            case _:
                token = await self._tokens.get(self._source(auth, exchange), refused)
                return Authorized({"Authorization": f"Bearer {token.value}"}, token)

    def _source(
        self,
        auth: OAuth2ClientCredentialsAuth
        | AzureClientSecretAuth
        | AzureClientCertificateAuth
        | AzureWorkloadIdentityAuth
        | AzureManagedIdentityAuth
        | GoogleWorkloadIdentityAuth
        | GoogleServiceAccountKeyAuth,
        exchange: Exchange,
    ) -> TokenSource:
        match auth:
            case OAuth2ClientCredentialsAuth():
                return oauth2.source(auth, self._secrets, exchange)
            case AzureClientSecretAuth():
                return azure.secret_source(auth, self._secrets, exchange)
            case AzureClientCertificateAuth():
                return azure.certificate_source(auth, self._secrets, exchange)
            case AzureWorkloadIdentityAuth():
                return azure.workload_source(auth, exchange)
            case AzureManagedIdentityAuth():
                return azure.managed_source(auth, exchange)
            case GoogleWorkloadIdentityAuth():
                return google.workload_source(auth, exchange)
            case GoogleServiceAccountKeyAuth():
                return google.key_source(auth, self._secrets, exchange)

    def _static_token(self, auth: BearerAuth) -> str:
        token = read_text(self._secrets, auth.token_file).strip()
        if not all("!" <= character <= "~" for character in token):
            sentence = (
                f"{named(auth.token_file)} contains characters that are not allowed in a token: write only the token"
            )
            raise CredentialFault(Reason.CREDENTIAL_INVALID, sentence)
        return token


async def _digest(request: Unsigned) -> str:
    if request.blocks is None:
        return aws.EMPTY_DIGEST
    hashed = hashlib.sha256()
    async for block in request.blocks():
        await asyncio.to_thread(hashed.update, block)
    return hashed.hexdigest()
