"""A gateway says what is wrong with a target before anything is owed to it: every reason from its real cause."""

import json
import socket
import ssl
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from certificates import Authority
from control_plane import ControlPlane
from gateways import LoneGateway
from manifests import Json, changed, route, target
from origin import Origin
from ports import free_port
from processes import wait_until
from running import cli
from token_server import TokenServer, refusal
from web_proxy import WebProxy
from web_server import Answer, Received, WebServer

DICOM_JSON = "application/dicom+json"
PASSWORD = "PlantedMarker"
BASIC = {"type": "Basic", "basic": {"username": "gateway", "passwordSecretRef": {"name": "archive", "key": "password"}}}
AUTHORITY = {"caBundleRef": {"kind": "ConfigMap", "name": "authorities", "key": "ca.crt"}}


class Archive(WebServer):
    """Answers queries as a DICOMweb server without studies, or with what `answers` says."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.wants: Callable[[Received], bool] = lambda _: True
        self.says = Answer(200, b'[{"00100010": {"Value": ["Secret^Patient"]}}]', DICOM_JSON)
        super().__init__(tls, host)

    def answer(self, request: Received) -> Answer:
        return self.says if self.wants(request) else Answer(401)

    def queries(self) -> list[str]:
        return [one.path for one in self.received if one.method == "GET"]


class _Refuses(Origin):
    """Answers a status to everything."""

    def __init__(self, status: int, content_type: str = "", **headers: str) -> None:
        self._answer = Answer(status, b"<html>", content_type, tuple(headers.items()))
        super().__init__()

    def answer(self, request: Received) -> Answer:
        return self._answer


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    kept: list[Any] = []

    def one(server: Any) -> Any:
        kept.append(server)
        return server

    yield one
    for server in reversed(kept):
        getattr(server, "close", getattr(server, "kill", None))()


def named(name: str, **spec: Any) -> Json:
    return changed(target(**spec), "metadata.name", name)


def routing(*names: str) -> Json:
    one = route(rules=[{"name": name, "destinations": [{"kind": "CloudTarget", "name": name}]} for name in names])
    one["spec"]["listeners"][0]["sources"] = {"policy": "Any"}
    return one


def mount(folder: Path, password: str = PASSWORD, authority: Authority | None = None) -> None:
    """Give the gateway its Secrets, as the kubelet does."""
    for name, content in (
        ("archive/password", password),
        ("ConfigMap-authorities/ca.crt", authority and authority.pem),
    ):
        if content:
            file = folder / "secrets" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            new = file.with_name(f".{file.name}.new")
            new.write_text(content)
            new.replace(file)


def probes(gateway: LoneGateway) -> dict[str, Json]:
    return {one["name"]: one["probe"] for one in gateway.status()["destinations"] if one["probe"]}


def word(finding: Json) -> str:
    return f"{finding['status']}/{finding['reason']}"


def words(probe: Json) -> tuple[str, str, str]:
    """Return what a probe found: Reachable, Authenticated, Ready."""
    return word(probe["reachable"]), word(probe["authenticated"]), word(probe["ready"])


def tell_apart(probe: Json) -> dict[str, str]:
    return {one["step"]: one["result"] for one in probe["steps"]}


def test_every_reason_from_its_cause(keep: Callable[[Any], Any], tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    mount(tmp_path, authority=authority)
    (tmp_path / "secrets" / "client").mkdir()
    (tmp_path / "secrets" / "client" / "secret").write_text(PASSWORD)
    refusing = keep(TokenServer())
    refusing.play = lambda _: refusal("invalid_client", status=401)
    old = authority.server()
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    stranger = Authority(tmp_path / "stranger", "stranger")
    picky, works = keep(Archive()), keep(Archive(authority.server()))
    picky.wants = lambda request: request.headers.get("Authorization", "").startswith("Bearer never")
    silent = keep(socket.create_server(("127.0.0.1", 0)))
    port = free_port()
    answering = "http://{}/dicom-web".format(picky.url.removeprefix("http://"))

    def oauth(url: str) -> Json:
        member = {"tokenURL": url, "clientID": "c", "clientSecretRef": {"name": "client", "key": "secret"}}
        return {"type": "OAuth2ClientCredentials", "oauth2ClientCredentials": member}

    def proxied(url: str) -> Json:
        return {"url": works.url, "tls": AUTHORITY, "proxy": {"url": url}}

    missing = changed(BASIC, "basic.passwordSecretRef.name", "nowhere")
    reached, unknown = "True/Reachable", "Unknown/NotTested"
    cases: dict[str, tuple[Json, tuple[str, str, str]]] = {
        "works": ({"url": works.url, "tls": AUTHORITY}, (reached, "True/Authenticated", "True/Ready")),
        "no-name": ({"url": "http://archive.invalid/x"}, ("False/DNSFailed", unknown, "False/DNSFailed")),
        "refused": (
            {"url": f"http://127.0.0.1:{port}"},
            ("False/ConnectionFailed", unknown, "False/ConnectionFailed"),
        ),
        "untrusted": (
            {"url": keep(Archive(stranger.server())).url, "tls": AUTHORITY},
            ("False/TLSUntrusted", unknown, "False/TLSUntrusted"),
        ),
        "other-name": (
            {"url": keep(Archive(authority.server("archive.example"))).url, "tls": AUTHORITY},
            ("False/TLSNameMismatch", unknown, "False/TLSNameMismatch"),
        ),
        "expired": (
            {"url": keep(Archive(authority.server(days=-1))).url, "tls": AUTHORITY},
            ("False/TLSExpired", unknown, "False/TLSExpired"),
        ),
        "old": (
            {"url": keep(Archive(old)).url, "tls": AUTHORITY},
            ("False/TLSVersionUnsupported", unknown, "False/TLSVersionUnsupported"),
        ),
        "no-tls": (
            {"url": picky.url.replace("http", "https")},
            ("False/TLSFailed", unknown, "False/TLSFailed"),
        ),
        "wants-certificate": (
            {"url": keep(Archive(authority.server(clients=authority))).url, "tls": AUTHORITY},
            ("False/TLSClientCertificateRequired", unknown, "False/TLSClientCertificateRequired"),
        ),
        "no-proxy": (
            proxied(f"http://127.0.0.1:{port}"),
            ("False/ProxyUnreachable", unknown, "False/ProxyUnreachable"),
        ),
        "proxy-wants-password": (
            proxied(keep(WebProxy("u", "p")).url),
            ("False/ProxyAuthenticationRequired", unknown, "False/ProxyAuthenticationRequired"),
        ),
        "proxied": (proxied(keep(WebProxy()).url), (reached, "True/Authenticated", "True/Ready")),
        "token-refused": (
            {"url": picky.url, "auth": oauth(f"{refusing.url}/token")},
            (reached, "False/TokenRefused", "False/TokenRefused"),
        ),
        "no-token-endpoint": (
            {"url": picky.url, "auth": oauth(f"http://127.0.0.1:{port}/token")},
            (reached, "False/TokenEndpointUnreachable", "False/TokenEndpointUnreachable"),
        ),
        "no-secret": ({"url": picky.url, "auth": missing}, (reached, "False/SecretMissing", "False/SecretMissing")),
        "wrong-password": ({"url": answering, "auth": BASIC}, (reached, "False/Unauthorized", "False/Unauthorized")),
        "both": (
            {"url": f"http://127.0.0.1:{port}", "auth": oauth(f"{refusing.url}/token")},
            ("False/ConnectionFailed", "False/TokenRefused", "False/ConnectionFailed"),
        ),
        "forbidden": (
            {"url": keep(_Refuses(403)).url},
            (reached, "Unknown/NotProven", "Unknown/QueryNotAllowed"),
        ),
        "no-query": ({"url": keep(_Refuses(405)).url}, (reached, "Unknown/NotProven", "Unknown/QueryNotAllowed")),
        "not-found": ({"url": keep(_Refuses(404)).url}, (reached, "Unknown/NotProven", "False/NotDICOMweb")),
        "html": ({"url": keep(_Refuses(200, "text/html")).url}, (reached, "Unknown/NotProven", "False/NotDICOMweb")),
        "elsewhere": (
            {"url": keep(_Refuses(302, Location="http://127.0.0.1/x")).url},
            (reached, "Unknown/NotProven", "False/Redirected"),
        ),
        "busy": ({"url": keep(_Refuses(503)).url}, (reached, "Unknown/NotProven", "False/Busy")),
        "broken": ({"url": keep(_Refuses(500)).url}, (reached, "Unknown/NotProven", "False/ServerError")),
        "silent": (
            {"url": f"http://127.0.0.1:{silent.getsockname()[1]}"},
            ("False/TimedOut", unknown, "False/TimedOut"),
        ),
    }
    documents = [named(name, **spec) for name, (spec, _) in cases.items()]
    gateway = keep(LoneGateway(tmp_path, [routing(*cases), *documents], log_level="info"))
    wait_until(
        lambda: probes(gateway).keys() == cases.keys(), lambda: f"not probed: {cases.keys() - probes(gateway).keys()}"
    )
    found = probes(gateway)
    assert {name: words(probe) for name, probe in found.items()} == {
        name: wanted for name, (_, wanted) in cases.items()
    }
    for name, probe in found.items():
        assert all(one["message"] for one in probe["steps"] if one["result"] == "Failed"), name
        assert [one["step"] for one in probe["steps"]] == ["DNS", "TCP", "TLS", "Credential", "Query"], name
        timed = {one["step"] for one in probe["steps"] if one["milliseconds"] is not None}
        assert timed == {step for step, result in tell_apart(probe).items() if result in ("Passed", "Failed")}, name
    assert works.queries() == ["/studies?limit=1"] * 2, "the one that goes through the proxy is the second"
    shown = json.dumps(gateway.status()) + gateway.process.output.read_text()
    assert PASSWORD not in shown
    assert "Secret^Patient" not in shown


def test_a_target_is_probed_again_when_its_secret_changes(keep: Callable[[Any], Any], tmp_path: Path) -> None:
    archive = keep(Archive())
    archive.wants = lambda request: request.headers.get("Authorization") == "Basic Z2F0ZXdheTpyaWdodA=="
    mount(tmp_path, "wrong")
    documents = [routing("archive"), target(url=archive.url, auth=BASIC)]
    gateway = keep(LoneGateway(tmp_path, documents))
    wait_until(lambda: "archive" in probes(gateway), "not probed")
    assert words(probes(gateway)["archive"])[1] == "False/Unauthorized"
    mount(tmp_path, "right")
    wait_until(lambda: words(probes(gateway)["archive"])[2] == "True/Ready", "not probed again", 10)


def test_on_demand_it_is_asked_now(keep: Callable[[Any], Any], tmp_path: Path) -> None:
    archive = keep(Archive())
    gateway = keep(LoneGateway(tmp_path, [routing("archive"), target(url=archive.url)]))
    wait_until(lambda: "archive" in probes(gateway), "not probed")
    archive.says = Answer(404)
    assert words(gateway.post("/api/v1/test/CloudTarget/archive"))[2] == "False/NotDICOMweb"
    assert words(probes(gateway)["archive"])[2] == "False/NotDICOMweb"
    for path in ("CloudTarget/other", "DicomNode/archive"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            gateway.post(f"/api/v1/test/{path}")
        assert caught.value.code == 404


def manifests(folder: Path, *documents: Json) -> Path:
    file = folder / "target.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return file


def secret(password: str) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "archive"}, "stringData": {"password": password}}


def test_the_command_line_tests_a_target_of_manifests(keep: Callable[[Any], Any], tmp_path: Path) -> None:
    archive = keep(Archive())
    archive.wants = lambda request: request.headers.get("Authorization") == "Basic Z2F0ZXdheTpyaWdodA=="
    one = target(url=archive.url, auth=BASIC)
    good = cli("test", "target", "archive", "-f", manifests(tmp_path, one, secret("right")), "-o", "json")
    assert good.returncode == 0, good.stderr
    document = json.loads(good.stdout)
    assert (document["target"], document["by"], document["passed"]) == ("default/archive", "this machine", True)
    assert words(document["probe"]) == ("True/Reachable", "True/Authenticated", "True/Ready")
    bad = cli("test", "target", "archive", "-f", manifests(tmp_path, one, secret(PASSWORD)))
    assert bad.returncode == 1
    assert [line.split()[0] for line in bad.stdout.splitlines()[3:8]] == ["DNS", "TCP", "TLS", "Credential", "Query"]
    assert "Unauthorized" in bad.stdout
    assert "correct spec.auth" in bad.stdout
    assert PASSWORD not in bad.stdout + bad.stderr
    without = cli("test", "target", "archive", "-f", manifests(tmp_path, one), "-o", "yaml")
    assert without.returncode == 1
    assert yaml.safe_load(without.stdout)["probe"]["ready"]["reason"] == "SecretMissing"
    other = cli("test", "target", "other", "-f", tmp_path / "target.yaml")
    assert other.returncode == 2
    assert "archive" in other.stderr
    assert [one.method for one in archive.received] == ["GET"] * len(archive.received)


def test_a_refused_token_leaves_the_output_clean(keep: Callable[[Any], Any], tmp_path: Path) -> None:
    endpoint = keep(TokenServer())
    endpoint.play = lambda _: refusal("invalid_client", status=401)
    reference = {"name": "archive", "key": "password"}
    member = {"tokenURL": f"{endpoint.url}/token", "clientID": "c", "clientSecretRef": reference}
    auth = {"type": "OAuth2ClientCredentials", "oauth2ClientCredentials": member}
    one = target(url=keep(Archive()).url, auth=auth)
    done = cli("test", "target", "archive", "-f", manifests(tmp_path, one, secret(PASSWORD)), "-o", "json")
    assert json.loads(done.stdout)["probe"]["authenticated"]["reason"] == "TokenRefused"
    assert done.returncode == 1
    assert done.stderr == ""


def test_the_command_line_tests_a_target_that_no_route_uses_from_this_machine(
    control_plane: ControlPlane, keep: Callable[[Any], Any]
) -> None:
    archive = keep(Archive())
    archive.wants = lambda request: request.headers.get("Authorization") == "Basic Z2F0ZXdheTpyaWdodA=="
    unused = named("unused", url=archive.url, auth=BASIC)
    stranger = changed(routing("another"), "metadata.name", "of-another-target")
    for document, plural in ((unused, "cloudtargets"), (stranger, "dicomroutes")):
        assert control_plane.apply(document, plural, dry_run=False).code == 201
    words_ = ("test", "target", "unused", "-n", "default", "-o", "json")
    try:
        without = cli(*words_, env=control_plane.environment())
        assert json.loads(without.stdout)["probe"]["authenticated"]["reason"] == "SecretMissing", without.stderr
        assert control_plane.request("POST", "/api/v1/namespaces/default/secrets", secret("right")).code == 201
        done = cli(*words_, env=control_plane.environment())
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["by"] == "this machine, because no running route uses it"
        none = cli("test", "target", "nobody", env=control_plane.environment())
        assert (none.returncode, "nobody" in none.stderr) == (2, True)
    finally:
        base = "/apis/dicomroute.dev/v1alpha1/namespaces/default"
        for path in (f"{base}/cloudtargets/unused", f"{base}/dicomroutes/of-another-target"):
            control_plane.request("DELETE", path)
        control_plane.request("DELETE", "/api/v1/namespaces/default/secrets/archive")
