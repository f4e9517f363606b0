"""Who is let in to the API: with the route's admin token, or with a token of the console for one scope."""

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from dicomroute_client.calls import ACTOR_HEADER
from dicomroute_client.tokens import PREFIX, NotValid, Scope, claim_of

_MOST_ACTOR_CHARACTERS: Final = 128
_NO_TOKEN: Final = "send the route's admin token: Authorization: Bearer TOKEN"  # noqa: S105
_OTHER_TOKEN: Final = "the token does not belong to this gateway: each route, and each state folder, has its own token"  # noqa: S105


class NotLetIn(Exception):
    """Who asks is not let in; `status` is that of HTTP."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Caller:
    """Who asks. A token of the console says `name`; with the admin token one may say any. `scope` None: all scopes."""

    name: str
    scope: str | None

    def may(self, scope: Scope) -> bool:
        """Return whether the token is for a scope."""
        return self.scope is None or self.scope == scope


CALLER: Final = web.RequestKey("caller", Caller)
"""Where a request has who sent it."""


class Entrance:
    """Reads the tokens that count, as often as it is asked: the kubelet renews their files."""

    def __init__(self, token_file: Path) -> None:
        """The key of the console's tokens is beside the admin token; where there is none, there are no such tokens."""
        self._token_file = token_file
        self._key_file = token_file.with_name("console-key")

    def caller(self, headers: Mapping[str, str], scopes: Collection[Scope], now: float) -> Caller:
        """Return who asks for what any of `scopes` opens, and the admin token. Raises NotLetIn."""
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if not given or scheme.lower() != "bearer":
            raise NotLetIn(401, _NO_TOKEN)
        if given.startswith(PREFIX):
            return self._of_console(given, scopes, now)
        token = _read(self._token_file)
        if not token or not hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode()):
            raise NotLetIn(401, _OTHER_TOKEN)
        text = headers.get(ACTOR_HEADER, "")
        is_name = text.isprintable() and 0 < len(text) <= _MOST_ACTOR_CHARACTERS
        return Caller(text if is_name else "a holder of the token", None)

    def _of_console(self, given: str, scopes: Collection[Scope], now: float) -> Caller:
        try:
            claim = claim_of(given, _read(self._key_file), now)
        except NotValid as error:
            raise NotLetIn(401, str(error)) from error
        if claim.scope not in scopes:
            raise NotLetIn(403, f"the token is for {claim.scope}, but this needs {' or '.join(scopes)}")
        if not claim.by or not claim.by.isprintable():
            raise NotLetIn(401, "the token does not name a person")
        return Caller(claim.by, claim.scope)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
