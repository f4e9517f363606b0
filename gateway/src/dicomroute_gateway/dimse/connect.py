"""A TCP connection to a peer: the one place that a requestor gets its wire from."""

import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any

from dicomroute_gateway.configuration.destinations import NodeTls
from dicomroute_gateway.reasons import Reason

from .failures import NotConnected
from .tls import TlsContexts, TlsUnusable, TlsWire
from .tls_failures import of_node
from .wire import Wire

Addresses = Sequence[tuple[int, int, int, str, Any]]
"""What `socket.getaddrinfo` finds."""


def connect(host: str, port: int, timeout_seconds: float) -> Wire:
    """Return a plain connection. Raises NotConnected."""
    return Wire(reach(host, port, None, timeout_seconds))


def connect_securely(contexts: TlsContexts, settings: NodeTls, host: str, port: int, timeout_seconds: float) -> Wire:
    """Return a connection over TLS. Raises NotConnected, also for what keeps TLS from coming about."""
    deadline = time.monotonic() + timeout_seconds
    context = usable_context(contexts, settings)
    connection = reach(host, port, None, timeout_seconds)
    return secure(connection, context, settings, host, port, max(1.0, deadline - time.monotonic()))


def resolve(host: str, port: int) -> Addresses:
    """Return the addresses of a name; the look-up has the resolver's own time-outs. Raises NotConnected."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotConnected(
            Reason.DNS_FAILED, f"the host name {host} cannot be resolved: correct it, or check DNS"
        ) from error


def usable_context(contexts: TlsContexts, settings: NodeTls) -> ssl.SSLContext:
    """Return what TLS to a node is spoken with. Raises NotConnected for files that are of no use."""
    try:
        return contexts.context(settings)
    except TlsUnusable as error:
        raise NotConnected(Reason.CERTIFICATE_UNUSABLE, str(error)) from error


def secure(
    connection: socket.socket, context: ssl.SSLContext, settings: NodeTls, host: str, port: int, timeout_seconds: float
) -> Wire:
    """Return a connection over TLS, made of a plain one, which is closed where that fails. Raises NotConnected."""
    try:
        wire = TlsWire(connection, context, settings.server_name or host)
        wire.shake_hands(timeout_seconds)
    except (OSError, ValueError) as error:
        connection.close()
        failure = of_node(error)
        raise NotConnected(failure.reason, f"{host}:{port}: {failure}") from error
    return wire


def reach(host: str, port: int, addresses: Addresses | None, timeout_seconds: float) -> socket.socket:
    """Return a connection on which nothing waits for an acknowledgement before it is sent.

    Each of the addresses, None: those of the name, gets an equal share of the time that is left. Raises NotConnected.
    """
    deadline = time.monotonic() + timeout_seconds
    found = resolve(host, port) if addresses is None else addresses
    failure: OSError | None = None
    for left, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
        try:
            connection = socket.socket(family, kind, protocol)
        except OSError as error:  # no descriptor is left, or this machine does not speak that family
            failure = error
            continue
        try:
            connection.settimeout(max(0.001, (deadline - time.monotonic()) / left))
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise _not_connected(f"{host}:{port}", failure) from failure


def _not_connected(where: str, failure: OSError | None) -> NotConnected:
    if isinstance(failure, ConnectionRefusedError):
        return NotConnected(Reason.CONNECTION_REFUSED, f"{where} refuses connections: the port is closed")
    if isinstance(failure, TimeoutError):
        return NotConnected(Reason.CONNECT_TIMED_OUT, f"{where} does not answer: check its address and firewalls")
    return NotConnected(
        Reason.CONNECTION_FAILED, f"{where} cannot be reached: {failure.strerror if failure else 'no address'}"
    )
