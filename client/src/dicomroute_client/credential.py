"""How the gateway of a route is asked, derived from one key and the route's UID, so that nobody has to remember it.

Token, serving key and certificate are functions of the key and the UID (ADR 7). Whoever holds the key can ask every
gateway; the certificate is self-signed with Ed25519, whose signatures are deterministic (RFC 8032), and known by its
fingerprint.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_NOT_BEFORE: Final = datetime(2020, 1, 1, tzinfo=UTC)
_NOT_AFTER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""Without a well-defined end (RFC 5280 4.1.2.5): the certificate ends with the key that it is derived from."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What a gateway serves its admin API with, both in PEM."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Access:
    """How a gateway is asked: the token, and the fingerprint of the certificate it must show."""

    token: str
    fingerprint: bytes


def serving(uid: str, key: bytes) -> Serving:
    """Return certificate and key of the route with this UID: another route's tell nothing of them."""
    private = Ed25519PrivateKey.from_private_bytes(derive(key, "serving-key", uid))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"dicomroute gateway {uid}"[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(int.from_bytes(derive(key, "serial", uid)[:16]) | 1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{uid}.gateway.dicomroute.dev")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, None)
    )
    return Serving(
        certificate.public_bytes(Encoding.PEM).decode(),
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def fingerprint(certificate: str) -> bytes:
    """Return the SHA-256 of a certificate in PEM, by which its holder is known."""
    der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
    return hashlib.sha256(der).digest()


def token(uid: str, key: bytes) -> str:
    """Return the token that opens the admin API of the route with this UID."""
    return derive(key, "token", uid).hex()


@lru_cache(maxsize=4096)
def access(uid: str, key: bytes) -> Access:
    """Return how the gateway of the route with this UID is asked."""
    return Access(token(uid, key), fingerprint(serving(uid, key).certificate))


def derive(key: bytes, purpose: str, uid: str) -> bytes:
    """Return the 32 bytes of one purpose and one route."""
    return hmac.new(key, f"{purpose}:{uid}".encode(), hashlib.sha256).digest()
