"""One STOW-RS request to a CloudTarget: its headers, its credential, its answer or its failure."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from dicomroute_gateway.configuration.model import BasicAuth, CloudTargetDestination
from dicomroute_gateway.spool.content import StoredFile, Unreadable

from .backoff import retry_after_seconds
from .multipart import MultipartBody
from .outcome import Answer

_MAX_ANSWER_BYTES: Final = 1 << 20
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


class PartUnreadable(Exception):
    """The spool could not give the part with this index; `fault` says why, and the request was broken off."""

    def __init__(self, index: int, fault: Unreadable) -> None:
        super().__init__(str(fault))
        self.index = index
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and how long the server asks to wait before the next request."""

    answer: Answer
    retry_after_seconds: float | None


def new_session() -> aiohttp.ClientSession:
    """Return a session without limits of its own: each destination's worker keeps to its own.

    No cookies, no proxy or credentials from the environment, and what a server compresses is bounded by what is read.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=_TIMEOUT,
    )


async def store(
    session: aiohttp.ClientSession,
    destination: CloudTargetDestination,
    parts: Sequence[StoredFile],
    secrets: Path,
    now: float,
) -> Reply:
    """Send `parts` to the destination's studies resource and return its answer.

    The study is left out of the URL: the form with it adds nothing but a way to fail. Redirects are not followed,
    as they would carry the credential to another place.

    Raises CredentialMissing, PartUnreadable, TransportFailed.
    """
    body = MultipartBody(parts)
    headers = {
        "Content-Type": body.content_type,
        "Content-Length": str(body.content_length),
        "Accept": "application/dicom+json",
        "Accept-Encoding": "identity",
        "User-Agent": "dicomroute",
        **_authorization(destination, secrets),
    }
    try:
        return await _exchange(session, destination, body, headers, now)
    except TransportFailed:
        if body.fault is not None:
            raise PartUnreadable(*body.fault) from None
        raise


async def _exchange(
    session: aiohttp.ClientSession,
    destination: CloudTargetDestination,
    body: MultipartBody,
    headers: dict[str, str],
    now: float,
) -> Reply:
    """Make one request. Raises TransportFailed."""
    try:
        async with (
            asyncio.timeout(_STALL_SECONDS) as stall,
            session.post(
                f"{destination.url.rstrip('/')}/studies",
                data=_watched(body.blocks(), stall),
                headers=headers,
                allow_redirects=False,
            ) as response,
        ):
            _go_on(stall)  # for the answer as a whole: it is small, and a byte now and then is a stall too
            content = bytearray()
            while len(content) < _MAX_ANSWER_BYTES and (more := await response.content.read(1 << 16)):
                content += more
            wait = retry_after_seconds(response.headers.get("Retry-After"), now)
            return Reply(Answer(response.status, response.headers.get("Content-Type", ""), bytes(content)), wait)
    except aiohttp.ClientConnectorDNSError as error:
        raise TransportFailed("DNSFailed", f"the name in {destination.url} cannot be resolved") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise TransportFailed("TLSUntrusted", str(error.certificate_error)) from error
    except aiohttp.ClientSSLError as error:
        raise TransportFailed("TLSFailed", str(error)) from error
    except aiohttp.ClientConnectorError as error:
        raise TransportFailed("ConnectionFailed", error.os_error.strerror or str(error)) from error
    except TimeoutError as error:
        raise TransportFailed("TimedOut", "the destination neither took nor sent a byte in time") from error
    except (aiohttp.InvalidURL, UnicodeError) as error:
        raise TransportFailed("URLInvalid", f"{destination.url} cannot be connected to: correct the URL") from error
    except aiohttp.ClientError as error:
        raise TransportFailed("ConnectionLost", f"{type(error).__name__} before an answer came") from error


async def _watched(blocks: AsyncIterator[bytes], stall: asyncio.Timeout) -> AsyncIterator[bytes]:
    """Yield `blocks`; each that the destination has taken puts the end of its patience off."""
    async for block in blocks:
        yield block
        _go_on(stall)


def _go_on(stall: asyncio.Timeout) -> None:
    stall.reschedule(asyncio.get_running_loop().time() + _STALL_SECONDS)


def _authorization(destination: CloudTargetDestination, secrets: Path) -> dict[str, str]:
    """Return the header that authenticates a request, from the Secret as it is mounted at this moment."""
    auth = destination.auth
    if not isinstance(auth, BasicAuth):
        return {}
    try:
        password = (secrets / auth.password_file).read_bytes().rstrip(b"\r\n")
    except OSError as error:
        name, _, key = auth.password_file.partition("/")
        raise CredentialMissing(f"Secret {name} has no key {key}, or is not there: create it") from error
    token = base64.b64encode(auth.username.encode() + b":" + password).decode()
    return {"Authorization": f"Basic {token}"}
