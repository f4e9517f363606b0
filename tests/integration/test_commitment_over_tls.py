"""Storage commitment over TLS: a report to a scanner that listens with TLS, and one from a PACS that calls with it."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from committing import PUSH_MODEL, CommittingPACS, Reporting
from corpus import make_corpus, uid_of
from gateways import LoneGateway
from manifests import Json, ca_bundle, node, tls_secret
from ports import free_port
from processes import wait_until
from routes import PACS, pacs, to_pacs
from running import storescu
from scanner import Scanner

Lone = Callable[..., LoneGateway]
LISTENER = {"name": "dicom", "port": 11112, "aeTitles": ["CTGATE"]}


class Site:
    """Authorities of gateways and devices; a scanner and a PACS that speak nothing but TLS, and know who calls.

    Every certificate that is shown is verified: both sides of every association have one.
    """

    def __init__(self, folder: Path, lone: Lone) -> None:
        self.folder = folder
        self.gateways, self.devices = (
            Authority(folder / "gateways", "gateways"),
            Authority(folder / "devices", "devices"),
        )
        self.ports = {"scanner": free_port(), "pacs": free_port()}
        self.scanner: Scanner | None = None
        self.pacs: CommittingPACS | None = None
        self._lone = lone

    def listens(self, name: str, trusts: Authority | None = None) -> ssl.SSLContext:
        """Return what a device listens with: it wants a certificate of the gateways' authority."""
        context = self.devices.server("127.0.0.1", name, clients=trusts or self.gateways)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def calls(self, name: str) -> ssl.SSLContext:
        """Return what a device calls a gateway with."""
        context = ssl.create_default_context(cafile=str(self.gateways.file))
        context.load_cert_chain(*self.devices.issue(name))
        return context

    def documents(self, *, of_pacs: str = "pacs.example", **spec: Any) -> list[Json]:
        """Return the manifests; the PACS calls with a certificate for `of_pacs`."""
        authorities, devices = ca_bundle("devices", self.devices.pem)
        shown = tls_secret("gateway", *self.gateways.issue("127.0.0.1"))
        tls = {"caBundleRef": devices, "clientCertificateRef": {"name": "gateway"}}
        from_here: Json = {"allowedSources": ["127.0.0.0/8"], "tls": tls}
        where = {"host": "127.0.0.1", "port": self.ports["scanner"]}
        ct = node(aeTitle="CT1", certificates=[{"dnsName": "ct-1.example"}], **where, **from_here)
        store = pacs(self.ports["pacs"], certificates=[{"dnsName": of_pacs}], **from_here)
        listener = {
            **LISTENER,
            "sources": {"nodes": [{"name": "ct-1"}, {"name": "pacs"}]},
            "tls": {"certificateRef": {"name": "gateway"}, "clientCABundleRef": devices},
        }
        return [ct, store, authorities, shown, to_pacs(listeners=[listener], **spec)]

    def start(self, *, documents: list[Json]) -> LoneGateway:
        return self._lone(self.folder / "gateway", documents, log_level="info")

    def store(self, gateway: LoneGateway, files: list[Path]) -> int:
        """Send files as the scanner, with DCMTK's storescu."""
        certificate, key = self.devices.issue("ct-1.example")
        return storescu(gateway.port, files, "+tls", str(key), str(certificate), "+cf", str(self.gateways.file))


@pytest.fixture
def site(tmp_path: Path, lone: Lone) -> Iterator[Site]:
    one = Site(tmp_path, lone)
    yield one
    for peer in (one.scanner, one.pacs):
        if peer is not None:
            peer.close()


def small(folder: Path, count: int) -> list[Path]:
    return make_corpus(folder, count, ("CT_small.dcm",))


@pytest.mark.parametrize("stays", [0, 20], ids=["on another association", "on that of the request"])
def test_a_scanner_that_speaks_tls_asks_and_is_told(site: Site, tmp_path: Path, stays: int) -> None:
    site.pacs = CommittingPACS(port=site.ports["pacs"], listens=site.listens("pacs.example"))
    commitment = {"listeners": ["dicom"], "sameAssociationSeconds": stays, "reportForSeconds": 600}
    gateway = site.start(documents=site.documents(storageCommitment=commitment))
    site.scanner = Scanner(
        gateway.port,
        port=site.ports["scanner"],
        calls=site.calls("ct-1.example"),
        listens=site.listens("ct-1.example"),
    )
    files = small(tmp_path / "corpus", 3)
    uids = [uid_of(file) for file in files]
    assert site.store(gateway, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=3)
    status, transaction = site.scanner.ask([*uids, "1.2.3.4"], stays=stays)
    assert status == 0
    scanner = site.scanner
    wait_until(lambda: scanner.report_on(transaction) is not None, gateway.process.tail, 30)
    report = scanner.report_on(transaction)
    assert report is not None
    assert report.reasons == {**dict.fromkeys(uids, 0), "1.2.3.4": 0x0112}
    assert report.on_own is bool(stays)
    if not stays:
        assert (report.caller, report.roles) == ("CTGATE", {PUSH_MODEL: (False, True)})
    wait_until(lambda: not open_transactions(site), "the transaction is over")
    assert len(scanner.reports) == 1


