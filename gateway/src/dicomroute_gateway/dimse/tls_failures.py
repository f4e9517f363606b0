"""Why no TLS came about, as the words of OpenSSL tell it: a reason for logs and lists, and what to do."""

import ssl
from typing import Final

from dicomroute_gateway.reasons import Reason

ABORTED: Final = "HandshakeAborted"
"""A handshake that was broken off without a word: most are health checks."""

_FAILURES: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "ClientCertificateMissing",
        "the device shows no certificate, but this listener requires one: install one on the device, or set "
        "tls.clientCertificates",
    ),
    "NO_SHARED_CIPHER": ("NoSharedCipher", "the device supports none of the cipher suites of tls.profile: update it"),
    "UNSUPPORTED_PROTOCOL": (
        Reason.TLS_VERSION_UNSUPPORTED,
        "the device does not support TLS 1.2: update it, or its settings",
    ),
    "WRONG_VERSION_NUMBER": (
        Reason.TLS_VERSION_UNSUPPORTED,
        "the device does not support TLS 1.2: update it, or its settings",
    ),
    "HTTP_REQUEST": ("HTTPRequest", "an HTTP request: a browser, a probe or a DICOMweb client on a DIMSE port"),
}
_ALERTS: Final = (
    "UNKNOWN_CA",
    "CERTIFICATE_UNKNOWN",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "UNSUPPORTED_CERTIFICATE",
)
_WANTS_CERTIFICATE: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE", "UNKNOWN_CA")
_VERIFICATIONS: Final = {
    9: (
        "ClientCertificateNotYetValid",
        "the certificate of the device is not valid yet: check its clock and the gateway's",
    ),
    10: ("ClientCertificateExpired", "the certificate of the device has expired: renew it there"),
}


class HandshakeFailed(Exception):
    """A device got no TLS. `reason` is a word for logs and the list of refused callers; the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NodeHandshakeFailed(Exception):
    """A node that was called has no TLS. The message says what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def of_device(error: Exception) -> HandshakeFailed:
    """Return why a device that called has no TLS."""
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
            sentence = "the device does not trust our certificate: install its authority on the device"
            return HandshakeFailed("CertificateRefusedByDevice", sentence)
        if not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return HandshakeFailed("HandshakeFailed", f"the TLS handshake failed: {why(error)}")
    return HandshakeFailed(ABORTED, "the device closed the connection during the TLS handshake")


def of_node(error: Exception) -> NodeHandshakeFailed:
    """Return why a node that was called has no TLS."""
    if isinstance(error, TimeoutError):
        return NodeHandshakeFailed(
            Reason.TLS_TIMED_OUT, "the node does not finish the TLS handshake: check that this port uses TLS"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (62, 64):
            found = error.verify_message
            sentence = f"the node's certificate is for another name ({found}): set tls.serverName to a name in it"
            return NodeHandshakeFailed(Reason.TLS_NAME_MISMATCH, sentence)
        if error.verify_code == 9:
            sentence = "the node's certificate is not valid yet: check the clocks of its authority and of both sides"
            return NodeHandshakeFailed(Reason.TLS_NOT_YET_VALID, sentence)
        if error.verify_code == 10:
            return NodeHandshakeFailed(Reason.TLS_EXPIRED, "the node's certificate has expired: renew it there")
        sentence = (
            f"the node's certificate is not trusted ({error.verify_message}): name its authority in tls.caBundleRef"
        )
        return NodeHandshakeFailed(Reason.TLS_UNTRUSTED, sentence)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if "ALERT" in reason and any(one in reason for one in _WANTS_CERTIFICATE):
            sentence = "the node requires a client certificate, or another one: set tls.clientCertificateRef"
            return NodeHandshakeFailed(Reason.TLS_CLIENT_CERTIFICATE_REQUIRED, sentence)
        if reason == "WRONG_VERSION_NUMBER":
            sentence = "the node does not use TLS on that port: remove tls, or use its TLS port"
            return NodeHandshakeFailed(Reason.TLS_FAILED, sentence)
        return NodeHandshakeFailed(Reason.TLS_FAILED, f"the TLS handshake failed: {why(error)}")
    return NodeHandshakeFailed(
        Reason.TLS_FAILED, "the node closed the connection during the TLS handshake: check that this port uses TLS"
    )


def why(error: Exception) -> str:
    """Return what the system, or OpenSSL, says of an error."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
