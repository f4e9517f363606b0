"""Listeners: accept connections on a port and give each a thread, within the limits of the configuration."""

import itertools
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import structlog

from dicomroute_gateway.configuration.listener import Listener as ListenerConfiguration
from dicomroute_gateway.configuration.listener import ListenerTls
from dicomroute_gateway.configuration.model import Mode
from dicomroute_gateway.reasons import Reason

from .admission import Caller as AllowedCaller
from .admission import Refusal, may_connect, may_stay, places_of, refusal, wants_certificates
from .associate import AssociateRequest
from .association import Admission, Association, AssociationLimits
from .certificate import read_certificate
from .counts import Counts
from .refused import RefusedCaller
from .services import AssociationFacts, Services
from .strangers import Stranger, recognize
from .stream import DrainSignal
from .tls import TlsContexts, TlsUnusable, TlsWire
from .tls_failures import ABORTED, HandshakeFailed, of_device
from .wire import Wire

_SILENT: Final = 2000
"""Connections of one listener that have sent no byte yet; for a further one the oldest is closed."""
_ACCEPTED_A_TURN: Final = 64
_BACKLOG: Final = 4096
"""As many as Linux takes by default: a connection that finds no room waits a second before it tries again."""
_ENDED: Final = 200
"""Connections whose association has ended and that their peers do not close; for a further one the oldest is closed."""
_HALF_OPEN: Final = 200
"""Connections that have sent something and have not associated yet; for a further one the oldest is closed."""

_OPENING_BYTES: Final = 16
_TLS_HANDSHAKE: Final = b"\x16"
"""The content type of the first record (RFC 8446 5.1): more of it may come later."""
_PLAIN: Final = ("DICOMWithoutTLS", "a DICOM association without TLS: enable TLS on the device")

log = structlog.get_logger(__name__)


class ListenerError(Exception):
    """A port cannot be listened on; the message says which and why."""


@dataclass(frozen=True, slots=True)
class _Silent:
    """A connection that has sent no byte yet: it costs a descriptor and no thread."""

    connection: socket.socket
    address: IPv4Address | IPv6Address
    deadline: float

    def has_spoken(self) -> bool:
        """Return whether there is something to read, and not the end."""
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False


