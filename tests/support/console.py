"""A browser, and programs, in front of the console."""

import json
import os
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

AXE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dicomroute/console-assets/axe-4.14.1.min.js"


@dataclass(frozen=True)
class Answer:
    """What the console answered."""

    code: int
    text: str
    headers: Mapping[str, str]
    fields: Sequence[tuple[str, str]] = ()
    """All header fields, also those that are there more than once."""

    def all(self, name: str) -> list[str]:
        """Return each value of a header field."""
        return [value for found, value in self.fields if found.lower() == name]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none."""


def ask(
    url: str,
    path: str,
    form: Mapping[str, str] | None = None,
    method: str = "",
    data: bytes | None = None,
    **headers: str | None,
) -> Answer:
    """Send a request, a POST with a form or data, as a program does; underscores of header names are hyphens."""
    request = urllib.request.Request(
        url.rstrip("/") + path,
        data=urllib.parse.urlencode(form).encode() if form is not None else data,
        headers={name.replace("_", "-"): value for name, value in headers.items() if value is not None},
        method=method or None,
    )
    try:
        with urllib.request.build_opener(_Stay()).open(request, timeout=60) as response:
            return Answer(response.status, response.read().decode(), dict(response.headers), response.headers.items())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode(), dict(error.headers), error.headers.items())


@dataclass
class Watched:
    """A page, and what went wrong in it: complaints of the browser, and requests to others than the console."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.url.rstrip("/") + path)

    def sign_in(self, token: str, namespaces: str = "") -> None:
        self.open("/sign-in")
        self.page.get_by_label("Token").fill(token)
        if namespaces:
            self.page.get_by_label("Namespaces").fill(namespaces)
        self.page.get_by_role("button", name="Sign in").click()

    def violations(self) -> list[str]:
        """Return what axe finds wrong with the page for people who use a keyboard or a screen reader."""
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("async () => await axe.run()")
        return [f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def watch(browser: Browser, url: str, **options: Any) -> tuple[BrowserContext, Watched]:
    """Open a page in a window of its own, and watch it."""
    context = browser.new_context(**options)
    page = context.new_page()
    watched = Watched(page, url)
    page.on("console", lambda one: watched.complaints.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on(
        "request", lambda one: watched.strangers.append(one.url) if not one.url.startswith(url.rstrip("/")) else None
    )
    return context, watched


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application on a port of this machine; return its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def audit_lines(log: Path) -> list[dict[str, Any]]:
    """Return what the console has noted of who did what."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [one for one in lines if str(one.get("event", "")).startswith("console.")]


def fetch_assets(root: Path) -> None:
    """Get what the pages and these tests take from npm packages, unless it is there."""
    subprocess.run([root / "tools" / "console-assets", "--tests"], check=True)
