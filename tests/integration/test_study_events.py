"""Completions and reopenings of studies in the feed: each revision once and in order, whatever happens in between."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import killed_studies
import pytest
from feeds import Reader
from gateways import LoneGateway
from manifests import Json
from moved_clock import MovedClock
from origin_server import OriginServer
from pdus import command_set, data_set, element, message, store_values, uid_value
from peer import Answered, Peer, new_uid
from routes import local_node, local_route, references, targets

Lone = Callable[..., LoneGateway]
Told = tuple[str, int]

STUDY = "1.2.3.4.5.7"
SUCCESS = Answered(0)
WHOLE = {"name": "whole", "trigger": "StudyComplete", "destinations": references("archive")}
COMPLETE, REOPENED = "dev.dicomroute.study.complete.v1", "dev.dicomroute.study.reopened.v1"


def manifests(server: OriginServer, idle: int = 1, **studies: Any) -> list[Json]:
    return [
        local_node(),
        *targets(archive=server.url),
        local_route(
            rules=[WHOLE],
            studies={"idleSeconds": idle, **studies},
            events={"studyQuietSeconds": 1},
            ledger={"retentionSeconds": 86400},
        ),
    ]


def of_study(uid: str, *more: bytes) -> bytes:
    return data_set(uid, element(0x0020000D, "UI", uid_value(STUDY)), *more)


def store(peer: Peer) -> str:
    uid = new_uid()
    assert peer.store(of_study(uid), uid) == SUCCESS
    return uid


def told(reader: Reader) -> list[Told]:
    """Read on; return all that was told of the study's revisions so far, in the order of the feed."""
    reader.read()
    names = {COMPLETE: "complete", REOPENED: "reopened"}
    return [(names[one["type"]], one["data"]["revision"]) for one in reader.events if one["type"] in names]


def wait_told(gateway: LoneGateway, reader: Reader, *wanted: Told) -> None:
    """Wait until so much is told, and a moment longer, as nothing may follow; what is told is what is wanted."""
    gateway.process.wait_until(lambda: len(told(reader)) >= len(wanted), lambda: f"not told: {told(reader)}")
    time.sleep(1.5)
    assert told(reader) == list(wanted)
    ids = [one["id"] for one in reader.events]
    assert len(ids) == len(set(ids)), "an event is told twice"


def test_a_series_that_goes_on_is_told_once_and_a_late_instance_once_more(
    lone: Lone, tmp_path: Path, server: OriginServer
) -> None:
    gateway = lone(tmp_path, manifests(server, idle=3))
    reader = Reader(gateway.admin)
    one, two = (Peer(gateway.port, patience_seconds=60).associated() for _ in range(2))
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < 5:  # for longer than it has to be idle
        store(one)
        store(two)
        count += 2
        assert told(reader) == [], "it is told as complete while instances come"
        time.sleep(0.5)
    one.release()
    two.release()
    wait_told(gateway, reader, ("complete", 1))
    (first,) = reader.data("study.complete")
    assert (first["basis"], first["instances"], first["total"], first["series"]) == ("Idle", count, count, 1)
    store(Peer(gateway.port, patience_seconds=60).associated())
    gateway.process.wait_until(lambda: len(told(reader)) == 2, "it is not told that it is open again")
    assert gateway.stop() == 0  # in between, while the second revision is open
    gateway = lone(tmp_path, manifests(server, idle=3))
    reader.admin = gateway.admin
    revisions = [("complete", 1), ("reopened", 2), ("complete", 2)]
    wait_told(gateway, reader, *revisions)
    second = reader.data("study.complete")[1]
    assert (second["basis"], second["instances"], second["total"]) == ("Idle", 1, count + 1)
    assert gateway.stop() == 0
    gateway = lone(tmp_path, manifests(server, idle=3))
    reader.admin = gateway.admin
    wait_told(gateway, reader, *revisions)


def test_nothing_is_told_while_an_instance_is_on_its_way(lone: Lone, tmp_path: Path, server: OriginServer) -> None:
    gateway = lone(tmp_path, manifests(server))
    reader = Reader(gateway.admin)
    store(Peer(gateway.port).associated())
    slow, uid = Peer(gateway.port, patience_seconds=60).associated(), new_uid()
    data = of_study(uid, element(0x7FE00010, "OW", bytes(200_000)))
    sent = message(1, command_set(store_values(uid)), data)
    slow.awaits(uid, data).send(sent[:40_000])
    time.sleep(4)
    assert told(reader) == []
    slow.send(sent[40_000:])
    assert slow.answer() == SUCCESS
    wait_told(gateway, reader, ("complete", 1))
    assert reader.data("study.complete")[0]["instances"] == 2


