"""DIMSE over TLS, sent: to nodes that encrypt, and what a node that does not fit is told to be."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from corpus import make_corpus
from manifests import Json, ca_bundle, tls_secret
from pdus import data_set
from peer import Answered, Peer, new_uid
from processes import wait_until
from routes import local_node, pacs, to_pacs
from running import Running, dcmsend
from storescp import StoreSCP

CLIENT = {"clientCertificateRef": {"name": "gateway-client"}}


class Site:
    """Authorities, and a PACS that speaks TLS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers, self.clients = Authority(folder / "servers", "servers"), Authority(folder / "clients", "clients")
        self.peers: list[StoreSCP] = []

    def storescp(self, *options: str, name: str = "127.0.0.1", days: float = 7, begins: float = -2) -> StoreSCP:
        certificate, key = self.servers.issue(name, days=days, begins=begins)
        words = ("+B", "+xa", "--fork", "+tls", str(key), str(certificate), "+cf", str(self.clients.file), *options)
        self.peers.append(StoreSCP(self.folder / f"kept-{len(self.peers)}", *words))
        return self.peers[-1]

    def manifests(self, port: int, trust: Authority | None = None, **tls: Any) -> list[Json]:
        """Return what sends to a PACS on this machine over TLS."""
        shown = tls_secret("gateway-client", *self.clients.issue("gateway"))
        authorities, reference = ca_bundle("pacs-authorities", (trust or self.servers).pem)
        node = pacs(port, tls={"caBundleRef": reference, **tls})
        return [local_node(), node, shown, authorities, to_pacs()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    for peer in one.peers:
        peer.stop()


def test_a_pacs_that_encrypts_gets_all_byte_for_byte(
    site: Site, tmp_path: Path, run: Callable[..., Running], tap: Callable[[int], Any]
) -> None:
    peer = site.storescp()
    running = run(*site.manifests(peer.port, **CLIENT))
    wire = tap(running.port)
    assert dcmsend(wire.port, make_corpus(tmp_path / "corpus", 5)) == 0
    count = len(wire.witness.acknowledged)
    assert count >= 60
    running.wait_for(owed=0, deliveredTotal=count, deadLettered=0)
    kept = peer.data_sets()
    assert all(kept[uid] == wire.witness.sent[uid] for uid in wire.witness.acknowledged)


def test_a_large_instance_goes_whole(site: Site, run: Callable[..., Running]) -> None:
    peer = site.storescp()
    running = run(*site.manifests(peer.port, **CLIENT))
    uid = new_uid()
    pixels = bytes(range(256)) * (256 << 10)  # 64 MiB
    data = data_set(uid) + b"\xe0\x7f\x10\0OW\0\0" + len(pixels).to_bytes(4, "little") + pixels
    sender = Peer(running.port).associated()
    assert sender.store(data, uid) == Answered(0)
    sender.release()
    running.wait_for(owed=0, deliveredTotal=1)
    assert peer.data_sets() == {uid: data}
    ends = datetime.fromisoformat(running.status()["destinations"][0]["credentialExpiresTime"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=7)) < timedelta(hours=1), "the certificate that is shown"


def fault(running: Running) -> dict[str, Any]:
    (destination,) = running.status()["destinations"]
    return dict(destination["lastError"] or {})


@pytest.mark.parametrize(
    ("what", "reason", "sentence"),
    [
        ("another authority", "TLSUntrusted", "name its authority in tls.caBundleRef"),
        ("another name", "TLSNameMismatch", "set tls.serverName to a name in it"),
        ("expired", "TLSExpired", "the node's certificate has expired"),
        ("not yet valid", "TLSNotYetValid", "check the clocks"),
        ("wants a certificate", "TLSClientCertificateRequired", "set tls.clientCertificateRef"),
        ("no TLS there", "TLSFailed", "check that this port uses TLS"),
    ],
)
def test_a_node_that_does_not_fit_is_waited_for_and_says_why(
    site: Site, tmp_path: Path, run: Callable[..., Running], what: str, reason: str, sentence: str
) -> None:
    tls: dict[str, Any] = dict(CLIENT)
    trust = None
    if what == "no TLS there":
        peer = StoreSCP(tmp_path / "plain", "+B", "--fork")
        site.peers.append(peer)
    else:
        name, days = ("pacs.example" if what == "another name" else "127.0.0.1"), (-1 if what == "expired" else 7)
        peer = site.storescp(name=name, days=days, begins=1 if what == "not yet valid" else -2)
    if what == "another authority":
        trust = Authority(tmp_path / "others", "others")
    if what == "wants a certificate":
        tls = {}
    running = run(*site.manifests(peer.port, trust, **tls))
    assert dcmsend(running.port, make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))) == 0
    wait_until(lambda: fault(running).get("reason") == reason, lambda: f"{fault(running)}")
    assert sentence in fault(running)["message"]
    running.wait_for(owed=1, deadLettered=0)
    running.write(site.manifests(site.storescp().port, **CLIENT))
    running.wait_for(owed=0, deliveredTotal=1)


def test_a_name_that_the_appliances_share_is_taken_where_that_is_said(
    site: Site, tmp_path: Path, run: Callable[..., Running]
) -> None:
    peer = site.storescp(name="appliance.vendor.example")
    running = run(*site.manifests(peer.port, **CLIENT, verifyName="None"))
    assert dcmsend(running.port, make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))) == 0
    running.wait_for(owed=0, deliveredTotal=1)
    before = running.hash()
    running.write(site.manifests(peer.port, **CLIENT, serverName="appliance.vendor.example"))
    running.wait_reloaded(before)
    assert dcmsend(running.port, make_corpus(tmp_path / "more", 1, ("MR_small.dcm",))) == 0
    running.wait_for(owed=0, deliveredTotal=2)


def test_a_node_of_the_other_profile_gets_what_it_is_sent(
    site: Site, tmp_path: Path, run: Callable[..., Running]
) -> None:
    peer = site.storescp("--cipher", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256")
    running = run(*site.manifests(peer.port, **CLIENT, profile="ModifiedBCP195RFC9325"))
    assert dcmsend(running.port, make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))) == 0
    running.wait_for(owed=0, deliveredTotal=1)
