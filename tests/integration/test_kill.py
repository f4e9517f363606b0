"""The gateway is killed with -9 at every step of its work, and at random: what was acknowledged arrives, unchanged.

DICOMROUTE_KILL_ROUNDS sets how often all of that; `make test-kills` does it thousands of times. A round begins with an
empty spool: what is killed all the time receives more than it delivers, and reads a longer journal at each start.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nursery
import pytest
from gateways import prepare
from manifests import Json
from persistent import Sender
from ports import free_port
from processes import wait_until
from routes import local_node, local_route, to
from sink import Sink

KILLS_A_STEP = 10
ROUNDS = range(1, 1 + int(os.environ.get("DICOMROUTE_KILL_ROUNDS", "1")))
RARE = (
    "journal in place",
    "new journal",
    "old journal",
    "folder of",
    "make the folder",
    "cut the file",
    "write events",
)
"""Steps that come now and then, or once at a start."""


class Line:
    """Senders, a gateway that is started again and again, and the sink that it delivers to."""

    def __init__(self, folder: Path) -> None:
        self.sink = Sink()
        self._folder = folder
        self._admin = free_port()
        port = free_port()
        arguments = prepare(folder, [local_node(), to(self.sink.url, onDuplicate="Accept"), local_route()])
        self._arguments = [*arguments, f"--listen=dicom={port}", f"--admin-port={self._admin}", "--log-level=error"]
        command = [sys.executable, nursery.__file__]
        self._nursery = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.senders = [Sender(port, number) for number in range(3)]

    def start(self, step: str | None = None, occurrence: int = 1) -> int:
        """Start a gateway that ends itself at a step; return its process id."""
        order = {
            "arguments": self._arguments,
            "step": step,
            "occurrence": occurrence,
            "log": str(self._folder / "gateway.log"),
        }
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(order) + "\n")
        self._nursery.stdin.flush()
        return int(self._heard()["pid"])

    def wait_killed(self) -> None:
        """Wait until the gateway has ended by SIGKILL."""
        assert self._heard() == {"ended": -signal.SIGKILL}, self._log()

    def finish(self) -> None:
        """Let everything arrive, and compare."""
        pid = self.start()
        for sender in self.senders:
            sender.stop()
        wait_until(lambda: self._instances().get("owed") == 0, lambda: f"{self._instances()}\n{self._log()}", 120)
        instances = self._instances()
        os.kill(pid, signal.SIGTERM)
        assert self._heard() == {"ended": 0}, self._log()
        acknowledged = {one for sender in self.senders for one in sender.acknowledged}
        arrived = {(uid, digest) for uid, digests in self.sink.stored.items() for digest in digests}
        assert acknowledged
        assert acknowledged <= arrived, f"{len(acknowledged - arrived)} of {len(acknowledged)} are missing"
        assert arrived <= {one for sender in self.senders for one in sender.sent}, "something arrived changed"
        assert instances["deadLettered"] == 0
        print(f"{len(acknowledged)} instances acknowledged, all arrived; {len(arrived - acknowledged)} more did")

    def close(self) -> None:
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.kill()
        self._nursery.wait()
        self.sink.close()

    def _heard(self) -> dict[str, Any]:
        assert self._nursery.stdout is not None
        line = self._nursery.stdout.readline()
        assert line, self._log()
        return dict(json.loads(line))

    def _instances(self) -> Json:
        """Return how instances are counted; nothing while the gateway starts."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._admin}/api/v1/status", headers={"Authorization": "Bearer an-example-token"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return dict(json.loads(response.read())["instances"] or {})
        except OSError:
            return {}

    def _log(self) -> str:
        return (self._folder / "gateway.log").read_text()[-3000:]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    one = Line(tmp_path)
    yield one
    one.close()


@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.timeout(3600)
def test_killed_at_every_step(line: Line, number: int) -> None:
    dice = random.Random(number)
    began = time.monotonic()
    for step in nursery.STEPS:
        for _ in range(KILLS_A_STEP):
            line.start(step, 1 if any(word in step for word in RARE) else dice.randrange(1, 6))
            line.wait_killed()
    kills = KILLS_A_STEP * len(nursery.STEPS)
    print(f"{kills} kills at {len(nursery.STEPS)} steps in {time.monotonic() - began:.0f} s")
    line.finish()


@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.timeout(3600)
def test_killed_at_random(line: Line, number: int) -> None:
    dice = random.Random(1000 + number)
    for _ in range(4 * KILLS_A_STEP):
        pid = line.start()
        time.sleep(dice.uniform(0.1, 0.6))
        os.kill(pid, signal.SIGKILL)
        line.wait_killed()
    line.finish()
