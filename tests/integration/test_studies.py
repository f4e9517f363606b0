"""Studies as units, by real senders and archives: when they are complete, and what goes where once they are."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import killed_studies
import pytest
import yaml
from gateways import LoneGateway
from manifests import Json
from moved_clock import MovedClock
from origin_server import OriginServer
from pdus import command_set, data_set, element, message, store_values, uid_value
from peer import Answered, Peer, new_uid
from routes import local_node, local_route, references, targets
from running import DICOMROUTE, Running
from studies import instance as made

Lone = Callable[..., LoneGateway]
STUDY = "1.2.3.4.5.6"
SUCCESS = Answered(0)
ARCHIVE = references("archive")
WAITS = {"name": "whole", "trigger": "StudyComplete", "destinations": ARCHIVE}


def manifests(server: OriginServer, idle: int = 1, rules: list[Json] | None = None, **studies: Any) -> list[Json]:
    """Return a route whose rule waits for studies; they are complete after so many seconds."""
    return [
        local_node(),
        *targets(archive=server.url),
        local_route(
            rules=rules or [WAITS], studies={"idleSeconds": idle, **studies}, ledger={"retentionSeconds": 86400}
        ),
    ]


def of_study(uid: str, study: str = STUDY, *more: bytes) -> bytes:
    return data_set(uid, element(0x0020000D, "UI", uid_value(study)), *more)


def store(peer: Peer, study: str = STUDY) -> str:
    uid = new_uid()
    assert peer.store(of_study(uid, study), uid) == SUCCESS
    return uid


def study_of(gateway: LoneGateway, study: str = STUDY) -> Json:
    return dict(gateway.get(f"/api/v1/studies/{study}")["study"])


def wait_for_study(gateway: LoneGateway, **wanted: Any) -> Json:
    """Wait until a study stands so; return how it stands then."""

    def stands() -> bool:
        found = study_of(gateway)
        return {name: found[name] for name in wanted} == wanted

    gateway.process.wait_until(stands, f"the study does not become {wanted}")
    return study_of(gateway)


def completions(gateway: LoneGateway) -> list[tuple[int, str]]:
    """Return the revision and basis of each completion that the journal has, in its order."""
    (segment,) = (gateway.folder / "spool" / "journal").glob("*.jsonl")
    records = [json.loads(line[9:]) for line in segment.read_text().splitlines()]
    return [
        (one["revision"], one["basis"]) for one in records if one["record"] == "study" and one["state"] == "Complete"
    ]


def test_a_series_that_goes_on_and_two_associations_are_one_study(
    lone: Lone, tmp_path: Path, server: OriginServer
) -> None:
    gateway = lone(tmp_path, manifests(server, idle=3))
    one, two = (Peer(gateway.port, patience_seconds=60).associated() for _ in range(2))
    begun, uids = time.monotonic(), []
    while time.monotonic() - begun < 5:  # for longer than it has to be idle
        uids += [store(one), store(two)]
        time.sleep(0.5)
    assert server.files == {}, "nothing goes out before it is complete"
    waiting = gateway.destination("archive")
    assert (waiting["waiting"], waiting["pending"]) == (len(uids), 0)
    assert gateway.status()["studies"] == {"open": 1, "complete": 0}
    assert f'state="waiting"}} {len(uids)}.0' in gateway.metrics()
    assert "dicomroute_studies_open 1.0" in gateway.metrics()
    page = gateway.get("/api/v1/queue?state=Waiting&limit=1000")
    assert {one["reason"] for one in page["items"]} == {"StudyNotComplete"}
    gateway.wait_for(owed=0, deliveredTotal=len(uids))
    assert set(server.files) == set(uids)
    assert completions(gateway) == [(1, "Idle")]
    completed = 'dicomroute_studies_completed_total{basis="Idle"} 1.0'
    gateway.process.wait_until(lambda: completed in gateway.metrics(), "the metrics do not count it")
    assert 'dicomroute_studies_completed_total{basis="MaxOpen"} 0.0' in gateway.metrics()
    found = study_of(gateway)
    assert (found["state"], found["instances"], found["modalities"]) == ("Complete", len(uids), ["CT"])
    assert not any(STUDY in json.dumps(line) for line in gateway.log()), "no UID in the log"
    assert STUDY not in gateway.metrics()


def test_it_is_not_complete_while_a_slow_instance_is_on_its_way(
    lone: Lone, tmp_path: Path, server: OriginServer
) -> None:
    gateway = lone(tmp_path, manifests(server, idle=1))
    first = store(Peer(gateway.port).associated())
    slow, uid = Peer(gateway.port, patience_seconds=60).associated(), new_uid()
    data = of_study(uid, STUDY, element(0x7FE00010, "OW", bytes(200_000)))
    sent = message(1, command_set(store_values(uid)), data)
    slow.awaits(uid, data).send(sent[:40_000])
    time.sleep(3)
    assert study_of(gateway)["state"] == "Open"
    assert server.files == {}
    slow.send(sent[40_000:])
    assert slow.answer() == SUCCESS
    gateway.wait_for(owed=0, deliveredTotal=2)
    assert set(server.files) == {first, uid}
    assert completions(gateway) == [(1, "Idle")]


@pytest.mark.parametrize("on_revision", ["SendNew", "SendAll", "Hold"])
def test_a_late_instance_is_of_the_next_revision(
    lone: Lone, tmp_path: Path, server: OriginServer, on_revision: str
) -> None:
    gateway = lone(tmp_path, manifests(server, rules=[{**WAITS, "onRevision": on_revision}]))
    peer = Peer(gateway.port, patience_seconds=60).associated()
    store(peer)
    gateway.wait_for(owed=0, deliveredTotal=1)
    late = store(peer)
    found = wait_for_study(gateway, revision=2, state="Complete")
    assert (found["instances"], found["newInstances"]) == (2, 1)
    assert completions(gateway) == [(1, "Idle"), (2, "Idle")]
    assert found["notSentAgain"] == (on_revision == "SendAll"), "the first one has left the spool"
    if on_revision == "Hold":
        (item,) = gateway.get("/api/v1/queue?state=Held")["items"]
        assert (item["sopInstanceUID"], item["reason"]) == (late, "StudyRevised")
        assert late not in server.files
        assert gateway.change("release", all=True) == 1
    gateway.wait_for(owed=0, deliveredTotal=2)
    assert late in server.files


def test_a_study_that_never_ends_is_completed_and_says_why(lone: Lone, tmp_path: Path, server: OriginServer) -> None:
    gateway = lone(tmp_path, manifests(server, idle=2, maxOpenSeconds=3))
    peer, sent = Peer(gateway.port, patience_seconds=60).associated(), 0
    while not completions(gateway):
        store(peer)
        sent += 1
        assert sent < 200, "a study that is open for too long is not completed"
        time.sleep(0.2)
    assert completions(gateway)[0] == (1, "MaxOpen")
    gateway.wait_for(owed=0, deliveredTotal=sent)
    assert completions(gateway)[1:] in ([], [(2, "Idle")])


def test_a_study_that_never_ends_is_completed_although_the_gateway_does_not_live_so_long(
    lone: Lone, tmp_path: Path, server: OriginServer
) -> None:
    for _ in range(5):
        gateway = lone(tmp_path, manifests(server, idle=12, maxOpenSeconds=12))
        peer, begun = Peer(gateway.port, patience_seconds=60).associated(), time.monotonic()
        while time.monotonic() - begun < 5:
            store(peer)
            time.sleep(0.3)
        found = completions(gateway)
        gateway.kill()
        if found:
            assert found == [(1, "MaxOpen")]
            return
    pytest.fail("it is open for ever")


@pytest.mark.parametrize("step", killed_studies.FIRST_STEPS)
def test_kill_9_at_each_step_loses_nothing_and_completes_once(
    lone: Lone, tmp_path: Path, server: OriginServer, step: str
) -> None:
    program = (killed_studies.__file__,)
    killed = lone(tmp_path, manifests(server), program=program, env={"DICOMROUTE_KILLED_AT": step})
    peer = Peer(killed.port, patience_seconds=10).associated()
    acknowledged = []
    for _ in range(2):
        uid = new_uid()
        if peer.store(of_study(uid), uid) == SUCCESS:
            acknowledged.append(uid)
    assert killed.process.wait(30) == -9, "it has not come to that step"
    gateway = lone(tmp_path, manifests(server))
    wait_for_study(gateway, state="Complete")
    gateway.wait_for(owed=0)
    assert set(acknowledged) <= set(server.files), "what was acknowledged is delivered"
    assert completions(gateway) == [(1, "Idle")]
    assert study_of(gateway)["instances"] == len(server.files)


def test_a_clock_that_jumps_completes_nothing_and_loses_nothing(
    lone: Lone, tmp_path: Path, server: OriginServer
) -> None:
    clock = MovedClock(tmp_path / "clock", "2026-03-06 18:00:00")
    gateway = lone(tmp_path / "gateway", manifests(server, idle=4, maxOpenSeconds=60), env=clock.environment)
    peer = Peer(gateway.port, patience_seconds=60).associated()
    store(peer)
    for seconds in (7200.0, -3 * 86400.0):
        clock.advance(seconds)
        time.sleep(1)
        store(peer)
        assert study_of(gateway)["state"] == "Open"
    gateway.stop()
    clock.advance(30 * 86400.0)
    gateway = lone(tmp_path / "gateway", manifests(server, idle=4, maxOpenSeconds=60), env=clock.environment)
    assert study_of(gateway)["state"] == "Open", "a restart makes it complete later, never earlier"
    gateway.wait_for(owed=0, deliveredTotal=3)
    assert completions(gateway) == [(1, "Idle")]


def test_rules_at_receipt_decide_and_conditions_are_asked_once(
    lone: Lone, tmp_path: Path, server: OriginServer
) -> None:
    two = references("archive", "second")
    conditional = {
        **WAITS,
        "name": "large",
        "whenComplete": "study.instances >= 2",
        "destinations": references("second"),
    }
    second = OriginServer()
    try:
        documents = [
            local_node(),
            *targets(archive=server.url, second=second.url),
            local_route(rules=[WAITS, conditional], studies={"idleSeconds": 3}),
        ]
        gateway = lone(tmp_path, documents)
        peer = Peer(gateway.port, patience_seconds=60).associated()
        small = store(peer, "1.2.3.1")
        large = {store(peer, "1.2.3.2"), store(peer, "1.2.3.2")}
        documents[-1] = local_route(rules=[{"name": "now", "destinations": two}], studies={"idleSeconds": 3})
        gateway.reconfigure(documents)
        gateway.wait_for(owed=0, skippedTotal=1, deliveredTotal=2)
        assert set(server.files) == {small, *large}
        assert set(second.files) == large
    finally:
        second.close()


def test_an_instance_without_a_study_is_held(lone: Lone, tmp_path: Path, server: OriginServer) -> None:
    gateway = lone(tmp_path, manifests(server))
    peer, uid = Peer(gateway.port).associated(), new_uid()
    assert peer.store(data_set(uid, without=[0x0020000D]), uid) == SUCCESS
    (item,) = gateway.get("/api/v1/queue?state=Held")["items"]
    assert item["reason"] == "NoStudy"


def dicomroute(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([str(DICOMROUTE), *arguments], check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_people_see_studies(run: Callable[..., Running], tmp_path: Path, server: OriginServer) -> None:
    rules = [{**WAITS, "destinations": ARCHIVE}]
    running = run(*manifests(server, idle=15, rules=rules))
    peer = Peer(running.port, patience_seconds=60).associated()
    uid = store(peer)
    asked = ("--admin", running.admin, "--state", str(running.state))
    code, output, errors = dicomroute("studies", "list", *asked)
    assert code == 0, errors
    assert STUDY in output
    assert "Open" in output
    assert "CloudTarget/archive 1 waiting" in output
    running.process.wait_until(lambda: _delivered(asked), "the study is not delivered")
    code, output, errors = dicomroute("studies", "show", STUDY, *asked, "-o", "json")
    document = json.loads(output)
    (instance,) = document["series"][0]["instances"]
    assert (instance["sopInstanceUID"], instance["deliveries"][0]["state"]) == (uid, "Delivered")
    assert document["study"]["basis"] == "Idle"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    code, output, errors = dicomroute("report", "--by", "study", "--day", today, *asked)
    assert code == 0, errors
    assert "CloudTarget/archive 1 delivered" in output
    code, output, errors = dicomroute("studies", "show", "1.9.9", *asked)
    assert code == 1
    assert "there is no such study" in errors


def _delivered(asked: tuple[str, ...]) -> bool:
    found = json.loads(dicomroute("studies", "show", STUDY, *asked, "-o", "json")[1])
    return bool(found["study"]["destinations"][0]["delivered"] == 1)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"rules": [WAITS]}, "add studies"),
        (
            {"rules": [WAITS], "studies": {}, "acknowledge": {"when": "OnDelivered"}},
            "the sender would wait for its own last instance",
        ),
        (
            {"rules": [{**WAITS, "whenComplete": "study.instance > 1"}], "studies": {}},
            "did you mean study.instances",
        ),
    ],
)
def test_a_manifest_that_cannot_work_says_what_to_do(
    tmp_path: Path, server: OriginServer, spec: Mapping[str, Any], sentence: str
) -> None:
    file = tmp_path / "route.yaml"
    file.write_text(yaml.safe_dump_all([local_node(), *targets(archive=server.url), local_route(**spec)]))
    code, output, errors = dicomroute("validate", "-f", str(file))
    assert code == 2
    assert sentence in output + errors


def test_explain_says_that_a_rule_waits(tmp_path: Path, server: OriginServer) -> None:
    file, dicom = tmp_path / "route.yaml", tmp_path / "one.dcm"
    rule = {**WAITS, "whenComplete": "study.series > 1", "onRevision": "Hold"}
    file.write_text(yaml.safe_dump_all(manifests(server, rules=[rule])))
    dicom.write_bytes(made(1))
    asked = ("--route", "ct-to-cloud", "--calling", "CT1", "--address", "127.0.0.1")
    code, output, errors = dicomroute("explain", "-f", str(file), *asked, str(dicom))
    assert code == 0, errors
    assert "waits (rule whole) until its study is complete and study.series > 1; later revisions: Hold" in output
