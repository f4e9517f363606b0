"""DIMSE over TLS, the acceptor's side (PS3.15 B.12, BCP 195: RFC 8996 and RFC 9325).

TLS 1.2 with the suites below, and 1.3. No compression, no renegotiation, and no session tickets: who resumes a session
is not asked for a certificate again, and a ticket is something to read that is no PDU.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import Final

from dicomroute_gateway.configuration.model import ClientCertificates, ListenerTls

from .wire import PeerGone, Piece, Wire

_CIPHERS: Final = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    )
)
"""RFC 9325 section 4.2. Those of TLS 1.3 are OpenSSL's own: AES-GCM and ChaCha20."""
_MOST_AT_ONCE: Final = 1 << 18


class TlsUnusable(Exception):
    """A listener cannot speak TLS; the message says why and what to do."""


class HandshakeFailed(Exception):
    """No TLS came about. `reason` is a word for logs and lists, the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AcceptorContexts:
    """What listeners speak TLS with, made anew when a mounted file changes. Safe to use from several threads."""

    def __init__(self, secrets: Path) -> None:
        self._secrets = secrets
        self._made: dict[ListenerTls, tuple[tuple[tuple[int, int], ...], ssl.SSLContext]] = {}

    def context(self, settings: ListenerTls) -> ssl.SSLContext:
        """Return the context of today's files. Raises TlsUnusable."""
        files = [self._secrets / file for file in settings.files]
        try:
            versions = tuple((stat.st_ino, stat.st_mtime_ns) for stat in (file.stat() for file in files))
        except OSError as error:
            raise TlsUnusable(f"{Path(error.filename).name} is not mounted: create its Secret") from error
        known = self._made.get(settings)
        if known is None or known[0] != versions:
            known = (versions, self._make(settings))
            self._made[settings] = known
        return known[1]

    def _make(self, settings: ListenerTls) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_IGNORE_UNEXPECTED_EOF
        context.num_tickets = 0
        try:
            context.load_cert_chain(self._secrets / settings.certificate_file, self._secrets / settings.key_file)
        except (OSError, ssl.SSLError) as error:
            raise TlsUnusable(f"{settings.certificate_file} and {settings.key_file}: {_why(error)}") from error
        if settings.client_certificates is not ClientCertificates.IGNORED:
            required = settings.client_certificates is ClientCertificates.REQUIRED
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
            try:
                context.load_verify_locations(self._secrets / settings.client_ca_bundle_file)
            except (OSError, ssl.SSLError) as error:
                raise TlsUnusable(f"{settings.client_ca_bundle_file} holds no certificates: {_why(error)}") from error
        return context


class TlsWire(Wire):
    """A connection over TLS; until `shake_hands` has returned nothing can be sent or received."""

    def __init__(self, connection: socket, context: ssl.SSLContext) -> None:
        connection.setblocking(True)
        self._tls = context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        super().__init__(self._tls)

    def shake_hands(self, seconds: float) -> None:
        """Take so long at most for the whole handshake. Raises HandshakeFailed."""
        self._tls.settimeout(seconds)
        try:
            self._tls.do_handshake()
        except (OSError, ValueError) as error:  # ValueError: shut down from another thread
            raise _handshake_failed(error) from error
        self._tls.setblocking(False)

    def receive_into(self, view: memoryview) -> int:
        """Receive at least one byte, of as many records as are there; return how many. Raises as the plain one does."""
        total = 0
        while total < min(len(view), _MOST_AT_ONCE):
            try:
                received = self._tls.recv_into(view[total:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if total:
                    break
                raise BlockingIOError from error
            except (OSError, ValueError) as error:
                if total:
                    break
                raise PeerGone(_why(error)) from error
            if not received:
                if total:
                    break
                raise PeerGone("the peer closed the connection")
            total += received
        return total

    def send(self, pieces: Sequence[Piece]) -> int:
        """Send as much of the pieces as goes out now; return how many bytes. Raises BlockingIOError, PeerGone."""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except (OSError, ValueError) as error:
            raise PeerGone(_why(error)) from error

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


_FAILURES: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "ClientCertificateMissing",
        "the device shows no certificate, and this listener wants one: give it one, or set tls.clientCertificates",
    ),
    "NO_SHARED_CIPHER": ("NoSharedCipher", "the device has none of the cipher suites of PS3.15 B.12: update it"),
    "UNSUPPORTED_PROTOCOL": ("TLSVersionUnsupported", "the device speaks no TLS 1.2: update it, or its settings"),
    "WRONG_VERSION_NUMBER": ("TLSVersionUnsupported", "the device speaks no TLS 1.2: update it, or its settings"),
    "HTTP_REQUEST": ("HTTPRequest", "an HTTP request: a browser, a probe or a DICOMweb client on a DIMSE port"),
}
_ALERTS: Final = (
    "UNKNOWN_CA",
    "CERTIFICATE_UNKNOWN",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "UNSUPPORTED_CERTIFICATE",
)
_VERIFICATIONS: Final = {
    9: ("ClientCertificateNotYetValid", "the certificate of the device is not valid yet: look at its clock and ours"),
    10: ("ClientCertificateExpired", "the certificate of the device has expired: renew it there"),
}


def _handshake_failed(error: Exception) -> HandshakeFailed:
    if isinstance(error, TimeoutError):
        return HandshakeFailed("HandshakeTimedOut", "the device did not finish its TLS handshake in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        found = _VERIFICATIONS.get(
            error.verify_code,
            (
                "ClientCertificateUntrusted",
                f"the certificate of the device is not trusted ({error.verify_message}): add its authority to "
                "tls.clientCABundleRef",
            ),
        )
        return HandshakeFailed(*found)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if reason in _FAILURES:
            return HandshakeFailed(*_FAILURES[reason])
        if any(reason.endswith(one) for one in _ALERTS):
            sentence = "the device does not trust our certificate: give it the authority that issued it"
            return HandshakeFailed("CertificateRefusedByDevice", sentence)
        if not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return HandshakeFailed("HandshakeFailed", f"the TLS handshake failed: {_why(error)}")
    return HandshakeFailed("HandshakeAborted", "the device ended the connection in its TLS handshake")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
