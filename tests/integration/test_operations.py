"""What an administrator does and sees: rules, holds, dead letters, the queue, and changes under load."""

import getpass
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from corpus import FILES, make_corpus, uid_of
from manifests import changed, target
from orthanc import Orthanc
from processes import wait_until
from pydicom.uid import generate_uid
from routes import local_node, local_route, secret, to, with_password
from running import Running, cli, dcmsend, storescu
from tap import Tap

NOWHERE = "http://127.0.0.1:9/dicom-web"
CT, MR = FILES / "CT_small.dcm", FILES / "MR_small.dcm"
ONLY_CT = [
    {"name": "ct", "when": 'instance.Modality == "CT"', "destinations": [{"kind": "CloudTarget", "name": "archive"}]}
]


def reload_with(running: Running, *documents: Any) -> None:
    before = running.hash()
    running.write(documents)
    running.wait_reloaded(before)


def queue(running: Running, *words: str) -> str:
    result = cli("queue", *words, "--admin", running.admin, "--state", running.state)
    assert result.returncode == 0, result.stderr
    return result.stdout


def listed(running: Running, **query: str) -> list[dict[str, Any]]:
    words = [word for key, value in query.items() for word in (f"--{key}", value)]
    return list(json.loads(queue(running, "list", *words, "-o", "json"))["items"])


def test_what_no_rule_takes_is_held_until_todays_rules_take_it(orthanc: Orthanc, run: Callable[..., Running]) -> None:
    running = run(local_node(), to(orthanc.url), local_route(rules=ONLY_CT))
    assert storescu(running.port, [CT, MR]) == 0
    running.wait_for(owed=1, deliveredTotal=1)
    (held,) = listed(running)
    assert (held["state"], held["reason"], held["destination"]) == ("Held", "Unmatched", "")
    stays = cli("queue", "release", str(held["instance"]), "--admin", running.admin, "--state", running.state)
    assert (stays.returncode, stays.stdout) == (1, "0 released\n")
    assert "stays held" in stays.stderr
    gone = cli("queue", "retry", "99", "--admin", running.admin, "--state", running.state)
    assert (gone.returncode, gone.stdout) == (1, "0 due now\n")
    assert "instance 99 is not in the spool" in gone.stderr
    everything = [{**ONLY_CT[0], "name": "all", "when": ""}]
    reload_with(running, local_route(rules=everything))
    assert listed(running) == [held], "a changed rule alone releases nothing"
    assert "1 released" in queue(running, "release", "--all")
    running.wait_for(owed=0, deliveredTotal=2)
    *_, decided = [line for line in running.process.output.read_text().splitlines() if '"queue.changed"' in line]
    assert json.loads(decided)["by"] == getpass.getuser()
    words = ("ledger", "--calling", "CT1", "--admin", running.admin, "--state", running.state, "-o", "json")
    found = json.loads(cli(*words).stdout)["items"]
    assert {one["decidedBy"] for instance in found for one in instance["deliveries"]} == {"", getpass.getuser()}


@pytest.mark.parametrize("unmatched, statuses, discarded", [("Discard", [0, 0], 1), ("Refuse", [0, 0x0124], 0)])
def test_what_no_rule_takes_is_discarded_or_refused_where_the_route_says_so(
    orthanc: Orthanc,
    run: Callable[..., Running],
    tap: Callable[[int], Tap],
    unmatched: str,
    statuses: list[int],
    discarded: int,
) -> None:
    running = run(local_node(), to(orthanc.url), local_route(rules=ONLY_CT, unmatched=unmatched))
    wire = tap(running.port)
    storescu(wire.port, [CT, MR], "--no-halt")
    assert wire.witness.statuses == statuses
    running.wait_for(owed=0, deliveredTotal=1, discardedTotal=discarded, receivedTotal=1 + discarded)


