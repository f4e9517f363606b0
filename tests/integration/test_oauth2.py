"""An archive behind OAuth 2.0, all of it real: Keycloak gives tokens, one httpd checks them, another is the way out."""

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pydicom
import pytest
from certificates import Authority
from corpus import FILES, data_set_bytes, make_corpus
from forward_proxy import ForwardProxy
from manifests import Json, target
from orthanc import Orthanc
from processes import wait_until
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from reverse_proxy import ReverseProxy
from routes import local_node, local_route
from running import Running, dcmsend, storescu
from tap import Tap

from keycloak import STORING, Client, Keycloak

FIRST, SECOND = "PlantedMarker-first", "PlantedMarker-second: with +/% signs"
PATIENT = {"initialBackoffSeconds": 60, "maxBackoffSeconds": 300, "contentAttempts": 2}
"""What changes must not have to wait for."""
SECONDS = 5 + 3
"""How long a changed Secret takes, and `dicomroute run` to see that it has changed."""


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    one = Keycloak(tmp_path_factory.mktemp("keycloak"))
    yield one
    one.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority of the archive's certificate."""
    return Authority(tmp_path / "hospital", "hospital")


@pytest.fixture
def front(orthanc: Orthanc, keycloak: Keycloak, authority: Authority) -> Iterator[ReverseProxy]:
    """What the archive is behind."""
    with closing(ReverseProxy(orthanc.url, keycloak, authority)) as one:
        yield one


def documents(
    front: ReverseProxy,
    keycloak: Keycloak,
    client: Client,
    authority: Authority,
    *,
    retry: Json | None = None,
    **spec: Any,
) -> list[Json]:
    """Return the manifests of a route to the archive, as `client`."""
    auth = {
        "type": "OAuth2ClientCredentials",
        "oauth2ClientCredentials": {
            "tokenURL": keycloak.token_url,
            "clientID": client.name,
            "clientSecretRef": {"name": "client", "key": "secret"},
            "scopes": [STORING],
        },
    }
    tls = {"caBundleRef": {"kind": "ConfigMap", "name": "authorities", "key": "ca.crt"}, **spec.pop("tls", {})}
    bundle = {"ca.crt": authority.pem + keycloak.authority.pem}
    return [
        local_node(),
        target(url=front.url, auth=auth, tls=tls, **spec),
        local_route(**({"retry": retry} if retry else {})),
        secret("client", secret=client.secret),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authorities"}, "data": bundle},
    ]


def secret(name: str, **values: str) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


class Modality:
    """A sender with one association, in which each instance is a new one."""

    def __init__(self, running: Running) -> None:
        self._instance = pydicom.dcmread(FILES / "MR_small.dcm")
        entity = AE("CT1")
        entity.add_requested_context(self._instance.SOPClassUID, self._instance.file_meta.TransferSyntaxUID)
        self._association: Association = entity.associate("127.0.0.1", running.port, ae_title="CTGATE")
        self.sent = 0

    def send(self) -> None:
        self._instance.SOPInstanceUID = self._instance.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        assert self._association.send_c_store(self._instance).Status == 0
        self.sent += 1

    def close(self) -> None:
        assert self._association.is_established, "the association stands"
        self._association.release()


