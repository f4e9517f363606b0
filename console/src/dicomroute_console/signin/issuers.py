"""Issuers of tokens: where they are found, their keys, and whether a token is one of theirs."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from dicomroute_console.sources.person import NotKnown, Person
from dicomroute_console.sources.source import OutOfReach

from .claims import person_of
from .configuration import Issuer

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
)
"""Signatures with a key that is not secret: no `none`, and nothing that a published key could sign (RFC 8725 3.1)."""
LEEWAY_SECONDS: Final = 60
RENEW_SECONDS: Final = 300
"""After so long keys are asked for again: one that the issuer withdrew counts no longer."""
UNKNOWN_KEY_SECONDS: Final = 60
"""A token with a key that nobody knows makes us ask so often at most."""
STALE_SECONDS: Final = 3600
"""So long the keys that are known count while the issuer does not answer."""
_MOST_BYTES: Final = 1 << 20


class Unverified(NotKnown):
    """A token is not one of the issuer's, or not for us, or has ended."""


class Endpoint:
    """An issuer and its keys. For the event loop's thread."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._clock = clock
        self._tls = ssl.create_default_context(cafile=issuer.authorities_file or None)
        self._session: aiohttp.ClientSession | None = None
        self._document: dict[str, Any] | None = None
        self._keys: KeySet | None = None
        self._asked = self._answered = float("-inf")
        self._asking = asyncio.Lock()

    async def person(self, token: str) -> Person:
        """Return whose token this is. Raises NotKnown, OutOfReach."""
        return person_of(await self.claims(token, self.issuer.audiences), self.issuer)

    async def claims(self, token: str, audiences: Collection[str]) -> dict[str, Any]:
        """Return the claims of a token of the issuer, valid, and for one of us. Raises Unverified, OutOfReach."""
        header = _part(token, 0)
        if header.get("alg") not in ALGORITHMS:
            raise Unverified(f"the token is signed by {header.get('alg')!r}, which is not taken")
        key_id = header.get("kid")
        keys = await self._keys_for(key_id if isinstance(key_id, str) else None)
        try:
            decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self.issuer.issuer},
                aud={"essential": True, "values": list(audiences)},
                exp={"essential": True},
            ).validate(decoded.claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Unverified(f"the token is not one of {self.issuer.issuer} for this console: {error}") from error
        return dict(decoded.claims)

    async def discovered(self, name: str) -> str:
        """Return an endpoint of the discovery document, "" for one that it has not. Raises OutOfReach."""
        if self._document is None:
            where = f"{self.issuer.issuer.rstrip('/')}/.well-known/openid-configuration"
            document = await self.request("GET", where)
            if document.get("issuer") != self.issuer.issuer:  # OpenID Connect Discovery 1.0, 4.3
                raise OutOfReach(f"{where} is that of {document.get('issuer')!r}, not of {self.issuer.issuer!r}")
            self._document = document
        found = self._document.get(name)
        return found if isinstance(found, str) else ""

    async def request(self, method: str, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON object that an address of the issuer answers with. Raises OutOfReach, Unverified for 4xx."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=16))
        try:
            async with self._session.request(
                method,
                url,
                data=form,
                ssl=self._tls,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=10, sock_connect=3),
            ) as response:
                content = await response.content.read(_MOST_BYTES)
                status = response.status
            document = json.loads(content)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise OutOfReach(f"{self.issuer.issuer} does not answer: {error or 'not in time'}") from error
        if 400 <= status < 500 and form is not None:
            why = document.get("error_description") or document.get("error") if isinstance(document, dict) else ""
            raise Unverified(f"{self.issuer.issuer} refuses: {why}")
        if status != 200 or not isinstance(document, dict):
            raise OutOfReach(f"{self.issuer.issuer} answered with {status}")
        return document

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _keys_for(self, key_id: str | None) -> KeySet:
        async with self._asking:
            now = self._clock()
            known = self._keys is not None and _has(self._keys, key_id)
            due = now - self._answered > RENEW_SECONDS or not known
            if due and (self._keys is None or now - self._asked > UNKNOWN_KEY_SECONDS):
                self._asked = now
                try:
                    document = await self.request("GET", await self.discovered("jwks_uri"))
                    self._keys = KeySet.import_key_set({"keys": document.get("keys") or []})
                    self._answered = now
                except (OutOfReach, JoseError, ValueError) as error:
                    if self._keys is None or now - self._answered > STALE_SECONDS:
                        self._keys = None
                        raise OutOfReach(f"the keys of {self.issuer.issuer} are not known: {error}") from error
        if self._keys is None or not _has(self._keys, key_id):
            raise Unverified(f"the token is signed with a key that {self.issuer.issuer} does not publish")
        return self._keys


class Issuers:
    """All issuers whose tokens programs may send, by their `iss`."""

    def __init__(self, endpoints: Collection[Endpoint]) -> None:
        self._by_name = {one.issuer.issuer: one for one in endpoints}

    async def person(self, token: str) -> Person | None:
        """Return whose token it is; None where it is of no issuer here. Raises NotKnown, OutOfReach."""
        try:
            name = _part(token, 1).get("iss")
        except NotKnown:
            return None
        endpoint = self._by_name.get(name) if isinstance(name, str) else None
        return None if endpoint is None else await endpoint.person(token)

    async def close(self) -> None:
        """Close all connections."""
        for one in self._by_name.values():
            await one.close()


def _has(keys: KeySet, key_id: str | None) -> bool:
    return len(keys.keys) == 1 if key_id is None else any(one.kid == key_id for one in keys.keys)


def _part(token: str, number: int) -> dict[str, Any]:
    """Return the header or the payload of a token, unverified. Raises Unverified."""
    parts = token.split(".")
    try:
        if len(parts) != 3:
            raise ValueError
        found = json.loads(base64.urlsafe_b64decode(parts[number] + "=" * (-len(parts[number]) % 4)))
    except ValueError as error:
        raise Unverified("the credential is not a JSON Web Token") from error
    if not isinstance(found, dict):
        raise Unverified("the credential is not a JSON Web Token")
    return found
