"""A node is tested by a C-ECHO before anything is owed to it: each reason from its cause, in time, and no false one."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from certificates import Authority
from corpus import make_corpus
from gateways import LoneGateway
from manifests import Json, ca_bundle, tls_secret
from metrics import value
from pdus import ABORT, ASSOCIATE_RJ, pdu
from ports import free_port
from processes import wait_until
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from routes import local_node, pacs, to_pacs
from running import Running, cli, dcmsend
from scripted_scp import Acceptor, ScriptedSCP
from storescp import StoreSCP

from dicomroute_gateway.configuration.destinations import DicomNodeDestination
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.probes.echo import echo
from dicomroute_gateway.probes.findings import ProbeFinding, Stores, node_findings
from dicomroute_gateway.probes.steps import Probed

Script = Callable[[Acceptor], object]


def ask(port: int, folder: Path, **fields: Any) -> Probed:
    """Test a node on this machine."""
    node = {
        "kind": "DicomNode",
        "name": "pacs",
        "host": "127.0.0.1",
        "port": port,
        "calledAETitle": "PACS",
        "callingAETitle": "CTGATE",
        "acseTimeoutSeconds": 1,
        "responseTimeoutSeconds": 1,
        **fields,
    }
    return echo(DicomNodeDestination.model_validate(node), TlsContexts(folder))


def reachable(probed: Probed) -> ProbeFinding:
    return node_findings(probed, Stores()).reachable


def said(probed: Probed) -> str:
    found = reachable(probed)
    return f"{found.status}/{found.reason}"


def results(probed: Probed) -> dict[str, str]:
    return {str(step.name): str(step.result) for step in probed.steps}


def reject(result: int, source: int, reason: int) -> Script:
    def script(acceptor: Acceptor) -> None:
        acceptor.read_request()
        acceptor.send(pdu(ASSOCIATE_RJ, bytes((0, result, source, reason))))

    return script


def abort(acceptor: Acceptor) -> None:
    acceptor.read_request()
    acceptor.send(pdu(ABORT, bytes(4)))


def hang_up_on_an_echo(acceptor: Acceptor) -> None:
    acceptor.accept().message()


SCRIPTS: dict[str, tuple[Script, str]] = {
    "answers": (lambda one: one.accept().serve(), "True/Reachable"),
    "takes no C-ECHO": (lambda one: one.accept(results={1: 3}).serve(), "True/VerificationNotAccepted"),
    "fails a C-ECHO": (lambda one: one.accept().serve(0x0122), "False/EchoFailed"),
    "does not know our title": (reject(1, 1, 3), "False/CallingAETitleNotRecognized"),
    "has another title": (reject(1, 1, 7), "False/CalledAETitleNotRecognized"),
    "gives no reason": (reject(1, 1, 1), "False/AssociationRejected"),
    "is congested": (reject(2, 3, 1), "False/TemporaryCongestion"),
    "has its limit": (reject(2, 3, 2), "False/LocalLimitExceeded"),
    "aborts": (abort, "False/AbortedByPeer"),
    "closes": (lambda one: one.read_request(), "False/ConnectionLost"),
    "closes after a C-ECHO": (hang_up_on_an_echo, "False/ConnectionLost"),
    "never answers": (lambda one: one.wait_gone(), "False/AssociationTimedOut"),
    "never answers a C-ECHO": (lambda one: one.accept().wait_gone(), "False/ResponseTimedOut"),
    "sends rubbish": (lambda one: one.send(b"HTTP/1.1 400 Bad Request"), "False/ProtocolViolation"),
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_a_node_that(what: str, tmp_path: Path) -> None:
    script, expected = SCRIPTS[what]
    peer = ScriptedSCP(lambda one: script(one) and None)
    probed = ask(peer.port, tmp_path)
    assert said(probed) == expected
    assert reachable(probed).message
    assert results(probed)["TCP"] == "Passed"
    assert (probed.round_trip_seconds is not None) == (what == "answers")
    peer.close()


def test_what_no_node_is_behind(tmp_path: Path) -> None:
    assert said(ask(free_port(), tmp_path)) == "False/ConnectionRefused"
    nowhere = ask(104, tmp_path, host="pacs.invalid")
    assert said(nowhere) == "False/DNSFailed"
    assert results(nowhere) == {"DNS": "Failed", **dict.fromkeys(("TCP", "TLS", "Association", "Echo"), "NotTried")}


def test_pynetdicom_that_wants_a_title_of_its_list(tmp_path: Path) -> None:
    entity = AE(ae_title="PACS")
    entity.add_supported_context(Verification)
    entity.require_calling_aet = ["OTHER"]
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        port = server.server_address[1]
        assert said(ask(port, tmp_path)) == "False/CallingAETitleNotRecognized"
        assert said(ask(port, tmp_path, callingAETitle="OTHER")) == "True/Reachable"
    finally:
        server.shutdown()


class Site:
    """The files of a gateway that calls over TLS, and storescps that answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers, self.clients = Authority(folder / "servers", "servers"), Authority(folder / "clients", "clients")
        self.secrets = folder / "secrets"
        (self.secrets / "own").mkdir(parents=True)
        (self.secrets / "own" / "ca.crt").write_text(self.servers.pem)
        for name, file in zip(("tls.crt", "tls.key"), self.clients.issue("gateway"), strict=True):
            (self.secrets / "own" / name).write_bytes(file.read_bytes())
        self.peers: list[StoreSCP] = []

    def storescp(self, certificate: Path, key: Path) -> StoreSCP:
        words = ("--fork", "+tls", str(key), str(certificate), "+cf", str(self.clients.file))
        self.peers.append(StoreSCP(self.folder / f"kept-{len(self.peers)}", *words))
        return self.peers[-1]

    def test(self, port: int, *, shows: bool = True, **tls: Any) -> Probed:
        own = {"clientCertificateFile": "own/tls.crt", "clientKeyFile": "own/tls.key"} if shows else {}
        return ask(port, self.secrets, tls={"caBundleFile": "own/ca.crt", **own, **tls})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    for peer in one.peers:
        peer.stop()


