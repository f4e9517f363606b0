"""Short signed tokens for a gateway's admin API: for one route, one scope and one person, for a minute.

The console's key is derived from the admin key, and the key of a route from that and the route's UID. The console has
the first, a gateway the second: who takes over a console can ask gateways what tokens are for, and has no admin token;
who takes over a gateway can make tokens for itself alone. A token is `dct1.PAYLOAD.MAC`, both in base64url without
padding: JSON with `scope`, `by` and `until` (seconds since 1970), and its HMAC-SHA-256 (RFC 2104). Pure.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX: Final = "dct1."
SECONDS: Final = 60
"""For how long a token counts."""
_SKEW_SECONDS: Final = 60
"""How far clocks may be apart: a token that counts for longer than both together is of nobody who makes such tokens."""
MOST_NAME_CHARACTERS: Final = 256
_MOST_CHARACTERS: Final = 4096


class Scope(StrEnum):
    """What a token is for: as the rights of the console are called, a resource and a verb."""

    QUEUE_GET = "queue:get"
    QUEUE_UPDATE = "queue:update"
    QUEUE_DELETE = "queue:delete"
    STUDIES_GET = "studies:get"
    STUDIES_DELETE = "studies:delete"
    EXPLAIN = "explain:create"
    TEST = "test:create"
    IDENTIFIERS_GET = "identifiers:get"
    QUERY = "query:create"
    AUDIT_GET = "audit:get"


class NotValid(Exception):
    """A token is not one that counts now; the sentence says why."""


@dataclass(frozen=True)
class Claim:
    """What a token says: what for, and who asks."""

    scope: str
    by: str


@dataclass(frozen=True)
class Signer:
    """Makes tokens for one route."""

    key: bytes

    def token(self, scope: Scope, by: str, now: float) -> str:
        """Return a token for what `by` asks at `now`, in seconds since 1970."""
        claims = {"scope": str(scope), "by": by[:MOST_NAME_CHARACTERS], "until": int(now) + SECONDS}
        payload = _text(json.dumps(claims, separators=(",", ":")).encode())
        return f"{PREFIX}{payload}.{_text(_mac(self.key, payload))}"


def console_key(admin_key: bytes) -> str:
    """Return the key from which the console's tokens are made."""
    return hmac.new(admin_key, b"console", hashlib.sha256).hexdigest()


def route_key(key: str, uid: str) -> str:
    """Return the key by which the gateways of the route with this UID know tokens of the console's `key`."""
    return hmac.new(key.encode(), f"console:{uid}".encode(), hashlib.sha256).hexdigest()


def signer(key: str, uid: str) -> Signer:
    """Return what makes tokens for the route with this UID."""
    return Signer(route_key(key, uid).encode())


def claim_of(token: str, key: str, now: float) -> Claim:
    """Return what a token says, by the key of the route. Raises NotValid; `now` is in seconds since 1970."""
    payload, separator, mac = token.removeprefix(PREFIX).partition(".")
    if not token.startswith(PREFIX) or not separator or len(token) > _MOST_CHARACTERS or not token.isascii():
        raise NotValid("the token is not one of the console")
    if not key or not hmac.compare_digest(_text(_mac(key.encode(), payload)).encode(), mac.encode()):
        raise NotValid("the token is signed for another route, or with another key")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if not now - _SKEW_SECONDS < claims["until"] <= now + SECONDS + _SKEW_SECONDS:
        raise NotValid("the token has expired, or the clocks of console and gateway are more than a minute apart")
    return Claim(str(claims["scope"]), str(claims["by"]))


def _mac(key: bytes, payload: str) -> bytes:
    return hmac.new(key, payload.encode(), hashlib.sha256).digest()


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