def test_what_a_kill_broke_off_is_sent_again_and_the_study_is_told_once(
    lone: Lone, tmp_path: Path, server: OriginServer
) -> None:
    gateway = lone(tmp_path, manifests(server))
    reader = Reader(gateway.admin)
    store(Peer(gateway.port).associated())
    slow, uid = Peer(gateway.port).associated(), new_uid()
    data = of_study(uid, element(0x7FE00010, "OW", bytes(200_000)))
    slow.awaits(uid, data).send(message(1, command_set(store_values(uid)), data)[:40_000])
    time.sleep(2)
    gateway.kill()
    gateway = lone(tmp_path, manifests(server, idle=3))
    reader.admin = gateway.admin
    assert Peer(gateway.port).associated().store(data, uid) == SUCCESS
    wait_told(gateway, reader, ("complete", 1))
    assert reader.data("study.complete")[0]["instances"] == 2


def test_a_clock_that_jumps_tells_nothing_early_twice_or_days_late(
    lone: Lone, tmp_path: Path, server: OriginServer
) -> None:
    clock = MovedClock(tmp_path / "clock", "2026-03-06 18:00:00")
    folder, wanted = tmp_path / "gateway", manifests(server, idle=4)
    gateway = lone(folder, wanted, env=clock.environment)
    reader = Reader(gateway.admin)
    peer = Peer(gateway.port, patience_seconds=60).associated()
    for seconds in (0.0, 7200.0, -3 * 86400.0):
        clock.advance(seconds)
        store(peer)
        time.sleep(1)
        assert told(reader) == []
    wait_told(gateway, reader, ("complete", 1))
    gateway.process.wait_until(lambda: bool(reader.read() or reader.named("study.delivered")), "it waits for the date")
    store(peer)
    gateway.process.wait_until(lambda: len(told(reader)) == 2, "it is not told that it is open again")
    gateway.kill()
    clock.advance(30 * 86400.0)
    gateway = lone(folder, wanted, env=clock.environment)
    reader.admin = gateway.admin
    wait_told(gateway, reader, ("complete", 1), ("reopened", 2), ("complete", 2))


def test_a_feed_made_anew_repeats_the_revisions_and_invents_none(
    lone: Lone, tmp_path: Path, server: OriginServer
) -> None:
    gateway = lone(tmp_path, manifests(server))
    reader = Reader(gateway.admin)
    peer = Peer(gateway.port, patience_seconds=60).associated()
    store(peer)
    wait_told(gateway, reader, ("complete", 1))
    store(peer)
    wait_told(gateway, reader, ("complete", 1), ("reopened", 2), ("complete", 2))
    assert gateway.stop() == 0
    for file in (tmp_path / "spool").glob("events.sqlite*"):
        file.unlink()
    gateway = lone(tmp_path, manifests(server))
    anew = Reader(gateway.admin)
    gateway.process.wait_until(lambda: ("complete", 2) in told(anew), "a feed made anew does not say how it stands")
    time.sleep(1.5)
    kinds = (COMPLETE, REOPENED)
    before, after = ([one["id"] for one in it.events if one["type"] in kinds] for it in (reader, anew))
    assert told(anew) == told(reader)
    assert after == before


@pytest.mark.parametrize("step", killed_studies.STEPS)
def test_kill_9_at_each_step_tells_each_revision_once(
    lone: Lone, tmp_path: Path, server: OriginServer, step: str
) -> None:
    program, killed_at = (killed_studies.__file__,), {"DICOMROUTE_KILLED_AT": step}
    killed = lone(tmp_path, manifests(server), program=program, env=killed_at)
    reader = Reader(killed.admin)
    _send_until_killed(killed)
    assert killed.process.wait(30) == -9, "it has not come to that step"
    gateway = lone(tmp_path, manifests(server))
    reader.admin = gateway.admin
    gateway.process.wait_until(lambda: ("complete", 1) in told(reader), lambda: f"not told: {told(reader)}")
    if len(told(reader)) == 1 and gateway.status()["instances"]["receivedTotal"] < 3:
        store(Peer(gateway.port).associated())
    wait_told(gateway, reader, ("complete", 1), ("reopened", 2), ("complete", 2))


def _send_until_killed(gateway: LoneGateway) -> None:
    """Send two instances, and one more once the study is complete, as far as the gateway lives."""
    try:
        peer = Peer(gateway.port, patience_seconds=10).associated()
        store(peer)
        store(peer)
        _wait_complete(gateway)
        store(peer)
        _wait_complete(gateway)
        time.sleep(5)
    except (OSError, AssertionError):
        pass


def _wait_complete(gateway: LoneGateway) -> None:
    def is_complete() -> bool:
        return str(gateway.get(f"/api/v1/studies/{STUDY}")["study"]["state"]) == "Complete"

    gateway.process.wait_until(is_complete, "it is not complete", 20)
