"""The console beside `dicomroute run`, in a real browser: every page, and what each button does at the gateway."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from console import Watched, ask, audit_lines, chromium, fetch_assets, served, watch
from console_here import CT, MR, STUDY, Here
from fastapi.routing import APIRoute
from manifests import Json
from playwright.sync_api import Browser, expect
from running import echoscu

from dicomroute_client.asynchronous import GatewayAddress
from dicomroute_console.signin.guard import HEADERS
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import NotFound, Right
from dicomroute_console.web.app import Settings, application

ROUTE = "/routes/default/ct-to-cloud"
PAGES = ["/", ROUTE, f"{ROUTE}/queue", f"{ROUTE}/queue?state=Held", f"{ROUTE}/queue/drop?state=Held"]
PAGES += [
    f"{ROUTE}/queue/retry",
    f"{ROUTE}/explain",
    f"{ROUTE}/erase",
    f"{ROUTE}/refused",
    f"{ROUTE}/gateways/127.0.0.1/instances/1",
    "/studies",
]
PAGES += ["/studies?calling=CT1", f"/studies/{STUDY}", "/nodes", "/nodes/default/pacs", "/nodes/default/ct-1"]
PAGES += [f"{ROUTE}/mode", f"{ROUTE}/configuration", "/nodes/default/ct-1/configuration"]
PAGES += ["/targets/default/archive/configuration"]
PAGES += ["/audit", "/audit?by=nobody", "/audit?about=default/ct-to-cloud", f"{ROUTE}/query", f"{ROUTE}/moves"]
PAGES += ["/targets", "/targets/default/archive", "/nothing"]


@pytest.fixture(scope="module")
def browser(root: Path) -> Iterator[Browser]:
    fetch_assets(root)
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    found = Here(tmp_path_factory.mktemp("console"))
    yield found
    assert found.running.stop() == 0


@pytest.fixture
def window(browser: Browser, here: Here) -> Iterator[Watched]:
    context, watched = watch(browser, here.url)
    watched.sign_in(here.token)
    yield watched
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_for_everybody_and_asks_nobody_else(browser: Browser, here: Here, scheme: Any) -> None:
    context, watched = watch(browser, here.url, color_scheme=scheme, bypass_csp=True)
    watched.open("/sign-in")
    assert watched.violations() == []
    watched.sign_in(here.token)
    for path in PAGES:
        watched.open(path)
        assert (path, watched.violations()) == (path, [])
        assert watched.page.title().endswith("dicomroute")
    assert watched.strangers == []
    context.close()


def test_no_page_breaks_its_own_policy(window: Watched) -> None:
    for path in PAGES[:-1]:
        window.open(path)
    assert window.complaints == []
    assert window.strangers == []


def test_a_fault_stands_where_one_waits_for_it_and_the_page_renews_itself(window: Watched, here: Here) -> None:
    window.open(f"/studies/{STUDY}")
    expect(window.page.get_by_role("status")).to_contain_text("1 waiting for CloudTarget/archive (ConnectionFailed)")
    window.open(ROUTE)
    expect(window.page.locator("main")).to_contain_text("Connection refused")
    expect(window.page.locator("main")).to_contain_text("The delivery is retried until it succeeds")
    with window.page.expect_response(lambda one: one.url.endswith(ROUTE), timeout=15_000):
        pass  # nobody touched the page
    expect(window.page.get_by_role("heading", name="Destinations")).to_be_visible()
    window.open("/")
    with window.page.expect_response(lambda one: one.url == here.url, timeout=15_000):
        pass
    expect(window.page.get_by_role("link", name="default/ct-to-cloud")).to_be_visible()


def test_a_page_renews_itself_when_something_happens_and_goes_on_without_its_stream(
    window: Watched, here: Here
) -> None:
    page = window.page
    window.open(ROUTE)
    expect(page.locator("html")).to_have_attribute("data-stream", "open")
    page.wait_for_timeout(1500)  # it renews once when the stream has opened
    with page.expect_response(lambda one: one.url.endswith(ROUTE), timeout=8_000):  # before its slow turn
        echoscu(here.running.port, calling="NOBODY-YET")
    page.route("**/events", lambda route: route.abort())
    window.open(ROUTE)
    expect(page.locator("html")).to_have_attribute("data-stream", "none")
    with page.expect_response(lambda one: one.url.endswith(ROUTE), timeout=8_000):
        pass
    with page.expect_response(lambda one: one.url.endswith(ROUTE), timeout=8_000):
        pass


def test_what_strangers_call_themselves_is_text(window: Watched) -> None:
    window.open(f"{ROUTE}/refused")
    expect(window.page.get_by_role("cell", name="<script>1", exact=True)).to_be_visible()
    assert window.complaints == []


def test_a_page_works_with_the_keyboard_alone(window: Watched) -> None:
    window.open("/")
    window.page.keyboard.press("Tab")
    expect(window.page.get_by_text("Skip to the content")).to_be_focused()
    window.page.keyboard.press("Enter")
    expect(window.page.locator("main")).to_be_focused()


def test_a_target_is_tested_by_the_gateway_that_uses_it(window: Watched) -> None:
    window.open("/targets/default/archive")
    window.page.get_by_role("button", name="Test now").click()
    steps = window.page.get_by_role("region", name="Steps of the test")
    expect(steps.get_by_role("row", name=re.compile("TCP.*Failed"))).to_be_visible()
    expect(steps.get_by_role("row", name=re.compile("Query.*NotTried"))).to_be_visible()


def test_a_node_is_tested_with_a_title_of_ones_choice(window: Watched, here: Here) -> None:
    window.open("/nodes/default/pacs")
    window.page.get_by_label("Calling AE title").fill("NOBODY")
    window.page.get_by_role("button", name="Test now").click()
    steps = window.page.get_by_role("region", name="Steps of the test")
    expect(steps.get_by_role("row", name=re.compile("TCP.*Failed"))).to_be_visible()
    line = [one for one in audit_lines(here.running.process.output) if one["action"] == "test"][-1]
    assert (line["object"], line["calling_ae_title"]) == ("default/pacs", "NOBODY")


def test_a_file_of_ones_own_is_explained_and_kept_nowhere(window: Watched, here: Here) -> None:
    page = window.page
    for file, outcome, rule in ((CT, "accepted", "ct yes"), (MR, "no rule matches: Hold", "ct no")):
        window.open(f"{ROUTE}/explain")
        page.get_by_label("DICOM file").set_input_files(file)
        page.get_by_label("Calling AE title").fill("CT1")
        page.get_by_role("button", name="Explain").click()
        expect(page.get_by_role("status")).to_have_text(f"Outcome: {outcome}")
        expect(page.get_by_role("region", name="Rules").get_by_role("row", name=rule)).to_be_visible()
    page.get_by_label("DICOM file").set_input_files(here.token_file)
    page.get_by_label("Calling AE title").fill("CT1")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("alert")).to_contain_text("is not a DICOM file")
    assert here.running.counts()["receivedTotal"] == 2
    assert window.complaints == []


def test_signing_out_ends_the_session_everywhere(browser: Browser, here: Here) -> None:
    context, watched = watch(browser, here.url)
    watched.sign_in(here.token)
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in context.cookies())
    assert here.ask("/", Cookie=cookie).code == 200
    second = context.new_page()
    second.goto(here.url)
    watched.page.get_by_role("button", name="Sign out").click()
    expect(watched.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert here.ask("/", Cookie=cookie).code == 303
    expect(second.get_by_role("heading", name="Sign in")).to_be_visible(timeout=15_000)  # it renews itself
    context.close()


def test_a_wrong_token_and_a_chosen_session_open_nothing(here: Here) -> None:
    origin = here.url.rstrip("/")
    wrong = here.ask("/sign-in", form={"token": "wrong"}, Origin=origin)
    assert (wrong.code, "set-cookie" in wrong.headers) == (401, False)
    assert here.ask("/", Cookie="dicomroute-console=chosen").code == 303
    fixed = here.ask("/sign-in", form={"token": here.token}, Origin=origin, Cookie="dicomroute-console=chosen")
    assert "chosen" not in fixed.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= set(fixed.headers["set-cookie"].split("; "))
    assert (here.token_file.stat().st_mode & 0o777, here.token_file.stat().st_uid) == (0o600, os.getuid())


def test_pages_of_others_and_names_of_others_get_nothing(here: Here) -> None:
    cookie = here.signed_in()
    for origin in ("https://evil.example", "null", None):
        answer = here.ask(f"{ROUTE}/queue/drop?state=Held", form={"why": "x"}, Cookie=cookie, Origin=origin)
        assert answer.code == 403
    assert here.ask("/", Cookie=cookie, Host="rebound.example").code == 403
    assert here.ask("/", Cookie=cookie, Host="[").code == 403
    assert len([one for one in here.queue() if one["state"] == "Held"]) == 1
    headers = here.ask("/", Cookie=cookie).headers
    assert {name.lower(): value for name, value in HEADERS.items()}.items() <= {
        name.lower(): value for name, value in headers.items()
    }.items()
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("text", ["'; DROP TABLE x; --", "{{ 7 * 7 }}", "<img src=x onerror=alert(1)>", "%00", "../.."])
def test_whatever_a_field_is_filled_with_is_text(here: Here, text: str) -> None:
    cookie = here.signed_in()
    for path in (f"{ROUTE}/queue", "/studies"):
        for name in ("state", "destination", "reason", "study", "calling", "day"):
            query = f"?{name}={quote(text)}"
            answer = here.ask(path + query, Cookie=cookie)
            assert answer.code in (200, 400, 404, 502), (path, name, answer.code)
            assert "<img src=x" not in answer.text
            assert "49" not in re.sub(r"\d{2}:\d{2}:\d{2}|\d{3,}", "", answer.text) or "7 * 7" in answer.text


def test_without_a_cluster_it_is_opened_on_this_machine_alone(tmp_path: Path, here: Here) -> None:
    assert here.url.startswith("http://127.0.0.1:")
    (tmp_path / "token").write_text("t")
    words = [f"--local={tmp_path / 'console.json'}", f"--token-file={tmp_path / 'token'}", "--bind=0.0.0.0"]
    command = [sys.executable, "-m", "dicomroute_console", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "address of this machine" in done.stderr


class Nobody:
    """A source in which somebody is signed in who has no right at all."""

    async def person(self, secret: str, namespaces: Any) -> Person:
        return Person("nobody")

    async def resources(self, person: Person, plural: str) -> list[Json]:
        return []

    async def resource(self, person: Person, plural: str, namespace: str, name: str) -> Json:
        raise NotFound("nothing is to be seen")

    async def may(self, person: Person, right: Right, namespace: str, name: str) -> bool:
        return False

    async def gateways(self, person: Person, namespace: str, name: str) -> list[GatewayAddress]:
        raise AssertionError("a gateway was looked for without a right")

    async def apply(self, person: Person, document: Json, *, dry_run: bool) -> Json:
        raise AssertionError("something was written without a right")

    async def close(self) -> None:
        """Nothing is open."""


def test_every_route_of_the_application_asks_who_and_whether() -> None:
    """Whoever adds a page that asks nobody fails here."""
    app = application(Nobody(), Settings(frozenset({"127.0.0.1"}), is_local=True))
    open_to_all = {"/healthz", "/sign-in", "/sign-out", "/sign-in/oidc", "/sign-in/callback"}
    open_to_all |= {"/api/v1/health", "/api/v1/openapi.json"}
    values = {"namespace": "n", "name": "r", "host": "127.0.0.1", "instance": "1", "uid": "1.2", "number": "1"}
    seen = {f"/{one}/{{namespace}}/{{name}}" for one in ("routes", "nodes", "targets")}
    seen |= {f"/{one}/{{namespace}}/{{name}}/configuration" for one in ("routes", "nodes", "targets")}
    seen |= {f"/api/v1{one}" for one in seen}
    theirs = {
        "/",
        "/studies",
        "/studies/{uid}",
        "/nodes",
        "/targets",
        "/audit",
    }  # what the source does not show is not there
    theirs |= {f"/api/v1{one}" for one in (*theirs, "/routes")}
    silent = {"/events"}  # of no route there is nothing to tell
    walked = 0
    with served(app) as url:
        for route in _routes(app):
            if route.path in open_to_all:
                continue
            path = route.path.format(**values)
            for method in route.methods:
                walked += 1
                unknown = ask(url, path, method=method, Sec_Fetch_Site="same-origin")
                assert (route.path, unknown.code) == (route.path, 401 if route.path.startswith("/api/") else 303)
                known = ask(url, path, method=method, Authorization="Bearer x")
                shown = 404 if route.path in seen and method == "GET" else 204 if route.path in silent else 403
                assert (route.path, known.code) == (route.path, 200 if route.path in theirs else shown)
    assert walked >= 43


def _routes(app: Any) -> list[APIRoute]:
    found = [one for one in app.routes if isinstance(one, APIRoute)]
    for one in app.routes:
        inner = getattr(one, "original_router", None) or getattr(one, "router", None)
        found += [each for each in getattr(inner, "routes", ()) if isinstance(each, APIRoute)]
    return found


def test_a_gateway_that_stands_still_is_said_where_its_numbers_would_be(here: Here) -> None:
    cookie = here.signed_in()
    (stopped,) = here.running.children_that("dicomroute_gateway")
    os.kill(stopped, signal.SIGSTOP)
    try:
        for path in ("/", ROUTE, f"{ROUTE}/queue"):
            answer = here.ask(path, Cookie=cookie)
            assert answer.code == 200
            assert re.search(r"port \d+: (Connection timeout|no answer)", answer.text), path
    finally:
        os.kill(stopped, signal.SIGCONT)
    here.running.process.wait_until(
        lambda: "NoAnswer" not in here.ask("/", Cookie=cookie).text, "the page does not recover"
    )


def test_the_buttons_do_at_the_gateway_what_they_say(window: Watched, here: Here) -> None:
    """The last test of this file: it empties the queue."""
    page = window.page
    window.open(f"{ROUTE}/queue?state=Pending")
    page.get_by_role("link", name="Retry").click()
    expect(page.get_by_role("table")).to_contain_text("ConnectionFailed")
    before = here.queue()[0]["attempts"]
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status")).to_have_text("1 due now")
    here.running.process.wait_until(lambda: here.queue()[0]["attempts"] > before, "no attempt was made")
    window.open(f"{ROUTE}/gateways/127.0.0.1/instances/2")
    page.get_by_role("link", name="Release").click()
    expect(page.get_by_role("row", name="none Held Unmatched 1")).to_be_visible()
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("status")).to_have_text("0 released")
    expect(page.locator("main")).to_contain_text("stays held")
    window.open(f"{ROUTE}/queue?state=Held")
    page.get_by_role("link", name="Drop").click()
    page.get_by_role("button", name="Drop").click()
    assert page.url.endswith("/queue/drop?state=Held"), "without a reason nothing is sent"
    page.get_by_label("Why").fill("a test image")
    page.get_by_role("button", name="Drop").click()
    expect(page.get_by_role("status")).to_have_text("1 dropped")
    here.running.wait_for(owed=1, discardedTotal=1)
    lines = [one for one in audit_lines(here.running.process.output) if one["action"] == "queue.drop"]
    (line,) = lines
    assert (line["why"], line["changed"], line["route"]) == ("a test image", 1, "default/ct-to-cloud")
    assert line["by"]
    window.open("/audit?about=default/ct-to-cloud")
    expect(page.get_by_role("row", name=re.compile("queue.drop .*why: a test image"))).to_be_visible()
    assert "1.2.840" not in json.dumps(line)
