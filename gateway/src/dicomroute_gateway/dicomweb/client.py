"""HTTP to a CloudTarget: one place for connections, credentials, patience, and what a failure is called."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from dicomroute_gateway.dicomweb.credentials.authorize import Authorizer, Unsigned
from dicomroute_gateway.dicomweb.credentials.exchange import EXCHANGE_SECONDS, MAX_ANSWER_BYTES, Reply, Request
from dicomroute_gateway.dicomweb.credentials.tokens import Token, TokenCache
from dicomroute_gateway.reasons import PROXY_REASONS, TLS_REASONS, Reason
from dicomroute_gateway.throttle import Throttle

from .connections import CONNECT_SECONDS, Connections, proxy_for
from .endpoint import Endpoint
from .faults import CredentialFault, CredentialMissing, TransportFailed, failure, proxy_authentication_required
from .sending import Body, Sending

__all__ = ["Body", "Client", "CredentialFault", "CredentialMissing", "Response", "TransportFailed"]

_MOVED_BYTES: Final = 1 << 20
"""An answer of which so much has come since patience was last put off is moving."""
_LEAST_BYTES: Final = 1 << 16
"""What has to come within the patience of who reads block by block: less is a stall."""
_WITHOUT_END: Final = 1e9
_COMMON_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "dicomroute"}


class Response:
    """An answer that has begun. Reading it in time is watched: a byte now and then is a stall too."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        answer_seconds: float,
        go_on: Callable[..., None] | None = None,
    ) -> None:
        self._response = response
        self._go_on = go_on
        self._unmoved = 0
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.answer_seconds = answer_seconds
        """How long it took from the last byte of the request."""

    async def read(self, most_bytes: int) -> bytes:
        """Return the body, cut off at `most_bytes` or little more."""
        content = bytearray()
        while len(content) < most_bytes and (more := await self._response.content.read(1 << 16)):
            content += more
            self._unmoved += len(more)
            if self._go_on is not None and self._unmoved >= _MOVED_BYTES:
                self._unmoved = 0
                self._go_on()
        return bytes(content)

    async def blocks(self, patience_seconds: float) -> AsyncIterator[bytes]:
        """Yield the body as it comes, as long as 64 KiB come in each `patience_seconds`, or its end.

        What the reader does with a block takes nothing of the patience. Raises TimeoutError.
        """
        loop = asyncio.get_running_loop()
        moved, left = 0, patience_seconds
        while True:
            self._be_patient(patience_seconds + 1)
            began = loop.time()
            async with asyncio.timeout(left):
                block = await self._response.content.readany()
            if not block:
                return
            moved += len(block)
            left -= loop.time() - began
            if moved >= _LEAST_BYTES:
                moved, left = 0, patience_seconds
            self._be_patient(_WITHOUT_END)
            yield block

    def _be_patient(self, seconds: float) -> None:
        if self._go_on is not None:
            self._go_on(seconds)


