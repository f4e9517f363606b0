"""Google Cloud: the identity that GKE gives the pod, or a service account's key."""

import asyncio
import json
import os
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from dicomroute_gateway.configuration.credentials import GoogleServiceAccountKeyAuth, GoogleWorkloadIdentityAuth
from dicomroute_gateway.dicomweb.faults import CredentialFault, TransportFailed
from dicomroute_gateway.reasons import Reason

from .exchange import Exchange, Reply, Request, bearer_token, granted
from .files import digest, named, read_text
from .tokens import Token, TokenSource

SCOPE: Final = "https://www.googleapis.com/auth/cloud-healthcare"
"""The narrowest that covers DICOM stores."""
_TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105
_METADATA_HOST: Final = "169.254.169.254"


def workload_source(auth: GoogleWorkloadIdentityAuth, exchange: Exchange) -> TokenSource:
    """Return where tokens for the pod come from: the metadata server.

    A service account that is named is asked for by its name: a node without GKE's metadata server would answer with
    its own, broader identity where it is asked for the default one.
    """
    host = os.environ.get("GCE_METADATA_HOST", _METADATA_HOST)
    account = quote(auth.service_account or "default", safe="@")
    request = Request(
        f"http://{host}/computeMetadata/v1/instance/service-accounts/{account}/token?scopes={quote(SCOPE, safe='')}",
        None,
        {"Metadata-Flavor": "Google"},
        local=True,
    )

    async def of_google(one: Request) -> Reply:
        reply = await exchange(one)
        if reply.headers.get("Metadata-Flavor") != "Google":
            raise TransportFailed(
                Reason.TOKEN_ANSWER_INVALID,
                f"{one.host} is not Google's metadata server: check that this cluster is GKE",
            )
        return reply

    return TokenSource(auth.type, (auth.model_dump_json(), host), lambda: bearer_token(of_google, request))


def key_source(auth: GoogleServiceAccountKeyAuth, secrets: Path, exchange: Exchange) -> TokenSource:
    """Return where tokens for a service account's key come from (RFC 7523 2.1). Raises CredentialFault."""
    text = read_text(secrets, auth.key_file)
    what = named(auth.key_file)
    try:
        key = {"token_uri": _TOKEN_URL, **json.loads(text)}
        url = str(key["token_uri"])
    except (ValueError, RecursionError, TypeError) as error:
        raise _no_key(what) from error
    if not key.get("client_email") or not key.get("private_key"):
        raise _no_key(what)
    if not url.startswith(("https://", "http://127.0.0.1:")):
        sentence = f"{what} has a token_uri without https://: create the key again"
        raise CredentialFault(Reason.CREDENTIAL_INVALID, sentence)

    async def fetch() -> Token:
        return await asyncio.to_thread(_refreshed, key, what, _Through(exchange, asyncio.get_running_loop()))

    return TokenSource(auth.type, (auth.model_dump_json(), digest(text)), fetch)


def _refreshed(key: Mapping[str, Any], what: str, request: "_Through") -> Token:
    """Return the token that google-auth asks for. Blocks. Raises CredentialFault, TransportFailed."""
    from google.oauth2.service_account import Credentials  # noqa: PLC0415  # only where such a key is used

    try:
        credentials = Credentials.from_service_account_info(key, scopes=[SCOPE])
        credentials.refresh(request)
    except (CredentialFault, TransportFailed, CancelledError):
        raise
    except Exception as error:  # of a key there are as many kinds of errors as there are keys
        sentence = f"{what} has a private_key that is not an RSA key in PEM: create the key again"
        raise CredentialFault(Reason.CREDENTIAL_INVALID, sentence) from error
    lifetime = credentials.expiry.replace(tzinfo=UTC) - datetime.now(UTC)
    return Token(credentials.token, max(1.0, lifetime.total_seconds()))


def _no_key(what: str) -> CredentialFault:
    sentence = f"{what} is not a service account key in JSON: create one and write it there"
    return CredentialFault(Reason.CREDENTIAL_INVALID, sentence)


@dataclass(frozen=True)
class _Granted:
    """The answer that gives a token, as google-auth has answers."""

    data: bytes = field(repr=False)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class _Through:
    """What google-auth makes requests with: called on its thread, it has the event loop make them by `exchange`.

    Faults go through the library as they are: it sees no answer that it would try again after.
    """

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop

    def __call__(
        self, url: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None, **_: Any
    ) -> _Granted:
        form = dict(parse_qsl(body.decode())) if method == "POST" else None
        asking = bearer_token(self._exchange, Request(url, form, headers or {}))
        return _Granted(granted(asyncio.run_coroutine_threadsafe(asking, self._loop).result()))
