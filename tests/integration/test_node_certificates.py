"""A node that has certificates is known by them: whoever shows another good one is somebody else."""

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from certificates import Authority
from corpus import make_corpus
from gateways import LoneGateway
from manifests import Json, ca_bundle, changed
from peer import Aborted, Answered, Peer, Rejected
from processes import wait_until
from routes import local_node, local_route, to
from running import Running, cli
from secure_site import NOWHERE, Site

UNKNOWN = Rejected(1, 1, 3)


def known_by(*certificates: dict[str, str]) -> Json:
    return changed(local_node(), "spec.certificates", list(certificates))


def fingerprint(file: Path) -> str:
    """Return what OpenSSL prints."""
    command = ["openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha256"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().partition("=")[2]


def call(site: Site, files: tuple[Path, Path] | None) -> object:
    """Return what a device is answered that asks for an association."""
    peer = Peer(site.port, context=site.context(files))
    answer = peer.associate()
    peer.close()
    return answer


def names(site: Site, reason: str) -> list[Json]:
    return [one for one in site.running.get("/api/v1/refused")["callers"] if one["reason"] == reason]


def test_a_device_is_known_by_each_of_its_certificates_and_by_no_other(
    tmp_path: Path, run: Callable[..., Running]
) -> None:
    nodes = [known_by({"dnsName": "CT-1.example"}, {"commonName": "ct-1 of the east wing"})]
    site = Site(tmp_path, run, nodes=nodes)
    for own in (site.devices.issue("ct-1.example"), site.devices.issue("ct-1 of the east wing", "other.example")):
        peer = Peer(site.port, context=site.context(own)).associated()
        assert peer.store_one() == Answered(0)
        peer.release()
    other = site.devices.issue("mr-1.example")
    assert call(site, other) == UNKNOWN
    (refused,) = names(site, "CertificateOfAnotherNode")
    assert (refused["callingAETitle"], refused["count"]) == ("CT1", 1)
    shown = cli("refused", "--admin", site.running.admin, "--state", site.running.state).stdout
    assert "CertificateOfAnotherNode" in shown
    assert f"{{sha256: {refused['certificateSHA256']}}}" in shown
    before = site.running.hash()
    site.running.write([known_by({"sha256": fingerprint(other[0])})])
    site.running.wait_reloaded(before)
    peer = Peer(site.port, context=site.context(other)).associated()
    assert peer.store_one() == Answered(0)
    site.running.write([known_by({"dnsName": "ct-1.example"})])
    wait_until(lambda: call(site, other) == UNKNOWN, "it is still known")
    assert isinstance(peer.store_one(), Aborted), "an association that is open is of the old certificate"
    assert call(site, site.devices.issue("ct-1.example")) != UNKNOWN


@pytest.mark.parametrize("listener", ["plain", "Ignored", "Optional"])
def test_a_device_that_shows_none_is_refused_wherever_it_calls(tmp_path: Path, listener: str) -> None:
    """As a gateway in a cluster does: the operator says what is wrong with the manifest, and the others are served."""
    servers, devices = Authority(tmp_path / "servers", "servers"), Authority(tmp_path / "devices", "devices")
    authorities, callers = ca_bundle("callers", devices.pem)
    shown = dict(zip(("tls.crt", "tls.key"), servers.issue("127.0.0.1"), strict=True))
    for name, text in {
        "ConfigMap-callers/ca.crt": devices.pem,
        **{f"gateway-tls/{key}": file.read_text() for key, file in shown.items()},
    }.items():
        (tmp_path / "secrets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "secrets" / name).write_text(text)
    tls = {"certificateRef": {"name": "gateway-tls"}, "clientCABundleRef": callers, "clientCertificates": listener}
    plain = local_route(mode="HoldDeliveries")
    documents = [plain if listener == "plain" else changed(plain, "spec.listeners.0.tls", tls)]
    documents += [known_by({"dnsName": "ct-1.example"}), to(NOWHERE), authorities]
    gateway = LoneGateway(tmp_path, documents)

    def answer(files: tuple[Path, Path] | None) -> object:
        context = ssl.create_default_context(cafile=str(servers.file))
        if files is not None:
            context.load_cert_chain(*files)
        peer = Peer(gateway.port, context=None if listener == "plain" else context)
        answered = peer.associate()
        peer.close()
        return answered

    try:
        assert answer(None) == UNKNOWN
        (refused,) = gateway.get("/api/v1/refused")["callers"]
        assert (refused["reason"], refused["callingAETitle"]) == ("CertificateNotShown", "CT1")
        own = devices.issue("ct-1.example")
        # Where nobody asks for it, nobody has verified it.
        assert (answer(own) != UNKNOWN) == (listener == "Optional")
    finally:
        gateway.kill()


def test_what_cannot_work_is_said_beforehand(tmp_path: Path) -> None:
    site_route = yaml.safe_load(Path("examples/dimse-tls/route.yaml").read_text().split("---")[-1])
    del site_route["spec"]["listeners"][0]["tls"]
    documents = [*yaml.safe_load_all(Path("examples/dimse-tls/route.yaml").read_text())][:-1]
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all([*documents, site_route]))
    done = cli("validate", "-f", file)
    assert done.returncode == 2
    assert "NodeCertificateNotVerified" in done.stdout + done.stderr
    whole = cli("validate", "-f", "examples/dimse-tls/route.yaml")
    assert whole.returncode == 0, whole.stdout + whole.stderr


def test_explain_says_who_is_known_by_what(tmp_path: Path, run: Callable[..., Running]) -> None:
    site = Site(tmp_path, run, nodes=[known_by({"dnsName": "ct-1.example"})])
    manifests = site.running.manifests
    (instance,) = make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))
    words = ["explain", "-f", manifests, "--route", "ct-to-cloud", "--calling", "CT1", instance]
    assert "CertificateNotShown" in cli(*words).stdout
    other, own = site.devices.issue("mr-1.example")[0], site.devices.issue("ct-1.example")[0]
    assert "CertificateOfAnotherNode" in cli(*words, "--certificate", other).stdout
    assert "Certificate" not in cli(*words, "--certificate", own).stdout
    nothing = cli(*words, "--certificate", instance)
    assert (nothing.returncode, "no PEM certificate" in nothing.stderr) == (2, True)
