"""One STOW-RS request to a CloudTarget: its headers, its credential, its answer or its failure."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from dicomroute_gateway.configuration.model import BasicAuth, CloudTargetDestination

from .backoff import retry_after_seconds
from .multipart import MultipartBody, Part
from .outcome import Answer

_MAX_ANSWER_BYTES: Final = 16 << 20
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)


class CredentialMissing(Exception):
    """A Secret that the destination needs is not there; the message names it."""


class TransportFailed(Exception):
    """No answer came; `reason` says where it broke off."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


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
    headers = {
        "Content-Type": body.content_type,
        "Content-Length": str(body.content_length),
        "Accept": "application/dicom+json",
        "Accept-Encoding": "identity",
        "User-Agent": "dicomroute",
        **_authorization(destination, secrets),
    }
    try:
        async with session.post(
            f"{destination.url.rstrip('/')}/studies",
            data=body.blocks(),
            headers=headers,
            allow_redirects=False,
        ) as response:
            content = await response.content.read(_MAX_ANSWER_BYTES)
            while len(content) < _MAX_ANSWER_BYTES:
                more = await response.content.read(_MAX_ANSWER_BYTES - len(content))
                if not more:
                    break
                content += more
            wait = retry_after_seconds(response.headers.get("Retry-After"), now)
            return Reply(Answer(response.status, response.headers.get("Content-Type", ""), content), wait)
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
    except aiohttp.ClientError as error:
        raise TransportFailed("ConnectionLost", f"{type(error).__name__} before an answer came") from error


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
