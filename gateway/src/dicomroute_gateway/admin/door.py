"""The door of an admin port: how many connections stand, how fast new ones are let in, and how long one may dawdle.

The port shares its event loop with what delivers. Whoever can reach it must not be able to take that away: connections
are accepted at a bounded rate, what they send is read at a bounded rate, and one that asks for nothing is closed.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

_MOST_CONNECTIONS: Final = 400
"""For a further one the one that has waited longest is closed, of the address that has most."""
_ACCEPTED_A_SECOND: Final = 2000
_HANDSHAKES_A_SECOND: Final = 100
"""A handshake of TLS costs some milliseconds of processor time."""
_ACCEPTED_A_TURN: Final = 16
_READ_BYTES_A_SECOND: Final = 1 << 17
_READ_BYTES_AT_ONCE: Final = 1 << 12
_REQUESTS_A_SECOND: Final = 500
"""Of all connections together, but of those that have shown the token."""
_PATIENCE_SECONDS: Final = 5.0
"""For a whole request to come, behind the connection or the answer before it."""
_TRUSTED_SECONDS: Final = 60.0
_SERVED_SECONDS: Final = 600.0
_MOST_REST_SECONDS: Final = 2.0
_BACKLOG: Final = 1024
_OUT_OF: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = structlog.get_logger(__name__)

Factory = Callable[[], asyncio.Protocol]


class Rate:
    """Lets through so much a second, and as much at once. Times are seconds of the event loop's clock."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0

    def take(self, now: float, amount: float) -> float:
        """Take an amount; return for how many seconds nothing more is to be taken."""
        self._free_at = max(self._free_at, now - 1.0) + amount / self._per_second
        return max(0.0, self._free_at - now)


