"""A gateway that is killed with -9 at every step between a thing and its event tells it all the same, and once.

Each instance is a study by itself, so that every acknowledgement has to come with events of its own: received, and
delivered or held.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nursery
import pytest
from feeds import Reader
from gateways import prepare
from manifests import Json
from persistent import Sender
from ports import free_port
from processes import wait_until
from routes import local_node, local_route, to
from sink import Sink

KILLS_A_STEP = int(os.environ.get("DICOMROUTE_KILL_ROUNDS", "1")) * 2
BETWEEN = (
    "write the journal",
    "sync the journal",
    "write a new journal",
    "put a new journal in place",
    "keep the old journal",
    "remove the old journal",
    "settle deliveries",
    "write events",
)
STEPS = [f"{when}: {step}" for step in BETWEEN for when in ("before", "after")]
HELD = "1.2.826.0.1.3680043.10.98.0."
ROUTES = [
    {
        "name": "most",
        "when": f'!instance.SOPInstanceUID.startsWith("{HELD}")',
        "destinations": [{"kind": "CloudTarget", "name": "archive"}],
    }
]


class Line:
    """Senders, a gateway that is started again and again, its sink, and a reader of its feed."""

    def __init__(self, folder: Path) -> None:
        self.sink = Sink()
        self.folder = folder
        port, admin = free_port(), free_port()
        route = local_route(rules=ROUTES, events={"studyQuietSeconds": 1})
        arguments = prepare(folder, [local_node(), to(self.sink.url, onDuplicate="Accept"), route])
        self._arguments = [*arguments, f"--listen=dicom={port}", f"--admin-port={admin}", "--log-level=error"]
        command = [sys.executable, nursery.__file__]
        self._nursery = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reader = Reader(f"127.0.0.1:{admin}")
        self.senders = [Sender(port, number, most_bytes=2000, pause=0.02, own_studies=True) for number in range(2)]

    def start(self, step: str | None = None, occurrence: int = 1) -> int:
        log = str(self.folder / "gateway.log")
        order = {"arguments": self._arguments, "step": step, "occurrence": occurrence, "log": log}
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(order) + "\n")
        self._nursery.stdin.flush()
        return int(self._heard()["pid"])

    def wait_killed(self) -> None:
        assert self._heard() == {"ended": -signal.SIGKILL}, self.log()

    def stop(self, pid: int) -> None:
        os.kill(pid, signal.SIGTERM)
        assert self._heard() == {"ended": 0}, self.log()

    def close(self) -> None:
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.kill()
        self._nursery.wait()
        self.sink.close()

    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()[-3000:]

    def _heard(self) -> dict[str, Any]:
        assert self._nursery.stdout is not None
        line = self._nursery.stdout.readline()
        assert line, self.log()
        return dict(json.loads(line))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    one = Line(tmp_path)
    yield one
    one.close()


def subjects(events: list[Json], name: str) -> set[str]:
    return {one["subject"] for one in events if one["type"] == f"dev.dicomroute.{name}.v1"}


@pytest.mark.timeout(3600)
def test_what_happened_before_a_kill_is_told_after_it_and_a_feed_made_anew_repeats(line: Line) -> None:
    dice = random.Random(7)
    for step in STEPS:
        for _ in range(KILLS_A_STEP):
            rare = any(word in step for word in ("new journal", "old journal"))
            line.start(step, 1 if rare else dice.randrange(1, 6))
            line.wait_killed()
    pid = line.start()
    for sender in line.senders:
        sender.stop()
    acknowledged = {uid for sender in line.senders for uid, _ in sender.acknowledged}
    held = {f"{uid}.1" for uid in acknowledged if uid.startswith(HELD)}
    others = {f"{uid}.1" for uid in acknowledged} - held
    assert held
    assert others

    def all_told() -> bool:
        line.reader.read()
        told = line.reader.events
        return (
            held | others <= subjects(told, "study.received")
            and others <= subjects(told, "study.delivered")
            and held <= subjects(told, "delivery.held")
        )

    def missing() -> str:
        told = line.reader.events
        return (
            str(
                [
                    len(one)
                    for one in (
                        (held | others) - subjects(told, "study.received"),
                        others - subjects(told, "study.delivered"),
                        held - subjects(told, "delivery.held"),
                    )
                ]
            )
            + line.log()
        )

    wait_until(all_told, missing, 120)
    first = list(line.reader.events)
    (twice, count), *_ = Counter(one["id"] for one in first).most_common(1)
    assert count == 1, twice
    past = line.folder / "spool" / "journal"
    wait_until(lambda: not list(past.glob("*.past")), "what was read is kept")
    print(f"{KILLS_A_STEP * len(STEPS)} kills, {len(acknowledged)} instances, {len(first)} events, each once")
    line.stop(pid)
    for file in (line.folder / "spool").glob("events.sqlite*"):
        file.unlink()
    pid = line.start()
    anew = Reader(line.reader.admin)
    line.reader = anew
    wait_until(all_told, missing, 120)
    of_ledger = ("study.received", "study.delivered", "delivery.held")
    known = {one["id"] for one in first}
    told = [one for one in anew.events if one["type"].split("dicomroute.")[1].removesuffix(".v1") in of_ledger]
    assert {one["id"] for one in told} <= known, "a feed made anew invents nothing"
    line.stop(pid)
