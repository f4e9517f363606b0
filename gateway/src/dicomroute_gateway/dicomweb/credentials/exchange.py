"""Speaking to token endpoints: a bounded request, a bounded answer, and what each answer means (RFC 6749 5).

An endpoint is not believed: nothing that it says is logged or shown but for error codes that are known.
"""

import base64
import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from dicomroute_gateway.dicomweb.faults import CredentialFault, TransportFailed
from dicomroute_gateway.reasons import Reason

from .tokens import UNSAID_LIFETIME_SECONDS, Token

MAX_ANSWER_BYTES: Final = 1 << 16
EXCHANGE_SECONDS: Final = 30.0

_CODES: Final = frozenset(
    (
        # RFC 6749 4.1.2.1 and 5.2, RFC 8707 2
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
        # Microsoft Entra ID and its metadata service
        "identity_not_found",
        "interaction_required",
        "invalid_resource",
        # AWS STS
        "AccessDenied",
        "ExpiredTokenException",
        "IDPCommunicationError",
        "IDPRejectedClaim",
        "InvalidIdentityToken",
        "MalformedPolicyDocument",
        "PackedPolicyTooLarge",
        "RegionDisabledException",
        "ValidationError",
    )
)
"""What is shown of a refusal: any other code could be a secret that the endpoint sends back."""
_ENTRA_CODE: Final = re.compile(r"AADSTS[0-9]{4,9}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,32768}")


@dataclass(frozen=True)
class Request:
    """A request to a token endpoint; with `form` a POST. `local` is the machine's own metadata: never by a proxy."""

    url: str
    form: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    local: bool = False

    @property
    def host(self) -> str:
        """Whom it is for, as people are told."""
        return f"the token endpoint {urlsplit(self.url).netloc}"

    @property
    def body(self) -> bytes | None:
        """The form as it is sent."""
        return urlencode(self.form).encode() if self.form is not None else None


@dataclass(frozen=True)
class Reply:
    """What a token endpoint answered."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


Exchange = Callable[[Request], Awaitable[Reply]]
"""Makes a request with the TLS and proxy settings of a destination. Raises CredentialFault, TransportFailed."""


async def bearer_token(exchange: Exchange, request: Request) -> Token:
    """Return the token that an endpoint answers with.

    Raises CredentialFault when it refuses, TransportFailed when it does not answer or its answer makes no sense.
    """
    reply = await exchange(request)
    document = document_of(reply)
    check(request, reply, document)
    value = document.get("access_token")
    kind = document.get("token_type", "Bearer")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise answer_invalid(request, "no access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise answer_invalid(request, "a token that is not a bearer token")
    return Token(value, seconds(document.get("expires_in")))


def granted(token: Token) -> bytes:
    """Return the answer that gives a token (RFC 6749 5.1) to a library that asked: nothing else of what was said."""
    lifetime = math.ceil(token.lifetime_seconds or UNSAID_LIFETIME_SECONDS)
    return json.dumps({"access_token": token.value, "token_type": "Bearer", "expires_in": lifetime}).encode()


def document_of(reply: Reply) -> dict[str, Any]:
    """Return the JSON object of an answer; an empty one where it has none."""
    try:
        document = json.loads(reply.content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def check(request: Request, reply: Reply, document: Mapping[str, Any]) -> None:
    """Raise what an answer that is no success means."""
    if reply.status in (408, 425, 429) or reply.status >= 500:
        raise TransportFailed(
            Reason.TOKEN_ENDPOINT_UNAVAILABLE, f"{request.host} answers {reply.status}: the gateway retries"
        )
    if 200 <= reply.status < 300:
        return
    if 300 <= reply.status < 400:
        raise CredentialFault(
            Reason.TOKEN_REFUSED, f"{request.host} redirects: correct its URL. Nothing was sent to the new location"
        )
    raise refused(request, reply.status, document.get("error"), document.get("error_description"))


def refused(request: Request, status: int, code: object, description: object = None) -> CredentialFault:
    """Return the refusal of a token, with the endpoint's code for it if that is known."""
    shown = [f"status {status}"]
    if isinstance(code, str) and code in _CODES:
        shown.append(code)
    # Microsoft's codes say what is wrong where `error` is the same for everything; the text around them may say more
    # than is good.
    if isinstance(description, str) and (entra := _ENTRA_CODE.search(description)):
        shown.append(entra.group())
    return CredentialFault(
        Reason.TOKEN_REFUSED, f"{request.host} refuses to issue a token ({', '.join(shown)}): correct spec.auth"
    )


def answer_invalid(request: Request, what: str) -> TransportFailed:
    """Return the fault of an endpoint whose answer is no token."""
    return TransportFailed(
        Reason.TOKEN_ANSWER_INVALID,
        f"{request.host} answers with {what}: check that the URL is that of a token endpoint",
    )


def seconds(value: object) -> float | None:
    """Return a lifetime: a number, or as some endpoints have it the text of one; None where it is neither."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        return None
    return float(value)


def basic(username: str, password: str, *, form_encoded: bool = False) -> str:
    """Return the value of an Authorization header (RFC 7617); the two are form-encoded in RFC 6749 2.3.1."""
    if form_encoded:
        username, password = quote_plus(username), quote_plus(password)
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
