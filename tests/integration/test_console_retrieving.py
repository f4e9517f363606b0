"""Query and retrieve in the console: found in the archives of a route, sent to a node, seen to its end, and audited."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console import Answer, ask, audit_lines
from manifests import changed
from processes import wait_until
from retrieving import Receiver, moving_route
from running import Running, dcmsend
from studies import instance, instance_uid, study_uid

ROUTE = "/routes/default/ct-to-cloud"
WANTED = "AB-0001"


class There:
    """A route with queryRetrieve and its console; `ask` asks as the one person there is."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        documents = moving_route(port=receiver.port)
        self.running = Running(folder, documents, options=["--console", "--console-port", "0"])
        said = json.loads((folder / "ready.json").read_text())["console"]
        self.url, self.token = said["url"], Path(said["tokenFile"]).read_text().strip()
        files = [folder / f"{study}-{number}.dcm" for study in (1, 2) for number in (1, 2, 3)]
        for path, (study, number) in zip(files, ((a, b) for a in (1, 2) for b in (1, 2, 3)), strict=True):
            path.write_bytes(instance(study, 1, number))
        assert dcmsend(self.running.port, files) == 0
        wait_until(lambda: self.matches(PatientID=WANTED) == [study_uid(1)], "the index is not complete")

    def ask(self, path: str, **options: Any) -> Answer:
        return ask(self.url, path, Authorization=f"Bearer {self.token}", **options)

    def matches(self, **keys: str) -> list[str]:
        """Return the studies that the page shows."""
        return re.findall(r"<td><code>([0-9.]+)</code></td>", self.ask(f"{ROUTE}/query", form=keys).text)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[There]:
    found = There(tmp_path_factory.mktemp("console"), receiver)
    yield found
    assert found.running.stop() == 0


def test_a_study_is_found_sent_seen_to_its_end_and_audited(there: There, receiver: Receiver) -> None:
    shown = there.ask(f"{ROUTE}/query")
    assert (shown.code, "Patient ID" in shown.text) == (200, True)
    assert "Enter at least one value" in there.ask(f"{ROUTE}/query", form={}).text
    assert there.matches(PatientName="Alder*", StudyDate="20200101-20291231") == [study_uid(1), study_uid(2)]
    assert "No archive of the route" in there.ask(f"{ROUTE}/query", form={"PatientID": "nobody"}).text
    found = there.ask(f"{ROUTE}/query", form={"PatientID": WANTED}).text
    assert "Alder^Anna1" in found
    (gateway,) = set(re.findall(r'name="gateway" value="([^"]+)"', found))
    assert "<option>pacs</option>" in found
    form = {"study": study_uid(1), "destination": "pacs", "gateway": gateway}
    sent = there.ask(f"{ROUTE}/moves", form=form)
    assert (sent.code, sent.headers["location"]) == (303, f"{ROUTE}/moves")
    wait_until(lambda: ">Done<" in there.ask(f"{ROUTE}/moves").text, lambda: there.ask(f"{ROUTE}/moves").text)
    assert receiver.uids() == sorted(instance_uid(1, 1, number) for number in (1, 2, 3))
    records = there.ask("/audit?about=default/ct-to-cloud").text
    for action in ("gateway: Query", "gateway: Move", "retrieve", "query"):
        assert f"<td>{action}</td>" in records
    lines = [one for one in audit_lines(there.running.process.output) if one.get("action") == "query"]
    assert WANTED not in records, "what was looked for is in no record"
    assert WANTED not in json.dumps(lines)


def test_a_program_does_the_same(there: There, receiver: Receiver) -> None:
    def call(path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        answer = there.ask(f"/api/v1{ROUTE}{path}", data=data, Content_Type="application/json")
        return answer.code, json.loads(answer.text)

    receiver.received.clear()
    code, found = call("/query", {"keys": {"PatientID": "AB-0002"}})
    (match,) = found["document"]["matches"]
    assert (code, match["StudyInstanceUID"], match["PatientName"]) == (200, [study_uid(2)], ["Alder^Anna2"])
    code, begun = call("/moves", {"study": study_uid(2), "destination": "pacs", "gateway": found["host"]})
    assert (code, begun["destination"]) == (200, "pacs")

    def state() -> str:
        ((one,),) = [
            [each for each in gateway["document"]["moves"] if each["number"] == begun["number"]]
            for gateway in call("/moves")[1]["gateways"]
        ]
        return str(one["state"])

    wait_until(lambda: state() == "Done", state)
    assert receiver.uids() == sorted(instance_uid(2, 1, number) for number in (1, 2, 3))
    code, refused = call("/moves", {"study": study_uid(2), "destination": "elsewhere", "gateway": found["host"]})
    assert code == 502
    assert "queryRetrieve.moveDestinations" in refused["error"]


def test_a_route_that_refuses_queries_says_so_on_the_page(there: There, receiver: Receiver) -> None:
    documents = moving_route(port=receiver.port)
    before = there.running.hash()
    there.running.write([*documents[:-1], changed(documents[-1], "spec.queryRetrieve.mode", "Refuse")])
    there.running.wait_reloaded(before)
    assert "mode Refuse" in there.ask(f"{ROUTE}/query", form={"PatientID": WANTED}).text
