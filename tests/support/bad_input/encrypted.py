"""TLS: handshakes that come to nothing, certificates that are of no use, ends without a word."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from certificates import Authority
from manifests import Json, ca_bundle, changed, tls_secret
from pdus import DATA, associate_request, command_set, data_set, message, p_data, pdv, store_values
from peer import Closed, Rejected, new_uid
from routes import local_node

from .row import Expected, Gone, Play, Port, Row, Stored

_VERSIONS: Final = "RFC 8996; PS3.15 B.12"
_WANTED: Final = "RFC 8446 4.4.2.4; RFC 5246 7.4.6"
_VERIFIED: Final = "RFC 5280 6.1; RFC 8446 4.4.2.4"
_CLIENT_HELLO: Final = bytes.fromhex("1603010200010001fc0303") + bytes(500)


class Encrypted:
    """The certificates of a gateway with a listener that encrypts, and of the devices that call it.

    `port` is that of the listener, once it runs.
    """

    def __init__(self, folder: Path) -> None:
        self.servers, self.devices = Authority(folder / "servers", "servers"), Authority(folder / "devices", "devices")
        self.strangers = Authority(folder / "strangers", "strangers")
        self.port = 0

    def manifests(self) -> list[Json]:
        """Return what the listener names."""
        scanner = changed(local_node(), "spec.certificates", [{"dnsName": "ct-1.example"}])
        bundle, _ = ca_bundle("callers", self.devices.pem)
        shown = tls_secret("gateway-tls", *self.servers.issue("127.0.0.1"))
        return [changed(scanner, "metadata.name", "ct-encrypted"), bundle, shown]

    def listener(self) -> Json:
        """Return the listener."""
        _, callers = ca_bundle("callers", self.devices.pem)
        return {
            "name": "dicom-tls",
            "port": 2762,
            "aeTitles": ["CTGATE"],
            "sources": {"nodes": [{"name": "ct-encrypted"}]},
            "tls": {
                "certificateRef": {"name": "gateway-tls"},
                "clientCABundleRef": callers,
                "handshakeTimeoutSeconds": 2,
            },
        }

    def context(self, files: tuple[Path, Path] | None) -> ssl.SSLContext:
        """Return what a device speaks TLS with that shows this certificate."""
        context = ssl.create_default_context(cafile=str(self.servers.file))
        if files is not None:
            context.load_cert_chain(*files)
        return context

    def good(self) -> ssl.SSLContext:
        """Return what the scanner speaks TLS with."""
        return self.context(self.devices.issue("ct-1.example"))


Speaks = Callable[[Encrypted], ssl.SSLContext]


def _associates(speaks: Speaks) -> Play:
    """Shake hands and ask for an association; TLS 1.3 tells the requestor on its first read what is wrong."""

    def play(port: Port) -> Expected:
        assert port.encrypted is not None
        try:
            return port.secure(speaks(port.encrypted)).associate()
        except OSError:  # no TLS came about
            return Closed()

    return play


def _shows(issue: Callable[[Encrypted], tuple[Path, Path] | None]) -> Play:
    return _associates(lambda site: site.context(issue(site)))


def _of_version(version: ssl.TLSVersion) -> Speaks:
    """Return what speaks one version, and shows no certificate."""

    def speaks(site: Encrypted) -> ssl.SSLContext:
        context = site.context(None)
        context.minimum_version = context.maximum_version = version
        return context

    return speaks


def _old_version(site: Encrypted) -> ssl.SSLContext:
    context = site.good()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def _old_suites(site: Encrypted) -> ssl.SSLContext:
    context = site.good()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA256:AES256-SHA")
    return context


def _plain(data: bytes) -> Play:
    """Send bytes to the port that encrypts."""
    return lambda port: port.bare().send(data).answer()


def _trickled(port: Port) -> Expected:
    return port.bare().trickle(_CLIENT_HELLO, 0.05).answer()


def _stores(port: Port) -> Expected:
    assert port.encrypted is not None
    return port.secure(port.encrypted.good()).associated().store_one()


def _ends_without_a_word(port: Port) -> Expected:
    """The TCP connection ends in a data set, without close_notify."""
    assert port.encrypted is not None
    uid = new_uid()
    peer = port.secure(port.encrypted.good()).associated().send(message(1, command_set(store_values(uid))))
    peer.send(p_data(pdv(1, DATA, data_set(uid)[:100])))
    peer.drop()
    return Gone()


ENCRYPTED: tuple[Row, ...] = (
    Row(5, "a C-STORE over TLS", Stored(), "PS3.15 B.12", _stores),
    Row(5, "an A-ASSOCIATE-RQ without TLS, to a port with TLS", Closed(), "PS3.15 B.12", _plain(associate_request())),
    Row(5, "an HTTP request to a port with TLS", Closed(), "PS3.15 B.12", _plain(b"GET / HTTP/1.1\r\n\r\n")),
    Row(5, "a ClientHello, a byte each 50 ms", Closed(), "RFC 8446 4.1.2, within the listener's time-out", _trickled),
    Row(5, "TLS 1.1 and nothing newer", Closed(), _VERSIONS, _associates(_old_version)),
    Row(5, "suites without forward secrecy alone", Closed(), "RFC 9325 4.2; PS3.15 B.12", _associates(_old_suites)),
    Row(5, "no certificate, in TLS 1.2", Closed(), _WANTED, _associates(_of_version(ssl.TLSVersion.TLSv1_2))),
    Row(5, "no certificate, in TLS 1.3", Closed(), _WANTED, _associates(_of_version(ssl.TLSVersion.TLSv1_3))),
    Row(5, "a certificate of an unknown authority", Closed(), _VERIFIED,
        _shows(lambda site: site.strangers.issue("ct-1.example"))),
    Row(5, "a certificate that has expired", Closed(), _VERIFIED,
        _shows(lambda site: site.devices.issue("ct-1.example", days=-1))),
    Row(5, "a certificate that is not valid yet", Closed(), _VERIFIED,
        _shows(lambda site: site.devices.issue("ct-1.example", begins=1))),
    Row(5, "the certificate of another node", Rejected(1, 1, 3), "PS3.8 table 9-21",
        _shows(lambda site: site.devices.issue("mr-1.example"))),
    Row(5, "an end without close_notify, in a data set", Gone(), "RFC 8446 6.1", _ends_without_a_word),
)  # fmt: skip
