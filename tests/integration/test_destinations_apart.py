"""Destinations apart: what one of them does or may have costs the others nothing, and is counted."""

import statistics
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from gateways import LoneGateway
from manifests import Json
from moved_clock import MovedClock
from pdus import data_set, element
from peer import Answer, Answered, Peer, new_uid
from processes import wait_until
from routes import all_to, local_node, local_route, references, targets
from weather import ChangingArchive, Weather

SUCCESS = Answered(0)
INSTANCES = 500
"""How many there are in a round."""
PER_SECOND = 400
"""How many the healthy destination takes: what it could take more would measure this machine."""
LEAST_ROUNDS, MOST_ROUNDS = 5, 15
SLOWER = 1.10
MOST_NOISE = 0.03
"""How far rounds may be from their median, as a part of it, without there being more of them."""


def manifests(*archives: tuple[str, ChangingArchive], **spec: Any) -> list[Json]:
    """Return the manifests of a route by which everything goes to these archives."""
    urls = {name: archive.url for name, archive in archives}
    return [local_node(), *targets(**urls), local_route(**{"rules": all_to(*urls), **spec})]


def settings(name: str, **changes: Any) -> Json:
    """Return what is particular to one destination."""
    return {**references(name)[0], **changes}


def store(peer: Peer, length: int) -> tuple[str, Answer]:
    """Store an instance with so many bytes of pixels; return its UID and the answer."""
    uid = new_uid()
    data = data_set(uid, element(0x7FE00010, "OW", bytes(length)))
    return uid, peer.store(data, uid)


def store_all(gateway: LoneGateway, count: int, length: int) -> list[str]:
    """Store so many instances with success; return their UIDs."""
    peer = Peer(gateway.port).associated()
    stored = [store(peer, length) for _ in range(count)]
    assert {answer for _, answer in stored} == {SUCCESS}
    peer.close()
    return [uid for uid, _ in stored]


