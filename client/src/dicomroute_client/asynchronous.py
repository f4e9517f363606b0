"""A client for an event loop: many gateways, each known by the fingerprint of its certificate alone."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from .calls import Answer, Call, D, headers, sentence_of
from .documents.events import EventDocument
from .errors import AdminError, Refused, Unknown, Unreachable, Unreadable
from .following import Position
from .tokens import Signer

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True)
class GatewayAddress:
    """Where an admin API is, and how one is let in. `fingerprint` is the SHA-256 of its certificate (DER).

    With a `signer` each call has a token of its own, for its scope and whoever asks.
    """

    host: str
    port: int
    token: str = field(repr=False)
    fingerprint: bytes
    signer: Signer | None = field(default=None, repr=False)

    def token_for(self, call: Call[Any], actor: str) -> str:
        """Return what a call shows."""
        if self.signer is None:
            return self.token
        return self.signer.token(call.scope, actor, time.time())

    @property
    def url(self) -> str:
        """The base URL."""
        return f"https://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class AdminClient:
    """Asks gateways over the connections of a session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, gateway: GatewayAddress, call: Call[D], actor: str = "") -> Answer[D]:
        """Make a call; `actor` says who decides, where it decides something. Raises AdminError.

        The fingerprint is checked before the token is sent; it takes the place of a certificate authority and of the
        name.
        """
        status, text = await self._answer(gateway, call, actor)
        if status == 401:
            raise Unknown("it does not know the admin token yet")
        if status != 200:
            raise Refused(status, sentence_of(text) or f"it answered with status {status}")
        return call.read(text)

    async def _answer(self, gateway: GatewayAddress, call: Call[Any], actor: str) -> tuple[int, bytes]:
        try:
            async with self._session.request(
                call.method,
                f"{gateway.url}{call.target}",
                data=call.payload,
                headers=headers(call, gateway.token_for(call, actor), actor),
                ssl=aiohttp.Fingerprint(gateway.fingerprint),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=call.patience_seconds, sock_connect=2),
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise Unreadable(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
                return response.status, bytes(body)
        except aiohttp.ServerFingerprintMismatch as error:
            raise Unknown("it shows another certificate than the one made for it") from error
        except aiohttp.ClientError as error:
            raise Unreachable(f"port {gateway.port}: {error}") from error
        except TimeoutError as error:
            raise Unreachable(f"port {gateway.port}: no answer within {call.patience_seconds:g} s") from error


class EventFollower:
    """The events of a gateway, on and on, for an event loop: as `blocking.EventFollower`."""

    def __init__(
        self,
        client: AdminClient,
        gateway: GatewayAddress,
        cursor: str = "",
        types: Iterable[str] = (),
        *,
        failed: Callable[[AdminError, float], object] = lambda _error, _seconds: None,
    ) -> None:
        """`failed` is told of each failure that may pass, and in how many seconds it is asked again."""
        self._client = client
        self._gateway = gateway
        self._position = Position(cursor, tuple(types))
        self._failed = failed

    @property
    def cursor(self) -> str:
        """Behind the last page that was wholly handled."""
        return self._position.cursor

    async def __aiter__(self) -> AsyncIterator[EventDocument]:
        """Yield events. Raises TooOld, and AdminError where asking again would not help."""
        while True:
            try:
                page = (await self._client.ask(self._gateway, self._position.call())).document
            except AdminError as error:
                pause = self._position.pause_seconds(error)
                self._failed(error, pause)
                await asyncio.sleep(pause)
                continue
            self._position.answered()
            for event in page.events:
                yield event
            self._position.took(page)


def session() -> aiohttp.ClientSession:
    """Return a session that keeps no connections: a thousand open ones would cost more than a handshake each."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