def test_every_reason_of_tls_from_its_cause(site: Site, tmp_path: Path) -> None:
    good = site.storescp(*site.servers.issue("127.0.0.1")).port
    probed = site.test(good)
    assert said(probed) == "True/Reachable"
    assert set(results(probed).values()) == {"Passed"}
    # TLS 1.3 tells behind the handshake, when a request is on its way that resets the connection.
    late, *others = [site.test(good, shows=False) for _ in range(10)]
    assert {said(one) for one in others} == {said(late)}
    assert said(late) == "False/TLSClientCertificateRequired"
    assert (results(late)["TLS"], results(late)["Association"]) == ("Failed", "NotTried")
    others = Authority(tmp_path / "others", "others")
    named = site.storescp(*site.servers.issue("pacs.example")).port
    cases = {
        "False/TLSUntrusted": site.storescp(*others.issue("127.0.0.1")).port,
        "False/TLSNameMismatch": named,
        "False/TLSExpired": site.storescp(*site.servers.issue("127.0.0.1", days=-1)).port,
        "False/TLSNotYetValid": site.storescp(*site.servers.issue("127.0.0.1", begins=1)).port,
        "False/ConnectionRefused": free_port(),
    }
    assert {said(site.test(port)): port for port in cases.values()} == cases
    assert said(site.test(named, serverName="pacs.example")) == "True/Reachable"
    assert said(site.test(named, verifyName=False)) == "True/Reachable"
    plain = StoreSCP(tmp_path / "plain", "--fork")
    site.peers.append(plain)
    assert said(site.test(plain.port)) == "False/TLSFailed"
    assert said(ask(good, tmp_path)).startswith("False/")
    (site.secrets / "own" / "tls.key").write_text("no key")
    broken = site.test(good)
    assert said(broken) == "False/CertificateUnusable"
    assert "own/tls.key" in reachable(broken).message