class Door:
    """Lets connections in to a server; `factory` makes the protocol of one. Lives in one event loop."""

    def __init__(self, factory: Factory, tls: ssl.SSLContext | None = None) -> None:
        self._factory = factory
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._accepting = Rate(_ACCEPTED_A_SECOND if tls is None else _HANDSHAKES_A_SECOND)
        self._reading = Rate(_READ_BYTES_A_SECOND)
        self._asking = Rate(_REQUESTS_A_SECOND)
        self._guests: set[Guest] = set()
        self._by_transport: dict[object, Guest] = {}
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def open(self, bind: str, port: int) -> int:
        """Listen, and return the port. Raises OSError."""
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._socket = socket.create_server(
            (bind, port), family=family, backlog=_BACKLOG, dualstack_ipv6=bind == "::" and socket.has_dualstack_ipv6()
        )
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._accept)
        self._look()
        opened: int = self._socket.getsockname()[1]
        return opened

    def close(self) -> None:
        """Let nobody in any more; those who are in are for the server to send away."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._timer is not None:
            self._timer.cancel()
        for guest in list(self._guests):
            if guest.transport is None:
                guest.send_away()

    @asynccontextmanager
    async def serving(self, transport: object) -> AsyncIterator[None]:
        """Wait for the turn of a request, and take note of how long it is served."""
        guest = self._by_transport.get(transport)
        if guest is None:
            yield
            return
        guest.is_served = True
        try:
            if not guest.is_trusted and (wait := self._asking.take(self._loop.time(), 1)):
                await asyncio.sleep(wait)
            guest.since = self._loop.time()
            yield
        finally:
            guest.is_served = False
            guest.since = self._loop.time()

    def trust(self, transport: object) -> None:
        """Take note that somebody has the token: what he asks for is not for the door to bound."""
        if guest := self._by_transport.get(transport):
            guest.is_trusted = True

    def seconds_to_read(self, length: int) -> float:
        """Return when a connection that has sent so many bytes may send more."""
        return self._reading.take(self._loop.time(), length)

    def _accept(self) -> None:
        assert self._socket is not None
        for _ in range(_ACCEPTED_A_TURN):
            try:
                connection, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF:
                    raise
                log.error("admin.accept_failed", error=str(error))
                self._pause(0.1)
                return
            self._make_room()
            guest = Guest(self, self._factory(), str(address[0]), self._loop.time())
            self._guests.add(guest)
            guest.entry = self._loop.create_task(self._let_in(connection, guest))
            if wait := self._accepting.take(self._loop.time(), 1):
                self._pause(wait)
                return

    def _pause(self, seconds: float) -> None:
        listening = self._socket
        assert listening is not None
        self._loop.remove_reader(listening)
        self._loop.call_later(seconds, lambda: self._socket and self._loop.add_reader(listening, self._accept))

    async def _let_in(self, connection: socket.socket, guest: "Guest") -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(
                lambda: guest,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else _PATIENCE_SECONDS,
            )
        except (OSError, asyncio.CancelledError):  # errors and time-outs of TLS are among them
            self._guests.discard(guest)
            connection.close()

    def entered(self, guest: "Guest", transport: object) -> None:
        """Take note that a connection is ready for requests."""
        self._by_transport[transport] = guest

    def left(self, guest: "Guest") -> None:
        """Forget a connection that ends."""
        self._guests.discard(guest)
        if guest.transport is not None:
            self._by_transport.pop(guest.transport, None)

    def _make_room(self) -> None:
        if len(self._guests) < _MOST_CONNECTIONS:
            return
        most = Counter(one.address for one in self._guests).most_common(1)[0][0]
        waiting = [one for one in self._guests if one.address == most and not one.is_served]
        if waiting:
            min(waiting, key=lambda one: one.since).send_away()

    def _look(self) -> None:
        """Send those away who have asked for nothing in time, or take nothing of what they asked for."""
        now = self._loop.time()
        for guest in list(self._guests):
            if guest.takes_its_answer():
                guest.since = now
            if now - guest.since > guest.patience_seconds:
                guest.send_away()
        self._timer = self._loop.call_later(1.0, self._look)


class Guest(asyncio.Protocol):
    """One connection: hands everything on to the protocol of the server, at the pace of the door."""

    def __init__(self, door: Door, inner: asyncio.Protocol, address: str, now: float) -> None:
        self._door = door
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._unsent = 0
        self.address = address
        self.since = now
        """When it came, was answered last, or took something of its answer."""
        self.is_served = False
        self.is_trusted = False
        self._unread = bytearray()
        self._inner_reads = True
        self._rests = False
        self._is_handing_on = False
        self._connection: asyncio.Transport | None = None
        self.transport: _Valve | None = None
        """None while it is being let in."""
        self.entry: asyncio.Task[None] | None = None

    @property
    def patience_seconds(self) -> float:
        """For how long nothing may happen; where TLS is spoken, what waits below it does not show."""
        if self.is_served:
            return _SERVED_SECONDS
        return _TRUSTED_SECONDS if self.is_trusted else _PATIENCE_SECONDS

    def takes_its_answer(self) -> bool:
        """Return whether it took some of what was written to it since this was asked last."""
        before = self._unsent
        self._unsent = 0 if self._connection is None else self._connection.get_write_buffer_size()
        return self._unsent < before

    def send_away(self) -> None:
        """End the connection at once."""
        self._door.left(self)
        if self._connection is not None:
            self._connection.abort()
        elif self.entry is not None:
            self.entry.cancel()

    def connection_made(self, transport: Any) -> None:
        """Be let in."""
        self._connection = transport
        valve: Any = _Valve(self, transport)
        self.transport = valve
        self._door.entered(self, valve)
        self._inner.connection_made(valve)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._unread += data
        self._hand_on()

    def let_inner_read(self, reads: bool) -> None:
        """Take note of whether the server takes more."""
        self._inner_reads = reads
        self._hand_on()

    def _hand_on(self) -> None:
        """Give the server what it may have at this moment, and read more only when it has all of that."""
        if self._is_handing_on:  # by what the server says while it is given something
            return
        self._is_handing_on = True
        while self._unread and self._inner_reads and not self._rests:
            size = len(self._unread) if self.is_trusted else _READ_BYTES_AT_ONCE
            piece = bytes(self._unread[:size])
            del self._unread[:size]
            self._inner.data_received(piece)
            if not self.is_trusted and (wait := self._door.seconds_to_read(len(piece))):
                self._rests = True
                self._loop.call_later(min(wait, _MOST_REST_SECONDS), self._read_on)
        self._is_handing_on = False
        if self._connection is None or self._connection.is_closing():
            return
        if self._unread or not self._inner_reads or self._rests:
            self._connection.pause_reading()
        else:
            self._connection.resume_reading()

    def _read_on(self) -> None:
        self._rests = False
        self._hand_on()

    def eof_received(self) -> bool | None:
        """Hand on that nothing more comes."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Hand on that the answer is taken slowly."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that more of the answer is taken."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave."""
        self._door.left(self)
        self._inner.connection_lost(exc)


class _Valve:
    """The transport as the server sees it: what it says of reading is for the door to carry out."""

    def __init__(self, guest: Guest, transport: asyncio.Transport) -> None:
        self._guest = guest
        self._transport = transport

    def pause_reading(self) -> None:
        """Give the server nothing more."""
        self._guest.let_inner_read(False)

    def resume_reading(self) -> None:
        """Give the server more."""
        self._guest.let_inner_read(True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
