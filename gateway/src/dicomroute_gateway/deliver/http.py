"""HTTP to a CloudTarget: one place for connections, credentials, patience, and what a failure is called."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import aiohttp

from dicomroute_gateway.configuration.model import BasicAuth, CloudTargetDestination

_STALL_SECONDS: Final = 120.0
"""How long a destination may take no byte of a request, and how long its whole answer may take."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_STALL_SECONDS)


class CredentialMissing(Exception):
    """A Secret that the destination needs is not there; the message names it."""


class TransportFailed(Exception):
    """No answer came; `reason` says where it broke off."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Body(Protocol):
    """What a request carries. `blocks` yields `content_length` bytes, the same ones on every attempt."""

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""

    @property
    def content_length(self) -> int:
        """The number of bytes that `blocks` yields."""

    def blocks(self) -> AsyncIterator[bytes]:
        """Yield the body."""


class Response:
    """An answer that has begun. Reading it in time is watched as a whole: a byte now and then is a stall too."""

    def __init__(self, response: aiohttp.ClientResponse, answer_seconds: float) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.answer_seconds = answer_seconds
        """How long it took from the last byte of the request."""

    async def read(self, most_bytes: int) -> bytes:
        """Return the body, cut off at `most_bytes` or little more."""
        content = bytearray()
        while len(content) < most_bytes and (more := await self._response.content.read(1 << 16)):
            content += more
        return bytes(content)


class Client:
    """Makes requests to one CloudTarget. Lives in one event loop."""

    def __init__(self, secrets: Path) -> None:
        self._secrets = secrets
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close connections that are kept."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def request(
        self,
        target: CloudTargetDestination,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Body | None = None,
    ) -> AsyncIterator[Response]:
        """Make a request to `path` (such as /studies) below the target's URL; the answer's body is still to be read.

        Redirects are not followed, as they would carry the credential to another place.

        Raises CredentialMissing, TransportFailed, also while the answer is read; OSError of a file that the body reads.
        """
        if self._session is None:
            self._session = _new_session()
        sending = _Sending(body)
        try:
            async with (
                sending.stall,
                self._session.request(
                    method,
                    f"{target.url.rstrip('/')}{path}",
                    data=sending.blocks() if body is not None else None,
                    headers={**headers, **sending.headers, **_authorization(target, self._secrets)},
                    allow_redirects=False,
                ) as response,
            ):
                sending.go_on()  # for the answer as a whole
                yield Response(response, time.monotonic() - sending.ended)
        except aiohttp.ClientConnectorDNSError as error:
            raise TransportFailed("DNSFailed", f"the name in {target.url} cannot be resolved") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise TransportFailed("TLSUntrusted", str(error.certificate_error)) from error
        except aiohttp.ClientSSLError as error:
            raise TransportFailed("TLSFailed", str(error)) from error
        except aiohttp.ClientConnectorError as error:
            raise TransportFailed("ConnectionFailed", error.os_error.strerror or str(error)) from error
        except TimeoutError as error:
            raise TransportFailed("TimedOut", "the destination neither took nor sent a byte in time") from error
        except (aiohttp.InvalidURL, UnicodeError) as error:
            raise TransportFailed("URLInvalid", f"{target.url} cannot be connected to: correct the URL") from error
        except aiohttp.ClientError as error:
            raise TransportFailed("ConnectionLost", f"{type(error).__name__} before an answer came") from error


class _Sending:
    """The sending of a request's body; `ended` is when its last byte was given away."""

    def __init__(self, body: Body | None) -> None:
        self._body = body
        self.stall = asyncio.timeout(_STALL_SECONDS)
        self.ended = time.monotonic()

    @property
    def headers(self) -> dict[str, str]:
        """The headers that speak of the body."""
        common = {"Accept-Encoding": "identity", "User-Agent": "dicomroute"}
        if self._body is None:
            return common
        return {
            **common,
            "Content-Type": self._body.content_type,
            "Content-Length": str(self._body.content_length),
        }

    def go_on(self) -> None:
        """Put the end of patience off."""
        self.stall.reschedule(asyncio.get_running_loop().time() + _STALL_SECONDS)

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the body; each block that the destination has taken puts the end of patience off."""
        assert self._body is not None
        async for block in self._body.blocks():
            yield block
            self.go_on()
        self.ended = time.monotonic()


def _new_session() -> aiohttp.ClientSession:
    """Return a session without limits of its own: each destination's worker keeps to its own.

    No cookies, no proxy or credentials from the environment, and what a server compresses is bounded by what is read.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=_TIMEOUT,
    )


def _authorization(target: CloudTargetDestination, secrets: Path) -> dict[str, str]:
    """Return the header that authenticates a request, from the Secret as it is mounted at this moment."""
    auth = target.auth
    if not isinstance(auth, BasicAuth):
        return {}
    try:
        password = (secrets / auth.password_file).read_bytes().rstrip(b"\r\n")
    except OSError as error:
        name, _, key = auth.password_file.partition("/")
        raise CredentialMissing(f"Secret {name} has no key {key}, or is not there: create it") from error
    token = base64.b64encode(auth.username.encode() + b":" + password).decode()
    return {"Authorization": f"Basic {token}"}
