"""DIMSE over TLS, for acceptor and requestor (PS3.15 B.12 and B.13, BCP 195: RFC 8996 and RFC 9325).

TLS 1.2 with the suites of the profile, and 1.3. No compression, no renegotiation, and no session tickets: who resumes a
session is not asked for a certificate again, and a ticket is something to read that is no PDU.
"""

import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import Final

from dicomroute_gateway.configuration.destinations import NodeTls
from dicomroute_gateway.configuration.listener import ClientCertificates, ListenerTls, TlsProfile
from dicomroute_gateway.reasons import Reason

from .tls_failures import of_node, why
from .wire import PeerGone, Piece, Readiness, Wire

CIPHERS: Final = {
    TlsProfile.BCP195_RFC9325: (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    TlsProfile.MODIFIED_BCP195_RFC9325: (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-CCM",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-CCM",
        "@SECLEVEL=2",
    ),
}
"""Suites of TLS 1.2, the best first: RFC 9325 section 4.2, and PS3.15 B.13 without those that OpenSSL has not (Camellia
with GCM) and those whose tag is cut to eight bytes (CCM_8). Those of TLS 1.3 are OpenSSL's own: AES-GCM and ChaCha20.
The level asks for 2048 bits of RSA and for SHA-256 in certificates; curves below 256 bits OpenSSL does not offer.
"""
_MOST_AT_ONCE: Final = 1 << 18
_RECORD_BYTES: Final = 1 << 14
"""The longest record (RFC 8446 5.1)."""


class TlsUnusable(Exception):
    """No TLS can be spoken with what is mounted; the message says why and what to do."""


class TlsContexts:
    """What TLS is spoken with, made anew when a mounted file changes. Safe to use from several threads."""

    def __init__(self, secrets: Path) -> None:
        self._secrets = secrets
        self._made: dict[ListenerTls | NodeTls, tuple[tuple[tuple[int, int], ...], ssl.SSLContext]] = {}

    def context(self, settings: ListenerTls | NodeTls) -> ssl.SSLContext:
        """Return the context of today's files. Raises TlsUnusable."""
        files = [self._secrets / file for file in settings.files]
        try:
            versions = tuple((stat.st_ino, stat.st_mtime_ns) for stat in (file.stat() for file in files))
        except OSError as error:
            raise TlsUnusable(f"{Path(error.filename).name} is not mounted: create its Secret") from error
        if isinstance(settings, ListenerTls) and settings.client_certificates is not ClientCertificates.IGNORED:
            # Sessions of TLS 1.2 are resumed within a context, and who resumes one shows no certificate.
            return self._of_listener(settings)
        known = self._made.get(settings)
        if known is None or known[0] != versions:
            made = self._of_listener(settings) if isinstance(settings, ListenerTls) else self._of_node(settings)
            known = (versions, made)
            self._made[settings] = known
        return known[1]

    def _of_listener(self, settings: ListenerTls) -> ssl.SSLContext:
        context = _new(ssl.PROTOCOL_TLS_SERVER, settings.profile)
        context.num_tickets = 0
        self._load(context, settings.certificate_file, settings.key_file)
        if settings.client_certificates is not ClientCertificates.IGNORED:
            required = settings.client_certificates is ClientCertificates.REQUIRED
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
            self._trust(context, settings.client_ca_bundle_file)
        return context

    def _of_node(self, settings: NodeTls) -> ssl.SSLContext:
        context = _new(ssl.PROTOCOL_TLS_CLIENT, settings.profile)
        context.check_hostname = settings.verify_name
        if settings.ca_bundle_file:
            self._trust(context, settings.ca_bundle_file)
        else:
            context.load_default_certs()
        if settings.client_certificate_file:
            self._load(context, settings.client_certificate_file, settings.client_key_file)
        return context

    def _load(self, context: ssl.SSLContext, certificate_file: str, key_file: str) -> None:
        try:
            # A password that is given keeps OpenSSL from asking for one at a terminal.
            context.load_cert_chain(self._secrets / certificate_file, self._secrets / key_file, password="")
        except (OSError, ValueError) as error:
            raise TlsUnusable(
                f"{certificate_file} and {key_file} are not a certificate and its unencrypted key in PEM: {why(error)}"
            ) from error

    def _trust(self, context: ssl.SSLContext, file: str) -> None:
        try:
            context.load_verify_locations(self._secrets / file)
        except (OSError, ValueError) as error:
            raise TlsUnusable(f"{file} contains no certificates in PEM: {why(error)}") from error


def _new(protocol: int, profile: TlsProfile) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    context.set_ciphers(":".join(CIPHERS[profile]))
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


class TlsWire(Wire):
    """A connection over TLS; until `shake_hands` has returned nothing can be sent or received.

    With a `server_name` it is a requestor's. What is read to learn whether the peer has said something is kept: a
    socket that can be read may hold no more than a record of TLS itself.
    """

    def __init__(self, connection: socket, context: ssl.SSLContext, server_name: str | None = None) -> None:
        connection.setblocking(True)
        self._tls = context.wrap_socket(
            connection,
            server_side=server_name is None,
            server_hostname=server_name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=True,
        )
        self._kept = b""
        self._gone: PeerGone | None = None
        super().__init__(self._tls)

    def shake_hands(self, seconds: float) -> None:
        """Take so long at most for the whole handshake. Raises OSError, ssl.SSLError among it, ValueError."""
        self._tls.settimeout(seconds)
        self._tls.do_handshake()
        self._tls.setblocking(False)

    def peer_certificate(self) -> bytes | None:
        """Return the certificate in DER that the peer has shown and that was verified; None where it showed none."""
        return self._tls.getpeercert(binary_form=True)

    def receive_into(self, view: memoryview) -> int:
        """Receive at least one byte, of as many records as are there; return how many. Raises as the plain one does."""
        total = min(len(view), len(self._kept))
        if total:
            view[:total], self._kept = self._kept[:total], self._kept[total:]
            return total
        if self._gone is not None:
            raise self._gone
        while total < min(len(view), _MOST_AT_ONCE):
            try:
                received = self._tls.recv_into(view[total:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if total:
                    break
                raise BlockingIOError from error
            except (OSError, ValueError) as error:
                self._gone = _gone(error)
                received = 0
            if not received:
                self._gone = self._gone or PeerGone("the peer closed the connection")
                if total:
                    break
                raise self._gone
            total += received
        return total

    def has_spoken(self) -> bool:
        """Return whether something can be received, an end of the connection included."""
        if self._kept or self._gone is not None:
            return True
        buffer = bytearray(_RECORD_BYTES)
        try:
            count = self.receive_into(memoryview(buffer))
        except BlockingIOError:
            return False
        except PeerGone:
            return True
        self._kept = bytes(buffer[:count])
        return True

    def wait_to_receive(self, seconds: float, *others: int) -> set[int]:
        """Wait until this or another descriptor is readable; return those that are, none when the time is up."""
        ends = time.monotonic() + seconds
        while True:
            if self.has_spoken():
                return {self.fileno()}
            ready = super().wait_to_receive(max(0.0, ends - time.monotonic()), *others)
            if not ready or self.fileno() not in ready or self.has_spoken():
                return ready

    def wait_to_send(self, seconds: float) -> Readiness | None:
        """Wait until something can be sent, or is to be heard first; None when the time is up."""
        ends = time.monotonic() + seconds
        while True:
            found = super().wait_to_send(max(0.0, ends - time.monotonic()))
            if found is not Readiness.TO_RECEIVE or self.has_spoken():
                return found
            if self.can_send(0):
                return Readiness.TO_SEND

    def send(self, pieces: Sequence[Piece]) -> int:
        """Send a record's worth of the pieces if it goes out now; return how many bytes. Raises as the plain one does.

        What is tried again is the same bytes, as OpenSSL wants it.
        """
        data = memoryview(pieces[0])[:_RECORD_BYTES]
        if len(data) < _RECORD_BYTES and len(pieces) > 1:
            joined = bytearray(data)
            for piece in pieces[1:]:
                joined += memoryview(piece)[: _RECORD_BYTES - len(joined)]
                if len(joined) == _RECORD_BYTES:
                    break
            data = memoryview(joined)
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except (OSError, ValueError) as error:
            raise PeerGone(why(error)) from error

    def shut_down(self) -> None:
        """End the connection in both directions; whoever waits on it in another thread goes on."""
        try:
            socket.shutdown(self._tls, SHUT_RDWR)  # below TLS, whose state is another thread's
        except OSError:
            pass

    def close(self, *, at_once: bool = False) -> None:
        """Close the connection, and say so where that is still possible (RFC 8446 6.1)."""
        if not at_once:
            try:
                self._tls.setblocking(False)
                self._tls.unwrap()
            except (OSError, ValueError):
                pass  # the peer does not wait for it, or has not read what was sent before
        super().close(at_once=at_once)


def _gone(error: Exception) -> PeerGone:
    """Return the end of a connection; TLS 1.3 tells only here that the peer wants a certificate."""
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        failure = of_node(error)
        if failure.reason != Reason.TLS_FAILED:
            return PeerGone(str(failure), failure.reason)
    return PeerGone(why(error))