def test_a_rule_without_an_answer_holds_the_instance_and_says_why(
    orthanc: Orthanc, run: Callable[..., Running]
) -> None:
    failing = [{**ONLY_CT[0], "name": "large", "when": "instance.NumberOfFrames > 10"}]
    running = run(local_node(), to(orthanc.url), local_route(rules=failing))
    assert storescu(running.port, [CT]) == 0
    (held,) = listed(running)
    assert (held["state"], held["reason"]) == ("Held", "RuleError")
    shown = json.loads(queue(running, "show", str(held["instance"]), "-o", "json"))
    assert shown["sopInstanceUID"] == uid_of(CT)
    assert shown["callingAETitle"] == "CT1"
    assert "1 dropped" in queue(running, "drop", "--all", "--in", "Held")
    running.wait_for(owed=0, discardedTotal=1, receivedTotal=1)


def test_only_a_refusal_of_the_content_dead_letters(
    tmp_path: Path, orthanc: Orthanc, run: Callable[..., Running]
) -> None:
    bad = pydicom.dcmread(CT)
    bad.SOPInstanceUID = bad.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    del bad.StudyInstanceUID
    bad.save_as(tmp_path / "bad.dcm")
    running = run(local_node(), to(orthanc.url), local_route())
    assert storescu(running.port, [tmp_path / "bad.dcm", CT, MR]) == 0
    running.wait_for(deadLettered=1, deliveredTotal=2, owed=0)
    (dead,) = listed(running, **{"in": "DeadLettered"})
    assert dead["attempts"] >= 2
    assert dead["destination"] == "CloudTarget/archive"
    assert "1 due now" in queue(running, "retry", str(dead["instance"]))
    running.wait_for(deadLettered=1, owed=0)
    (again,) = listed(running)
    assert again["attempts"] > dead["attempts"]
    assert "1 dropped" in queue(running, "drop", str(dead["instance"]), "--destination", "CloudTarget/archive")
    running.wait_for(deadLettered=0, skippedTotal=1)


def test_nothing_is_attempted_before_the_time_that_the_queue_says(run: Callable[..., Running]) -> None:
    """Times of attempts are those of their ends, which a refused connection brings at once."""
    retry = {"initialBackoffSeconds": 4, "maxBackoffSeconds": 4}
    running = run(local_node(), to(NOWHERE), local_route(retry=retry))
    assert storescu(running.port, [CT]) == 0
    said: dict[int, list[datetime]] = {}
    """The last attempt and the next one, by the number of attempts."""

    def is_tried_again() -> bool:
        (item,) = running.get("/api/v1/queue")["items"]
        if item["nextAttemptTime"] is not None:
            times = [datetime.fromisoformat(item[f"{which}AttemptTime"]) for which in ("last", "next")]
            said.setdefault(item["attempts"], times)
        return len(said) == 4

    wait_until(is_tried_again, lambda: f"four attempts were awaited: {said}")
    for attempts, (last, next_) in said.items():
        assert timedelta(seconds=0.3) < next_ - last < timedelta(seconds=4.1)
        if attempts + 1 in said:
            assert said[attempts + 1][0] >= next_ - timedelta(milliseconds=10)
    assert "NEXT ATTEMPT" in queue(running, "list", "-o", "wide")
    assert "NEXT ATTEMPT" in queue(running, "show", "1")


def test_a_route_that_holds_deliveries_keeps_and_then_sends(orthanc: Orthanc, run: Callable[..., Running]) -> None:
    running = run(local_node(), to(orthanc.url), local_route(mode="HoldDeliveries"))
    assert storescu(running.port, [CT, MR]) == 0
    running.wait_for(owed=2)
    assert {item["reason"] for item in listed(running, **{"in": "Held"})} == {"RouteHeld"}
    assert orthanc.count() == 0
    reload_with(running, local_route())
    running.wait_for(owed=0, deliveredTotal=2)