class Listener:
    """One listening port and the associations that came through it.

    `settings` returns today's configuration of this listener and the gateway's mode; it is asked for each
    association, so that a changed configuration holds from the next one on.
    """

    def __init__(
        self,
        name: str,
        settings: Callable[[], tuple[ListenerConfiguration, Mode]],
        services: Services,
        counts: Counts,
        bind: str,
        port: int,
        contexts: TlsContexts,
    ) -> None:
        self._contexts = contexts
        self.name = name
        self._settings = settings
        self._services = services
        self._counts = counts
        self._lock = threading.Lock()
        self._drain = DrainSignal()
        self._threads: set[threading.Thread] = set()
        self._associated: dict[threading.Thread, str] = {}
        """By what each caller that has a place is counted."""
        self._half_open: dict[threading.Thread, Wire] = {}
        self._ended: dict[threading.Thread, Wire] = {}
        """The connections of associations that have ended, which their peers are to close."""
        self._serials = itertools.count(1)
        self._boot = secrets.token_hex(3)
        self._socket = _listen(name, bind, port)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name=f"listen-{name}", daemon=True)

    @property
    def associations(self) -> int:
        """How many associations stand."""
        with self._lock:
            return len(self._associated)

    def start(self) -> None:
        """Begin to accept connections."""
        self._thread.start()

    def close(self) -> None:
        """Close the port at once, and let each association end after the message under way."""
        self._drain.set()
        self._thread.join()
        self._socket.close()

    def drain(self, deadline: float) -> None:
        """Close the port and wait until all associations have ended.

        After `deadline`, on the monotonic clock, what is left is abandoned to the end of the process.
        """
        self.close()
        while True:
            with self._lock:
                threads = list(self._threads)
            if not threads or time.monotonic() >= deadline:
                break
            threads[0].join(max(0.0, deadline - time.monotonic()))
        if not threads:
            self._drain.close()

    def _accept(self) -> None:
        silent: dict[int, _Silent] = {}  # by descriptor, the oldest first
        poll = select.epoll()
        poll.register(self._socket, select.EPOLLIN)
        poll.register(self._drain, select.EPOLLIN)
        with poll:
            while True:
                oldest = next(iter(silent.values()), None)
                wait = max(0.0, oldest.deadline - time.monotonic()) if oldest else None
                ready = [descriptor for descriptor, _ in poll.poll(wait)]
                if self._drain.is_set:
                    for one in silent.values():
                        one.connection.close()
                    return
                for descriptor in ready:
                    if descriptor in silent:
                        poll.unregister(descriptor)
                        one = silent.pop(descriptor)
                        if one.has_spoken():
                            self._begin(one.connection, one.address)
                        else:
                            one.connection.close()
                    if descriptor != self._socket.fileno():
                        continue
                    for accepted in self._accept_some():
                        silent[accepted.connection.fileno()] = accepted
                        poll.register(accepted.connection, select.EPOLLIN)
                self._close_oldest(silent)

    def _accept_some(self) -> Iterator["_Silent"]:
        """Accept what waits, but not so much at a time that those who have spoken would wait for it."""
        for _ in range(_ACCEPTED_A_TURN):
            accepted = self._accept_one()
            if accepted is None:
                return
            yield accepted

    def _accept_one(self) -> "_Silent | None":
        try:
            connection, raw_address = self._socket.accept()
        except BlockingIOError:
            return None
        except OSError as error:
            # Out of descriptors or memory: what is open goes on, and the peer finds a closed connection.
            log.error("listener.accept_failed", listener=self.name, error=str(error))
            threading.Event().wait(0.1)
            return None
        address, configuration = _plain_address(raw_address[0]), self._settings()[0]
        if not may_connect(address, configuration):
            # Before a byte is read: strangers take neither a thread nor a place.
            self._counts.refused(Refusal.SOURCE_ADDRESS.label)
            self._counts.turned_away(RefusedCaller(None, None, str(address), self.name, Refusal.SOURCE_ADDRESS.label))
            connection.close()
            return None
        return _Silent(connection, address, time.monotonic() + configuration.acse_timeout_seconds)

    def _close_oldest(self, silent: dict[int, "_Silent"]) -> None:
        """Close the silent connections whose time is up, and those that are too many."""
        now = time.monotonic()
        for descriptor, one in list(silent.items()):
            is_too_much = len(silent) > _SILENT
            if one.deadline > now and not is_too_much:
                return
            if is_too_much:
                self._counts.refused("TooManyConnections")
            silent.pop(descriptor).connection.close()  # which ends its registration too

    def _begin(self, connection: socket.socket, address: IPv4Address | IPv6Address) -> None:
        with self._lock:
            self._make_room()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wire = Wire(connection)
        thread = threading.Thread(
            target=self._run,
            args=(connection, wire, address),
            name=f"association-{self.name}",
            daemon=True,
        )
        with self._lock:
            self._threads.add(thread)
            self._half_open[thread] = wire
        try:
            thread.start()
        except RuntimeError as error:
            log.error("listener.no_thread", listener=self.name, error=str(error))
            with self._lock:
                self._threads.discard(thread)
                self._half_open.pop(thread, None)
            wire.close()

    def _make_room(self) -> None:
        """Close the connection that has taken longest to associate: slow peers keep nobody out."""
        if len(self._half_open) < _HALF_OPEN:
            return
        self._half_open.pop(next(iter(self._half_open))).shut_down()
        self._counts.refused("TooManyConnections")

    def _run(self, connection: socket.socket, wire: Wire, address: IPv4Address | IPv6Address) -> None:
        association: Association | None = None
        try:
            configuration, _ = self._settings()
            if configuration.tls is not None:
                wire = self._secured(connection, configuration.tls)
            limits = AssociationLimits(
                max_pdu_bytes=configuration.max_pdu_bytes,
                acse_timeout_seconds=configuration.acse_timeout_seconds,
                idle_timeout_seconds=configuration.idle_timeout_seconds,
                stall_timeout_seconds=configuration.stall_timeout_seconds,
            )
            association = Association(
                wire,
                str(address),
                self.name,
                limits,
                lambda request: self._admit(request, wire, address),
                self._services,
                self._counts,
                self._drain,
            )
            association.run()
        except HandshakeFailed as failure:
            self._note_failed(failure, address)
        except Exception:
            identifier = association.identifier if association is not None else ""
            log.exception("association.failed", listener=self.name, association=identifier)
        finally:
            with self._lock:
                self._half_open.pop(threading.current_thread(), None)
            wire.close()
            with self._lock:
                self._associated.pop(threading.current_thread(), None)
                self._ended.pop(threading.current_thread(), None)
                self._threads.discard(threading.current_thread())

    def _secured(self, connection: socket.socket, settings: ListenerTls) -> TlsWire:
        """Shake hands on a connection that has sent something. Raises HandshakeFailed."""
        try:
            opening = connection.recv(_OPENING_BYTES, socket.MSG_PEEK)
        except OSError as error:
            raise of_device(error) from error
        if opening[:1] != _TLS_HANDSHAKE:
            stranger = recognize(opening)
            plain = stranger is Stranger.MALFORMED
            label, sentence = _PLAIN if plain else (stranger.label, stranger.looks_like)
            raise HandshakeFailed(label, sentence)
        try:
            context = self._contexts.context(settings)
        except TlsUnusable as error:
            raise HandshakeFailed(Reason.CERTIFICATE_UNUSABLE, str(error)) from error
        try:
            wire = TlsWire(connection, context)
        except (OSError, ValueError) as error:  # it is gone already
            raise of_device(error) from error
        with self._lock:
            has_made_room = threading.current_thread() not in self._half_open
            if not has_made_room:
                self._half_open[threading.current_thread()] = wire
        if has_made_room:  # while its socket was between two hands, so that nobody could shut it down
            wire.close(at_once=True)
            raise HandshakeFailed(ABORTED, "the connection has made room for another one")
        try:
            wire.shake_hands(settings.handshake_timeout_seconds)
        except (OSError, ValueError) as error:  # ValueError: shut down from another thread
            wire.close(at_once=True)
            raise of_device(error) from error
        return wire

    def _note_failed(self, failure: HandshakeFailed, address: IPv4Address | IPv6Address) -> None:
        """Take note of a connection without TLS; who only knocks, as health checks do, is no news."""
        log.info(
            "listener.tls_failed", listener=self.name, address=str(address), reason=failure.reason, why=str(failure)
        )
        if failure.reason != ABORTED:
            self._counts.turned_away(RefusedCaller(None, None, str(address), self.name, failure.reason))

    def _leave(self, wire: Wire) -> None:
        """Give the place of an association back that has ended."""
        with self._lock:
            self._associated.pop(threading.current_thread(), None)
            self._ended[threading.current_thread()] = wire
            oldest = next(iter(self._ended)) if len(self._ended) > _ENDED else None
            if oldest is not None:
                self._ended.pop(oldest).shut_down()

    def _admit(self, request: AssociateRequest, wire: Wire, address: IPv4Address | IPv6Address) -> Admission:
        """Decide on a request; an admitted one takes one of the listener's places in the same step."""
        configuration, mode = self._settings()
        shown = wire.peer_certificate()
        facts = AssociationFacts(
            identifier=f"{self._boot}-{self.name}-{next(self._serials)}",
            listener=self.name,
            calling_ae_title=request.calling_ae_title,
            called_ae_title=request.called_ae_title,
            address=address,
            certificate=shown,
        )
        who = _caller(request.calling_ae_title, address, shown, configuration)
        reason = refusal(request, who, configuration, mode)
        if reason is None:
            reason = self._services.turn_away(request)
        with self._lock:
            caller, share = places_of(who, configuration)
            if reason is None and len(self._associated) >= configuration.max_associations:
                reason = Refusal.TOO_MANY_ASSOCIATIONS
            if reason is None and list(self._associated.values()).count(caller) >= share:
                reason = Refusal.TOO_MANY_OF_CALLER
            if reason is None:
                self._associated[threading.current_thread()] = caller
                self._half_open.pop(threading.current_thread(), None)
                self._counts.accepted()
        if reason is not None:
            titles = (request.calling_ae_title, request.called_ae_title)
            is_other = reason is Refusal.CERTIFICATE_OF_ANOTHER
            digest = who.certificate.sha256 if is_other and who.certificate is not None else ""
            self._counts.turned_away(
                RefusedCaller(*titles, str(address), self.name, reason.label, certificate_sha256=digest)
            )
        return Admission(facts, reason, lambda: self._is_still_admitted(facts), lambda: self._leave(wire))

    def _is_still_admitted(self, facts: AssociationFacts) -> bool:
        """Return whether the sources of today still admit the peer: one that was removed is refused at once."""
        configuration, _ = self._settings()
        who = _caller(facts.calling_ae_title, facts.address, facts.certificate, configuration)
        return may_stay(who, facts.called_ae_title, configuration)


def _caller(
    calling_ae_title: str,
    address: IPv4Address | IPv6Address,
    shown: bytes | None,
    configuration: ListenerConfiguration,
) -> AllowedCaller:
    """Return who calls; his certificate is read where it matters alone."""
    reads = shown is not None and wants_certificates(configuration)
    return AllowedCaller(calling_ae_title, address, read_certificate(shown) if reads and shown is not None else None)


def _listen(name: str, bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and bind == "::":
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((bind, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise ListenerError(f"listener {name} cannot use {bind} port {port}: {error.strerror}") from error
    return listening


def every_address() -> str:
    """Return the address that stands for all of this machine: `::`, with IPv4 in it, or that of IPv4 alone."""
    if not socket.has_dualstack_ipv6():
        return "0.0.0.0"
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:  # a kernel that was told to have no IPv6
        return "0.0.0.0"
    return "::"


def _plain_address(text: str) -> IPv4Address | IPv6Address:
    """Return the peer's address; an IPv4 address that came through an IPv6 socket is an IPv4 address."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