def probe_of(gateway: LoneGateway | Running) -> Json:
    (destination,) = gateway.status()["destinations"]
    return dict(destination["probe"] or {})


def reachable_of(gateway: LoneGateway | Running) -> str:
    probe = probe_of(gateway)
    return f"{probe['reachable']['status']}/{probe['reachable']['reason']}" if probe else ""


def test_a_pacs_that_goes_is_seen_within_two_intervals_and_comes_back_by_itself(tmp_path: Path) -> None:
    port = free_port()
    gateway = LoneGateway(tmp_path, [local_node(), pacs(port, connectionTestSeconds=5), to_pacs()])
    try:
        wait_until(lambda: reachable_of(gateway) == "False/ConnectionRefused", lambda: reachable_of(gateway))
        assert value(gateway.metrics(), "dicomroute_destination_reachable", destination="DicomNode/pacs") == 0
        peer = StoreSCP(tmp_path / "kept", "--fork", port=port)
        wait_until(lambda: reachable_of(gateway) == "True/Reachable", lambda: reachable_of(gateway), 10)
        assert probe_of(gateway)["withinMilliseconds"] >= probe_of(gateway)["roundTripMilliseconds"] > 0
        assert value(gateway.metrics(), "dicomroute_destination_reachable", destination="DicomNode/pacs") == 1
        assert 0 < value(gateway.metrics(), "dicomroute_destination_echo_seconds", destination="DicomNode/pacs") < 5
        peer.stop()
        wait_until(lambda: reachable_of(gateway) == "False/ConnectionRefused", lambda: reachable_of(gateway), 10)
    finally:
        gateway.kill()


def test_what_waits_goes_out_when_a_test_succeeds_again(tmp_path: Path) -> None:
    port = free_port()
    retry = {"initialBackoffSeconds": 300, "maxBackoffSeconds": 300, "contentAttempts": 2}
    documents = [local_node(), pacs(port, connectionTestSeconds=5), to_pacs(retry=retry)]
    gateway = LoneGateway(tmp_path, documents)
    try:
        assert dcmsend(gateway.port, make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))) == 0
        wait_until(lambda: gateway.status()["destinations"][0]["state"] == "Waiting", "nothing was attempted")
        peer = StoreSCP(tmp_path / "kept", "+B", port=port)
        gateway.wait_for(owed=0, deliveredTotal=1)
        peer.stop()
    finally:
        gateway.kill()


def test_deliveries_to_a_node_that_serves_one_association_are_no_reason_to_call_it_unreachable(tmp_path: Path) -> None:
    """A stock storescp lets the second caller wait until the first has gone."""
    peer = StoreSCP(tmp_path / "kept", "+B")
    gateway = LoneGateway(tmp_path, [local_node(), pacs(peer.port, connectionTestSeconds=5), to_pacs()])
    seen: set[str] = set()
    try:
        wait_until(lambda: reachable_of(gateway) == "True/Reachable", lambda: reachable_of(gateway))
        files = make_corpus(tmp_path / "study", 40, ("CT_small.dcm",))
        stores = threading.Thread(target=lambda: [dcmsend(gateway.port, files[n : n + 2]) for n in range(0, 40, 2)])
        stores.start()
        begin = time.monotonic()
        while stores.is_alive() or time.monotonic() - begin < 12:
            seen.add(reachable_of(gateway))
            time.sleep(0.1)
        stores.join()
        gateway.wait_for(owed=0, deliveredTotal=40)
        assert seen == {"True/Reachable"}
    finally:
        gateway.kill()
        peer.stop()


