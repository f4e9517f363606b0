"""One connected peer, and the bytes to and from it: all that acceptor and requestor know of a socket.

A wire never blocks: what cannot be received or sent yet raises BlockingIOError, and the `wait_` methods wait for it.
"""

import array
import select
import socket
import struct
from collections.abc import Sequence
from enum import Enum
from typing import Final

from dicomroute_gateway.reasons import NoReason, Reason

Piece = bytes | memoryview

_MOST_PIECES: Final = 1024
"""IOV_MAX of Linux."""
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: closing throws away what is not sent yet, and the peer gets an RST."""


class PeerGone(Exception):
    """The peer closed or reset the connection; `reason` is a word for why, "" where it does not say."""

    def __init__(self, message: str, reason: Reason | NoReason = "") -> None:
        super().__init__(message)
        self.reason = reason


class PeerStalled(Exception):
    """The peer sent no byte, or took none, within the time it has."""


class Readiness(Enum):
    """What a wire is ready for that something is to be sent over."""

    TO_SEND = "to send"
    TO_RECEIVE = "to receive"
    """The peer said something, or ended the connection."""


class Wire:
    """A connection over plain TCP. For one thread at a time, but for `shut_down`."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def receive_into(self, view: memoryview) -> int:
        """Receive at least one byte; return how many. Raises BlockingIOError, PeerGone."""
        try:
            received = self._socket.recv_into(view)
        except BlockingIOError:
            raise
        except OSError as error:
            raise PeerGone(str(error)) from error
        if not received:
            raise PeerGone("the peer closed the connection")
        return received

    def send(self, pieces: Sequence[Piece]) -> int:
        """Send as much of the pieces as goes out now; return how many bytes. Raises BlockingIOError, PeerGone."""
        try:
            return self._socket.sendmsg(pieces if len(pieces) <= _MOST_PIECES else pieces[:_MOST_PIECES])
        except BlockingIOError:
            raise
        except OSError as error:
            raise PeerGone(str(error)) from error

    def has_spoken(self) -> bool:
        """Return whether something can be received, an end of the connection included."""
        return self._poll(select.POLLIN, 0) != 0

    def wait_to_receive(self, seconds: float, *others: int) -> set[int]:
        """Wait until this or another descriptor is readable; return those that are, none when the time is up.

        Raises PeerGone.
        """
        self._acknowledge_at_once()
        poll = select.poll()
        for one in (self.fileno(), *others):
            poll.register(one, select.POLLIN)
        return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}

    def can_send(self, seconds: float) -> bool:
        """Wait until something can be sent; return False when the time is up."""
        return self._poll(select.POLLOUT, seconds) != 0

    def wait_to_send(self, seconds: float) -> Readiness | None:
        """Wait until something can be sent, or is to be heard first; None when the time is up."""
        events = self._poll(select.POLLIN | select.POLLOUT, seconds)
        if events & ~select.POLLOUT:
            return Readiness.TO_RECEIVE
        return Readiness.TO_SEND if events else None

    def peer_certificate(self) -> bytes | None:
        """Return the certificate in DER that the peer has shown and that was verified; None where it showed none."""
        return None

    def unsent_bytes(self) -> int:
        """Return how much of what was sent has not reached the peer's machine yet."""
        import fcntl  # noqa: PLC0415  a dry run of an association asks for none of this, on whichever system
        import termios  # noqa: PLC0415

        count = array.array("i", [0])
        try:
            fcntl.ioctl(self._socket, termios.TIOCOUTQ, count)  # SIOCOUTQ, tcp(7)
        except OSError:
            return 0
        return count[0]

    def shut_down(self) -> None:
        """End the connection in both directions; whoever waits on it in another thread goes on."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was faster

    def close(self, *, at_once: bool = False) -> None:
        """Close the connection; `at_once` throws away what has not reached the peer, and the peer gets a reset."""
        if at_once:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()

    def _poll(self, events: int, seconds: float) -> int:
        """Wait for events of the socket; return those that came, 0 when the time is up."""
        poll = select.poll()
        poll.register(self._socket, events)
        return next((found for _, found in poll.poll(seconds * 1000)), 0)

    def _acknowledge_at_once(self) -> None:
        """Let the peer know at once what has been received so far; to be said anew before each wait (tcp(7)).

        Without the immediate acknowledgement a peer that leaves Nagle's algorithm on waits 40 ms for our delayed ACK
        before it sends the second segment of a message.
        """
        if _QUICKACK is not None:
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except OSError as error:
                raise PeerGone(str(error)) from error
