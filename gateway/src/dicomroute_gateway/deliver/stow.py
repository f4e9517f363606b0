"""STOW-RS to a CloudTarget: the request, its credential, its answer or its failure (PS3.18 10.5)."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from dicomroute_gateway.configuration.model import BasicAuth, CloudTargetDestination

from .backoff import retry_after_seconds
from .multipart import MultipartBody, Part
from .outcome import Answer, Outcome, Verdict, outcomes
from .transport import Item, Limits, Sent

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


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, how long it took once the request was sent, and how long the server asks to wait before the next."""

    answer: Answer
    retry_after_seconds: float | None
    answer_seconds: float


class StowTransport:
    """Carries instances to a CloudTarget. `target` returns it as it is configured at the moment, if it is."""

    limits = Limits(lanes=8, most_lanes=32, batch_instances=10, batch_bytes=32 << 20)

    def __init__(self, target: Callable[[], CloudTargetDestination | None], secrets: Path) -> None:
        self._target = target
        self._secrets = secrets
        self._session: aiohttp.ClientSession | None = None

    async def send(self, items: Sequence[Item]) -> Sent:
        """Store `items` by one request."""
        target = self._target()
        if target is None:
            return Sent([Outcome(Verdict.RETRY, "NoSuchDestination")] * len(items), "")
        if self._session is None:
            self._session = new_session()
        try:
            reply = await store(self._session, target, [item.part for item in items], self._secrets, time.time())
        except CredentialMissing as error:
            return Sent([Outcome(Verdict.PAUSE, "SecretMissing")] * len(items), str(error))
        except TransportFailed as error:
            return Sent([Outcome(Verdict.RETRY, error.reason)] * len(items), str(error))
        return Sent(
            outcomes(reply.answer, [item.received.sop_instance_uid for item in items]),
            f"HTTP {reply.answer.status}",
            reply.retry_after_seconds,
            reply.answer_seconds,
        )

    async def close(self) -> None:
        """Close connections that are kept."""
        if self._session is not None:
            await self._session.close()


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
    parts: Sequence[Part],
    secrets: Path,
    now: float,
) -> Reply:
    """Send `parts` to the destination's studies resource and return its answer.

    The study is left out of the URL: the form with it adds nothing but a way to fail. Redirects are not followed,
    as they would carry the credential to another place.

    Raises CredentialMissing, TransportFailed; OSError when a file of the spool cannot be read.
    """
    body = MultipartBody(parts)
    sending = _Sending()
    headers = {
        "Content-Type": body.content_type,
        "Content-Length": str(body.content_length),
        "Accept": "application/dicom+json",
        "Accept-Encoding": "identity",
        "User-Agent": "dicomroute",
        **_authorization(destination, secrets),
    }
    try:
        async with (
            asyncio.timeout(_STALL_SECONDS) as stall,
            session.post(
                f"{destination.url.rstrip('/')}/studies",
                data=sending.watched(body.blocks(), stall),
                headers=headers,
                allow_redirects=False,
            ) as response,
        ):
            _go_on(stall)  # for the answer as a whole: it is small, and a byte now and then is a stall too
            content = bytearray()
            while len(content) < _MAX_ANSWER_BYTES and (more := await response.content.read(1 << 16)):
                content += more
            answer = Answer(response.status, response.headers.get("Content-Type", ""), bytes(content))
            wait = retry_after_seconds(response.headers.get("Retry-After"), now)
            return Reply(answer, wait, time.monotonic() - sending.ended)
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


class _Sending:
    """The sending of a request's body; `ended` is when its last byte was given away."""

    def __init__(self) -> None:
        self.ended = time.monotonic()

    async def watched(self, blocks: AsyncIterator[bytes], stall: asyncio.Timeout) -> AsyncIterator[bytes]:
        """Yield `blocks`; each that the destination has taken puts the end of its patience off."""
        async for block in blocks:
            yield block
            _go_on(stall)
        self.ended = time.monotonic()


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
