"""The user API: what the pages show and do, in JSON; its description is current, and the example of the docs runs."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console import Answer, ask
from console_here import NOWHERE, STUDY, Here

from dicomroute_console.api.description import bare, described

API = "/api/v1"
ROUTE = f"{API}/routes/default/ct-to-cloud"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    found = Here(tmp_path_factory.mktemp("console-api"))
    yield found
    assert found.running.stop() == 0


def call(here: Here, path: str, body: Any = None, token: str | None = None, **headers: str) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    headers |= {"Content-Type": "application/json"} if data else {}
    bearer = here.token if token is None else token
    return ask(here.url, path, data=data, Authorization=f"Bearer {bearer}", **headers)


def test_what_pages_show_is_said_to_programs(here: Here) -> None:
    (row,) = json.loads(call(here, f"{API}/routes").text)
    assert (row["namespace"], row["name"], row["owed"]) == ("default", "ct-to-cloud", 2)
    (said,) = json.loads(call(here, ROUTE).text)["gateways"]
    assert said["document"]["instances"]["receivedTotal"] == 2
    (listed,) = json.loads(call(here, f"{ROUTE}/queue?state=Held").text)["gateways"]
    (held,) = listed["document"]["items"]
    assert held["reason"] == "Unmatched"
    one = json.loads(call(here, f"{ROUTE}/gateways/127.0.0.1/instances/{held['instance']}").text)
    assert one["callingAETitle"] == "CT1"
    study = json.loads(call(here, f"{API}/studies/{STUDY}").text)
    assert (study["isSettled"], study["parts"][0]["instances"]) == (False, 1)
    assert "1 waiting for CloudTarget/archive" in study["verdict"]
    assert len(json.loads(call(here, f"{API}/studies?calling=CT1").text)["items"]) == 2
    assert json.loads(call(here, f"{API}/targets").text)[0]["url"] == NOWHERE
    assert {one["name"] for one in json.loads(call(here, f"{API}/nodes").text)} == {"ct-1", "pacs"}
    (gone,) = json.loads(call(here, f"{ROUTE}/refused").text)["gateways"]
    assert gone["document"]["callers"]
    tested = json.loads(call(here, f"{API}/targets/default/archive/test", {}).text)
    assert tested["probe"]["reachable"]["status"] == "False"


def test_a_file_is_explained_to_a_program(here: Here) -> None:
    from corpus import FILES

    content = (FILES / "CT_small.dcm").read_bytes()
    headers = {"Authorization": f"Bearer {here.token}", "Content-Type": "application/dicom"}
    answer = ask(here.url, f"{ROUTE}/explain?calling=CT1", data=content, **headers)
    assert json.loads(answer.text)["outcome"] == "accepted"


def test_health_alone_is_open_and_refusals_are_documents(here: Here) -> None:
    assert json.loads(ask(here.url, f"{API}/health").text) == {"status": "ok"}
    for token in ("", "wrong"):
        refused = call(here, f"{API}/routes", token=token)
        assert (refused.code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert json.loads(refused.text)["error"]
    for path, code in ((f"{API}/routes/default/none", 404), (f"{ROUTE}/queue?limit=0", 400), (f"{API}/none", 404)):
        missing = call(here, path)
        assert (path, missing.code, list(json.loads(missing.text))) == (path, code, ["error"])


def test_a_session_of_a_browser_needs_a_page_of_ours_here_too(here: Here) -> None:
    cookie = here.signed_in()
    assert ask(here.url, f"{API}/routes", Cookie=cookie).code == 200
    answer = ask(here.url, f"{ROUTE}/queue/retry", data=b"{}", Cookie=cookie, Origin="https://evil.example")
    assert answer.code == 403


def test_the_description_is_committed_as_it_is_served(here: Here, root: Path) -> None:
    committed = json.loads((root / "docs" / "reference" / "console-openapi.json").read_text())
    assert committed == described(bare()), "run `make generate`"
    with urllib.request.urlopen(f"{here.url.rstrip('/')}{API}/openapi.json", timeout=60) as response:
        assert json.loads(response.read()) == committed
    assert committed["openapi"].startswith("3.1")
    operations = [each for path in committed["paths"].values() for each in path.values()]
    assert [one["operationId"] for one in operations if not one["security"]] == ["getHealth"]
    assert all(one["description"] for one in operations)


def test_a_repeated_write_is_made_once(here: Here) -> None:
    path = f"{ROUTE}/queue/retry?state=Pending"
    first = call(here, path, {"why": "the target is back"}, **{"Idempotency-Key": "k1"})
    assert (first.code, json.loads(first.text)["gateways"][0]["document"]["changed"]) == (200, 1)
    here.running.process.wait_until(
        lambda: here.running.get("/api/v1/queue?state=Pending")["items"][0]["attempts"] > 1, "no attempt was made"
    )
    before = here.running.get("/api/v1/queue?state=Pending")["items"][0]["attempts"]
    again = call(here, path, {"why": "the target is back"}, **{"Idempotency-Key": "k1"})
    assert again.text == first.text
    assert here.running.get("/api/v1/queue?state=Pending")["items"][0]["attempts"] == before
    other = call(here, f"{ROUTE}/queue/release?state=Held", {}, **{"Idempotency-Key": "k1"})
    assert other.code == 422


def test_the_example_of_the_docs_runs(here: Here, root: Path, tmp_path: Path) -> None:
    """The last test of this file: it gives up what is held."""
    (program,) = re.findall(r"```python\n(.*?)```", (root / "docs" / "console-api.md").read_text(), re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, script],
        env={"CONSOLE": here.url.rstrip("/"), "TOKEN": here.token, "ROUTE": "default/ct-to-cloud"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "default/ct-to-cloud owes 2" in done.stdout
    assert "1 given up" in done.stdout
    here.running.wait_for(owed=1, discardedTotal=1)