def test_a_target_for_what_is_deidentified_gets_nothing_else(orthanc: Orthanc, run: Callable[..., Running]) -> None:
    running = run(local_node(), to(orthanc.url, accepts="DeidentifiedOnly"), local_route())
    assert storescu(running.port, [CT]) == 0
    running.wait_for(owed=1)
    assert running.status()["destinations"][0]["heldReason"] == "NotDeidentified"
    assert orthanc.count() == 0


def test_rules_targets_and_secrets_change_under_load_and_nothing_is_lost(
    tmp_path: Path, run: Callable[..., Running], tap: Callable[[int], Tap]
) -> None:
    archives = [Orthanc(tmp_path / name, password="first") for name in ("one", "two")]
    try:
        one, two = (with_password(to(archive.url)) for archive in archives)
        running = run(local_node(), one, secret("first"), local_route())
        wire = tap(running.port)
        files = make_corpus(tmp_path / "corpus", 150, ("MR_small.dcm", "CT_small.dcm"))
        sender = threading.Thread(target=dcmsend, args=(wire.port, files))
        sender.start()
        wait_until(lambda: len(wire.witness.acknowledged) > 10, "nothing is received")
        reload_with(
            running, local_route(rules=[{**ONLY_CT[0], "name": "ct"}, {**ONLY_CT[0], "name": "all", "when": ""}])
        )
        running.write([secret("second")])
        archives[0].stop()
        archives[0].start("second")
        reload_with(running, two)
        running.write([secret("first")])
        sender.join()
        assert wire.witness.aborts == [], "no association was dropped"
        assert wire.witness.acknowledged == {uid_of(file) for file in files}
        running.wait_for(owed=0, deadLettered=0, deliveredTotal=len(files), seconds=120)
        stored = {uid for archive in archives for uid in archive.files()}
        assert stored == wire.witness.acknowledged
    finally:
        for archive in archives:
            archive.stop()


def test_deliveries_to_a_removed_target_are_held_and_go_out_when_it_is_back(
    orthanc: Orthanc, run: Callable[..., Running]
) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    assert storescu(running.port, [CT]) == 0
    before = running.hash()
    running.remove("CloudTarget", "archive")
    running.wait_reloaded(before)
    assert storescu(running.port, [MR]) == 0
    running.wait_for(owed=2)
    wait_until(lambda: {item["reason"] for item in listed(running)} == {"NoSuchDestination"}, "they are not held")
    reload_with(running, to(orthanc.url))
    running.wait_for(owed=0, deliveredTotal=2)


def test_a_change_that_does_not_pass_keeps_everything_as_it_was(orthanc: Orthanc, run: Callable[..., Running]) -> None:
    running = run(local_node(), to(orthanc.url), local_route())
    before = running.hash()
    running.write([changed(local_route(), "spec.rules.0.when", "instance.Modalty == 'CT'")])
    wait_until(lambda: "did you mean instance.Modality?" in running.process.tail(), "nothing is said")
    assert running.hash() == before
    assert storescu(running.port, [CT]) == 0
    running.wait_for(owed=0, deliveredTotal=1)


def test_a_listener_is_moved_without_a_restart(run: Callable[..., Running]) -> None:
    from ports import free_port

    running = run(local_node(), to(NOWHERE), local_route())
    second = {"name": "second", "port": free_port(), "aeTitles": ["SECOND"], "sources": {"policy": "Any"}}
    reload_with(running, changed(local_route(), "spec.listeners.1", second))
    wait_until(lambda: len(running.status()["listeners"]) == 2, "the new listener is not open")
    assert storescu(second["port"], [CT], called="SECOND") == 0
    reload_with(running, local_route())
    wait_until(lambda: len(running.status()["listeners"]) == 1, "the old listener is open")
    assert storescu(second["port"], [CT], called="SECOND") != 0


