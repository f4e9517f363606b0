"""The volume fills up, turns read-only, fails or is slow, and the clock jumps: refusals are honest, nothing is lost."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateways import LoneGateway, prepare
from manifests import Json
from pdus import command_set, data_set, element, message, store_values
from peer import Answer, Answered, Peer, Rejected, new_uid
from routes import local_node, local_route, to
from sink import Sink

OUT_OF_RESOURCES = Answered(0xA700)
SUCCESS = Answered(0)


@pytest.fixture
def sink() -> Iterator[Sink]:
    one = Sink()
    yield one
    one.close()


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    image, mount = tmp_path / "image", tmp_path / "volume"
    with image.open("wb") as file:
        file.truncate(24 << 20)
    mount.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, mount], check=True)
    yield mount
    subprocess.run(["umount", "--lazy", mount], check=True)


def held(sink: Sink) -> list[Json]:
    """Return the manifests of a route that delivers nothing."""
    return [local_node(), to(sink.url), local_route(mode="HoldDeliveries")]


def strace(*injections: str) -> list[str]:
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
    return words + [word for injection in injections for word in ("-e", f"inject={injection}")]


def store(port: int, size: int = 1000) -> Answer:
    """Store a new instance in an association of its own; return the answer."""
    uid = new_uid()
    peer = Peer(port).associated()
    answer = peer.store(data_set(uid, without=[0x7FE00010]) + element(0x7FE00010, "OW", bytes(size)), uid)
    peer.close()
    return answer


def test_a_full_volume_is_answered_with_out_of_resources_until_there_is_room(
    lone: Callable[..., LoneGateway], tmp_path: Path, volume: Path, sink: Sink
) -> None:
    gateway = lone(tmp_path, held(sink), spool=volume / "spool")
    assert store(gateway.port) == SUCCESS
    standing = Peer(gateway.port).associated()
    ballast = volume / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            pass
    assert standing.store_one() == OUT_OF_RESOURCES
    assert Peer(gateway.port).associate() == Rejected(2, 3, 1)
    assert gateway.is_ready, "a scanner is better told 0xA700 than reset"
    ballast.unlink()
    assert standing.store_one() == SUCCESS
    assert standing.echo() == SUCCESS
    gateway.wait_for(owed=2, receivedTotal=2)
    assert gateway.stop() == 0


def test_a_full_volume_drains(lone: Callable[..., LoneGateway], tmp_path: Path, volume: Path, sink: Sink) -> None:
    """Somebody else has filled it to the last byte: what is written down of deliveries still finds room."""
    gateway = lone(tmp_path, held(sink), spool=volume / "spool")
    peer = Peer(gateway.port).associated()
    for _ in range(20):
        assert peer.store_one() == SUCCESS
    with (volume / "ballast").open("wb", buffering=0) as file:
        for length in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(length))
            except OSError:
                pass
    prepare(tmp_path, [local_node(), to(sink.url), local_route()])
    gateway.wait_for(owed=0, deliveredTotal=20)
    assert gateway.is_ready
    assert gateway.stop() == 0


def test_an_instance_that_fills_the_volume_is_refused_and_leaves_nothing(
    lone: Callable[..., LoneGateway], tmp_path: Path, volume: Path, sink: Sink
) -> None:
    gateway = lone(tmp_path, held(sink), spool=volume / "spool")
    used = gateway.status()["spool"]["usedBytes"]
    assert store(gateway.port, 40 << 20) == OUT_OF_RESOURCES
    assert store(gateway.port) == SUCCESS
    assert gateway.status()["spool"]["usedBytes"] - used < 1 << 20
    assert gateway.status()["problems"] == []
    assert gateway.stop() == 0


def test_a_read_only_volume_is_a_failure_that_the_admin_api_names(
    lone: Callable[..., LoneGateway], tmp_path: Path, volume: Path, sink: Sink
) -> None:
    """As ext4 makes itself when it finds an error."""
    gateway = lone(tmp_path, held(sink), spool=volume / "spool")
    assert store(gateway.port) == SUCCESS
    (device,) = [line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if f" {volume} " in line]
    Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("1")
    peer = Peer(gateway.port).associated()
    assert [peer.store_one() for _ in range(3)][1:] == [OUT_OF_RESOURCES] * 2
    assert peer.echo() == SUCCESS
    assert not gateway.is_ready
    (problem,) = gateway.status()["problems"]
    assert (problem["section"], problem["reason"]) == ("spool", "SpoolFailed")
    gateway.stop()


def test_after_an_input_output_error_nothing_more_is_accepted_and_nothing_is_lost(
    lone: Callable[..., LoneGateway], tmp_path: Path, sink: Sink
) -> None:
    failing = lone(tmp_path, held(sink), prefix=strace("fdatasync:error=EIO:when=5+"))
    peer = Peer(failing.port).associated()
    uids = [new_uid() for _ in range(6)]
    answers = [peer.store(data_set(uid), uid) for uid in uids]
    accepted = answers.count(SUCCESS)
    assert accepted >= 1
    assert answers == [SUCCESS] * accepted + [OUT_OF_RESOURCES] * (6 - accepted)
    assert not failing.is_ready
    (problem,) = failing.status()["problems"]
    assert problem["reason"] == "SpoolFailed"
    assert "Input/output error" in problem["message"]
    failing.stop()
    mended = lone(tmp_path, [local_node(), to(sink.url), local_route()])
    mended.wait_for(owed=0, deliveredTotal=accepted)
    assert sink.stored.keys() == set(uids[:accepted])
    assert mended.stop() == 0


def test_a_slow_volume_makes_others_wait_for_nothing_but_their_own(
    lone: Callable[..., LoneGateway], tmp_path: Path, sink: Sink
) -> None:
    """Each sync takes half a second: an instance takes its time, and verification none."""
    gateway = lone(tmp_path, held(sink), prefix=strace("fdatasync:delay_enter=500000"))
    peers = [Peer(gateway.port).associated() for _ in range(8)]
    other = Peer(gateway.port).associated()
    began = time.monotonic()
    for peer in peers:
        uid = new_uid()
        peer.send(message(1, command_set(store_values(uid)), data_set(uid)))
    before = time.monotonic()
    assert other.echo() == SUCCESS
    assert time.monotonic() - before < 0.4
    assert [peer.answer() for peer in peers] == [SUCCESS] * 8
    assert time.monotonic() - began < 8 * 1.0, "each would wait for all others without group commit"
    gateway.stop()


@pytest.mark.parametrize("jump", ["+400d", "-400d"])
def test_a_clock_that_jumps_stops_nothing(
    lone: Callable[..., LoneGateway], tmp_path: Path, sink: Sink, jump: str
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faketime = {
        "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    gateway = lone(tmp_path, [local_node(), to(sink.url), local_route()], env=faketime)
    peer = Peer(gateway.port).associated()
    assert peer.store_one() == SUCCESS
    clock.write_text(jump)
    assert peer.store_one() == SUCCESS
    assert store(gateway.port) == SUCCESS
    gateway.wait_for(owed=0, deliveredTotal=3)
    assert len(sink.stored) == 3
    assert gateway.stop() == 0


def test_a_volume_in_memory_is_refused(lone: Callable[..., LoneGateway], tmp_path: Path, sink: Sink) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", memory], check=True)
    try:
        gateway = lone(tmp_path, held(sink), spool=memory / "spool", wait=False)
        gateway.wait_problem("SpoolVolumeUnsafe")
        assert not gateway.is_ready
        gateway.kill()
    finally:
        subprocess.run(["umount", "--lazy", memory], check=True)
