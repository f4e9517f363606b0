"""Certificates of the tests' own authority, made when they are needed and kept nowhere."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority; what it issues are PEM files in a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = name
        self._issued = 0
        self._key = rsa.generate_private_key(65537, 2048)
        now = datetime.now(UTC)
        self._certificate = self._sign(name, self._key, now + timedelta(days=30), [], is_authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    @property
    def pem(self) -> str:
        return self.file.read_text()

    def issue(self, *hosts: str, days: float = 7, begins: float = -2) -> tuple[Path, Path]:
        """Return a certificate for hosts, and its key, valid from `begins` to `days` from now."""
        self._issued += 1
        key = rsa.generate_private_key(65537, 2048)
        certificate = self._sign(hosts[0], key, datetime.now(UTC) + timedelta(days=days), list(hosts), begins)
        files = tuple(self._folder / f"{self._name}-{self._issued}.{end}" for end in ("crt", "key"))
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files[0], files[1]

    def server(self, *hosts: str, days: float = 7, clients: "Authority | None" = None) -> ssl.SSLContext:
        """Return what a server speaks TLS with; one that is given `clients` wants a certificate of theirs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(*(hosts or ("127.0.0.1", "localhost")), days=days))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.file)
        return context

    def _sign(
        self,
        name: str,
        key: rsa.RSAPrivateKey,
        end: datetime,
        hosts: list[str],
        begins: float = -2,
        *,
        is_authority: bool = False,
    ) -> x509.Certificate:
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = own if is_authority else self._certificate.subject
        builder = (
            x509.CertificateBuilder()
            .subject_name(own)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(datetime.now(UTC), end) + timedelta(days=begins))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if is_authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), False)
        return builder.sign(self._key, SHA256())


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