def test_nothing_is_tested_where_that_is_said_and_somebody_can_ask(tmp_path: Path) -> None:
    titles: list[tuple[str, str]] = []

    def script(acceptor: Acceptor) -> None:
        acceptor.accept()
        titles.append(acceptor.titles)
        acceptor.serve()

    peer = ScriptedSCP(script)
    gateway = LoneGateway(tmp_path, [local_node(), pacs(peer.port, connectionTestSeconds=0), to_pacs()])
    try:
        assert gateway.post("/api/v1/test/DicomNode/pacs")["reachable"]["status"] == "True"
        assert gateway.post("/api/v1/test/DicomNode/pacs?callingAETitle=OTHER%20ONE")["reachable"]["status"] == "True"
        assert titles == [("PACS", "CTGATE"), ("PACS", "OTHER ONE")]
        time.sleep(3)
        assert len(titles) == 2
        assert probe_of(gateway) == {}
        with pytest.raises(OSError, match="400"):
            gateway.post("/api/v1/test/DicomNode/pacs?callingAETitle=A%5CB")
        with pytest.raises(OSError, match="404"):
            gateway.post("/api/v1/test/DicomNode/other")
    finally:
        gateway.kill()
        peer.close()


def write(folder: Path, *documents: Json) -> Path:
    file = folder / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return file


def test_the_command_line_tests_a_node_of_manifests(site: Site, tmp_path: Path) -> None:
    peer = site.storescp(*site.servers.issue("127.0.0.1"))
    authorities, reference = ca_bundle("pacs-authorities", site.servers.pem)
    tls = {"caBundleRef": reference, "clientCertificateRef": {"name": "client"}}
    node = pacs(peer.port, tls=tls)
    shown = tls_secret("client", *site.clients.issue("gateway"))
    good = cli("test", "node", "pacs", "-f", write(tmp_path, node, authorities, shown, to_pacs(), local_node()))
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.count("Passed") == 5
    assert "with the AE title CTGATE of route ct-to-cloud" in good.stdout
    without = cli(
        "test", "node", "pacs", "-f", write(tmp_path, node, authorities, to_pacs(), local_node()), "-o", "json"
    )
    assert without.returncode == 1
    found = json.loads(without.stdout)
    assert (found["node"], found["passed"]) == ("default/pacs", False)
    assert found["probe"]["reachable"]["reason"] == "CertificateUnusable"
    alone = write(tmp_path, pacs(free_port()))
    nobody = cli("test", "node", "pacs", "-f", alone)
    assert (nobody.returncode, "--calling" in nobody.stderr) == (2, True)
    refused = cli("test", "node", "pacs", "-f", alone, "--calling", "CTGATE")
    assert (refused.returncode, "ConnectionRefused" in refused.stdout) == (1, True)
    title = cli("test", "node", "pacs", "-f", alone, "--calling", "SEVENTEEN_CHARS_7")
    assert title.returncode == 2
    assert "--calling SEVENTEEN_CHARS_7" in title.stderr
    caller = cli("test", "node", "ct-1", "-f", write(tmp_path, local_node()), "--calling", "A")
    assert (caller.returncode, "spec.host" in caller.stderr) == (2, True)


def test_the_command_line_has_a_gateway_test_a_node(run: Callable[..., Running], tmp_path: Path) -> None:
    peer = StoreSCP(tmp_path / "kept", "--fork")
    running = run(local_node(), pacs(peer.port, connectionTestSeconds=300), to_pacs())
    words = ("test", "node", "pacs", "--admin", running.admin, "--state", running.state)
    good = cli(*words)
    assert good.returncode == 0, good.stdout + good.stderr
    assert f"the gateway at {running.admin}" in good.stdout
    assert "Reachable" in good.stdout
    peer.stop()
    assert cli(*words, "--calling", "OTHER").returncode == 1
    both = cli(*words, "-f", tmp_path)
    assert (both.returncode, "leave out --admin" in both.stderr) == (2, True)