def open_transactions(site: Site) -> list[Path]:
    return list((site.folder / "gateway" / "spool" / "commitments").glob("*.json"))


def test_a_scanner_that_does_not_trust_the_gateway_is_told_once_it_does(site: Site, tmp_path: Path) -> None:
    site.pacs = CommittingPACS(port=site.ports["pacs"], listens=site.listens("pacs.example"))
    commitment = {"listeners": ["dicom"], "sameAssociationSeconds": 0, "reportForSeconds": 600}
    gateway = site.start(documents=site.documents(storageCommitment=commitment))
    ports = {"port": site.ports["scanner"], "calls": site.calls("ct-1.example")}
    strangers = Authority(tmp_path / "strangers", "strangers")
    site.scanner = Scanner(gateway.port, **ports, listens=site.listens("ct-1.example", trusts=strangers))
    files = small(tmp_path / "corpus", 1)
    assert site.store(gateway, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=1)
    status, transaction = site.scanner.ask([uid_of(files[0])])
    assert status == 0
    (failed, *_) = gateway.wait_for_events("commitment.report_failed")
    assert "certificate" in failed["message"]
    assert (site.scanner.reports, len(open_transactions(site))) == ([], 1)
    site.scanner.close()
    scanner = site.scanner = Scanner(gateway.port, **ports, listens=site.listens("ct-1.example"))
    wait_until(lambda: scanner.report_on(transaction) is not None, gateway.process.tail, 60)
    report = scanner.report_on(transaction)
    assert report is not None
    assert report.reasons == {uid_of(files[0]): 0}


@pytest.mark.parametrize("reporting", [Reporting.ANOTHER, Reporting.SAME])
def test_a_pacs_that_speaks_tls_is_asked_and_its_report_counts(
    site: Site, tmp_path: Path, reporting: Reporting
) -> None:
    site.pacs = CommittingPACS(
        reporting=reporting,
        port=site.ports["pacs"],
        listens=site.listens("pacs.example"),
        calls=site.calls("pacs.example"),
    )
    confirm = {"by": "StorageCommitment", "withinSeconds": 600}
    gateway = site.start(documents=site.documents(destinations=[{**PACS, "confirm": confirm}]))
    site.pacs.gateway_port = gateway.port
    files = small(tmp_path / "corpus", 3)
    assert site.store(gateway, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=3, deadLettered=0)
    assert sorted(site.pacs.stored) == sorted(map(uid_of, files)), "each is sent once"
    pacs_ = site.pacs
    wait_until(lambda: pacs_.report_statuses == [0], lambda: f"the report is answered: {pacs_.report_statuses}")


def test_a_report_counts_only_from_whom_the_certificate_says(site: Site, tmp_path: Path) -> None:
    """A device of the same authority calls with the title of the PACS: no association, and nothing is confirmed."""
    site.pacs = CommittingPACS(
        port=site.ports["pacs"], listens=site.listens("pacs.example"), calls=site.calls("ct-1.example")
    )
    confirm = {"by": "StorageCommitment", "withinSeconds": 600}
    documents = site.documents(destinations=[{**PACS, "confirm": confirm}])
    gateway = site.start(documents=documents)
    site.pacs.gateway_port = gateway.port
    assert site.store(gateway, small(tmp_path / "corpus", 1)) == 0
    pacs_ = site.pacs
    wait_until(lambda: pacs_.report_statuses == [None], lambda: f"it gets no association: {pacs_.report_statuses}")
    refused = gateway.get("/api/v1/refused")["callers"]
    assert [one["reason"] for one in refused] == ["CertificateOfAnotherNode"]
    gateway.wait_for(owed=1, deliveredTotal=0)
    # After a restart it is asked again, in another transaction.
    pacs_.calls = site.calls("pacs.example")
    gateway.stop()
    again = site.start(documents=documents)
    pacs_.gateway_port = again.port
    again.wait_for(owed=0, deliveredTotal=1)
    assert len(pacs_.stored) == 1
