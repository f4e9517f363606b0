"""Queries and retrievals of a person by the admin API: what clients get, with progress, and a record that says who."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateways import LoneGateway
from manifests import Json, changed
from processes import wait_until
from retrieving import Receiver, moving_route
from running import dcmsend
from studies import instance, instance_uid, series_uid, study_uid

from dicomroute_client.tokens import Scope, console_key, route_key, signer

KEY, UID = console_key(b"a key of the tests, with thirty-two bytes or more"), "a-route"
WHO = "oidc:ada@hospital.example"
SHOWN = {"PatientName": "", "PatientID": "", "StudyInstanceUID": "", "NumberOfStudyRelatedInstances": ""}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[LoneGateway]:
    """Two studies of six instances each in its spool, and a node that studies may be sent to."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "console-key").write_text(route_key(KEY, UID))
    one = LoneGateway(folder, moving_route(port=receiver.port), log_level="info")
    paths = []
    for a in (1, 2):
        for b in (1, 2):
            for c in (1, 2, 3):
                paths.append(folder / f"{a}-{b}-{c}.dcm")
                paths[-1].write_bytes(instance(a, b, c, pixel_bytes=8192))
    assert dcmsend(one.port, paths) == 0
    yield one
    one.kill()


def ask(gateway: LoneGateway, path: str, body: Json | None, scope: Scope) -> tuple[int, Json]:
    """Ask as the console does for a person; return status and document."""
    data = None if body is None else json.dumps(body).encode()
    token = signer(KEY, UID).token(scope, WHO, time.time())
    request = urllib.request.Request(f"http://{gateway.admin}{path}", data, {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def find(gateway: LoneGateway, level: str = "STUDY", limit: int = 100, **keys: str) -> tuple[int, Json]:
    body = {"level": level, "keys": {**SHOWN, **keys}, "limit": limit}
    return ask(gateway, "/api/v1/find", body, Scope.IDENTIFIERS_GET)


def move(gateway: LoneGateway, study: str, destination: str = "pacs", **more: Any) -> tuple[int, Json]:
    return ask(gateway, "/api/v1/moves", {"studyInstanceUID": study, "destination": destination, **more}, Scope.QUERY)


def moves(gateway: LoneGateway) -> list[Json]:
    return list(ask(gateway, "/api/v1/moves", None, Scope.IDENTIFIERS_GET)[1]["moves"])


def ended(gateway: LoneGateway, number: int) -> Json:
    """Wait until a retrieval has ended; return it."""

    def find_one() -> Json:
        return next(one for one in moves(gateway) if one["number"] == number)

    wait_until(lambda: find_one()["state"] != "Running", lambda: str(find_one()))
    return find_one()


def test_a_person_finds_what_a_client_finds_and_the_record_says_who(gateway: LoneGateway) -> None:
    wait_until(lambda: find(gateway, PatientID="AB-0001")[1]["status"] == "0000", "the index is not complete")
    status, found = find(gateway, PatientID="AB-0001")
    assert (status, found["status"], found["truncated"]) == (200, "0000", False)
    (match,) = found["matches"]
    assert (match["StudyInstanceUID"], match["PatientID"]) == ([study_uid(1)], ["AB-0001"])
    assert match["NumberOfStudyRelatedInstances"] == ["6"]
    assert len(find(gateway, PatientID="AB-*")[1]["matches"]) == 2
    assert find(gateway, PatientID="nobody's")[1]["matches"] == []
    few = find(gateway, limit=1)[1]
    assert (len(few["matches"]), few["truncated"], few["status"]) == (1, True, "FE00")
    series = find(gateway, "SERIES", StudyInstanceUID=study_uid(1), SeriesInstanceUID="")[1]
    assert {one["SeriesInstanceUID"][0] for one in series["matches"]} == {series_uid(1, 1), series_uid(1, 2)}
    records = ask(gateway, "/api/v1/audit", None, Scope.AUDIT_GET)[1]["records"]
    assert {one["who"] for one in records} == {WHO}
    assert {"PatientID"} in [set(one["keys"]) for one in records]
    logged = [one for one in gateway.log() if one["event"] == "audit"]
    assert {one["who"] for one in logged} == {WHO}
    assert "AB-0001" not in json.dumps([records, logged]), "what was looked for is in no record"


@pytest.mark.parametrize(
    ("level", "keys", "sentence"),
    [
        ("STUDY", {"Nonsense": ""}, "not the keyword"),
        ("STUDY", {"PixelData": ""}, "not the keyword"),
        ("IMAGE", {}, "level must be one of"),
        ("SERIES", {"SeriesInstanceUID": "1.2"}, ""),
    ],
)
def test_what_is_no_query_is_refused_with_a_sentence(
    gateway: LoneGateway, level: str, keys: dict[str, str], sentence: str
) -> None:
    status, answer = find(gateway, level, **keys)
    if sentence:
        assert status in (400, 409)
        assert sentence in answer["error"]
    else:  # no study is named: the service says so, as it says it to a client
        assert (status, answer["status"], answer["matches"]) == (200, "A900", [])
        assert "StudyInstanceUID" in answer["comment"]


def test_a_study_and_a_series_are_sent_to_a_node(gateway: LoneGateway, receiver: Receiver) -> None:
    receiver.received.clear()
    status, begun = move(gateway, study_uid(1))
    assert (status, begun["by"], begun["destination"], begun["studyInstanceUID"]) == (200, WHO, "pacs", study_uid(1))
    whole = ended(gateway, begun["number"])
    assert (whole["state"], whole["completed"], whole["failed"], whole["status"]) == ("Done", 6, 0, "0000")
    assert receiver.uids() == sorted(instance_uid(1, b, c) for b in (1, 2) for c in (1, 2, 3))
    receiver.received.clear()
    part = ended(gateway, move(gateway, study_uid(2), seriesInstanceUID=series_uid(2, 1))[1]["number"])
    assert (part["state"], part["completed"]) == ("Done", 3)
    assert receiver.uids() == sorted(instance_uid(2, 1, c) for c in (1, 2, 3))
    first, *_ = ask(gateway, "/api/v1/audit", None, Scope.AUDIT_GET)[1]["records"]
    assert (first["action"], first["who"], first["destination"], first["count"]) == ("Move", WHO, "pacs", 3)
    assert ask(gateway, "/api/v1/moves", None, Scope.IDENTIFIERS_GET)[1]["destinations"] == ["pacs"]


def test_a_retrieval_is_ended_by_a_person(gateway: LoneGateway, receiver: Receiver) -> None:
    receiver.received.clear()
    receiver.pause_seconds = 1.0
    begun = move(gateway, study_uid(1))[1]
    wait_until(lambda: len(receiver.received) >= 1, "nothing has arrived")
    running = next(one for one in moves(gateway) if one["number"] == begun["number"])
    assert running["state"] == "Running"
    assert ask(gateway, f"/api/v1/moves/{begun['number']}/cancel", {}, Scope.QUERY)[0] == 200
    receiver.pause_seconds = 0.0
    over = ended(gateway, begun["number"])
    assert (over["state"], over["status"]) == ("Cancelled", "FE00")
    assert len(receiver.received) < 6
    assert ask(gateway, "/api/v1/moves/12345/cancel", {}, Scope.QUERY)[0] == 404


def test_what_is_not_there_is_a_sentence_and_an_unreachable_node_fails(
    gateway: LoneGateway, tmp_path: Path, receiver: Receiver
) -> None:
    status, answer = move(gateway, study_uid(1), "elsewhere")
    assert status == 409
    assert "queryRetrieve.moveDestinations" in answer["error"]
    assert move(gateway, "1.2.3'; drop")[0] == 400
    none = ended(gateway, move(gateway, "1.2.3.4.5")[1]["number"])
    assert (none["state"], none["completed"]) == ("Done", 0), "of what is not there nothing is sent, as by C-MOVE"


def test_a_route_without_queries_and_one_that_refuses_them_say_so(gateway: LoneGateway, receiver: Receiver) -> None:
    manifests = moving_route(port=receiver.port)
    gateway.reconfigure([*manifests[:-1], changed(manifests[-1], "spec.queryRetrieve.mode", "Refuse")])
    for status, answer in (find(gateway, PatientID="AB-0001"), move(gateway, study_uid(1))):
        assert (status, "mode Refuse" in answer["error"]) == (409, True)
    without = changed(manifests[-1], "spec.queryRetrieve", None)
    del without["spec"]["queryRetrieve"]
    gateway.reconfigure([*manifests[:-1], without])
    for status, answer in (find(gateway, PatientID="AB-0001"), move(gateway, study_uid(1))):
        assert (status, "has no queryRetrieve" in answer["error"]) == (409, True)
