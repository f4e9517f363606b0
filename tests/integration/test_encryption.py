"""An encrypted spool under a real gateway: on disk, over kill -9 and a rotation, without its key, and damaged."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from archive import Archive
from gateways import LoneGateway, prepare
from manifests import Json
from pdus import PLANTED, data_set, element
from peer import Answer, Answered, Instance, Peer, new_uid
from processes import wait_until
from routes import local_node, local_route, to
from running import Running, cli

OLD, NEW = "A" * 43 + "=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OLD_ID, NEW_ID = "66687aadf862bd77", "630dcd2966c43366"
PIXELS = b"pixels of a phantom " * 60_000
"""More than a receive buffer, and several chunks."""
SUCCESS, OUT_OF_RESOURCES = Answered(0), Answered(0xA700)


@pytest.fixture
def archive() -> Iterator[Archive]:
    one = Archive()
    yield one
    one.close()


def manifests(archive: Archive, mode: str = "Running", encryption: str | None = "Enabled") -> list[Json]:
    section = {"mode": encryption, "keySecretRef": {"name": "spool-key", "key": "keys"}}
    gateway = {"spool": {"encryption": section}} if encryption else {}
    return [local_node(), to(archive.url, onDuplicate="Accept"), local_route(mode=mode, gateway=gateway)]


def mount(folder: Path, *keys: str) -> None:
    """Mount a Secret with these keys, replaced in one step as the kubelet does; without any it is taken away."""
    path = folder / "secrets" / "spool-key" / "keys"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not keys:
        path.unlink()
        return
    new = path.with_name("new")
    new.write_text("".join(f"{key}\n" for key in keys))
    new.replace(path)


def store(gateway: LoneGateway, pixels: bytes = PIXELS) -> tuple[Answer, Instance]:
    uid = new_uid()
    peer = Peer(gateway.port).associated()
    answer = peer.store(
        data_set(uid, without=[0x7FE00010]) + element(0x7FE00010, "OW", pixels + b"\0" * (len(pixels) % 2)), uid
    )
    peer.close()
    return answer, peer.instances[0]


def stored(gateway: LoneGateway, pixels: bytes = PIXELS) -> Instance:
    answer, instance = store(gateway, pixels)
    assert answer == SUCCESS
    return instance


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "spool" / "instances").glob("*/*") if path.stat().st_size)


def keys(gateway: LoneGateway) -> dict[str, tuple[int, bool, bool]]:
    return {one["id"]: (one["instances"], one["mounted"], one["encrypts"]) for one in gateway.status()["spool"]["keys"]}


def wait_keys(gateway: LoneGateway, expected: dict[str, tuple[int, bool, bool]]) -> None:
    gateway.process.wait_until(lambda: keys(gateway) == expected, f"the keys are not {expected}")


def wait_arrived(archive: Archive, instances: Sequence[Instance]) -> None:
    wait_until(lambda: all(archive.has(one) for one in instances), "not everything has arrived unchanged")
    assert archive.strange == []


def configure(folder: Path, documents: Sequence[Json]) -> None:
    """Give a running gateway another configuration, as the kubelet does."""
    prepare(folder, documents)


def test_what_is_on_the_volume_shows_nothing_and_what_arrives_is_unchanged(
    lone: Callable[..., LoneGateway], tmp_path: Path, archive: Archive
) -> None:
    mount(tmp_path, OLD)
    gateway = lone(tmp_path, manifests(archive, "HoldDeliveries"))
    sent = [stored(gateway), stored(gateway, b"small")]
    gateway.wait_for(owed=2)
    first, second = (path.read_bytes() for path in files(tmp_path))
    for secret in (*(one.encode() for one in PLANTED), b"pixels of", b"phantom", b"DICM", b"small"):
        assert secret not in first + second
    for path in (tmp_path / "spool" / "journal").iterdir():
        assert not any(one.encode() in path.read_bytes() for one in PLANTED)
    assert keys(gateway) == {OLD_ID: (2, True, True)}
    configure(tmp_path, manifests(archive))
    wait_arrived(archive, sent)
    gateway.wait_for(owed=0, deliveredTotal=2)
    log = gateway.process.output.read_text()
    assert OLD not in log
    assert not any(one in log for one in PLANTED)


def test_a_key_is_rotated_while_the_gateway_runs_and_both_outlive_kill_9(
    lone: Callable[..., LoneGateway], tmp_path: Path, archive: Archive
) -> None:
    mount(tmp_path, OLD)
    documents = manifests(archive, "HoldDeliveries")
    gateway = lone(tmp_path, documents)
    sent = [stored(gateway)]
    mount(tmp_path, NEW, OLD)
    wait_keys(gateway, {NEW_ID: (0, True, True), OLD_ID: (1, True, False)})
    sent.append(stored(gateway))
    wait_keys(gateway, {NEW_ID: (1, True, True), OLD_ID: (1, True, False)})
    gateway.kill()
    gateway = lone(tmp_path, documents)
    wait_keys(gateway, {NEW_ID: (1, True, True), OLD_ID: (1, True, False)})
    configure(tmp_path, manifests(archive))
    wait_arrived(archive, sent)
    wait_keys(gateway, {NEW_ID: (0, True, True), OLD_ID: (0, True, False)})
    mount(tmp_path, NEW)
    wait_keys(gateway, {NEW_ID: (0, True, True)})
    assert gateway.status()["problems"] == []
    wait_arrived(archive, [stored(gateway)])


def test_without_its_key_it_refuses_honestly_and_goes_on_when_the_key_is_back(
    lone: Callable[..., LoneGateway], tmp_path: Path, archive: Archive
) -> None:
    mount(tmp_path, OLD)
    gateway = lone(tmp_path, manifests(archive, "HoldDeliveries", encryption=None))
    clear = stored(gateway, b"in clear")
    configure(tmp_path, manifests(archive, "HoldDeliveries"))
    gateway.process.wait_until(lambda: OLD_ID in keys(gateway), "it does not encrypt")
    encrypted = stored(gateway)
    assert gateway.status()["spool"]["unencrypted"] == 1

    mount(tmp_path)
    gateway.wait_problem("SpoolKeyMissing")
    assert not gateway.is_ready
    assert store(gateway)[0] == OUT_OF_RESOURCES
    assert gateway.status()["unmountedSecrets"] == ["spool-key/keys"]
    assert len(files(tmp_path)) == 2, "nothing was received in clear"
    configure(tmp_path, manifests(archive))
    wait_arrived(archive, [clear])
    gateway.process.wait_until(
        lambda: (gateway.status()["destinations"][0]["lastError"] or {}).get("reason") == "SpoolKeyMissing",
        "nobody is told why the other one waits",
    )
    gateway.wait_for(owed=1, deliveredTotal=1, deadLettered=0)

    mount(tmp_path, "no key at all")
    gateway.wait_problem("SpoolKeyInvalid")
    assert store(gateway)[0] == OUT_OF_RESOURCES
    mount(tmp_path, OLD)
    gateway.process.wait_until(lambda: gateway.is_ready, "it does not go on by itself")
    wait_arrived(archive, [encrypted, stored(gateway)])
    gateway.wait_for(owed=0, deliveredTotal=3)


def test_a_gateway_that_starts_without_its_key_takes_nothing(
    lone: Callable[..., LoneGateway], tmp_path: Path, archive: Archive
) -> None:
    gateway = lone(tmp_path, manifests(archive), wait=False)
    gateway.wait_problem("SpoolKeyMissing")
    gateway.process.wait_until(lambda: bool(gateway.status()["listeners"]), "it does not listen")
    assert store(gateway)[0] == OUT_OF_RESOURCES
    mount(tmp_path, NEW)
    gateway.process.wait_until(lambda: gateway.is_ready, "it does not go on by itself")
    wait_arrived(archive, [stored(gateway)])


def test_a_damaged_one_waits_and_nobody_waits_for_it(
    lone: Callable[..., LoneGateway], tmp_path: Path, archive: Archive
) -> None:
    """Its length is right and its first chunks are too: that it has changed shows in the middle of a request."""
    mount(tmp_path, OLD)
    gateway = lone(tmp_path, manifests(archive, "HoldDeliveries"))
    damaged, *others = [stored(gateway) for _ in range(4)]
    path = files(tmp_path)[0]
    with path.open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"other")
    configure(tmp_path, manifests(archive))
    wait_arrived(archive, others)
    gateway.wait_for(owed=1, deliveredTotal=3, deadLettered=0)
    assert damaged.sop_instance_uid not in archive.data_sets
    wait_arrived(archive, [stored(gateway) for _ in range(3)])
    gateway.wait_for(owed=1, deliveredTotal=6, deadLettered=0)
    assert gateway.status()["destinations"][0]["lastError"]["reason"] == "SpoolUnreadable"


def test_ones_whose_key_is_lost_are_dropped_by_it_and_their_copies_are_taken(
    run: Callable[..., Running], tmp_path: Path, archive: Archive
) -> None:
    """`dicomroute run` takes the keys from a Secret of the manifests, and files that are left can be decrypted."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "spool-key"}, "stringData": {"keys": OLD}}
    running = run(*manifests(archive, "HoldDeliveries"), secret)
    uid = new_uid()
    data = data_set(uid)
    peer = Peer(running.port).associated()
    assert peer.store(data, uid) == SUCCESS
    folder = running.state / running.route
    (file,) = files(folder)
    (tmp_path / "keys").write_text(f"{NEW}\n{OLD}\n")
    spool = file.parents[2]
    result = cli("salvage", spool, "--keys", tmp_path / "keys", "--to", tmp_path / "plain")
    assert (result.returncode, result.stdout) == (0, "1 complete, 0 unverified, 0 missing\n"), result.stderr
    assert (tmp_path / "plain" / "from-CT1" / file.name).read_bytes().endswith(data)
    (tmp_path / "keys").write_text(f"{NEW}\n")
    result = cli("salvage", spool, "--keys", tmp_path / "keys", "--to", tmp_path / "without-the-key")
    assert (result.returncode, OLD_ID in result.stderr) == (1, True)

    running.write([{**secret, "stringData": {"keys": NEW}}])
    admin = ("--admin", running.admin, "--state", running.state)

    def shown() -> dict[str, str]:
        lines = cli("queue", "keys", *admin).stdout.splitlines()[1:]
        return {words[0]: " ".join(words[1:]) for words in (line.split() for line in lines)}

    wait_until(lambda: OLD_ID in shown() and NEW_ID in shown(), "the keys are not shown")
    assert shown() == {NEW_ID: "0 encrypts", OLD_ID: "1 missing: its instances wait", "-": "0 in clear"}
    assert [one["reason"] for one in running.status()["problems"]] == ["SpoolKeyMissing"]
    assert peer.store(data, uid) == SUCCESS
    running.wait_for(owed=2, receivedTotal=2)
    assert "1 dropped" in cli("queue", "drop", "--all", "--key", OLD_ID, *admin).stdout
    running.wait_for(owed=1, skippedTotal=1)
    running.write(manifests(archive))
    wait_arrived(archive, peer.instances[:1])
    running.wait_for(owed=0, deliveredTotal=1)
    assert running.status()["problems"] == []


def test_the_status_of_a_spool_without_encryption_has_no_keys(
    lone: Callable[..., LoneGateway], tmp_path: Path, archive: Archive
) -> None:
    gateway = lone(tmp_path, manifests(archive, "HoldDeliveries", encryption=None))
    stored(gateway, b"x")
    spool = gateway.status()["spool"]
    assert (spool["keys"], spool["unencrypted"]) == ([], 1)
