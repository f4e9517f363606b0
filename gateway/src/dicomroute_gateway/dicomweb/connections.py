"""Connections to one CloudTarget and to what gives it tokens: TLS, the proxy, and their change without a restart."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.connector import AddrInfoType

from dicomroute_gateway.configuration.credentials import Proxy, Tls
from dicomroute_gateway.dicomweb.credentials.exchange import basic
from dicomroute_gateway.dicomweb.credentials.files import read_text, version
from dicomroute_gateway.reasons import Reason

from .endpoint import Endpoint
from .faults import CredentialFault
from .no_proxy import bypasses

STALL_SECONDS: Final = 120.0
"""How long a destination may take no byte of a request, and how long its whole answer may take."""
CONNECT_SECONDS: Final = 10.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS)
_KEPT_SECONDS: Final = 0.75
"""How long an idle connection is kept. Orthanc ends one after a second: a request that crosses that is lost."""
_REFUSAL_SECONDS: Final = 2.0
_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_UNSENT_BYTES: Final = 512 << 10


def proxy_for(endpoint: Endpoint, url: str) -> str:
    """Return the URL of the proxy that a request to `url` goes through, or ""."""
    proxy = endpoint.proxy
    if proxy is None or bypasses(proxy.no_proxy, _host(url)):
        return ""
    return proxy.url


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # a URL that is none: whoever connects to it says so


def new_socket(address: AddrInfoType) -> socket.socket:
    """Return a socket that takes more as soon as little is left unsent: what is taken then shows what has moved.

    The system may else keep megabytes, which are minutes of a slow line, and take nothing before a third of that went.
    """
    family, kind, protocol, _, _ = address
    one = socket.socket(family, kind, protocol)
    if _NOTSENT_LOWAT is not None:
        one.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _UNSENT_BYTES)
    return one


class _Connector(aiohttp.TCPConnector):
    """Keeps connections, and lends none on which something came that nobody asked for.

    aiohttp takes bytes that come on an idle connection for the answer to the next request: an instance would count as
    stored that was never sent whole. There is no public way to ask it, test_hostile_answers.py holds this one.
    """

    async def _get(self, key: Any, traces: Any) -> Any:
        while (kept := await super()._get(key, traces)) is not None:
            if kept.protocol is None or not kept.protocol.should_close:
                return kept
            kept.close()
        return None


class _Session:
    """A session and how many requests it carries; when it is no longer wanted it ends with the last of them."""

    def __init__(self, facts: object, context: ssl.SSLContext | None) -> None:
        self.facts = facts
        self.context = context
        self.session = _new_session(context)
        self.requests = 0
        self.retired = False

    async def close_if_idle(self) -> None:
        if self.retired and not self.requests:
            await self.session.close()


class Connections:
    """Keeps connections for as long as what they were made with is what is mounted. Lives in one event loop."""

    def __init__(self, secrets: Path) -> None:
        self._secrets = secrets
        self._current: _Session | None = None

    @asynccontextmanager
    async def session(self, endpoint: Endpoint) -> AsyncIterator[aiohttp.ClientSession]:
        """Lend the session for an endpoint; a request under way ends on the connection that it began on.

        Raises CredentialFault for a certificate that cannot be used.
        """
        facts = self._facts(endpoint)
        current = self._current
        if current is None or current.facts != facts:
            context = await asyncio.to_thread(_context, endpoint.tls, endpoint.proxy, self._secrets)
            current = await self._replace(facts, context)
        current.requests += 1
        try:
            yield current.session
        finally:
            current.requests -= 1
            await current.close_if_idle()

    async def context(self, endpoint: Endpoint) -> ssl.SSLContext:
        """Return what TLS is spoken with to an endpoint. Raises CredentialFault."""
        async with self.session(endpoint):
            context = self._current.context if self._current is not None else None
        return context or ssl.create_default_context()

    def options(self, endpoint: Endpoint, url: str) -> dict[str, Any]:
        """Return the arguments of a request to `url` that speak of the proxy; none where it is reached directly.

        Raises CredentialFault.
        """
        proxy = proxy_for(endpoint, url)
        if not proxy or endpoint.proxy is None:
            return {}
        if not endpoint.proxy.username:
            return {"proxy": proxy}
        password = read_text(self._secrets, endpoint.proxy.password_file)
        credential = {"Proxy-Authorization": basic(endpoint.proxy.username, password)}
        # A tunnel is asked for by a request of its own; one in plain HTTP is passed on, without this header.
        return {"proxy": proxy, "proxy_headers" if url.startswith("https:") else "headers": credential}

    async def refused_after_handshake(self, url: str) -> ssl.SSLError | None:
        """Return how the server of `url` ends a connection on which nothing is sent.

        TLS 1.3 refuses a client certificate, or its absence, when the client takes the handshake to be over; what the
        client has sent by then can be lost together with the reason.
        """
        parts = urlsplit(url)
        context = self._current.context if self._current is not None else None
        writer = None
        try:
            async with asyncio.timeout(_REFUSAL_SECONDS):
                reader, writer = await asyncio.open_connection(
                    parts.hostname, parts.port or 443, ssl=context or ssl.create_default_context()
                )
                await reader.read(1)
        except ssl.SSLError as error:
            return error
        except (OSError, ValueError):
            pass
        finally:
            if writer is not None:
                writer.close()
        return None

    async def close(self) -> None:
        """Close the connections that are kept."""
        if self._current is not None:
            await self._current.session.close()

    async def _replace(self, facts: object, context: ssl.SSLContext | None) -> _Session:
        if self._current is not None and self._current.facts == facts:
            return self._current  # another request was quicker
        old, self._current = self._current, _Session(facts, context)
        current = self._current
        if old is not None:
            old.retired = True
            await old.close_if_idle()
        return current

    def _facts(self, endpoint: Endpoint) -> object:
        """Return all that connections are made of: another one makes new connections."""
        files = [*endpoint.tls.files, *(endpoint.proxy.files if endpoint.proxy is not None else ())]
        return endpoint.tls, endpoint.proxy, tuple(version(self._secrets, file) for file in files)


def _new_session(context: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """Return a session without limits of its own: each destination's worker keeps to its own.

    No cookies, no proxy or credentials from the environment, and what a server compresses is bounded by what is read.
    """
    return aiohttp.ClientSession(
        connector=_Connector(
            limit=0,
            ttl_dns_cache=30,
            keepalive_timeout=_KEPT_SECONDS,
            ssl=context if context is not None else True,
            socket_factory=new_socket,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=_TIMEOUT,
    )


def _context(tls: Tls, proxy: Proxy | None, secrets: Path) -> ssl.SSLContext | None:
    """Return what TLS is spoken with; None where nothing is said of it: the certificates of the system.

    Raises CredentialFault.
    """
    bundles = [file for file in (tls.ca_bundle_file, proxy.ca_bundle_file if proxy is not None else "") if file]
    if not bundles and not tls.client_certificate_file:
        return None
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in bundles:
        text = read_text(secrets, file)
        try:
            context.load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError) as error:
            sentence = f"{file} contains no readable certificates: write them in PEM"
            raise CredentialFault(Reason.CERTIFICATE_UNUSABLE, sentence) from error
    if tls.client_certificate_file:
        for file in tls.files:
            read_text(secrets, file)  # says which of them is missing
        try:
            # A password that is given keeps OpenSSL from asking for one at a terminal.
            context.load_cert_chain(secrets / tls.client_certificate_file, secrets / tls.client_key_file, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise CredentialFault(
                Reason.CERTIFICATE_UNUSABLE,
                f"{tls.client_certificate_file} and {tls.client_key_file} are not a certificate and its unencrypted "
                "key in PEM: write them again",
            ) from error
    return context
