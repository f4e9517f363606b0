"""When a credential ends, as far as that is written in it: certificates, and bearer tokens that are JSON Web Tokens."""

import base64
import binascii
import json
from pathlib import Path

from dicomroute_gateway.configuration.credentials import AzureClientCertificateAuth, BearerAuth
from dicomroute_gateway.dicomweb.endpoint import Endpoint
from dicomroute_gateway.dicomweb.faults import CredentialFault

from .files import read_text


def expires_time(endpoint: Endpoint, secrets: Path) -> float | None:
    """Return when the first of an endpoint's credentials ends, in seconds since 1970; None when nothing says so.

    Tokens that the gateway renews itself do not count.
    """
    certificates = [endpoint.tls.client_certificate_file] if endpoint.tls.client_certificate_file else []
    if isinstance(endpoint.auth, AzureClientCertificateAuth):
        certificates.append(endpoint.auth.certificate_file)
    times = [certificate_end(secrets, file) for file in certificates]
    if isinstance(endpoint.auth, BearerAuth):
        times.append(_token_end(secrets, endpoint.auth.token_file))
    return min((time for time in times if time is not None), default=None)


def certificate_end(secrets: Path, file: str) -> float | None:
    """Return when a certificate, the first of its file, ends; None where that cannot be read."""
    from cryptography import x509  # noqa: PLC0415

    try:
        return x509.load_pem_x509_certificate(read_text(secrets, file).encode()).not_valid_after_utc.timestamp()
    except (CredentialFault, ValueError):
        return None  # a request says what is wrong with it


def bundle_end(secrets: Path, file: str) -> float | None:
    """Return when the last authority of a bundle ends: one that follows another stands beside it for a while."""
    from cryptography import x509  # noqa: PLC0415

    try:
        certificates = x509.load_pem_x509_certificates(read_text(secrets, file).encode())
        return max(one.not_valid_after_utc.timestamp() for one in certificates)
    except (CredentialFault, ValueError):
        return None


def _token_end(secrets: Path, file: str) -> float | None:
    """Return the `exp` of a token, if it is a JSON Web Token (RFC 7519 4.1.4); its signature is for others to check."""
    try:
        payload = read_text(secrets, file).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        end = float(claims["exp"])
    except (CredentialFault, IndexError, KeyError, TypeError, ValueError, RecursionError, binascii.Error):
        return None
    return end if 0 < end < 1e11 else None