class Client:
    """Makes requests to one CloudTarget. Lives in one event loop. Clients that share `tokens` share what is kept.

    Bodies are sent as fast as a `throttle` lets them.
    """

    def __init__(self, secrets: Path, tokens: TokenCache | None = None, throttle: Throttle | None = None) -> None:
        self._throttle = throttle
        self._connections = Connections(secrets)
        self._tokens = TokenCache() if tokens is None else tokens
        self._owns_tokens = tokens is None
        self._authorizer = Authorizer(secrets, self._tokens)

    @property
    def connections(self) -> Connections:
        """What its requests go over."""
        return self._connections

    async def authenticate(self, endpoint: Endpoint) -> None:
        """Get what a request to an endpoint is authenticated with, and keep a token for the next ones.

        Raises CredentialFault, TransportFailed.
        """
        request = Unsigned("GET", endpoint.url, {})
        await self._authorizer.authorize(endpoint.auth, request, partial(_exchange, self._connections, endpoint))

    async def close(self) -> None:
        """Close connections that are kept."""
        if self._owns_tokens:
            await self._tokens.close()
        await self._connections.close()

    @asynccontextmanager
    async def request(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Body | None = None,
    ) -> AsyncIterator[Response]:
        """Make a request to `path` (such as /studies) below the endpoint's URL; the answer's body is still to be read.

        A token that is answered with 401 is renewed, and the request made once more, from the beginning of its body.
        Redirects are not followed, as they would carry the credential to another place.

        Raises CredentialFault, TransportFailed, also while the answer is read; OSError of a file that the body reads.
        """
        url = f"{endpoint.url.rstrip('/')}{path}"
        refused: Token | None = None
        sending = Sending(None)
        try:
            async with AsyncExitStack() as kept:
                while True:
                    attempt = await kept.enter_async_context(AsyncExitStack())
                    unsigned = Unsigned(method, url, headers)
                    sending = Sending(body, self._throttle)
                    response, token = await self._attempt(attempt, endpoint, unsigned, body, sending, refused)
                    if response.status != 401 or token is None or refused is not None:
                        break
                    refused = token
                    await attempt.aclose()
                yield response
        except (aiohttp.ClientError, TimeoutError, UnicodeError) as error:
            raise await self._failure(error, endpoint, url, sending) from error

    async def _failure(
        self, error: Exception, endpoint: Endpoint, url: str, sending: Sending
    ) -> TransportFailed | CredentialFault:
        proxy = proxy_for(endpoint, url)
        found = failure(error, endpoint.url, proxy)
        if found.reason == Reason.CONNECTION_LOST and not proxy and url.startswith("https:"):
            tls = await self._connections.refused_after_handshake(url)
            found = found if tls is None else failure(tls, endpoint.url)
        if isinstance(found, TransportFailed) and found.reason in (Reason.CONNECTION_LOST, Reason.TIMED_OUT):
            found.broke_off = sending.has_begun
        return found

    async def _attempt(
        self,
        attempt: AsyncExitStack,
        endpoint: Endpoint,
        request: Unsigned,
        body: Body | None,
        sending: Sending,
        refused: Token | None,
    ) -> tuple[Response, Token | None]:
        """Make a request once; return the answer that has begun, which ends with `attempt`, and the token used."""
        session = await attempt.enter_async_context(self._connections.session(endpoint))
        headers = {**request.headers, **_headers(body)}
        try:
            url = URL(request.url)
        except ValueError as error:
            raise aiohttp.InvalidURL(request.url) from error
        signable = Unsigned(request.method, str(url), headers, body.blocks if body is not None else None)
        exchange = partial(_exchange, self._connections, endpoint)
        authorized = await self._authorizer.authorize(endpoint.auth, signable, exchange, refused)
        options = self._connections.options(endpoint, request.url)
        headers = {**headers, **authorized.headers, **options.pop("headers", {})}
        await attempt.enter_async_context(sending.stall)
        response = await attempt.enter_async_context(
            session.request(
                request.method,
                url,
                data=sending.blocks() if body is not None else None,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),  # the rest is for `stall`
                **options,
            )
        )
        if options and response.status == 407:
            raise proxy_authentication_required(str(options["proxy"]))
        sending.go_on()  # for the answer
        return Response(response, time.monotonic() - sending.ended, sending.go_on), authorized.token


async def _exchange(connections: Connections, endpoint: Endpoint, request: Request) -> Reply:
    """Make a request to a token endpoint in the way that the endpoint's own requests go.

    Raises CredentialFault, TransportFailed.
    """
    async with connections.session(endpoint) as session:
        options = {} if request.local else connections.options(endpoint, request.url)
        proxy = str(options.get("proxy", ""))
        headers = {**_COMMON_HEADERS, **_content_type(request), **request.headers, **options.pop("headers", {})}
        try:
            async with (
                asyncio.timeout(EXCHANGE_SECONDS),
                session.request(
                    "GET" if request.form is None else "POST",
                    request.url,
                    data=request.body,
                    headers=headers,
                    allow_redirects=False,
                    **options,
                ) as response,
            ):
                if proxy and response.status == 407:
                    raise proxy_authentication_required(proxy)
                content = await Response(response, 0.0).read(MAX_ANSWER_BYTES)
                return Reply(response.status, response.headers, content)
        except (aiohttp.ClientError, TimeoutError, UnicodeError) as error:
            raise _endpoint_failure(failure(error, request.host, proxy)) from error


def _content_type(request: Request) -> dict[str, str]:
    return {} if request.form is None else {"Content-Type": "application/x-www-form-urlencoded"}


def _endpoint_failure(fault: TransportFailed | CredentialFault) -> TransportFailed | CredentialFault:
    """Return a fault as one of the token endpoint; what TLS or the proxy says is said as it is."""
    if isinstance(fault, CredentialFault) or fault.reason in TLS_REASONS | PROXY_REASONS:
        return fault
    return TransportFailed(Reason.TOKEN_ENDPOINT_UNREACHABLE, f"{fault} ({fault.reason})")


def _headers(body: Body | None) -> dict[str, str]:
    """Return the headers that every request has, and those that speak of its body."""
    if body is None:
        return _COMMON_HEADERS
    return {**_COMMON_HEADERS, "Content-Type": body.content_type, "Content-Length": str(body.content_length)}
