"""The admin credential of a route: derived from one key and the route's UID, so that nobody has to remember it.

The operator may not read Secrets, not even those that it writes. What it cannot read back it can make again: token, key
and certificate are functions of the key and the UID. The certificate is self-signed with Ed25519, whose signatures are
deterministic (RFC 8032), and the operator knows it by its fingerprint, so that no authority has to be kept either.
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

from dicomroute_operator.render.objects import AdminCredential

_NOT_BEFORE: Final = datetime(2020, 1, 1, tzinfo=UTC)
_NOT_AFTER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""Without a well-defined end (RFC 5280 4.1.2.5): the certificate ends with the key that it is derived from."""


@lru_cache(maxsize=4096)
def admin_credential(uid: str, key: bytes) -> AdminCredential:
    """Return the credential of the route with this UID: another route's tells nothing of it."""
    private = Ed25519PrivateKey.from_private_bytes(_derive(key, "serving-key", uid))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"dicomroute gateway {uid}"[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(int.from_bytes(_derive(key, "serial", uid)[:16]) | 1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{uid}.gateway.dicomroute.dev")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, None)
    )
    return AdminCredential(
        token=_derive(key, "token", uid).hex(),
        certificate=certificate.public_bytes(Encoding.PEM).decode(),
        key=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        configuration_key=_derive(key, "configuration", uid).hex(),
    )


def fingerprint(certificate: str) -> bytes:
    """Return the SHA-256 of a certificate in PEM, by which its holder is known."""
    der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
    return hashlib.sha256(der).digest()


@dataclass(frozen=True, slots=True)
class Access:
    """How a gateway is asked: the token, and the fingerprint of the certificate it must show."""

    token: str
    fingerprint: bytes


@lru_cache(maxsize=4096)
def access(uid: str, key: bytes) -> Access:
    """Return how the gateway of the route with this UID is asked."""
    credential = admin_credential(uid, key)
    return Access(credential.token, fingerprint(credential.certificate))


def _derive(key: bytes, purpose: str, uid: str) -> bytes:
    return hmac.new(key, f"{purpose}:{uid}".encode(), hashlib.sha256).digest()