def send_until(condition: Callable[[], bool], modality: Modality, running: Running) -> None:
    """Send until something is so, each instance when the one before is delivered."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"it goes on as if nothing had happened\n{running.status()}"
        modality.send()
        wait_until(lambda: running.counts()["owed"] == 0 or condition(), running.process.tail)


def destination(running: Running) -> Json:
    (one,) = running.status()["destinations"]
    return dict(one)


def paused_for(running: Running, reason: str) -> bool:
    one = destination(running)
    return (one["state"], one["pausedReason"]) == ("Paused", reason)


def in_time(condition: Callable[[], bool], what: str, running: Running) -> None:
    wait_until(condition, lambda: f"{what}\n{running.status()}\n{running.process.tail()}", SECONDS)


def assert_nothing_failed(running: Running) -> None:
    counts = running.counts()
    assert counts["deadLettered"] == 0
    assert "delivery.failed" not in running.process.output.read_text()
    assert destination(running)["lastError"] is None


def assert_nothing_is_told(running: Running, front: ReverseProxy, *secrets: str) -> None:
    """Neither the secrets nor the signature of any token are in what the gateway says."""
    with urllib.request.urlopen(f"https://{running.admin}/metrics", timeout=30, context=running.tls) as response:
        metrics = response.read().decode()
    said = [running.process.output.read_text(), str(running.status()), str(running.get("/api/v1/queue")), metrics]
    signatures = [token.rpartition(".")[2] for token in front.tokens()]
    assert signatures, "no token was seen"
    for hidden in (*secrets, *signatures):
        assert len(hidden) > 8
        assert not any(hidden in one for one in said), "a secret is told"


def status_of_a_store(front: ReverseProxy, authority: Authority, token: str = "") -> int:
    """Return what a request to store nothing is answered."""
    request = urllib.request.Request(
        f"{front.url}/studies",
        b"",
        {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
    )
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=str(authority.file))
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_instances_arrive_byte_for_byte_and_only_with_a_token(
    tmp_path: Path,
    orthanc: Orthanc,
    keycloak: Keycloak,
    front: ReverseProxy,
    authority: Authority,
    run: Callable[..., Running],
    tap: Callable[[int], Tap],
) -> None:
    client = keycloak.client(FIRST)
    right = client.token(STORING)
    head, _, signature = right.rpartition(".")
    for wrong in ("", "no-token", f"{head}.{signature[::-1]}", client.token()):
        assert status_of_a_store(front, authority, wrong) == 401
    assert status_of_a_store(front, authority, right) not in (401, 403)
    assert orthanc.count() == 0

    running = run(*documents(front, keycloak, client, authority), log_level="debug")
    wire = tap(running.port)
    files = make_corpus(tmp_path / "corpus", 3)
    assert dcmsend(wire.port, files) == 0
    running.wait_for(owed=0, deliveredTotal=len(files))
    stored = orthanc.files()
    assert {uid: data_set_bytes(one) for uid, one in stored.items()} == wire.witness.sent
    assert len(stored) == len(files)
    assert_nothing_failed(running)
    assert_nothing_is_told(running, front, FIRST)


def test_deliveries_go_on_over_many_lifetimes_of_tokens(
    orthanc: Orthanc, keycloak: Keycloak, front: ReverseProxy, authority: Authority, run: Callable[..., Running]
) -> None:
    client = keycloak.client(FIRST, lifetime_seconds=5)
    running = run(*documents(front, keycloak, client, authority), log_level="debug")
    with closing(Modality(running)) as modality:
        begin = time.monotonic()
        while len(front.tokens()) < 4:
            assert time.monotonic() < begin + 90, front.errors()[-3000:]
            modality.send()
            running.wait_for(owed=0, deliveredTotal=modality.sent)
        assert time.monotonic() > begin + 3 * 2, "tokens are used while they live"
    assert orthanc.count() == modality.sent
    assert_nothing_failed(running)
    assert_nothing_is_told(running, front, FIRST)


def test_a_rotated_client_secret(
    orthanc: Orthanc, keycloak: Keycloak, front: ReverseProxy, authority: Authority, run: Callable[..., Running]
) -> None:
    client = keycloak.client(FIRST, lifetime_seconds=5)
    running = run(*documents(front, keycloak, client, authority, retry=PATIENT), log_level="debug")
    pid = running.gateway_pid
    with closing(Modality(running)) as modality:
        modality.send()
        running.wait_for(owed=0, deliveredTotal=1)
        client.rotate(SECOND)
        send_until(lambda: paused_for(running, "TokenRefused"), modality, running)
        assert "(status 401, unauthorized_client)" in destination(running)["lastError"]["message"]
        assert running.counts()["owed"] > 0
        running.write([secret("client", secret=SECOND)])
        in_time(lambda: running.counts()["owed"] == 0, "the second secret is not in use", running)
        modality.send()
        running.wait_for(owed=0, deliveredTotal=modality.sent, deadLettered=0)
    assert running.gateway_pid == pid
    assert orthanc.count() == modality.sent
    assert destination(running)["state"] == "Active"
    assert_nothing_is_told(running, front, FIRST, SECOND)


def test_a_client_that_is_disabled_and_enabled_again(
    orthanc: Orthanc, keycloak: Keycloak, front: ReverseProxy, authority: Authority, run: Callable[..., Running]
) -> None:
    client = keycloak.client(FIRST, lifetime_seconds=5)
    running = run(*documents(front, keycloak, client, authority), log_level="debug")
    with closing(Modality(running)) as modality:
        modality.send()
        running.wait_for(owed=0, deliveredTotal=1)
        client.disable()
        send_until(lambda: paused_for(running, "TokenRefused"), modality, running)
        assert "(status 401, invalid_client)" in destination(running)["lastError"]["message"]
        assert orthanc.count() < modality.sent
        client.enable()
        running.wait_for(owed=0, deliveredTotal=modality.sent, deadLettered=0)
    assert orthanc.count() == modality.sent
    assert_nothing_is_told(running, front, FIRST)


def test_a_keycloak_that_is_restarted(
    orthanc: Orthanc, keycloak: Keycloak, front: ReverseProxy, authority: Authority, run: Callable[..., Running]
) -> None:
    client = keycloak.client(FIRST, lifetime_seconds=12)
    running = run(*documents(front, keycloak, client, authority), log_level="debug")
    with closing(Modality(running)) as modality:
        modality.send()
        running.wait_for(owed=0, deliveredTotal=1)
        keycloak.stop()
        try:
            modality.send()
            running.wait_for(owed=0, deliveredTotal=2)
            assert_nothing_failed(running)
            send_until(lambda: waits_for_tokens(running), modality, running)
        finally:
            keycloak.start()
        running.wait_for(owed=0, deliveredTotal=modality.sent, deadLettered=0)
    assert orthanc.count() == modality.sent
    assert len(front.tokens()) >= 2
    assert_nothing_is_told(running, front, FIRST)


def waits_for_tokens(running: Running) -> bool:
    one = destination(running)
    return one["state"] == "Waiting" and one["lastError"]["reason"] == "TokenEndpointUnreachable"


def test_through_a_forward_proxy_that_wants_a_password(
    orthanc: Orthanc, keycloak: Keycloak, front: ReverseProxy, authority: Authority, run: Callable[..., Running]
) -> None:
    client = keycloak.client(FIRST)
    with closing(ForwardProxy("gateway", SECOND)) as proxy:
        way = {
            "url": proxy.url,
            "basic": {"username": "gateway", "passwordSecretRef": {"name": "proxy", "key": "password"}},
        }
        manifests = documents(front, keycloak, client, authority, retry=PATIENT, proxy=way)
        running = run(*manifests, secret("proxy", password="PlantedMarker-wrong"), log_level="debug")
        assert storescu(running.port, [FILES / "MR_small.dcm"]) == 0
        wait_until(lambda: paused_for(running, "ProxyAuthenticationRequired"), running.process.tail)
        wait_until(lambda: {one.status for one in proxy.requests()} == {407}, "the proxy asked for nothing")
        assert front.requests() == []
        running.write([secret("proxy", password=SECOND)])
        in_time(lambda: running.counts()["owed"] == 0, "the right password is not in use", running)
        assert orthanc.count() == running.counts()["deliveredTotal"] == 1
        assert_nothing_is_told(running, front, FIRST, SECOND, "PlantedMarker-wrong")
        running.stop()  # a tunnel is logged when it ends
        passed = {(one.user, one.method, one.target) for one in proxy.requests() if one.status == 200}
        assert passed == {("gateway", "CONNECT", f"127.0.0.1:{one.port}") for one in (keycloak, front)}


def test_a_token_and_a_client_certificate(
    tmp_path: Path, orthanc: Orthanc, keycloak: Keycloak, authority: Authority, run: Callable[..., Running]
) -> None:
    client = keycloak.client(FIRST)
    devices = Authority(tmp_path / "devices", "devices")
    with closing(ReverseProxy(orthanc.url, keycloak, authority, clients=devices)) as front:
        tls = {"clientCertificateRef": {"name": "own"}}
        manifests = documents(front, keycloak, client, authority, retry=PATIENT, tls=tls)
        running = run(*manifests, own(devices), log_level="debug")
        assert storescu(running.port, [FILES / "CT_small.dcm"]) == 0
        running.wait_for(owed=0, deliveredTotal=1)  # by now the proxy has the keys that tokens are verified with

        running.write([own(Authority(tmp_path / "strangers", "strangers"))])
        wait_until(
            lambda: storescu(running.port, [FILES / "MR_small.dcm"]) == 0 and refused(running), running.process.tail
        )
        running.write([own(devices)])
        in_time(lambda: running.counts()["owed"] == 0, "the client certificate is not in use", running)
        assert orthanc.count() == 2
        assert_nothing_is_told(running, front, FIRST)


def refused(running: Running) -> bool:
    return (destination(running)["lastError"] or {}).get("reason") == "TLSClientCertificateRequired"


def own(authority: Authority) -> Json:
    """Return a Secret with a certificate for the gateway."""
    certificate, key = (file.read_text() for file in authority.issue("gateway"))
    return secret("own", **{"tls.crt": certificate, "tls.key": key})
