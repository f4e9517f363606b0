"""Connections of an HTTP port that strangers can reach: few at a time, each for one request and for a few seconds.

The port shares its event loop with the reconciliations, and the kubelet restarts an operator whose port is silent.
"""

import asyncio
from collections import Counter
from typing import Any, Final

from aiohttp import web

_MOST_CONNECTIONS: Final = 64
"""A kubelet and a Prometheus or two need a handful; a further one takes the place of the oldest
of the address that has most, so that a stranger's connections end before a probe's."""
_SECONDS: Final = 5.0
"""From the connection to the last byte of the answer."""


@web.middleware
async def one_request(request: web.Request, handler: Any) -> web.StreamResponse:
    """Answer one request and close its connection."""
    response: web.StreamResponse = await handler(request)
    response.force_close()
    return response


class BoundedConnections:
    """Makes the protocol of each connection of one port. Lives in one event loop."""

    def __init__(self, server: web.Server) -> None:
        self._server = server
        self._open: dict[_Connection, None] = {}
        """The oldest first."""

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of one more connection."""
        return _Connection(self._server(), self._open)


class _Connection(asyncio.Protocol):
    """Hands everything on to the protocol of aiohttp, until its time is over."""

    def __init__(self, inner: asyncio.Protocol, others: dict["_Connection", None]) -> None:
        self._inner = inner
        self._open = others

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._address = (transport.get_extra_info("peername") or ("",))[0]
        if len(self._open) >= _MOST_CONNECTIONS:
            most = Counter(one._address for one in self._open).most_common(1)[0][0]
            next(one for one in self._open if one._address == most).abort()
        self._open[self] = None
        self._end = asyncio.get_running_loop().call_later(_SECONDS, self.abort)
        self._inner.connection_made(transport)

    def abort(self) -> None:
        self._open.pop(self, None)
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        self._open.pop(self, None)
        self._inner.connection_lost(exc)
