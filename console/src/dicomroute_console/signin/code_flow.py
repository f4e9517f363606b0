"""Signing in at an issuer: the authorization code flow of OpenID Connect Core 1.0 (3.1) with PKCE (RFC 7636).

What has to come back with the code is in a sealed cookie of ten minutes: nothing is kept here before somebody is known.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from cryptography.fernet import Fernet, InvalidToken

from dicomroute_console.sources.person import NotKnown, Person
from dicomroute_console.sources.source import OutOfReach

from .claims import person_of
from .configuration import Provider
from .issuers import Endpoint, Unverified

PENDING_SECONDS: Final = 600
_MOST_TEXT: Final = 8192


@dataclass(frozen=True)
class Started:
    """Where the browser is sent, and what it keeps meanwhile."""

    url: str
    sealed: str


@dataclass(frozen=True)
class Known:
    """Who has signed in. `ending` is where the session at the issuer is ended, "" if the issuer has no such place."""

    person: Person
    ending: str


class CodeFlow:
    """The console as a client of one provider."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._endpoint = Endpoint(provider)
        self._seal = Fernet(Fernet.generate_key())

    async def start(self, callback: str) -> Started:
        """Return how somebody begins to sign in. Raises OutOfReach."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": callback,
            "scope": " ".join(self.provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        kept = json.dumps({"state": state, "nonce": nonce, "verifier": verifier, "callback": callback})
        where = await self._endpoint.discovered("authorization_endpoint")
        return Started(_with(where, asked), self._seal.encrypt(kept.encode()).decode())

    async def finish(self, sealed: str, state: str, code: str, issuer: str) -> Known:
        """Return who comes back with a code. Raises NotKnown, OutOfReach.

        `issuer` is the parameter `iss` of the answer (RFC 9207), "" where it has none.
        """
        try:
            kept = json.loads(self._seal.decrypt(sealed.encode(), ttl=PENDING_SECONDS))
        except (InvalidToken, ValueError) as error:
            raise NotKnown("this browser has not begun to sign in, or too long ago: begin again") from error
        if not hmac.compare_digest(state.encode(), kept["state"].encode()):
            raise NotKnown("the answer belongs to another sign-in: begin again")
        if issuer and issuer != self.provider.issuer:
            raise NotKnown(f"the answer is one of {issuer!r}, who was not asked")
        if not code or len(code) > _MOST_TEXT:
            raise NotKnown("the answer has no code")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": kept["callback"],
            "client_id": self.provider.client_id,
            "code_verifier": kept["verifier"],
        }
        if self.provider.client_secret_file:
            form["client_secret"] = self._secret()
        answer = await self._endpoint.request("POST", await self._endpoint.discovered("token_endpoint"), form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Unverified(f"{self.provider.issuer} gave no ID token")
        return await self._known(token, kept["nonce"], kept["callback"])

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    def _secret(self) -> str:
        try:
            return Path(self.provider.client_secret_file).read_text().strip()
        except OSError as error:
            raise OutOfReach(f"the secret of the client cannot be read: {error.strerror}") from error

    async def _known(self, token: str, nonce: str, callback: str) -> Known:
        client = self.provider.client_id
        claims = await self._endpoint.claims(token, [client])
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise Unverified("the ID token was made for another sign-in")
        if claims.get("azp", client) != client:  # OpenID Connect Core 1.0, 3.1.3.7
            raise Unverified("the ID token was made for another client")
        person = person_of(claims, self.provider)
        where = await self._endpoint.discovered("end_session_endpoint")
        back = callback.rpartition("/sign-in/")[0] + "/sign-in"
        asked = {"id_token_hint": token, "client_id": client, "post_logout_redirect_uri": back}
        return Known(person, _with(where, asked) if where else "")


def _with(url: str, query: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
