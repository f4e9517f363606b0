"""The certificate that a peer shows, and whether it is one of those that a node has. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from dicomroute_gateway.configuration.listener import NodeCertificate


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What is known of a certificate whose chain and dates TLS has verified already.

    `dns_names` are those of its subjectAltName in lower case, `common_name` is that of its subject, "" where it has
    none or several; `sha256` is the digest of its DER, in hexadecimal.
    """

    dns_names: frozenset[str]
    common_name: str
    sha256: str

    def is_one_of(self, certificates: Iterable[NodeCertificate]) -> bool:
        """Whether a node that has these certificates may show it."""
        return any(
            (one.dns_name and one.dns_name.lower() in self.dns_names)
            or (one.common_name and one.common_name == self.common_name)
            or (one.sha256 and one.sha256 == self.sha256)
            for one in certificates
        )


@lru_cache(maxsize=256)  # it is asked before each message
def read_certificate(der: bytes) -> PeerCertificate:
    """Return what a certificate in DER says; one whose names cannot be read is known by its digest alone."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    digest = hashlib.sha256(der).hexdigest()
    try:
        certificate = x509.load_der_x509_certificate(der)
        titles = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        names: list[str] = []
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            names = extension.value.get_values_for_type(x509.DNSName)
        except x509.ExtensionNotFound:
            pass
    except ValueError:
        return PeerCertificate(frozenset(), "", digest)
    return PeerCertificate(frozenset(name.lower() for name in names), titles[0] if len(titles) == 1 else "", digest)
