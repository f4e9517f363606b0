"""TLS and proxies between the gateway and its targets: real servers, real handshakes, a reason for each failure."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from origin import Origin, destination, post, store, with_client
from token_server import TokenServer
from web_proxy import WebProxy

from dicomroute_gateway.dicomweb.client import Client
from dicomroute_gateway.dicomweb.faults import CredentialFault, TransportFailed
from dicomroute_gateway.dicomweb.no_proxy import bypasses

NONE = {"type": "None"}
TRUSTING = {"caBundleFile": "ConfigMap-authorities/ca.crt"}
SHOWING = {"clientCertificateFile": "own/tls.crt", "clientKeyFile": "own/tls.key"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return trusted(tmp_path, "authority")


def trusted(secrets: Path, name: str) -> Authority:
    """Return an authority that the ConfigMap has, as of now."""
    authority = Authority(secrets / "authorities", name)
    (secrets / "ConfigMap-authorities").mkdir(exist_ok=True)
    replace(secrets / "ConfigMap-authorities" / "ca.crt", authority.file.read_bytes())
    return authority


def replace(file: Path, content: bytes) -> None:
    """Change a mounted file in one step, as the kubelet does."""
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(content)
    new.replace(file)


def show(secrets: Path, authority: Authority) -> None:
    """Let the gateway have a client certificate."""
    (secrets / "own").mkdir(exist_ok=True)
    certificate, key = authority.issue("gateway")
    replace(secrets / "own" / "tls.crt", certificate.read_bytes())
    replace(secrets / "own" / "tls.key", key.read_bytes())


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    servers: list[Any] = []

    def keep(server: Any) -> Any:
        servers.append(server)
        return server

    yield keep
    for one in servers:
        one.close()


def reason_of(secrets: Path, target: Any) -> str:
    with pytest.raises((TransportFailed, CredentialFault)) as caught:
        store(secrets, target)
    assert target.url in str(caught.value) or "tls.crt" in str(caught.value) or "ca.crt" in str(caught.value)
    return caught.value.reason


def test_an_authority_of_ones_own_is_trusted(authority: Authority, serve: Any, tmp_path: Path) -> None:
    origin = serve(Origin(tls=authority.server()))
    assert store(tmp_path, destination(origin.url, NONE, tls=TRUSTING)) == 200
    assert reason_of(tmp_path, destination(origin.url, NONE)) == "TLSUntrusted"


def test_a_certificate_for_another_name(authority: Authority, serve: Any, tmp_path: Path) -> None:
    for hosts in (("archive.example",), ("192.0.2.1",)):
        origin = serve(Origin(tls=authority.server(*hosts)))
        assert reason_of(tmp_path, destination(origin.url, NONE, tls=TRUSTING)) == "TLSNameMismatch"


def test_a_certificate_that_has_ended(authority: Authority, serve: Any, tmp_path: Path) -> None:
    origin = serve(Origin(tls=authority.server(days=-1)))
    assert reason_of(tmp_path, destination(origin.url, NONE, tls=TRUSTING)) == "TLSExpired"


def test_a_server_with_old_versions_alone(authority: Authority, serve: Any, tmp_path: Path) -> None:
    context = authority.server()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    origin = serve(Origin(tls=context))
    assert reason_of(tmp_path, destination(origin.url, NONE, tls=TRUSTING)) == "TLSVersionUnsupported"


def test_no_tls_at_all_where_it_is_spoken(serve: Any, tmp_path: Path) -> None:
    origin = serve(Origin())
    url = origin.url.replace("http://", "https://")
    assert reason_of(tmp_path, destination(url, NONE)) == "TLSFailed"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_where_it_is_asked_for(
    authority: Authority, serve: Any, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = authority.server(clients=authority)
    context.minimum_version = context.maximum_version = version
    origin = serve(Origin(tls=context))
    assert reason_of(tmp_path, destination(origin.url, NONE, tls=TRUSTING)) == "TLSClientCertificateRequired"
    target = destination(origin.url, NONE, tls={**TRUSTING, **SHOWING})
    show(tmp_path, Authority(tmp_path / "stranger", "stranger"))
    assert reason_of(tmp_path, target) == "TLSClientCertificateRequired"
    show(tmp_path, authority)
    assert store(tmp_path, target) == 200


def test_the_token_endpoint_is_spoken_to_alike(authority: Authority, serve: Any, tmp_path: Path) -> None:
    endpoint = serve(TokenServer(authority.server(clients=authority)))
    origin = serve(Origin(lambda request: request.headers["Authorization"] == "Bearer token-1"))
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "secret").write_text("an-example")
    auth = {
        "type": "OAuth2ClientCredentials",
        "tokenURL": f"{endpoint.url}/token",
        "clientID": "gateway",
        "clientSecretFile": "vendor/secret",
    }
    show(tmp_path, authority)
    assert store(tmp_path, destination(origin.url, auth, tls={**TRUSTING, **SHOWING})) == 200
    with pytest.raises(TransportFailed) as caught:
        store(tmp_path, destination(origin.url, auth))
    assert caught.value.reason == "TLSUntrusted"
    assert "token endpoint" in str(caught.value)


def test_what_is_not_a_certificate(authority: Authority, serve: Any, tmp_path: Path) -> None:
    origin = serve(Origin(tls=authority.server()))
    target = destination(origin.url, NONE, tls={**TRUSTING, **SHOWING})
    assert reason_of(tmp_path, destination(origin.url, NONE, tls={"caBundleFile": "none/ca.crt"})) == "SecretMissing"
    show(tmp_path, authority)
    key = tmp_path / "own" / "tls.key"
    replace(key, authority.issue("another")[1].read_bytes())
    assert reason_of(tmp_path, target) == "CertificateUnusable"
    replace(key, b"PlantedMarker")
    assert reason_of(tmp_path, target) == "CertificateUnusable"
    show(tmp_path, authority)
    replace(tmp_path / "ConfigMap-authorities" / "ca.crt", b"-----BEGIN")
    assert reason_of(tmp_path, target) == "CertificateUnusable"


def test_a_changed_authority_is_used_by_the_next_request_and_one_under_way_ends(
    authority: Authority, serve: Any, tmp_path: Path
) -> None:
    origin = serve(Origin(tls=authority.server()))
    target = destination(origin.url, NONE, tls=TRUSTING)

    async def act(client: Client) -> None:
        assert await post(client, target) == 200
        assert await post(client, target) == 200
        async with client.request(target, "GET", "/studies", {}) as under_way:
            trusted(tmp_path, "another")
            with pytest.raises(TransportFailed) as caught:
                await post(client, target)
            assert caught.value.reason == "TLSUntrusted"
            assert await under_way.read(1) == b""
        replace(tmp_path / "ConfigMap-authorities" / "ca.crt", authority.file.read_bytes())
        assert await post(client, target) == 200

    with_client(tmp_path, act)
    connections = [one.connection for one in origin.received]
    assert connections[0] == connections[1] != connections[-1], "kept while nothing changes, and then made anew"


# -- proxies -----------------------------------------------------------------------------------------------------


def through(proxy: WebProxy, **fields: Any) -> dict[str, Any]:
    return {"url": proxy.url, **fields}


def test_data_and_tokens_go_through_the_proxy(authority: Authority, serve: Any, tmp_path: Path) -> None:
    endpoint = serve(TokenServer(authority.server()))
    plain, origin = serve(Origin()), serve(Origin(tls=authority.server()))
    proxy = serve(WebProxy("gateway", "an example: with +/%"))
    for name, value in (("vendor", "an-example"), ("proxy", proxy.password)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text(value)
    auth = {
        "type": "OAuth2ClientCredentials",
        "tokenURL": f"{endpoint.url}/token",
        "clientID": "gateway",
        "clientSecretFile": "vendor/secret",
    }
    way = through(proxy, username="gateway", passwordFile="proxy/secret")
    for target in (plain, origin):
        assert store(tmp_path, destination(target.url, auth, tls=TRUSTING, proxy=way)) == 200
    places = [f"127.0.0.1:{server.port}" for server in (endpoint, plain, endpoint, origin)]
    assert proxy.passed == places
    sent = [one.headers for server in (plain, origin, endpoint) for one in server.received]
    assert not any("Proxy-Authorization" in headers for headers in sent), "the proxy's password is for the proxy"


@pytest.mark.parametrize("is_tls", [False, True])
def test_a_proxy_that_wants_a_password(authority: Authority, serve: Any, tmp_path: Path, is_tls: bool) -> None:
    origin = serve(Origin(tls=authority.server() if is_tls else None))
    proxy = serve(WebProxy("gateway", "right"))
    (tmp_path / "proxy").mkdir()
    password = tmp_path / "proxy" / "secret"
    password.write_text("wrong")

    async def act(client: Client) -> None:
        for way in (through(proxy), through(proxy, username="gateway", passwordFile="proxy/secret")):
            with pytest.raises(CredentialFault) as caught:
                await post(client, destination(origin.url, NONE, tls=TRUSTING, proxy=way))
            assert caught.value.reason == "ProxyAuthenticationRequired"
        replace(password, b"right")
        assert await post(client, destination(origin.url, NONE, tls=TRUSTING, proxy=way)) == 200

    with_client(tmp_path, act)
    assert proxy.refused == 2


def test_a_proxy_with_tls_of_its_own(authority: Authority, serve: Any, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "other")
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "ca.crt").write_text(other.pem)
    proxy = serve(WebProxy(tls=other.server()))
    origin = serve(Origin(tls=authority.server()))
    way = through(proxy, caBundleFile="proxy/ca.crt")
    assert store(tmp_path, destination(origin.url, NONE, tls=TRUSTING, proxy=way)) == 200
    assert reason_of(tmp_path, destination(origin.url, NONE, tls=TRUSTING, proxy=through(proxy))) == "TLSUntrusted"


def test_a_proxy_that_is_not_there_or_does_not_pass(authority: Authority, serve: Any, tmp_path: Path) -> None:
    origin = serve(Origin(tls=authority.server()))
    proxy = serve(WebProxy())
    for url in ("http://127.0.0.1:9", "http://no-such-host.invalid:3128"):
        with pytest.raises(TransportFailed) as caught:
            store(tmp_path, destination(origin.url, NONE, tls=TRUSTING, proxy={"url": url}))
        assert caught.value.reason == "ProxyUnreachable"
        assert url in str(caught.value)
    nowhere = destination("https://127.0.0.1:9", NONE, tls=TRUSTING, proxy=through(proxy))
    assert reason_of(tmp_path, nowhere) == "ProxyRefused"


def test_a_host_without_the_proxy(authority: Authority, serve: Any, tmp_path: Path) -> None:
    origin = serve(Origin(tls=authority.server()))
    proxy = serve(WebProxy())
    for no_proxy in (["127.0.0.0/8"], ["127.0.0.1"]):
        way = through(proxy, noProxy=no_proxy)
        assert store(tmp_path, destination(origin.url, NONE, tls=TRUSTING, proxy=way)) == 200
    assert proxy.passed == []


def test_the_environment_names_no_proxy(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert store(tmp_path, destination(serve(Origin()).url, NONE)) == 200


@pytest.mark.parametrize(
    "entry, host, direct",
    [
        ("archive.example", "archive.example", True),
        ("archive.example", "a.archive.example", True),
        (".archive.example", "A.Archive.Example.", True),
        ("archive.example", "not-archive.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "ten.example", False),
        ("2001:db8::/32", "2001:db8::7", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.10", False),
        ("2.1", "192.0.2.1", False),
    ],
)
def test_what_an_entry_stands_for(entry: str, host: str, direct: bool) -> None:
    assert bypasses([entry], host) is direct
