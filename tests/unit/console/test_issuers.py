"""Tokens of an issuer that lies, changes its keys and goes away; and what comes back from a sign-in not ours."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from issuer import Issuer, issuing

from dicomroute_console.signin import configuration
from dicomroute_console.signin.code_flow import CodeFlow
from dicomroute_console.signin.issuers import RENEW_SECONDS, STALE_SECONDS, UNKNOWN_KEY_SECONDS, Endpoint
from dicomroute_console.sources.person import NotKnown, Person
from dicomroute_console.sources.source import OutOfReach

CALLBACK = "http://localhost/sign-in/callback"


@pytest.fixture
def served() -> Iterator[tuple[Issuer, ThreadingHTTPServer]]:
    with issuing() as found:
        yield found


@pytest.fixture
def issuer(served: tuple[Issuer, ThreadingHTTPServer]) -> Issuer:
    return served[0]


def story(issuer: Issuer, tell: Callable[[Endpoint, list[float]], Coroutine[Any, Any, None]]) -> None:
    """Let a coroutine ask the issuer, by a clock of its own."""

    async def told() -> None:
        now = [1000.0]
        known = configuration.Issuer.model_validate({"issuer": issuer.url, "audiences": ["console"]})
        endpoint = Endpoint(known, lambda: now[0])
        try:
            await tell(endpoint, now)
        finally:
            await endpoint.close()

    asyncio.run(told())


def as_of_now(claims: dict[str, Any]) -> dict[str, Any]:
    """Return claims whose times, given from now, are seconds since 1970 at this moment."""
    return {
        name: int(time.time() + one.total_seconds()) if isinstance(one, timedelta) else one
        for name, one in claims.items()
    }


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": None},
        {"aud": ["another", "third"]},
        {"iss": "https://another.example"},
        {"exp": timedelta(minutes=-2)},
        {"exp": None},
        {"nbf": timedelta(minutes=10)},
        {"iat": timedelta(minutes=10)},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_us_now_is_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    async def tell(endpoint: Endpoint, now: list[float]) -> None:
        assert await endpoint.person(issuer.token()) == Person("oidc:ada", is_vouched=True)
        with pytest.raises(NotKnown):
            await endpoint.person(issuer.token(**as_of_now(claims)))

    story(issuer, tell)


def test_a_newer_key_is_found_and_strangers_keys_are_asked_for_once_a_minute(issuer: Issuer) -> None:
    async def tell(endpoint: Endpoint, now: list[float]) -> None:
        await endpoint.person(issuer.token())
        for _ in range(20):
            with pytest.raises(NotKnown, match="does not publish"):
                await endpoint.person(issuer.token("second"))
        assert issuer.asked == 1
        issuer.published = ["first", "second"]
        now[0] += UNKNOWN_KEY_SECONDS + 1
        await endpoint.person(issuer.token("second"))
        assert issuer.asked == 2

    story(issuer, tell)


def test_a_key_that_is_withdrawn_counts_no_longer(issuer: Issuer) -> None:
    async def tell(endpoint: Endpoint, now: list[float]) -> None:
        await endpoint.person(issuer.token())
        issuer.published = ["second"]
        now[0] += RENEW_SECONDS + 1
        with pytest.raises(NotKnown, match="does not publish"):
            await endpoint.person(issuer.token())

    story(issuer, tell)


def test_known_keys_count_for_an_hour_while_the_issuer_is_down(served: tuple[Issuer, ThreadingHTTPServer]) -> None:
    issuer, server = served

    async def tell(endpoint: Endpoint, now: list[float]) -> None:
        await endpoint.person(issuer.token())
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        now[0] += STALE_SECONDS - 1
        await endpoint.person(issuer.token())
        now[0] += UNKNOWN_KEY_SECONDS + 2
        with pytest.raises(OutOfReach, match="are not known"):
            await endpoint.person(issuer.token())

    story(issuer, tell)


def test_a_discovery_document_of_somebody_else_is_none(issuer: Issuer) -> None:
    issuer.overrides = {"issuer": "https://another.example"}

    async def tell(endpoint: Endpoint, now: list[float]) -> None:
        with pytest.raises(OutOfReach, match="is that of"):
            await endpoint.person(issuer.token())

    story(issuer, tell)


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({}, ""),
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"azp": "another"}, "another client"),
        ({"aud": "another"}, "is not one of"),
        ({"exp": timedelta(minutes=-2)}, "is not one of"),
    ],
    ids=str,
)
def test_what_comes_back_is_for_this_sign_in_and_this_client(
    issuer: Issuer, claims: dict[str, Any], sentence: str
) -> None:
    async def tell() -> None:
        provider = configuration.Provider.model_validate({"issuer": issuer.url, "clientID": "console"})
        flow = CodeFlow(provider)
        try:
            started = await flow.start(CALLBACK)
            asked = {name: one[0] for name, one in parse_qs(urlsplit(started.url).query).items()}
            issuer.answer = {"id_token": issuer.token(**{"nonce": asked["nonce"], **as_of_now(claims)})}
            if sentence:
                with pytest.raises(NotKnown, match=sentence):
                    await flow.finish(started.sealed, asked["state"], "a-code", issuer.url)
                return
            known = await flow.finish(started.sealed, asked["state"], "a-code", issuer.url)
            assert known.person.name == "oidc:ada"
            assert known.ending.startswith(f"{issuer.url}/end_session_endpoint?id_token_hint=")
            for sealed, state, code, by in (
                ("", asked["state"], "a-code", ""),
                (started.sealed, "another", "a-code", ""),
                (started.sealed, asked["state"], "", ""),
                (started.sealed, asked["state"], "a-code", "https://another.example"),
            ):
                with pytest.raises(NotKnown):
                    await flow.finish(sealed, state, code, by)
        finally:
            await flow.close()

    asyncio.run(tell())
