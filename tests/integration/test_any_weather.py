"""Whatever happens to destinations, to the gateway and to its configuration: of every acknowledged instance the ledger
says what became of it at each destination, and that is so.

A script of random steps; its seed is printed. DICOMROUTE_WEATHER_SEED=N runs another one, DICOMROUTE_WEATHER_STEPS=N a
longer one.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from blake3 import blake3
from gateways import LoneGateway
from manifests import Json
from pdus import data_set, element
from peer import Answered, Peer, new_uid
from processes import wait_until
from routes import all_to, local_node, local_route, targets
from sink import digest
from weather import ChangingArchive, Weather

SEEDS = [int(seed) for seed in os.environ.get("DICOMROUTE_WEATHER_SEED", "1 2").split()]
STEPS = int(os.environ.get("DICOMROUTE_WEATHER_STEPS", "40"))
NAMES = ("one", "two", "three")
STUDY = "1.2.3.4.5.6"
UNMATCHED = "US"
"""The modality of instances that no rule takes."""


@dataclass
class Sent:
    """An instance that was sent: its digest as its destinations see it, and as the ledger says it."""

    digest: str
    ledger_digest: str
    destinations: frozenset[str]
    """Whom the rules named when it was sent."""
    is_acknowledged: bool = False
    refused_by: set[str] = field(default_factory=set)
    dropped_for: set[str] = field(default_factory=set)
    """The destinations it was dropped for; "" for one that was held."""


class World:
    """A gateway, its destinations, and what a witness knows of the instances that were sent."""

    def __init__(
        self, start: Callable[..., LoneGateway], folder: Path, archives: dict[str, ChangingArchive], seed: int
    ) -> None:
        self.archives = archives
        self.sent: dict[str, Sent] = {}
        self.said: list[str] = []
        self._start = start
        self._folder = folder
        self._dice = random.Random(seed)
        self._present = list(NAMES)
        self.gateway = start(folder, self._manifests())
        self._steps: dict[str, tuple[int, Callable[[], object]]] = {
            "send": (8, lambda: self._send(self._dice.randrange(1, 25))),
            "change a weather": (8, self._change_weather),
            "kill": (2, self._kill),
            "stop": (1, self._stop),
            "retry": (2, lambda: self._change_queue("retry")),
            "drop": (2, lambda: self._change_queue("drop")),
            "remove a destination": (1, self._remove),
            "bring it back": (2, self._bring_back),
            "let time pass": (2, lambda: time.sleep(self._dice.uniform(0, 0.5))),
        }

    def step(self) -> None:
        """Do something."""
        names = list(self._steps)
        (name,) = self._dice.choices(names, [self._steps[one][0] for one in names])
        self.said.append(f"{name} {self._steps[name][1]() or ''}".strip())

    def be_well(self) -> None:
        """Let every destination be up and configured, and wait until nothing is left to do."""
        for archive in self.archives.values():
            archive.change(Weather.UP)
        self._bring_back()
        wait_until(self._is_settled, lambda: f"{self.gateway.status()}\n{self.gateway.process.tail()}", 90)

    def _is_settled(self) -> bool:
        status = self.gateway.status()
        waiting = [one["pending"] + one["inFlight"] + one["held"] for one in status["destinations"]]
        return status["instances"] is not None and not any(waiting)

    def _manifests(self) -> list[Json]:
        urls = {name: self.archives[name].url for name in self._present}
        rules = [{**all_to(*self._present)[0], "when": f'instance.Modality != "{UNMATCHED}"'}]
        # An answer of 400 without a body may speak of the content: only ever so many of them make a dead letter.
        retry = {"initialBackoffSeconds": 1, "maxBackoffSeconds": 1, "contentAttempts": 100}
        return [local_node(), *targets(**urls), local_route(rules=rules, retry=retry)]

    def _send(self, count: int) -> str:
        """Send instances in one association; what is not acknowledged is left alone."""
        try:
            peer = Peer(self.gateway.port).associated()
        except (OSError, AssertionError):
            return "to nobody"
        for _ in range(count):
            uid = new_uid()
            pixels = element(0x7FE00010, "OW", self._dice.randbytes(2 * self._dice.randrange(1, 20_000)))
            modality = element(0x00080060, "CS", UNMATCHED.encode()) if self._dice.random() < 0.05 else b""
            data = data_set(uid, pixels, *([modality] if modality else []))
            named = frozenset() if modality else frozenset(self._present)
            one = self.sent[uid] = Sent(digest(data), f"blake3:{blake3(data).hexdigest()}", named)
            for name in NAMES:
                if self._dice.random() < 0.03:
                    one.refused_by.add(name)
                    self.archives[name].refused.add(uid)
            try:
                answer = peer.store(data, uid)
            except (OSError, AssertionError):
                break
            one.is_acknowledged = answer == Answered(0)
            if not one.is_acknowledged:
                break
        peer.close()
        return str(count)

    def _change_weather(self) -> str:
        name = self._dice.choice(NAMES)
        archive = self.archives[name]
        archive.answer_seconds = self._dice.choice((0, 0, 0.05, 0.5))
        archive.change(self._dice.choice(list(Weather)))
        return f"{name}: {archive.weather}, answers after {archive.answer_seconds} s"

    def _kill(self) -> str:
        """Kill the gateway in the midst of an association, at any moment."""
        seconds = self._dice.uniform(0, 0.3)
        killer = threading.Timer(seconds, self.gateway.kill)
        killer.start()
        self._send(200)
        killer.join()
        self._restart()
        return f"after {seconds:.2f} s"

    def _stop(self) -> None:
        assert self.gateway.stop() == 0, self.gateway.process.tail()
        self._restart()

    def _restart(self) -> None:
        self.gateway = self._start(self._folder, self._manifests())
        self.gateway.process.wait_until(lambda: self.gateway.status()["instances"] is not None, "no instances")

    def _change_queue(self, operation: str) -> str:
        """Retry or drop some of what is in the queue."""
        items = self.gateway.get("/api/v1/queue?limit=1000")["items"]
        chosen = self._dice.sample(items, min(len(items), self._dice.randrange(1, 4)))
        changed = 0
        for item in chosen:
            if operation == "drop":
                self.sent[item["sopInstanceUID"]].dropped_for.add(item["destination"].removeprefix("CloudTarget/"))
            destination = {"destination": item["destination"]} if item["destination"] else {"state": "Held"}
            changed += self.gateway.change(operation, instances=[item["instance"]], **destination)
        return str(changed)

    def _remove(self) -> str:
        if len(self._present) == 1:
            return "none, one is left"
        self._present.remove(self._dice.choice(self._present))
        self.gateway.reconfigure(self._manifests())
        return f"{self._present} are left"

    def _bring_back(self) -> str:
        if len(self._present) < len(NAMES):
            self._present = list(NAMES)
            self.gateway.reconfigure(self._manifests())
        return ""


@pytest.mark.parametrize("seed", SEEDS)
def test_of_every_acknowledged_instance_it_is_known_and_true_what_became_of_it(
    lone: Callable[..., LoneGateway], changing: Callable[..., ChangingArchive], tmp_path: Path, seed: int
) -> None:
    print(f"DICOMROUTE_WEATHER_SEED={seed}")
    world = World(lone, tmp_path, {name: changing() for name in NAMES}, seed)
    try:
        for _ in range(STEPS):
            world.step()
        world.be_well()
    finally:
        print("\n".join(world.said))
    instances = world.gateway.status()["instances"]
    found = ledger(world.gateway)
    assert_counted_once(instances, found)
    by_uid: dict[str, list[Json]] = {}
    for item in found:
        by_uid.setdefault(item["sopInstanceUID"], []).append(item)
    acknowledged = {uid: one for uid, one in world.sent.items() if one.is_acknowledged}
    assert len(acknowledged) > 50
    assert acknowledged.keys() <= by_uid.keys(), "the ledger does not know all that was acknowledged"
    for uid, items in by_uid.items():
        (item,) = items
        assert_true(world, uid, item)
    assert_nothing_else_arrived(world)
    print(f"{len(acknowledged)} instances acknowledged: {dict(Counter(item['outcome'] for item in found))}")
    assert world.gateway.stop() == 0


def ledger(gateway: LoneGateway) -> list[Json]:
    """Return what the ledger says of the study that all instances are of."""
    found = gateway.get(f"/api/v1/ledger?studyInstanceUID={STUDY}&limit=1000")
    assert not found["truncated"], "too many steps for one page of the ledger"
    return list(found["items"])


def assert_counted_once(instances: Json, found: list[Json]) -> None:
    parts = ("owed", "deadLettered", "skippedTotal", "deliveredTotal", "discardedTotal")
    assert instances["receivedTotal"] == sum(instances[part] for part in parts)
    by_outcome = Counter(item["outcome"] for item in found)
    outcomes = ("Owed", "DeadLettered", "Skipped", "Delivered", "Discarded")
    assert [instances[part] for part in parts] == [by_outcome[outcome] for outcome in outcomes]


def assert_true(world: World, uid: str, item: Json) -> None:
    """What the ledger says of an instance is what happened to it."""
    one = world.sent[uid]
    context = f"{item}\n{one}"
    assert item["digest"] == one.ledger_digest, context
    deliveries = {delivery["destination"].removeprefix("CloudTarget/"): delivery for delivery in item["deliveries"]}
    if not one.destinations:
        assert "" in deliveries or item["outcome"] == "Discarded", context
        assert (item["outcome"] == "Discarded") == ("" in one.dropped_for), context
        return
    assert deliveries.keys() == one.destinations, context
    for name, delivery in deliveries.items():
        copies = world.archives[name].stored.get(uid, [])
        match delivery["state"]:
            case "Delivered":
                assert copies, context
                assert set(copies) == {one.digest}, context
            case "DeadLettered":
                assert name in one.refused_by, context
                assert (delivery["reason"], delivery["status"]) == ("DataSetDoesNotMatchSOPClass", 0xA900), context
                assert not copies, context
            case "Skipped":
                assert name in one.dropped_for, context
            case _:
                raise AssertionError(f"not settled: {context}")


def assert_nothing_else_arrived(world: World) -> None:
    for name, archive in world.archives.items():
        for uid, copies in archive.stored.items():
            assert name in world.sent[uid].destinations, f"{uid} was not meant for {name}"
            assert set(copies) == {world.sent[uid].digest}
