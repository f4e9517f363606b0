"""Google Cloud: the identity that GKE gives the pod, or a service account's key."""

import json
import os
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

from dicomroute_gateway.configuration.credentials import GoogleServiceAccountKeyAuth, GoogleWorkloadIdentityAuth
from dicomroute_gateway.deliver.faults import CredentialFault, TransportFailed

from .assertion import signed
from .exchange import Exchange, Reply, Request, bearer_token
from .files import digest, named, read_text
from .tokens import Token, TokenSource

SCOPE: Final = "https://www.googleapis.com/auth/cloud-healthcare"
"""The narrowest that covers DICOM stores."""
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105
"""Where tokens are given; an assertion is for this one wherever it is sent."""
_ASSERTION_SECONDS: Final = 3600
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
            raise TransportFailed("TokenAnswerInvalid", f"{one.host} is not Google's metadata server: is this GKE?")
        return reply

    return TokenSource(auth.type, (auth.model_dump_json(), host), lambda: bearer_token(of_google, request))


def key_source(auth: GoogleServiceAccountKeyAuth, secrets: Path, exchange: Exchange) -> TokenSource:
    """Return where tokens for a service account's key come from (RFC 7523 2.1). Raises CredentialFault."""
    text = read_text(secrets, auth.key_file)
    try:
        key = json.loads(text)
        email, private_key = str(key["client_email"]), str(key["private_key"])
        key_id, url = str(key.get("private_key_id", "")), str(key.get("token_uri", _TOKEN_URL))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        sentence = f"{named(auth.key_file)} is not a service account's key in JSON: create one and write it there"
        raise CredentialFault("CredentialInvalid", sentence) from error
    if not url.startswith(("https://", "http://127.0.0.1:")):
        sentence = f"{named(auth.key_file)} has a token_uri without https://: create the key again"
        raise CredentialFault("CredentialInvalid", sentence)

    async def fetch() -> Token:
        now = int(time.time())
        claims = {"iss": email, "aud": _TOKEN_URL, "scope": SCOPE, "iat": now, "exp": now + _ASSERTION_SECONDS}
        assertion = signed(claims, private_key, "RS256", {"kid": key_id} if key_id else {}, named(auth.key_file))
        return await bearer_token(exchange, Request(url, {"grant_type": _GRANT, "assertion": assertion}))

    return TokenSource(auth.type, (auth.model_dump_json(), digest(text)), fetch)
