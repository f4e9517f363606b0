"""Tokens that are kept until they are renewed: before they end, by one request at a time, behind those who use them."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

import structlog

from dicomroute_gateway.dicomweb.faults import CredentialFault, TransportFailed

UNSAID_LIFETIME_SECONDS: Final = 300.0
"""How long a token is used whose endpoint does not say how long it lives."""
_MOST_LIFETIME_SECONDS: Final = 86400.0
_RENEWED_AT: Final = 0.8
_JITTER: Final = 0.05
_UNUSED_AT: Final = 0.95
_KEPT: Final = 64
"""How many tokens are kept: a rotated secret leaves the token of the old one behind."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, eq=False)
class Token:
    """What an endpoint gave. `value` is a bearer token, or the keys that a signature is made with."""

    value: object = field(repr=False)
    lifetime_seconds: float | None = None


@dataclass(frozen=True)
class TokenSource:
    """Where a token comes from. `identity` is all that makes it another token, and for whom it is."""

    name: str
    """The type of the credential, for the log."""
    identity: Hashable = field(repr=False)
    fetch: Callable[[], Awaitable[Token]] = field(repr=False)


class _Kept:
    """A token and its times, in seconds of the monotonic clock."""

    def __init__(self, token: Token) -> None:
        lifetime = min(token.lifetime_seconds or UNSAID_LIFETIME_SECONDS, _MOST_LIFETIME_SECONDS)
        now = time.monotonic()
        self.token = token
        self.lifetime_seconds = lifetime
        self.renew_at = now + lifetime * random.uniform(_RENEWED_AT - _JITTER, _RENEWED_AT + _JITTER)  # noqa: S311
        self.end = now + lifetime * _UNUSED_AT


class TokenCache:
    """The tokens of all destinations of a gateway. Lives in one event loop."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}
        self._fetching: dict[Hashable, asyncio.Task[Token]] = {}

    async def get(self, source: TokenSource, refused: Token | None = None) -> Token:
        """Return a token, another than the one that was `refused`.

        One whose life ends soon is renewed behind whoever is given it; only where there is none is anybody kept
        waiting, and all wait for the same request. Raises CredentialFault, TransportFailed.
        """
        kept = self._kept.get(source.identity)
        now = time.monotonic()
        if kept is None or kept.token is refused or now >= kept.end:
            return await asyncio.shield(self._fetch(source))
        if now >= kept.renew_at and source.identity not in self._fetching:
            kept.renew_at = now + max(1.0, kept.lifetime_seconds * _JITTER)  # when this attempt fails
            self._fetch(source)
        return kept.token

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fetch(self, source: TokenSource) -> asyncio.Task[Token]:
        task = self._fetching.get(source.identity)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetched(source), name=f"token {source.name}")
            self._fetching[source.identity] = task
            task.add_done_callback(lambda done: self._done(source, done))
        return task

    async def _fetched(self, source: TokenSource) -> Token:
        token = await source.fetch()
        self._kept.pop(source.identity, None)
        self._kept[source.identity] = _Kept(token)
        while len(self._kept) > _KEPT:
            self._kept.pop(next(iter(self._kept)))
        return token

    def _done(self, source: TokenSource, task: asyncio.Task[Token]) -> None:
        self._fetching.pop(source.identity, None)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        # Whoever waits for it is told; a renewal in the background would fail unheard.
        if isinstance(error, CredentialFault | TransportFailed):
            log.warning("token.failed", credential=source.name, reason=error.reason, message=str(error))
        else:
            log.error("token.failed", credential=source.name, reason=type(error).__name__)
