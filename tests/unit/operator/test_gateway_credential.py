"""The admin credential can be made again from the key and the UID, and tells nothing of another route's."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from dicomroute_operator.gateways.credential import admin_credential, fingerprint

KEY = b"a key of the tests, with thirty-two bytes or more"


def test_equal_inputs_give_an_equal_credential() -> None:
    assert admin_credential("uid-1", KEY) == admin_credential("uid-1", KEY)


def test_routes_and_keys_share_nothing() -> None:
    credentials = [admin_credential("uid-1", KEY), admin_credential("uid-2", KEY), admin_credential("uid-1", KEY * 2)]
    for field in ("token", "certificate", "key"):
        assert len({getattr(one, field) for one in credentials}) == 3
    assert len({fingerprint(one.certificate) for one in credentials}) == 3


def test_openssl_serves_with_it(tmp_path: Path) -> None:
    credential = admin_credential("uid-1", KEY)
    (tmp_path / "tls.crt").write_text(credential.certificate)
    (tmp_path / "tls.key").write_text(credential.key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    certificate = x509.load_pem_x509_certificate(credential.certificate.encode())
    assert certificate.not_valid_before_utc < datetime.now(UTC) < certificate.not_valid_after_utc
