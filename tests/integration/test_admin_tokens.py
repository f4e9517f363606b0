"""Tokens of the console: each opens what its scope says, at its route's gateway, for a minute, and says who asks."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from corpus import FILES
from gateways import LoneGateway
from routes import local_node, local_route, to
from running import storescu

from dicomroute_client.calls import Operation
from dicomroute_client.tokens import SECONDS, Scope, console_key, route_key, signer
from dicomroute_gateway.admin import server

KEY = console_key(b"a key of the tests, with thirty-two bytes or more")
UID = "5e1c0a52-0000-4000-8000-000000000001"
NOWHERE = "http://127.0.0.1:9/dicom-web"
WHO = "oidc:ada@hospital.example"

ENDPOINTS: dict[tuple[str, str], Scope] = {
    ("get", "/api/v1/status"): Scope.QUEUE_GET,
    ("get", "/api/v1/refused"): Scope.QUEUE_GET,
    ("get", "/api/v1/events"): Scope.QUEUE_GET,
    ("get", "/api/v1/queue"): Scope.QUEUE_GET,
    ("get", "/api/v1/queue/{instance}"): Scope.QUEUE_GET,
    ("get", "/api/v1/ledger"): Scope.STUDIES_GET,
    ("get", "/api/v1/report"): Scope.STUDIES_GET,
    ("get", "/api/v1/studies"): Scope.STUDIES_GET,
    ("get", "/api/v1/studies/{uid}"): Scope.STUDIES_GET,
    ("post", "/api/v1/queue/retry"): Scope.QUEUE_UPDATE,
    ("post", "/api/v1/queue/release"): Scope.QUEUE_UPDATE,
    ("post", "/api/v1/queue/drop"): Scope.QUEUE_DELETE,
    ("post", "/api/v1/explain"): Scope.EXPLAIN,
    ("post", "/api/v1/test/{kind}/{name}"): Scope.TEST,
    ("post", "/api/v1/find"): Scope.IDENTIFIERS_GET,
    ("get", "/api/v1/moves"): Scope.IDENTIFIERS_GET,
    ("post", "/api/v1/moves"): Scope.QUERY,
    ("post", "/api/v1/moves/{number}/cancel"): Scope.QUERY,
    ("get", "/api/v1/audit"): Scope.AUDIT_GET,
    ("post", "/api/v1/erase"): Scope.STUDIES_DELETE,
}
"""Every endpoint behind a token, and the scope that opens it beside the admin token."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "console-key").write_text(route_key(KEY, UID))
    found = LoneGateway(folder, [local_node(), to(NOWHERE), local_route(mode="HoldDeliveries")], log_level="info")
    yield found
    found.kill()


def ask(gateway: LoneGateway, method: str, path: str, token: str, body: bytes | None = None, **headers: str) -> int:
    """Return the status of an answer, and let go of the rest."""
    path = path.format(instance=1, number=1, uid="1.2.3", kind="CloudTarget", name="archive")
    data = (b"{}" if body is None else body) if method == "post" else None
    request = urllib.request.Request(f"http://{gateway.admin}{path}", data, method=method.upper())
    for name, value in {"Authorization": f"Bearer {token}", **headers}.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def token(scope: Scope, *, key: str = KEY, uid: str = UID, by: str = WHO, now: float | None = None) -> str:
    return signer(key, uid).token(scope, by, time.time() if now is None else now)


def test_the_table_has_every_endpoint_that_the_gateway_serves() -> None:
    """One that is added without a scope in this table fails here: it is routed once, in the server's list."""
    routed = re.findall(r'web\.(get|post|put|patch|delete|route)\(\s*"(/api/[^"]+)"', Path(server.__file__).read_text())
    served = {(method, path.replace("{operation}", one)) for method, path in routed for one in Operation}
    assert served == set(ENDPOINTS)


@pytest.mark.parametrize("endpoint", list(ENDPOINTS), ids=lambda one: f"{one[0]} {one[1]}")
def test_each_scope_opens_what_it_is_for_and_nothing_else(gateway: LoneGateway, endpoint: tuple[str, str]) -> None:
    """What is opened may still be refused for what it asks: these have no body, or ask for what is not there."""
    answers = {scope: ask(gateway, *endpoint, token(scope)) for scope in Scope}
    opened = {scope for scope, status in answers.items() if status not in (401, 403)}
    assert opened == {ENDPOINTS[endpoint]}, answers
    assert {answers[scope] for scope in set(Scope) - opened} == {403}
    assert ask(gateway, *endpoint, "an-example-token") not in (401, 403), "the admin token opens everything"


def test_a_token_counts_for_its_route_its_key_and_a_minute(gateway: LoneGateway) -> None:
    path = ("get", "/api/v1/status")
    assert ask(gateway, *path, token(Scope.QUEUE_GET)) == 200
    good = token(Scope.QUEUE_GET)
    head, payload, mac = good.split(".")
    other = token(Scope.QUEUE_DELETE).split(".")[1]
    wrong = {
        "another route": token(Scope.QUEUE_GET, uid="another"),
        "another key": token(Scope.QUEUE_GET, key=console_key(b"another")),
        "expired": token(Scope.QUEUE_GET, now=time.time() - SECONDS * 3),
        "of a later day": token(Scope.QUEUE_GET, now=time.time() + SECONDS * 3),
        "another's payload": f"{head}.{other}.{mac}",
        "no MAC": f"{head}.{payload}.",
        "no payload": f"{head}.",
        "nobody's": token(Scope.QUEUE_GET, by=""),
        "no text": token(Scope.QUEUE_GET, by="a\nb"),
        "too long": f"{good}{'=' * 5000}",
    }
    for what, one in wrong.items():
        assert ask(gateway, *path, one) == 401, what
    key = (gateway.folder / "console-key").rename(gateway.folder / "kept")
    assert ask(gateway, *path, token(Scope.QUEUE_GET)) == 401, "without the key there are no such tokens"
    assert ask(gateway, *path, signer("", UID).token(Scope.QUEUE_GET, WHO, time.time())) == 401
    key.rename(gateway.folder / "console-key")


def test_the_gateway_writes_down_who_decided_as_the_token_says(gateway: LoneGateway) -> None:
    """Not as a header says: whoever has the admin token may say any name, the console may not."""
    assert storescu(gateway.port, [FILES / "CT_small.dcm"]) == 0
    body = json.dumps({"all": True, "state": "Held"}).encode()
    drop = ("post", "/api/v1/queue/drop", token(Scope.QUEUE_DELETE), body)
    assert ask(gateway, *drop, Dicomroute_Actor="somebody else") == 200
    gateway.wait_for(owed=0)
    changed = gateway.wait_for_events("queue.changed")[-1]
    assert (changed["by"], changed["operation"], changed["changed"]) == (WHO, "drop", 1)
    (record,) = gateway.get("/api/v1/ledger")["items"]
    assert {one["decidedBy"] for one in record["deliveries"]} == {WHO}
