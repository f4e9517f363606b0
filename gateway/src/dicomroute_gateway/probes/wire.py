"""The way to a target, step by step: its name, a connection, TLS, as requests go and through the same proxy."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from dicomroute_gateway.dicomweb.faults import TransportFailed, failure, proxy_authentication_required, system_sentence
from dicomroute_gateway.reasons import Reason

Address = tuple[socket.AddressFamily, Any]

_CONNECT_SECONDS: Final = 10.0
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Way:
    """Where a target is: its own host and port, and those of what is connected to, which may be a proxy."""

    url: str
    host: str
    port: int
    is_tls: bool
    proxy: str = ""
    proxy_host: str = ""
    proxy_port: int = 0

    @property
    def first_host(self) -> str:
        """Whom the connection is made to."""
        return self.proxy_host or self.host

    @property
    def first_port(self) -> int:
        """The port that the connection is made to."""
        return self.proxy_port or self.port

    @property
    def has_literal_address(self) -> bool:
        """Whether there is no name to resolve."""
        try:
            ip_address(self.first_host)
        except ValueError:
            return False
        return True


def way_to(url: str, proxy: str) -> Way:
    """Return the way to a URL. Raises TransportFailed."""
    try:
        target, through = urlsplit(url), urlsplit(proxy)
        host, port = target.hostname or "", target.port or _DEFAULT_PORTS.get(target.scheme, 0)
        proxy_port = through.port or _DEFAULT_PORTS.get(through.scheme, 0)
    except ValueError:
        host, port = "", 0
    if not host or not port:
        raise TransportFailed(Reason.URL_INVALID, f"{url} is not valid for a connection: correct it")
    return Way(url, host, port, target.scheme == "https", proxy, through.hostname or "", proxy_port)


async def resolve(way: Way) -> Sequence[Address]:
    """Return the addresses to connect to. Raises TransportFailed.

    In a thread that nobody waits for at the end: a silent name server must not keep a gateway from ending.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[Address]] = loop.create_future()

    def settle(addresses: Sequence[Address], error: Exception | None) -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses)

    def look() -> None:
        addresses: Sequence[Address] = ()
        fault: Exception | None = None
        try:
            infos = socket.getaddrinfo(way.first_host, way.first_port, type=socket.SOCK_STREAM)
            addresses = [(info[0], info[4]) for info in infos]
        except (OSError, UnicodeError):
            if way.proxy:
                fault = TransportFailed(
                    Reason.PROXY_UNREACHABLE, f"the host name of the proxy {way.proxy} cannot be resolved"
                )
            else:
                fault = TransportFailed(Reason.DNS_FAILED, f"the host name in {way.url} cannot be resolved")
        try:
            loop.call_soon_threadsafe(settle, addresses, fault)
        except RuntimeError:
            pass  # the gateway has ended

    threading.Thread(target=look, name="resolve", daemon=True).start()
    return await found


async def connect(way: Way, addresses: Sequence[Address]) -> socket.socket:
    """Connect to the first address that takes a connection. Raises TransportFailed."""
    loop = asyncio.get_running_loop()
    last: OSError | None = None
    for family, address in addresses:
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS / len(addresses)):
                await loop.sock_connect(connection, address)
        except OSError as error:  # a TimeoutError is one
            connection.close()
            last = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    detail = "no connection in time" if isinstance(last, TimeoutError) else _why(last)
    if way.proxy:
        raise TransportFailed(Reason.PROXY_UNREACHABLE, f"the proxy {way.proxy} cannot be reached: {detail}")
    reason = Reason.TIMED_OUT if isinstance(last, TimeoutError) else Reason.CONNECTION_FAILED
    raise TransportFailed(reason, f"{way.url}: {detail}")


def _why(error: OSError | None) -> str:
    return "the host name has no address" if error is None else system_sentence(error)


async def shake_hands(
    way: Way, connection: socket.socket, context: ssl.SSLContext, proxy_headers: Mapping[str, str]
) -> None:
    """Speak TLS with the proxy or the target as far as they do, and end the connection.

    Raises TransportFailed, CredentialFault.
    """
    writer: asyncio.StreamWriter | None = None
    try:
        outer: dict[str, Any] = {}
        if way.proxy.startswith("https:"):
            outer = {"ssl": context, "server_hostname": way.proxy_host}
        reader, writer = await asyncio.open_connection(sock=connection, **outer)
        if way.is_tls:
            if way.proxy:
                await _tunnel(way, reader, writer, proxy_headers)
            await writer.start_tls(context, server_hostname=way.host)
    except ssl.SSLError as error:
        raise failure(error, way.url, way.proxy) from error
    except (OSError, EOFError) as error:
        raise TransportFailed(Reason.TLS_FAILED, f"{way.url}: the connection ended during the handshake") from error
    finally:
        if writer is not None:
            writer.close()
        else:
            connection.close()


async def _tunnel(
    way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Mapping[str, str]
) -> None:
    """Ask a proxy for a tunnel (RFC 9110 9.3.6). Raises TransportFailed, CredentialFault."""
    host = f"[{way.host}]" if ":" in way.host else way.host
    lines = [f"CONNECT {host}:{way.port} HTTP/1.1", f"Host: {host}:{way.port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(None, 2)[1])
    except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        raise TransportFailed(Reason.PROXY_UNREACHABLE, f"the proxy {way.proxy} does not answer as a proxy") from error
    if status == 407:
        raise proxy_authentication_required(way.proxy)
    if not 200 <= status < 300:
        raise TransportFailed(
            Reason.PROXY_REFUSED, f"the proxy {way.proxy} answers {status} to a tunnel request for {way.url}"
        )