def request(running: Running, path: str, token: str | None = None, data: bytes | None = None) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"https://{running.admin}{path}", headers=headers, data=data),
            timeout=10,
            context=running.tls,
        ) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_admin_api_is_for_those_with_the_token(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    token = (running.state / running.route / "admin-token").read_text().strip()
    assert (running.state / running.route / "admin-token").stat().st_mode & 0o777 == 0o600
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert request(running, path)[0] == 200
    for path in ("/api/v1/status", "/api/v1/queue", "/api/v1/queue/1", "/api/v1/refused"):
        assert request(running, path)[0] == 401
        assert request(running, path, "wrong")[0] == 401
    assert request(running, "/api/v1/status", token)[0] == 200
    assert request(running, "/api/v1/queue?state=Lost", token)[0] == 400
    assert "or it never existed" in request(running, "/api/v1/queue/999", token)[1]
    for path in ("/api/v1/queue?destination=archive", "/api/v1/queue?destination=CloudTarget/nope"):
        status, answer = request(running, path, token)
        assert status == 404
        assert "there are CloudTarget/archive" in answer
    assert "is in the future" in request(running, "/api/v1/report?day=2999-01-01", token)[1]
    assert "give either instances or all: true" in request(running, "/api/v1/queue/drop", token, b"{}")[1]
    assert request(running, "/api/v1/queue/explode", token, b"{}")[0] == 404
    assert request(running, "/api/v1/queue/drop", token, b"{")[0] == 400
    document = json.loads(request(running, "/openapi.json")[1])
    assert set(document["paths"]) >= {"/api/v1/status", "/api/v1/queue", "/api/v1/queue/retry"}


def test_no_patient_data_reaches_logs_metrics_or_status(tmp_path: Path, run: Callable[..., Running]) -> None:
    planted = pydicom.dcmread(CT)
    planted.PatientName, planted.PatientID, planted.StudyDescription = "PLANTED^NAME", "PLANTED-ID", "PLANTED STUDY"
    planted.save_as(tmp_path / "planted.dcm")
    when = '{"a": true}[instance.PatientName] || instance.PatientID.matches(instance.PatientName + "(")'
    rules = [{**ONLY_CT[0], "name": "leaky", "when": when}, {**ONLY_CT[0], "name": "all", "when": ""}]
    running = run(local_node(), to(NOWHERE), local_route(rules=rules))
    assert storescu(running.port, [tmp_path / "planted.dcm"]) == 0
    wait_until(lambda: running.status()["destinations"][0]["lastError"] is not None, "no attempt is made")
    assert running.counts()["owed"] == 1
    for text in (running.process.output.read_text(), json.dumps(running.status()), request(running, "/metrics")[1]):
        assert "PLANTED" not in text


def test_a_spool_that_cannot_be_trusted_is_not_ready_and_says_so(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    assert storescu(running.port, [CT]) == 0
    running.stop()
    for file in (running.state / running.route / "spool" / "instances").glob("*/*.dcm"):
        file.unlink()
    again = cli(
        "run",
        "-f",
        running.manifests,
        "--state",
        running.state,
        "--admin-port",
        "0",
        "--port",
        f"{running.route}/dicom=0",
    )
    assert again.returncode == 2
    assert "SpoolCorrupt" in again.stderr
    assert "Traceback" not in again.stderr


def test_two_runs_do_not_share_a_state_folder(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    second = cli("run", "-f", running.manifests, "--state", running.state, "--admin-port", "0")
    assert second.returncode == 2
    assert "another `dicomroute run` is using this state folder" in second.stderr


def test_a_secret_that_is_missing_is_found_before_anything_starts(tmp_path: Path) -> None:
    for name, document in {"node": local_node(), "route": local_route(), "target": with_password(target())}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    result = cli("run", "-f", tmp_path, "--state", tmp_path / "state")
    assert result.returncode == 2
    assert "SecretNotFound: CloudTarget archive needs the Secret archive" in result.stderr
