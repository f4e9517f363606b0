"""What a request fails with before there is an answer, and what each failure is called."""

import os
import ssl
from typing import Final

import aiohttp

from dicomroute_gateway.reasons import Reason


class CredentialFault(Exception):
    """A credential is missing, unusable or refused: a person has to mend it; `reason` says which."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CredentialMissing(CredentialFault):
    """A Secret that the destination needs is not there; the message names it."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.SECRET_MISSING, message)


class TransportFailed(Exception):
    """No answer came; `reason` says where it broke off."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.broke_off = False
        """Whether the destination had begun to take what the request carries."""


class AnswerFailed(Exception):
    """The server answered, and not with what was asked for; `reason` is a word for why, `status` the HTTP status."""

    def __init__(self, reason: Reason, status: int, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


# OpenSSL's X509_V_ERR_…
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_HOSTNAME_MISMATCH: Final = 62
_ADDRESS_MISMATCH: Final = 64

_OLD_VERSIONS: Final = (
    "UNSUPPORTED_PROTOCOL",
    "ALERT_PROTOCOL_VERSION",
    "WRONG_SSL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
    "VERSION_TOO_LOW",
)
_ASKED_FOR_A_CERTIFICATE: Final = (
    "CERTIFICATE_REQUIRED",
    "ALERT_UNKNOWN_CA",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_ACCESS_DENIED",
    "ALERT_HANDSHAKE_FAILURE",  # how TLS 1.2 says that it wanted a certificate
)


def failure(error: Exception, where: str, proxy: str = "") -> TransportFailed | CredentialFault:
    """Return what an error of aiohttp is called. `where` is whom the request was for, `proxy` what it went through."""
    tls = _tls_error(error)
    if tls is not None:
        return _tls_failure(tls, where)
    match error:
        case aiohttp.ClientHttpProxyError(status=407):
            return proxy_authentication_required(proxy)
        case aiohttp.ClientHttpProxyError():
            return TransportFailed(
                Reason.PROXY_REFUSED, f"the proxy {proxy} answers {error.status} to a tunnel request for {where}"
            )
        case aiohttp.ClientProxyConnectionError():
            return _proxy_unreachable(proxy, error)
        case aiohttp.ClientConnectorDNSError() if proxy:
            return TransportFailed(Reason.PROXY_UNREACHABLE, f"the host name of the proxy {proxy} cannot be resolved")
        case aiohttp.ClientConnectorDNSError():
            return TransportFailed(Reason.DNS_FAILED, f"the host name in {where} cannot be resolved")
        case aiohttp.ClientConnectorError() if proxy:
            return _proxy_unreachable(proxy, error)
        case aiohttp.ClientConnectorError():
            return TransportFailed(Reason.CONNECTION_FAILED, f"{where}: {system_sentence(error.os_error)}")
        case aiohttp.ConnectionTimeoutError():
            return TransportFailed(Reason.CONNECTION_FAILED, f"{where}: no connection in time")
        case TimeoutError():
            return TransportFailed(Reason.TIMED_OUT, f"{where} neither read nor sent a byte in time")
        case aiohttp.InvalidURL() | UnicodeError():
            return TransportFailed(Reason.URL_INVALID, f"{where} is not valid for a connection: correct the URL")
    return TransportFailed(Reason.CONNECTION_LOST, f"{where}: {type(error).__name__} before an answer came")


def proxy_authentication_required(proxy: str) -> CredentialFault:
    """Return what a 407 is called (RFC 9110 15.5.8)."""
    return CredentialFault(
        Reason.PROXY_AUTHENTICATION_REQUIRED,
        f"the proxy {proxy} requires a user name and password, or other ones: correct proxy.basic",
    )


def _proxy_unreachable(proxy: str, error: aiohttp.ClientConnectorError) -> TransportFailed:
    sentence = f"the proxy {proxy} cannot be reached: {system_sentence(error.os_error)}"
    return TransportFailed(Reason.PROXY_UNREACHABLE, sentence)


def system_sentence(error: OSError) -> str:
    """Return the system's word for an error; asyncio's own text of a connection has the address again."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return the error of TLS that is behind an error, if any: TLS 1.3 tells its refusals after the handshake."""
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        for inner in (getattr(here, "certificate_error", None), getattr(here, "os_error", None), here):
            # aiohttp's own errors are of this class too and have nothing of what OpenSSL says
            if isinstance(inner, ssl.SSLError) and not isinstance(inner, aiohttp.ClientError):
                return inner
        here = here.__cause__ or here.__context__
    return None


def _tls_failure(error: ssl.SSLError, where: str) -> TransportFailed:
    if isinstance(error, ssl.SSLCertVerificationError):
        detail = error.verify_message or "it cannot be verified"
        if error.verify_code in (_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH):
            return TransportFailed(
                Reason.TLS_NAME_MISMATCH, f"the certificate of {where} is for another name: {detail}"
            )
        if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
            return TransportFailed(
                Reason.TLS_EXPIRED, f"a certificate of {where} has expired or is not valid yet: {detail}"
            )
        return TransportFailed(
            Reason.TLS_UNTRUSTED, f"the certificate of {where} is not trusted ({detail}): see caBundleRef"
        )
    reason = error.reason or ""
    if any(one in reason for one in _OLD_VERSIONS):
        return TransportFailed(Reason.TLS_VERSION_UNSUPPORTED, f"{where} does not support TLS 1.2 or newer")
    if any(one in reason for one in _ASKED_FOR_A_CERTIFICATE):
        sentence = f"{where} refused the handshake ({reason}): it requires a client certificate, or another one"
        return TransportFailed(Reason.TLS_CLIENT_CERTIFICATE_REQUIRED, f"{sentence}; see tls.clientCertificateRef")
    return TransportFailed(Reason.TLS_FAILED, f"{where}: {reason or 'the handshake failed'}")
