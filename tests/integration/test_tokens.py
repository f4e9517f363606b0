"""Tokens: what is asked for, how long it is kept, who waits, and what a refusal is called."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from origin import Origin, destination, post, store, with_client
from token_server import TokenServer, refusal
from web_server import Answer, Received, WebServer

from dicomroute_gateway.dicomweb.client import Client
from dicomroute_gateway.dicomweb.faults import CredentialFault, TransportFailed

SECRET = "an-example: with +/% signs"


@pytest.fixture
def serve() -> Iterator[Callable[[WebServer], Any]]:
    """Close servers at the end."""
    servers: list[WebServer] = []

    def keep(server: WebServer) -> WebServer:
        servers.append(server)
        return server

    yield keep
    for one in servers:
        one.close()


@pytest.fixture
def endpoint(serve: Callable[[WebServer], Any]) -> TokenServer:
    return serve(TokenServer())


@pytest.fixture
def origin(serve: Callable[[WebServer], Any], endpoint: TokenServer) -> Origin:
    """An origin server that takes the token that was given last."""
    return serve(
        Origin(lambda request: request.headers.get("Authorization") == f"Bearer {(endpoint.given or [''])[-1]}")
    )


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "secret").write_text(f"{SECRET}\n")
    return tmp_path


def oauth2(origin: Origin, endpoint: TokenServer, **fields: Any) -> Any:
    auth = {
        "type": "OAuth2ClientCredentials",
        "tokenURL": f"{endpoint.url}/token",
        "clientID": "gateway:1",
        "clientSecretFile": "vendor/secret",
        **fields,
    }
    return destination(origin.url, auth)


def test_the_client_says_who_it_is_in_a_header(origin: Origin, endpoint: TokenServer, secrets: Path) -> None:
    target = oauth2(origin, endpoint, scopes=["store", "read"], audience="dicom", resource="urn:r")
    assert store(secrets, target) == 200
    assert endpoint.forms == [
        {"grant_type": "client_credentials", "scope": "store read", "audience": "dicom", "resource": "urn:r"}
    ]
    scheme, _, value = endpoint.received[0].headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(value).decode() == "gateway%3A1:an-example%3A+with+%2B%2F%25+signs", "RFC 6749 2.3.1"


def test_the_client_says_who_it_is_in_the_form(origin: Origin, endpoint: TokenServer, secrets: Path) -> None:
    parameters = [{"name": "realm", "value": "a b"}]
    target = oauth2(origin, endpoint, clientAuthentication="Post", parameters=parameters)
    assert store(secrets, target) == 200
    (form,) = endpoint.forms
    assert form == {
        "grant_type": "client_credentials",
        "client_id": "gateway:1",
        "client_secret": SECRET,
        "realm": "a b",
    }
    assert "Authorization" not in endpoint.received[0].headers


def test_a_token_is_kept_and_many_requests_wait_for_one(origin: Origin, endpoint: TokenServer, secrets: Path) -> None:
    async def many(client: Client) -> list[int]:
        return await asyncio.gather(*(post(client, oauth2(origin, endpoint)) for _ in range(20)))

    assert with_client(secrets, many) == [200] * 20
    assert len(endpoint.given) == 1


def test_a_token_is_renewed_before_it_ends_and_nobody_waits_for_that(
    serve: Callable[[WebServer], Any], endpoint: TokenServer, secrets: Path
) -> None:
    endpoint.lifetime_seconds = 2
    origin = serve(Origin())

    async def act(client: Client) -> None:
        target = oauth2(origin, endpoint)
        await post(client, target)
        endpoint.gate.clear()  # the endpoint is slow from here on
        async with asyncio.timeout(10):
            while len(endpoint.received) < 2:
                assert await asyncio.wait_for(post(client, target), 0.3) == 200
        endpoint.gate.set()
        async with asyncio.timeout(10):
            while origin.received[-1].headers["Authorization"] == "Bearer token-1":
                await post(client, target)
        assert origin.received[-1].headers["Authorization"] == "Bearer token-2"

    with_client(secrets, act)


def test_a_token_without_a_lifetime_is_used(origin: Origin, endpoint: TokenServer, secrets: Path) -> None:
    for lifetime in (None, "3600", "soon", -1, 1e99, True):
        endpoint.lifetime_seconds = lifetime
        assert store(secrets, oauth2(origin, endpoint)) == 200


def test_a_token_that_is_refused_is_renewed_once_and_the_request_made_again(
    serve: Callable[[WebServer], Any], endpoint: TokenServer, secrets: Path
) -> None:
    origin = serve(Origin(lambda request: request.headers["Authorization"] == "Bearer token-2"))
    assert store(secrets, oauth2(origin, endpoint)) == 200
    assert [one.headers["Authorization"] for one in origin.received] == ["Bearer token-1", "Bearer token-2"]
    assert origin.received[0].body == origin.received[1].body != b""


def test_a_token_that_is_refused_again_is_the_callers_business(
    serve: Callable[[WebServer], Any], endpoint: TokenServer, secrets: Path
) -> None:
    origin = serve(Origin(lambda _: False))
    assert store(secrets, oauth2(origin, endpoint)) == 401
    assert (len(origin.received), len(endpoint.given)) == (2, 2)


def test_another_secret_is_another_identity(origin: Origin, endpoint: TokenServer, secrets: Path) -> None:
    async def act(client: Client) -> None:
        await post(client, oauth2(origin, endpoint))
        (secrets / "vendor" / "secret").write_text("the-next-example")
        assert await post(client, oauth2(origin, endpoint)) == 200

    with_client(secrets, act)
    assert len(endpoint.given) == 2


def plays(answer: Answer) -> Callable[[Received], Answer]:
    return lambda _: answer


@pytest.mark.parametrize(
    "answer, reason, shown",
    [
        (refusal("invalid_client", "AADSTS7000215: Invalid client secret provided."), "TokenRefused", "AADSTS7000215"),
        (refusal("invalid_client", status=401), "TokenRefused", "invalid_client"),
        (refusal("invalid_scope", status=403), "TokenRefused", "invalid_scope"),
        (Answer(404, b"<html>"), "TokenRefused", "status 404"),
        (Answer(302, b"", headers=(("Location", "http://192.0.2.1/"),)), "TokenRefused", "redirects"),
        (Answer(500, b"oops"), "TokenEndpointUnavailable", "500"),
        (Answer(429), "TokenEndpointUnavailable", "429"),
        (Answer(200, b"{"), "TokenAnswerInvalid", "no access_token"),
        (Answer(200, b"[" * 60_000), "TokenAnswerInvalid", "no access_token"),
        (Answer(200, b'{"access_token": "' + b"a" * 10_000_000), "TokenAnswerInvalid", "no access_token"),
        (Answer(200, b'{"access_token": ["a"]}'), "TokenAnswerInvalid", "no access_token"),
        (Answer(200, b'{"access_token": "a\\r\\nX-Injected: 1"}'), "TokenAnswerInvalid", "no access_token"),
        (Answer(200, b'{"access_token": "a", "token_type": "mac"}'), "TokenAnswerInvalid", "bearer"),
    ],
)
def test_what_an_endpoint_answers_has_a_reason(
    origin: Origin, endpoint: TokenServer, secrets: Path, answer: Answer, reason: str, shown: str
) -> None:
    endpoint.play = plays(answer)
    with pytest.raises((CredentialFault, TransportFailed)) as caught:
        store(secrets, oauth2(origin, endpoint))
    assert caught.value.reason == reason
    assert shown in str(caught.value)
    assert origin.received == [], "nothing is sent without a credential"


@pytest.mark.parametrize("style", ["Basic", "Post"])
def test_an_endpoint_that_sends_the_secret_back_is_not_quoted(
    origin: Origin, endpoint: TokenServer, secrets: Path, style: str
) -> None:
    (secrets / "vendor" / "secret").write_text("PlantedMarker")
    for error in ("PlantedMarker", "no_PlantedMarker_no"):
        endpoint.play = plays(refusal(error, "PlantedMarker"))
        with pytest.raises(CredentialFault) as caught:
            store(secrets, oauth2(origin, endpoint, clientAuthentication=style))
        assert "PlantedMarker" not in str(caught.value)


def test_an_endpoint_that_is_not_there(origin: Origin, endpoint: TokenServer, secrets: Path) -> None:
    with pytest.raises(TransportFailed) as caught:
        store(secrets, oauth2(origin, endpoint, tokenURL="http://127.0.0.1:9/token"))
    assert caught.value.reason == "TokenEndpointUnreachable"


def test_a_secret_that_is_not_there_or_unusable_is_named(origin: Origin, endpoint: TokenServer, secrets: Path) -> None:
    for content, reason in ((None, "SecretMissing"), (b"", "CredentialInvalid"), (b"\xff", "CredentialInvalid")):
        file = secrets / "vendor" / "secret"
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(CredentialFault) as caught:
            store(secrets, oauth2(origin, endpoint))
        assert caught.value.reason == reason
        assert "the key secret of Secret vendor" in str(caught.value)
        file.write_text("x")


def test_what_somebody_else_renews_is_read_at_each_use(serve: Callable[[WebServer], Any], secrets: Path) -> None:
    origin = serve(Origin())
    file = secrets / "vendor" / "secret"
    target = destination(origin.url, {"type": "Bearer", "tokenFile": "vendor/secret"})

    async def act(client: Client) -> None:
        for token in ("first.example", "second.example"):
            file.write_text(f"{token}\n")
            assert await post(client, target) == 200
        file.write_text("two words")
        with pytest.raises(CredentialFault):
            await post(client, target)

    with_client(secrets, act)
    shown = [one.headers["Authorization"] for one in origin.received]
    assert shown == ["Bearer first.example", "Bearer second.example"]


def test_nothing_that_is_kept_tells_its_secret_in_a_repr() -> None:
    from dicomroute_gateway.dicomweb.credentials.authorize import Authorized, Unsigned
    from dicomroute_gateway.dicomweb.credentials.aws import TemporaryKeys
    from dicomroute_gateway.dicomweb.credentials.exchange import Reply, Request
    from dicomroute_gateway.dicomweb.credentials.tokens import Token, TokenSource

    marker = "PlantedMarker"
    things = [
        Token(marker, 1.0),
        TokenSource("x", (marker,), lambda: None),  # type: ignore[arg-type,return-value]
        TemporaryKeys(marker, marker, marker),
        Request("https://a.example", {"client_secret": marker}, {"Authorization": marker}),
        Reply(200, {"x": marker}, marker.encode()),
        Authorized({"Authorization": marker}, Token(marker)),
        Unsigned("POST", "https://a.example", {"Authorization": marker}),
    ]
    assert marker not in repr(things)
    assert json.dumps(str(things))
