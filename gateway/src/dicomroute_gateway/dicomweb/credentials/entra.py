"""Microsoft's library for tokens of Entra ID, which asks by the way that a destination's own requests go.

Imported where such a token is asked for, and not before. The library knows what to ask; `exchange` makes the request,
and says what an answer means.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AsyncHttpResponse, AsyncHttpTransport
from azure.core.rest import HttpRequest
from azure.identity.aio import CertificateCredential, ClientSecretCredential, WorkloadIdentityCredential

from .exchange import Exchange, Request, bearer_token, granted
from .tokens import Token

# Each failure would be said twice, and once in a line that is no JSON; at lower levels requests are in the log.
for _name in ("azure", "msal"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Entra:
    """A client of Entra ID, and what its tokens are for.

    A credential is made for each token: it keeps none, and reads its file for each. The asynchronous ones ask the token
    endpoint and nothing else: which authority hosts there are (instance discovery) they do not look up anywhere.
    """

    exchange: Exchange
    authority_host: str
    tenant_id: str
    client_id: str
    scope: str

    def by_secret(self, secret: str) -> ClientSecretCredential:
        """Return the credential of a secret. Raises ValueError of a tenant or host that is none."""
        return ClientSecretCredential(self.tenant_id, self.client_id, secret, **self._options())

    def by_certificate(self, pem: str) -> CertificateCredential:
        """Return the credential of a certificate and its RSA key. Blocks while the key is checked.

        Raises what there is to raise of a key.
        """
        data = pem.encode()
        return CertificateCredential(self.tenant_id, self.client_id, certificate_data=data, **self._options())

    def by_file(self, file: str) -> WorkloadIdentityCredential:
        """Return the credential of the token of a service account. Raises ValueError of a tenant or host that is none.

        All that the library would take from the environment is given to it.
        """
        return WorkloadIdentityCredential(
            tenant_id=self.tenant_id, client_id=self.client_id, token_file_path=file, **self._options()
        )

    async def token(self, credential: AsyncTokenCredential) -> Token:
        """Return a token.

        Raises CredentialFault, TransportFailed; OSError, UnicodeDecodeError of the file of a credential.
        """
        got = await credential.get_token(self.scope)
        return Token(got.token, max(1.0, got.expires_on - time.time()))

    def _options(self) -> dict[str, Any]:
        transport = _Transport(self.exchange)
        return {"authority": self.authority_host, "transport": transport, "retry_total": 0, "logging_enable": False}


class _Transport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """Sends what the library asks by `exchange`. Its faults go through the library as they are."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def send(self, request: HttpRequest, **_options: Any) -> AsyncHttpResponse:
        """Ask for a token. Raises CredentialFault, TransportFailed."""
        # The library's name for itself has the platform in it, and what the environment adds.
        headers = {name: value for name, value in request.headers.items() if name != "User-Agent"}
        form = request.content if request.method == "POST" else None
        token = await bearer_token(self._exchange, Request(request.url, form, headers))
        return _Granted(request, granted(token))

    async def open(self) -> None:
        """Nothing: the connections are the destination's."""

    async def close(self) -> None:
        """Nothing: the connections are the destination's."""

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Granted(AsyncHttpResponse):
    """The answer that gives a token."""

    def __init__(self, request: Any, content: bytes) -> None:
        super().__init__(request, None)
        self.status_code = 200
        self.content_type = "application/json"
        self._content = content

    def body(self) -> bytes:
        """Return the document."""
        return self._content
