"""What a certificate says, and whose it is."""

import ssl
from pathlib import Path

import pytest
from certificates import Authority

from dicomroute_gateway.configuration.listener import NodeCertificate
from dicomroute_gateway.dimse.certificate import PeerCertificate, read_certificate


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> PeerCertificate:
    file, _ = Authority(tmp_path_factory.mktemp("authority")).issue("CT 1", "ct-1.Example", "192.0.2.7")
    return read_certificate(ssl.PEM_cert_to_DER_cert(file.read_text()))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], False),
        ([{"dnsName": "CT-1.example"}], True),
        ([{"dnsName": "example"}], False),
        ([{"dnsName": "192.0.2.7"}], False),
        ([{"commonName": "CT 1"}], True),
        ([{"commonName": "ct 1"}], False),
        ([{"commonName": "ct-1.Example"}], False),
        ([{"dnsName": "other"}, {"commonName": "CT 1"}], True),
        ([{"sha256": "0" * 64}], False),
        ([{}], False),
    ],
)
def test_whose_it_is(shown: PeerCertificate, wanted: list[dict[str, str]], expected: bool) -> None:
    assert shown.is_one_of([NodeCertificate.model_validate(one) for one in wanted]) == expected


def test_it_is_known_by_its_digest(shown: PeerCertificate) -> None:
    assert shown.is_one_of([NodeCertificate(sha256=shown.sha256)])


def test_what_nobody_can_read_is_known_by_its_digest_alone() -> None:
    found = read_certificate(b"no certificate")
    assert (found.dns_names, found.common_name, len(found.sha256)) == (frozenset(), "", 64)
    assert not found.is_one_of([NodeCertificate(), NodeCertificate(common_name="x")])


def test_one_without_names_has_none(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    found = read_certificate(ssl.PEM_cert_to_DER_cert(authority.pem))
    assert (found.dns_names, found.common_name) == (frozenset(), "authority")
