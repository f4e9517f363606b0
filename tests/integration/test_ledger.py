"""What became of a study can be said after its bytes are gone, and what each source sent on a day."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pydicom
from corpus import FILES, uid_of
from manifests import changed
from orthanc import Orthanc
from processes import wait_until
from routes import local_node, local_route, to
from running import Running, cli, storescu

CT, MR = FILES / "CT_small.dcm", FILES / "MR_small.dcm"
NOWHERE = "http://127.0.0.1:9/dicom-web"
ONLY_CT = [
    {"name": "ct", "when": 'instance.Modality == "CT"', "destinations": [{"kind": "CloudTarget", "name": "archive"}]}
]


def asked(running: Running, *words: str) -> Any:
    result = cli(*words, "--admin", running.admin, "--state", running.state, "-o", "json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_what_became_of_a_study_is_known_after_its_bytes_are_gone(
    orthanc: Orthanc, run: Callable[..., Running]
) -> None:
    running = run(local_node(), to(orthanc.url), local_route(rules=ONLY_CT))
    assert storescu(running.port, [CT, MR]) == 0
    running.wait_for(owed=1, deliveredTotal=1)
    spool = running.state / running.route / "spool" / "instances"
    wait_until(lambda: len([f for f in spool.glob("*/*.dcm") if f.stat().st_size]) == 1, "the bytes are still there")
    study = pydicom.dcmread(CT).StudyInstanceUID
    (there,) = asked(running, "ledger", "--study", study)["items"]
    assert (there["outcome"], there["sopInstanceUID"]) == ("Delivered", uid_of(CT))
    assert there["finishedTime"] >= there["receivedTime"]
    (delivery,) = there["deliveries"]
    assert (delivery["destination"], delivery["state"], delivery["reason"]) == (
        "CloudTarget/archive",
        "Delivered",
        "Stored",
    )
    (held,) = asked(running, "ledger", "--instance", uid_of(MR))["items"]
    assert (held["outcome"], held["hold"], held["finishedTime"]) == ("Owed", "Unmatched", None)
    assert {one["outcome"] for one in asked(running, "ledger", "--calling", "CT1")["items"]} == {"Owed", "Delivered"}
    assert asked(running, "ledger", "--calling", "NOBODY")["items"] == []
    running.kill_gateway()
    running.wait_for(owed=1, deliveredTotal=1)
    assert asked(running, "ledger", "--study", study)["items"] == [there], "a restart forgets nothing"


def test_a_day_is_reported_by_its_sources(orthanc: Orthanc, run: Callable[..., Running]) -> None:
    route = changed(local_route(rules=ONLY_CT, unmatched="Discard"), "spec.listeners.0.sources", {"policy": "Any"})
    running = run(to(orthanc.url), route)
    assert storescu(running.port, [CT, MR], calling="CT1") == 0
    assert storescu(running.port, [MR], calling="MR1") == 0
    running.wait_for(owed=0, deliveredTotal=1, discardedTotal=2)
    wait_until(lambda: asked(running, "report")["total"]["receivedTotal"] == 3, "the day is not complete")
    document = asked(running, "report", "--day", str(datetime.now(UTC).date()))
    assert document["complete"]
    one, other = document["sources"]
    assert (one["callingAETitle"], one["receivedTotal"], one["deliveredTotal"], one["discardedTotal"]) == (
        "CT1",
        2,
        1,
        1,
    )
    assert (other["callingAETitle"], other["receivedTotal"], other["discardedTotal"]) == ("MR1", 1, 1)
    assert document["total"]["studies"] == 2
    table = cli("report", "--admin", running.admin, "--state", running.state).stdout.splitlines()
    assert table[0].split() == [
        "FROM", "STUDIES", "RECEIVED", "OWED", "DEAD-LETTERED", "SKIPPED", "DELIVERED", "DISCARDED", "BYTES",
    ]  # fmt: skip
    assert table[-1].split()[:3] == ["(all)", "2", "3"]


def test_a_day_that_was_not_kept_says_so(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), local_route(ledger={"retentionSeconds": 0}))
    result = cli("report", "--day", "2020-01-01", "--admin", running.admin, "--state", running.state)
    assert "the ledger does not reach back to 2020-01-01" in result.stderr
    wrong = cli("report", "--day", "yesterday", "--admin", running.admin, "--state", running.state)
    assert (wrong.returncode, wrong.stderr) == (1, "day must be a day such as 2026-01-31, not 'yesterday'\n")


def test_without_a_question_the_newest_are_listed(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    nothing = cli("ledger", "--admin", running.admin, "--state", running.state)
    assert (nothing.returncode, nothing.stdout.splitlines()[-1]) == (0, "no record found")
    assert storescu(running.port, [CT]) == storescu(running.port, [MR]) == 0
    assert [one["sopInstanceUID"] for one in asked(running, "ledger")["items"]] == [uid_of(MR), uid_of(CT)]
    assert [one["sopInstanceUID"] for one in asked(running, "ledger", "--limit", "1")["items"]] == [uid_of(MR)]
    table = cli("ledger", "--admin", running.admin, "--state", running.state).stdout
    assert table.splitlines()[0].split() == ["INSTANCE", "OUTCOME", "RECEIVED", "FROM", "DELIVERIES"]
    wide = cli("ledger", "-o", "wide", "--admin", running.admin, "--state", running.state).stdout
    assert uid_of(MR) in wide


def test_a_delivery_tells_of_its_earlier_attempts(run: Callable[..., Running]) -> None:
    retry = {"initialBackoffSeconds": 1, "maxBackoffSeconds": 1}
    running = run(local_node(), to(NOWHERE), local_route(retry=retry))
    assert storescu(running.port, [CT]) == 0

    def attempts() -> list[dict[str, Any]]:
        (delivery,) = asked(running, "queue", "show", "1")["deliveries"]
        return list(delivery["earlierAttempts"])

    wait_until(lambda: len(attempts()) >= 3, "attempts are not remembered")
    assert {one["reason"] for one in attempts()} == {"ConnectionFailed"}
    times = [one["time"] for one in attempts()]
    assert times == sorted(times)
    shown = cli("queue", "show", "1", "--admin", running.admin, "--state", running.state).stdout
    assert "EARLIER ATTEMPT" in shown
    assert cli("queue", "drop", "--all", "--admin", running.admin, "--state", running.state).returncode == 1
    dropped = cli("queue", "drop", "--all", "--in", "Pending", "--admin", running.admin, "--state", running.state)
    assert dropped.stdout == "1 dropped\n"
    running.wait_for(owed=0, skippedTotal=1)
