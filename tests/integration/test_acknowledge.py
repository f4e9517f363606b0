"""Senders that are answered once the destinations have an instance: when, with what, and what stays owed meanwhile."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateways import LoneGateway
from manifests import Json
from pdus import command_set, data_set, element, message, store_values
from peer import Answer, Answered, Peer, new_uid
from routes import all_to, local_node, local_route, references, targets
from weather import ChangingArchive, Weather

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = Answered(0), Answered(0xA700), Answered(0xC000)
LONG = 600
"""Seconds that no test waits: what is answered before has another reason."""

Archives = dict[str, ChangingArchive]


@pytest.fixture
def archives(changing: Callable[..., ChangingArchive]) -> Archives:
    return {name: changing() for name in ("one", "two", "three")}


def manifests(archives: Archives, timeout_seconds: int = LONG, *waited_for: str, **spec: Any) -> list[Json]:
    """Return the manifests of a route that answers when its destinations have an instance."""
    acknowledge = {"when": "OnDelivered", "timeoutSeconds": timeout_seconds, "destinations": references(*waited_for)}
    urls = {name: archive.url for name, archive in archives.items()}
    return [
        local_node(),
        *targets(**urls),
        local_route(**{"acknowledge": acknowledge, "rules": all_to(*archives), **spec}),
    ]


def patient(gateway: LoneGateway) -> Peer:
    return Peer(gateway.port, patience_seconds=60).associated()


def send(peer: Peer, uid: str) -> Peer:
    """Send an instance, and leave the answer for later."""
    return peer.awaits(uid, data_set(uid)).send(message(1, command_set(store_values(uid)), data_set(uid)))


def wait_owed(gateway: LoneGateway, name: str, count: int) -> None:
    """Wait until a destination is still to get so many instances."""

    def owed() -> int:
        found = gateway.destination(name)
        return int(found["pending"]) + int(found["inFlight"])

    gateway.process.wait_until(lambda: owed() == count, f"{name} is not owed {count}")


def answered_after(peer: Peer) -> tuple[Answer, float]:
    """Return the next answer, and how many seconds it was waited for."""
    begin = time.monotonic()
    return peer.answer(), time.monotonic() - begin


def test_success_means_that_every_destination_has_it(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives
) -> None:
    gateway = lone(tmp_path, manifests(archives))
    peer = patient(gateway)
    for _ in range(20):
        uid = new_uid()
        assert peer.store(data_set(uid), uid) == SUCCESS
        assert [archive.copies(uid) for archive in archives.values()] == [1, 1, 1]
    gateway.wait_for(owed=0, deliveredTotal=20)


def test_with_one_dead_the_sender_is_told_so_and_its_repeat_joins_the_same_delivery(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives
) -> None:
    archives["three"].change(Weather.DOWN)
    gateway = lone(tmp_path, manifests(archives, 2))
    peer, uid = patient(gateway), new_uid()
    begin = time.monotonic()
    assert peer.store(data_set(uid), uid) == OUT_OF_RESOURCES
    assert 2 <= time.monotonic() - begin < 10
    assert [archive.copies(uid) for archive in archives.values()] == [1, 1, 0], "the others have it"
    gateway.wait_for(owed=1, receivedTotal=1)
    wait_owed(gateway, "three", 1)

    gateway.reconfigure(manifests(archives, LONG))
    send(peer, uid)
    second = patient(gateway)
    send(second, uid)
    archives["three"].change(Weather.UP)
    assert [peer.answer(), second.answer()] == [SUCCESS, SUCCESS]
    assert [archive.copies(uid) for archive in archives.values()] == [1, 1, 1], "it was the same delivery"
    gateway.wait_for(owed=0, receivedTotal=1, deliveredTotal=1, deadLettered=0)


def test_while_deliveries_are_held_senders_are_told_to_come_again_and_nothing_is_lost(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives
) -> None:
    gateway = lone(tmp_path, manifests(archives, 1, mode="HoldDeliveries"))
    peer, uid = patient(gateway), new_uid()
    for _ in range(2):
        assert peer.store(data_set(uid), uid) == OUT_OF_RESOURCES
    gateway.wait_for(owed=1, receivedTotal=1)
    archives["three"].change(Weather.DOWN)  # else all may have it before it is sent again
    gateway.reconfigure(manifests(archives, LONG))
    wait_owed(gateway, "one", 0)
    send(peer, uid)
    archives["three"].change(Weather.UP)
    assert peer.answer() == SUCCESS
    assert [archive.copies(uid) for archive in archives.values()] == [1, 1, 1], "each sending joined the first"
    gateway.wait_for(owed=0, receivedTotal=1, deliveredTotal=1)


def test_only_those_that_are_named_are_waited_for(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives
) -> None:
    archives["three"].change(Weather.DOWN)
    gateway = lone(tmp_path, manifests(archives, LONG, "one"))
    peer, uid = patient(gateway), new_uid()
    assert peer.store(data_set(uid), uid) == SUCCESS
    assert archives["one"].copies(uid) == 1
    gateway.wait_for(owed=1, receivedTotal=1)
    archives["three"].change(Weather.UP)
    gateway.wait_for(owed=0, deliveredTotal=1)
    assert archives["three"].copies(uid) == 1


def test_optional_destinations_are_not_waited_for_unless_they_are_named(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives
) -> None:
    archives["three"].change(Weather.DOWN)
    optional = [{**one, "required": False} for one in references("three")]
    gateway = lone(tmp_path, manifests(archives, LONG, destinations=optional))
    peer, uid = patient(gateway), new_uid()
    assert peer.store(data_set(uid), uid) == SUCCESS
    assert [archive.copies(uid) for archive in archives.values()] == [1, 1, 0]
    gateway.reconfigure(manifests(archives, 1, "three", destinations=optional))
    assert peer.store_one() == OUT_OF_RESOURCES


def test_killed_while_senders_wait_it_loses_nothing(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives
) -> None:
    archives["three"].change(Weather.DOWN)
    gateway = lone(tmp_path, manifests(archives))
    uids = [new_uid() for _ in range(10)]
    peers = [send(patient(gateway), uid) for uid in uids]
    wait_owed(gateway, "three", 10)
    gateway.kill()
    assert not any(one.status for peer in peers for one in peer.instances)
    again = lone(tmp_path, manifests(archives))
    wait_owed(again, "three", 10)
    repeats = [send(patient(again), uid) for uid in uids]
    archives["three"].change(Weather.UP)
    assert [peer.answer() for peer in repeats] == [SUCCESS] * 10
    again.wait_for(owed=0, deadLettered=0)
    assert all(archive.copies(uid) >= 1 for uid in uids for archive in archives.values())
    assert [archives["three"].copies(uid) for uid in uids] == [1] * 10


def test_draining_answers_at_once_those_that_wait(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives
) -> None:
    archives["three"].change(Weather.DOWN)
    gateway = lone(tmp_path, manifests(archives))
    peers = [send(patient(gateway), new_uid()) for _ in range(10)]
    wait_owed(gateway, "three", 10)
    stopping = threading.Thread(target=gateway.stop)
    stopping.start()
    answers = [answered_after(peer) for peer in peers]
    stopping.join()
    assert [answer for answer, _ in answers] == [OUT_OF_RESOURCES] * 10
    assert max(seconds for _, seconds in answers) < 5
    assert gateway.process.wait() == 0
    again = lone(tmp_path, manifests(archives))
    wait_owed(again, "three", 10)


def test_an_instance_that_ends_while_the_gateway_drains_is_answered_at_once_too(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives
) -> None:
    """Its message was under way when the draining began: it waits for nobody either."""
    archives["three"].change(Weather.DOWN)
    gateway = lone(tmp_path, manifests(archives))
    peer, uid = patient(gateway), new_uid()
    data = data_set(uid, without=[0x7FE00010]) + element(0x7FE00010, "OW", bytes(100_000))
    whole = message(1, command_set(store_values(uid)), data)
    peer.send(whole[:50_000])
    peer.awaits(uid, data)
    assert patient(gateway).echo() == SUCCESS
    stopping = threading.Thread(target=gateway.stop)
    stopping.start()
    gateway.process.wait_until(lambda: not gateway.is_ready, "it does not drain")
    begin = time.monotonic()
    peer.send(whole[50_000:])
    assert peer.answer() == OUT_OF_RESOURCES
    assert time.monotonic() - begin < 5
    stopping.join()
    assert gateway.process.wait() == 0
    wait_owed(lone(tmp_path, manifests(archives)), "three", 1)


@pytest.mark.parametrize(
    "when, reason", [('instance.Modality == "MR"', "Unmatched"), ("instance.NumberOfFrames > 10", "RuleError")]
)
def test_what_is_held_is_answered_when_it_is_safe(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives, when: str, reason: str
) -> None:
    rules = [{**all_to(*archives)[0], "when": when}]
    gateway = lone(tmp_path, manifests(archives, rules=rules))
    peer = patient(gateway)
    assert [peer.store_one() for _ in range(3)] == [SUCCESS] * 3
    gateway.wait_for(owed=3, receivedTotal=3)
    assert {one["reason"] for one in gateway.get("/api/v1/queue?state=Held")["items"]} == {reason}


def test_a_refusal_of_its_content_is_told_to_the_sender(
    lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives
) -> None:
    gateway = lone(tmp_path, manifests(archives))
    peer, uid = patient(gateway), new_uid()
    archives["two"].refused.add(uid)
    assert peer.store(data_set(uid), uid) == CANNOT_UNDERSTAND
    gateway.wait_for(deadLettered=1, owed=0)
    assert peer.store_one() == SUCCESS, "the association goes on"
    answer, seconds = answered_after(send(peer, uid))
    assert (answer, seconds < 5) == (CANNOT_UNDERSTAND, True), "it is a dead letter already"
    assert archives["one"].copies(uid) == 1


def test_many_that_wait_starve_nobody(lone: Callable[..., LoneGateway], tmp_path: Path, archives: Archives) -> None:
    """40 associations wait for a dead destination; what goes elsewhere, and C-ECHO, is as prompt as ever."""
    archives["three"].change(Weather.DOWN)
    rules = [
        {"name": "dead", "when": 'instance.Modality == "CT"', "destinations": references("three")},
        {"name": "living", "when": 'instance.Modality == "MR"', "destinations": references("one")},
    ]
    gateway = lone(tmp_path, manifests(archives, rules=rules))
    waiting = [send(patient(gateway), new_uid()) for _ in range(40)]
    wait_owed(gateway, "three", 40)
    peer, seconds = patient(gateway), []
    for _ in range(20):
        uid = new_uid()
        data = data_set(uid, element(0x00080060, "CS", b"MR"))
        begin = time.monotonic()
        assert peer.store(data, uid) == SUCCESS
        assert peer.echo() == SUCCESS
        seconds.append(time.monotonic() - begin)
    assert sorted(seconds)[len(seconds) // 2] < 0.5, seconds
    archives["three"].change(Weather.UP)
    assert [one.answer() for one in waiting] == [SUCCESS] * 40
    gateway.wait_for(owed=0, deliveredTotal=60)