class Course:
    """A gateway whose deliveries are let go, round by round, to be measured at its healthy destination."""

    def __init__(
        self,
        lone: Callable[..., LoneGateway],
        folder: Path,
        healthy: ChangingArchive,
        *others: tuple[str, ChangingArchive],
    ) -> None:
        folder.mkdir()
        self._healthy = healthy
        self._running = manifests(("healthy", healthy), *others)
        self._held = manifests(("healthy", healthy), *others, mode="HoldDeliveries")
        self._gateway = lone(folder, self._held)
        self._total = 0
        self.rates: list[float] = []
        """Instances a second, of each round."""

    def round(self) -> None:
        senders = [threading.Thread(target=store_all, args=(self._gateway, INSTANCES // 5, 8)) for _ in range(5)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        self._total += INSTANCES
        before = len(self._healthy.requests)
        self._gateway.reconfigure(self._running)
        wait_until(lambda: len(self._healthy.stored) == self._total, lambda: str(self._gateway.status()), 60)
        seconds = self._healthy.last_stored_time - self._healthy.requests[before].time
        self.rates.append(INSTANCES / seconds)
        self._gateway.reconfigure(self._held)

    @property
    def gateway(self) -> LoneGateway:
        return self._gateway


def noise(rates: list[float]) -> float:
    """Return how far rounds are from their median, as a part of it: the median of that."""
    middle = statistics.median(rates)
    return statistics.median(abs(rate - middle) for rate in rates) / middle


def test_a_healthy_destination_is_as_fast_beside_a_dead_a_slow_and_a_throttling_one_as_alone(
    lone: Callable[..., LoneGateway], changing: Callable[..., ChangingArchive], tmp_path: Path
) -> None:
    """Rounds of one and the other take turns; there are more when they are far from each other."""
    dead, slow, throttling = changing(), changing(answer_seconds=2), changing()
    dead.change(Weather.DOWN)
    throttling.change(Weather.THROTTLING)
    healthy = [changing(), changing()]
    for archive in healthy:
        archive.most_per_second = PER_SECOND
    alone = Course(lone, tmp_path / "alone", healthy[0])
    crowd = Course(
        lone, tmp_path / "crowd", healthy[1], ("dead", dead), ("slow", slow), ("throttling", throttling)
    )  # fmt: skip
    alone.round()
    crowd.round()
    alone.rates.clear()
    crowd.rates.clear()
    for number in range(MOST_ROUNDS):
        for course in (alone, crowd) if number % 2 else (crowd, alone):
            course.round()
        medians = [statistics.median(course.rates) for course in (alone, crowd)]
        noises = [noise(course.rates) for course in (alone, crowd)]
        if number + 1 >= LEAST_ROUNDS and max(noises) < MOST_NOISE:
            break
    print(
        f"{len(alone.rates)} rounds: alone {medians[0]:.0f}/s ± {noises[0]:.1%}, "
        f"beside others {medians[1]:.0f}/s ± {noises[1]:.1%}"
    )
    assert medians[0] <= medians[1] * SLOWER, (alone.rates, crowd.rates)
    others = {name: crowd.gateway.destination(name) for name in ("dead", "slow", "throttling")}
    assert slow.stored, "it was slow, and not dead"
    assert throttling.requests, "it was asked"
    assert (others["dead"]["deliveredTotal"], others["throttling"]["deliveredTotal"]) == (0, 0)
    assert others["dead"]["lastError"]["reason"] == "ConnectionFailed"
    assert others["throttling"]["lastError"]["reason"] == "Throttled"
    assert crowd.gateway.status()["instances"]["deadLettered"] == 0


def test_one_that_throttles_is_asked_no_sooner_than_it_says(
    lone: Callable[..., LoneGateway], changing: Callable[..., ChangingArchive], tmp_path: Path
) -> None:
    throttling = changing()
    throttling.retry_after_seconds = 3
    throttling.change(Weather.THROTTLING)
    gateway = lone(tmp_path, manifests(("one", throttling)))
    store_all(gateway, 30, 8)
    wait_until(lambda: throttling.requests[-1].time - throttling.requests[0].time > 6, "it is not asked again")
    times = [request.time for request in throttling.requests]
    assert [time for time in times if 1 < time - times[0] < 2.9] == [], "those under way were asked at the same time"
    later = [time for time in times if time - times[0] >= 2.9]
    assert all(second - first > 2.9 for first, second in pairwise(later))
    throttling.change(Weather.UP)
    gateway.wait_for(owed=0, deliveredTotal=30, deadLettered=0)


def test_what_an_optional_destination_is_owed_beyond_its_quota_is_skipped_and_can_be_retried_while_it_is_there(
    lone: Callable[..., LoneGateway], changing: Callable[..., ChangingArchive], tmp_path: Path
) -> None:
    required, optional = changing(), changing()
    for archive in (required, optional):
        archive.change(Weather.DOWN)
    documents = manifests(
        ("required", required),
        ("optional", optional),
        destinations=[settings("optional", required=False, maxOwed="1Mi")],
    )
    gateway = lone(tmp_path, documents)
    uids = store_all(gateway, 6, 300_000)
    skipped = gateway.get("/api/v1/queue?state=Skipped")["items"]
    assert [one["sopInstanceUID"] for one in skipped] == uids[4:], "it is owed 1 Mi with the fourth"
    assert {(one["destination"], one["reason"]) for one in skipped} == {("CloudTarget/optional", "OverQuota")}
    gateway.wait_for(owed=6, receivedTotal=6, skippedTotal=0)
    assert gateway.destination("optional")["skipped"] == 2
    gateway.kill()
    gateway = lone(tmp_path, documents)
    assert gateway.destination("optional")["skipped"] == 2, "a restart forgets nothing"

    assert gateway.change("retry", all=True, destination="CloudTarget/optional", state="Skipped") == 2
    assert gateway.destination("optional")["skipped"] == 0
    optional.change(Weather.UP)
    wait_until(lambda: len(optional.stored) == 6, "what was retried is not delivered")
    uids += store_all(gateway, 4, 300_000)
    wait_until(lambda: len(optional.stored) == 10, "it owes nothing, and is skipped all the same")

    optional.change(Weather.DOWN)
    uids += store_all(gateway, 5, 300_000)
    required.change(Weather.UP)
    wait_until(lambda: len(required.stored) == 15, "the required one has not all")
    optional.change(Weather.UP)
    gateway.wait_for(owed=0, receivedTotal=15, deliveredTotal=14, skippedTotal=1, deadLettered=0)
    assert optional.stored.keys() == set(uids[:14])
    assert gateway.change("retry", all=True, destination="CloudTarget/optional", state="Skipped") == 0, "it is gone"
    (gone,) = gateway.get(f"/api/v1/ledger?sopInstanceUID={uids[14]}")["items"]
    states = {one["destination"]: (one["state"], one["reason"]) for one in gone["deliveries"]}
    assert gone["outcome"] == "Skipped"
    assert states == {
        "CloudTarget/required": ("Delivered", "Stored"),
        "CloudTarget/optional": ("Skipped", "OverQuota"),
    }


def test_a_spool_that_is_full_for_an_optional_destination_gives_up_its_oldest_and_goes_on_receiving(
    lone: Callable[..., LoneGateway], changing: Callable[..., ChangingArchive], tmp_path: Path
) -> None:
    required, optional = changing(), changing()
    optional.change(Weather.DOWN)
    gateway = lone(
        tmp_path,
        manifests(
            ("required", required),
            ("optional", optional),
            destinations=[settings("optional", required=False)],
            gateway={"spool": {"size": "4Mi", "highWatermarkPercent": 90}},
        ),
    )
    count, length, uids = 100, 50_000, []
    peer = Peer(gateway.port).associated()

    def has_room() -> bool:
        spool = gateway.status()["spool"]
        return bool(spool["usedBytes"] + length + 2000 < spool["watermarkBytes"])

    for _ in range(count):
        gateway.process.wait_until(has_room, "nobody makes room", 20)
        uid, answer = store(peer, length)
        assert answer == SUCCESS
        uids.append(uid)
    gateway.process.wait_until(lambda: len(required.stored) == count, "the required one has not all")
    spool = gateway.status()["spool"]
    room = spool["watermarkBytes"] - spool["capacityBytes"] * 2 // 100
    gateway.process.wait_until(lambda: gateway.status()["spool"]["usedBytes"] <= room, "it is not below its room")
    skipped = gateway.status()["instances"]["skippedTotal"]
    kept = count - skipped
    assert kept * length > 0.9 * room, "more was given up than it took"
    gateway.wait_for(owed=kept, receivedTotal=count, deadLettered=0, discardedTotal=0)
    found = gateway.get("/api/v1/ledger?studyInstanceUID=1.2.3.4.5.6&limit=1000")["items"]
    states = {one["sopInstanceUID"]: _state(one, "optional") for one in found}
    expected = [("Skipped", "SpoolFull")] * skipped + ["Pending"] * kept
    assert [states[uid] if states[uid][0] == "Skipped" else states[uid][0] for uid in uids] == expected, "oldest first"
    optional.change(Weather.UP)
    gateway.wait_for(owed=0, skippedTotal=skipped, deliveredTotal=kept)
    assert optional.stored.keys() == set(uids[skipped:])


def _state(item: Json, name: str) -> tuple[str, str]:
    (delivery,) = [one for one in item["deliveries"] if one["destination"] == f"CloudTarget/{name}"]
    return delivery["state"], delivery["reason"]


def test_a_bandwidth_is_kept_by_all_lanes_together_and_binds_no_other_destination(
    lone: Callable[..., LoneGateway], changing: Callable[..., ChangingArchive], tmp_path: Path
) -> None:
    bound, free = changing(), changing()
    rate, seconds = 1_000_000, 5
    gateway = lone(
        tmp_path,
        manifests(
            ("bound", bound), ("free", free), destinations=[settings("bound", bandwidth={"maxBytesPerSecond": rate})]
        ),
    )
    count = 40
    store_all(gateway, count, 256_000)
    gateway.process.wait_until(lambda: bound.received_bytes > rate, "nothing arrives", 20)
    before, begin = bound.received_bytes, time.monotonic()
    time.sleep(seconds)  # what is measured is how much comes in a time
    measured = (bound.received_bytes - before) / (time.monotonic() - begin)
    print(f"{measured / rate:.1%} of the bandwidth were used")
    assert abs(measured / rate - 1) < 0.15
    assert len(free.stored) == count, "the other one has all by now"
    assert len(bound.stored) < count
    documents = manifests(("bound", bound), ("free", free))
    gateway.reconfigure(documents)
    gateway.wait_for(owed=0, deliveredTotal=count)


def test_deliveries_are_held_while_a_window_says_so_and_go_out_when_it_ends(
    lone: Callable[..., LoneGateway], changing: Callable[..., ChangingArchive], tmp_path: Path
) -> None:
    """From 08:00 to 18:00 in Berlin, where summer time begins on this Sunday: until 16:00 UTC."""
    clock = MovedClock(tmp_path / "clock", "2026-03-29 15:30:00")
    archive = changing()
    day = {"name": "day", "start": "08:00", "end": "18:00", "maxBytesPerSecond": 0}
    bandwidth = {"timeZone": "Europe/Berlin", "windows": [day]}
    gateway = lone(
        tmp_path,
        manifests(("one", archive), destinations=[settings("one", bandwidth=bandwidth)]),
        env=clock.environment,
    )
    store_all(gateway, 20, 1000)
    gateway.wait_for(owed=20)
    held = gateway.destination("one")
    assert (held["held"], held["heldReason"], held["pending"]) == (0, "OutsideWindow", 20)
    assert {one["reason"] for one in gateway.get("/api/v1/queue?state=Pending")["items"]} == {"OutsideWindow"}
    assert not gateway.get("/api/v1/queue?state=Held")["items"], "they wait for an hour, and for nobody"
    clock.advance(1795)  # 15:59:55
    gateway.process.wait_until(lambda: clock.now % 3600 < 1800, "the clock stands still")
    assert not archive.requests, "the window is over not before its end"
    gateway.wait_for(owed=0, deliveredTotal=20)
    assert gateway.destination("one")["heldReason"] == ""
    store_all(gateway, 1, 1000)
    gateway.wait_for(owed=0, deliveredTotal=21)
    clock.advance(14 * 3600)  # 06:00 UTC is 08:00
    store_all(gateway, 5, 1000)
    gateway.wait_for(owed=5, deliveredTotal=21)
    assert gateway.destination("one")["heldReason"] == "OutsideWindow"
