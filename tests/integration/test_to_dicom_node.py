"""From a gateway to other nodes by C-STORE: real peers, peers that serve one at a time, and peers that misbehave."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from corpus import SOURCES, make_corpus, uid_of
from gateways import LoneGateway
from orthanc import Orthanc, assert_archive_has
from pdus import ASSOCIATE_RJ, CT, abort, context, pdu, release
from peer import Answered, Peer
from ports import free_port
from processes import wait_until
from routes import PACS, local_node, pacs, secret, to, to_pacs
from running import Running, dcmsend, storescu
from scripted_scp import Acceptor, ScriptedSCP
from storescp import StoreSCP
from tap import Tap

Lone = Callable[..., LoneGateway]
MPEG2 = "1.2.840.10008.1.2.4.100"
KEYS = {"keySecretRef": {"name": "spool-key", "key": "keys"}}


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[Callable[..., StoreSCP]]:
    started: list[StoreSCP] = []

    def start(*options: str) -> StoreSCP:
        started.append(StoreSCP(tmp_path / f"kept-{len(started)}", *options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def scripted() -> Iterator[Callable[[Callable[[Acceptor], object]], int]]:
    """Start an acceptor with a script; return its port."""
    started: list[ScriptedSCP] = []

    def start(script: Callable[[Acceptor], object]) -> int:
        started.append(ScriptedSCP(script))
        return started[-1].port

    yield start
    for one in started:
        one.close()


Scripted = Callable[[Callable[[Acceptor], object]], int]


def small(folder: Path, count: int) -> list[Path]:
    return make_corpus(folder, count, ("CT_small.dcm",))


def destination(gateway: LoneGateway | Running) -> dict[str, object]:
    (one,) = gateway.status()["destinations"]
    return dict(one)


def wait_fault(gateway: LoneGateway | Running, reason: str) -> None:
    def seen() -> bool:
        fault = destination(gateway)["lastError"]
        return isinstance(fault, dict) and fault["reason"] == reason

    wait_until(seen, lambda: f"no {reason}: {destination(gateway)}")


def test_every_class_and_syntax_arrives_byte_for_byte(
    tmp_path: Path, lone: Lone, storescp: Callable[..., StoreSCP], tap: Callable[[int], Tap]
) -> None:
    peer = storescp("+B", "+xa", "--fork")
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(peer.port), to_pacs()], log_level="info")
    wire = tap(gateway.port)
    assert dcmsend(wire.port, make_corpus(tmp_path / "corpus", 10)) == 0
    count = len(wire.witness.acknowledged)
    assert count >= 140
    gateway.wait_for(owed=0, deliveredTotal=count, deadLettered=0)
    kept = peer.data_sets()
    assert {uid: kept[uid] for uid in wire.witness.acknowledged} == {
        uid: wire.witness.sent[uid] for uid in wire.witness.acknowledged
    }
    assert gateway.events("destination.waits") == []
    assert 'destination="DicomNode/pacs"' in gateway.metrics()


def test_a_peer_that_serves_one_association_at_a_time_gets_one_and_is_not_at_fault(
    tmp_path: Path, lone: Lone, storescp: Callable[..., StoreSCP]
) -> None:
    """A stock storescp lets a second association wait: for longer than our patience, and nothing suffers."""
    peer = storescp("+B", "--sleep-after", "1")
    node = pacs(peer.port, acseTimeoutSeconds=2)
    gateway = lone(tmp_path / "gateway", [local_node(), node, to_pacs()], log_level="info")
    files = small(tmp_path / "corpus", 12)
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=len(files), deadLettered=0)
    assert len(peer.data_sets()) == len(files)
    assert [one["associations"] for one in gateway.wait_for_events("destination.bounded")] == [1]
    assert gateway.events("destination.waits") == []
    assert gateway.events("delivery.failed") == []


def test_a_further_association_that_is_rejected_means_fewer_of_them(
    tmp_path: Path, lone: Lone, scripted: Scripted
) -> None:
    places, counted = threading.Semaphore(1), threading.Lock()
    stored: list[str] = []
    rejected: list[int] = []

    def script(peer: Acceptor) -> None:
        if not places.acquire(blocking=False):
            peer.read_request()
            rejected.append(1)
            peer.send(pdu(ASSOCIATE_RJ, bytes((0, 2, 3, 2)))).wait_gone()
            return
        try:
            peer.accept()
            while True:
                message = peer.message()
                time.sleep(0.01)
                with counted:
                    stored.append(message.sop_instance_uid)
                peer.respond(message)
        except AssertionError:
            peer.send(pdu(6, bytes(4)))
        finally:
            places.release()

    gateway = lone(tmp_path / "gateway", [local_node(), pacs(scripted(script)), to_pacs()], log_level="info")
    files = small(tmp_path / "corpus", 250)
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=len(files))
    assert sorted(stored) == sorted(map(uid_of, files)), "once each"
    assert len(rejected) == 1, "what the peer has said is believed for a while"
    assert [one["associations"] for one in gateway.wait_for_events("destination.bounded")] == [1]
    assert gateway.events("destination.waits") == []


def test_to_an_orthanc_by_c_store_and_to_another_by_stow_at_once(
    tmp_path: Path, orthanc: Orthanc, run: Callable[..., Running], tap: Callable[[int], Tap]
) -> None:
    other = Orthanc(tmp_path / "pacs", dicom_port=free_port())
    try:
        assert other.dicom_port is not None
        called = pacs(other.dicom_port)
        called["spec"]["aeTitle"] = "ORTHANC"
        route = to_pacs({"kind": "CloudTarget", "name": "archive"})
        running = run(local_node(), called, to(orthanc.url), route)
        wire = tap(running.port)
        # By DIMSE Orthanc writes what is deflated anew.
        sources = tuple(one for one in SOURCES if one != "image_dfl.dcm")
        assert dcmsend(wire.port, make_corpus(tmp_path / "corpus", 3, sources)) == 0
        count = len(wire.witness.acknowledged)
        running.wait_for(owed=0, deliveredTotal=count, deadLettered=0)
        assert_archive_has(orthanc, wire.witness, wire.witness.acknowledged)
        assert_archive_has(other, wire.witness, wire.witness.acknowledged)
        by_kind = {one["kind"]: one["deliveredTotal"] for one in running.status()["destinations"]}
        assert by_kind == {"CloudTarget": count, "DicomNode": count}
    finally:
        other.stop()


@pytest.mark.parametrize("reason, options", [("ConnectionRefused", None), ("AssociationRejected", ("--refuse",))])
def test_what_waits_for_a_peer_that_is_away_goes_out_when_it_is_back(
    tmp_path: Path, lone: Lone, storescp: Callable[..., StoreSCP], reason: str, options: tuple[str, ...] | None
) -> None:
    peer = storescp("+B")
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(peer.port), to_pacs()])
    peer.stop()
    if options:
        peer.start(*options)
    files = small(tmp_path / "corpus", 30)
    assert dcmsend(gateway.port, files) == 0
    wait_fault(gateway, reason)
    assert gateway.status()["instances"]["owed"] == len(files)
    peer.stop()
    peer.start("+B")
    gateway.wait_for(owed=0, deliveredTotal=len(files), deadLettered=0)
    assert len(peer.data_sets()) == len(files)


@pytest.mark.parametrize(
    "option, reason",
    [("--abort-after", "AbortedByPeerAfterRequest"), ("--abort-during", "AbortedByPeerDuringRequest")],
)
def test_a_peer_that_aborts_whatever_it_gets_is_waited_for(
    tmp_path: Path, lone: Lone, storescp: Callable[..., StoreSCP], option: str, reason: str
) -> None:
    peer = storescp("+B", option)
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(peer.port), to_pacs()])
    files = make_corpus(tmp_path / "corpus", 10, ("JPEG2000.dcm", "CT_small.dcm"))
    files = [file for file in files if "CT" in file.name]
    assert dcmsend(gateway.port, files) == 0
    wait_until(lambda: destination(gateway)["lastError"] is not None, "no fault")
    gateway.wait_for_events("destination.waits")
    assert {one["reason"] for one in gateway.events("destination.waits")} <= {reason, "AbortedByPeerAfterRequest"}
    peer.stop()
    peer.start("+B")
    gateway.wait_for(owed=0, deliveredTotal=len(files), deadLettered=0)


def test_what_the_peer_does_not_take_is_dead_lettered_with_its_reason_and_nothing_else(
    tmp_path: Path, lone: Lone, storescp: Callable[..., StoreSCP]
) -> None:
    peer = storescp("+B")  # takes uncompressed transfer syntaxes alone
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(peer.port), to_pacs()])
    assert dcmsend(gateway.port, small(tmp_path / "corpus", 4)) == 0
    film = Peer(gateway.port).associated(context(1, CT, MPEG2))  # which has no other form
    for _ in range(4):
        assert film.store_one() == Answered(0)
    film.release()
    gateway.wait_for(owed=0, deliveredTotal=4, deadLettered=4)
    page = gateway.get("/api/v1/queue?state=DeadLettered")
    assert {one["reason"] for one in page["items"]} == {"TransferSyntaxNotSupported"}
    assert {one["attempts"] for one in page["items"]} == {2}


def test_a_class_that_the_peer_does_not_take_is_asked_for_anew_before_it_is_given_up(
    tmp_path: Path, lone: Lone, scripted: Scripted
) -> None:
    opened = []

    def script(peer: Acceptor) -> None:
        opened.append(peer)
        results: dict[int, int] = {}
        if len(opened) == 1:  # it has learned the class meanwhile
            results = dict.fromkeys(range(1, 256, 2), 3)
        peer.accept(results=results)
        peer.serve()

    gateway = lone(tmp_path / "gateway", [local_node(), pacs(scripted(script)), to_pacs()])
    assert storescu(gateway.port, small(tmp_path / "corpus", 1)) == 0
    gateway.wait_for(owed=0, deliveredTotal=1, deadLettered=0)
    assert len(opened) == 2


def test_an_instance_that_makes_its_peer_abort_waits_for_itself_alone(
    tmp_path: Path, lone: Lone, scripted: Scripted
) -> None:
    files = small(tmp_path / "corpus", 40)
    poison, is_mended = uid_of(files[7]), threading.Event()
    aborted: list[str] = []

    def script(peer: Acceptor) -> None:
        peer.accept()
        try:
            while True:
                message = peer.message()
                if message.sop_instance_uid == poison and not is_mended.is_set():
                    aborted.append(poison)
                    peer.send(abort()).wait_gone()
                    return
                peer.respond(message)
        except AssertionError:
            peer.send(pdu(6, bytes(4)))

    route = to_pacs(retry={"initialBackoffSeconds": 1, "maxBackoffSeconds": 1})
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(scripted(script)), route])
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=1, deliveredTotal=len(files) - 1, deadLettered=0)
    wait_fault(gateway, "AbortedByPeerAfterRequest")
    gateway.process.wait_until(lambda: len(aborted) >= 3, "it is not tried again")
    more = small(tmp_path / "more", 20)
    assert dcmsend(gateway.port, more) == 0
    gateway.wait_for(owed=1, deliveredTotal=len(files) + len(more) - 1, deadLettered=0)
    is_mended.set()
    gateway.wait_for(owed=0, deliveredTotal=len(files) + len(more), deadLettered=0)


def test_a_peer_that_ends_each_association_after_one_instance_gets_all(
    tmp_path: Path, lone: Lone, scripted: Scripted
) -> None:
    def script(peer: Acceptor) -> None:
        peer.accept().respond(peer.message()).send(release())
        peer.wait_gone()

    gateway = lone(tmp_path / "gateway", [local_node(), pacs(scripted(script)), to_pacs()], log_level="info")
    files = small(tmp_path / "corpus", 12)
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=len(files))
    assert gateway.events("destination.waits") == []
    # Its release may cross our next request, of which nobody knows then whether it arrived: that one is sent again.
    assert {one["reason"] for one in gateway.events("delivery.failed")} <= {"ReleasedByPeerAfterRequest"}


def test_a_full_peer_is_waited_for(tmp_path: Path, lone: Lone, scripted: Scripted) -> None:
    has_room = threading.Event()

    def script(peer: Acceptor) -> None:
        peer.accept()
        try:
            while True:
                peer.respond(peer.message(), 0 if has_room.is_set() else 0xA700)
        except AssertionError:
            peer.send(pdu(6, bytes(4)))

    gateway = lone(tmp_path / "gateway", [local_node(), pacs(scripted(script)), to_pacs()])
    files = small(tmp_path / "corpus", 20)
    assert dcmsend(gateway.port, files) == 0
    wait_fault(gateway, "OutOfResources")
    gateway.wait_for_events("destination.waits")
    assert len(gateway.events("delivery.failed")) < len(files), "not all of them are sent to a peer without room"
    has_room.set()
    gateway.wait_for(owed=0, deliveredTotal=len(files), deadLettered=0)


def test_the_titles_are_those_of_the_manifests_and_change_without_a_restart(
    tmp_path: Path, run: Callable[..., Running], scripted: Scripted
) -> None:
    titles: list[tuple[str, str]] = []

    def script(peer: Acceptor) -> None:
        peer.accept()
        titles.append(peer.titles)
        peer.serve()

    running = run(local_node(), pacs(scripted(script)), to_pacs())
    assert storescu(running.port, small(tmp_path / "first", 1)) == 0
    running.wait_for(owed=0, deliveredTotal=1)
    before = running.hash()
    running.write([to_pacs(destinations=[{**PACS, "callingAETitle": "TOPACS"}])])
    running.wait_reloaded(before)
    assert storescu(running.port, small(tmp_path / "second", 1)) == 0
    running.wait_for(owed=0, deliveredTotal=2)
    assert titles == [("PACS", "CTGATE"), ("PACS", "TOPACS")]


def test_a_removed_node_is_held_and_goes_on_when_it_is_back(
    tmp_path: Path, run: Callable[..., Running], storescp: Callable[..., StoreSCP]
) -> None:
    peer = storescp("+B")
    running = run(local_node(), pacs(peer.port), to_pacs())
    running.remove("DicomNode", "pacs")
    wait_until(lambda: running.status()["destinations"] == [], "it is not gone")
    assert storescu(running.port, small(tmp_path / "corpus", 3)) == 0
    wait_until(lambda: running.status()["deliveries"]["held"] == 3, lambda: f"not held: {running.status()}")
    running.write([pacs(peer.port)])
    running.wait_for(owed=0, deliveredTotal=3)


def test_a_gateway_killed_again_and_again_loses_nothing(
    tmp_path: Path, run: Callable[..., Running], storescp: Callable[..., StoreSCP], tap: Callable[[int], Tap]
) -> None:
    peer = storescp("+B", "--fork")
    running = run(local_node(), pacs(peer.port), to_pacs())
    wire = tap(running.port)
    for attempt in range(4):
        files = make_corpus(tmp_path / f"corpus-{attempt}", 60, ("CT_small.dcm", "MR_small.dcm"))
        before = len(wire.witness.acknowledged)
        sender = threading.Thread(target=dcmsend, args=(wire.port, files))
        sender.start()
        wait_until(
            lambda: len(wire.witness.acknowledged) >= before + 20 + 20 * attempt,  # noqa: B023
            "nothing is acknowledged",
        )
        running.kill_gateway()
        sender.join()
        wire.redirect(running.port)
    acknowledged = set(wire.witness.acknowledged)
    running.wait_for(owed=0, deadLettered=0)
    kept = peer.data_sets()
    assert acknowledged <= kept.keys()
    assert {uid for uid in acknowledged if kept[uid] != wire.witness.sent[uid]} == set()


def test_from_an_encrypted_spool(
    tmp_path: Path, run: Callable[..., Running], storescp: Callable[..., StoreSCP], tap: Callable[[int], Tap]
) -> None:
    peer = storescp("+B", "+xa")
    keys = secret("", "spool-key")
    keys["stringData"] = {"keys": "A" * 43 + "="}
    running = run(local_node(), pacs(peer.port), to_pacs(gateway={"spool": {"encryption": KEYS}}), keys)
    wire = tap(running.port)
    assert dcmsend(wire.port, make_corpus(tmp_path / "corpus", 2)) == 0
    count = len(wire.witness.acknowledged)
    running.wait_for(owed=0, deliveredTotal=count, deadLettered=0)
    kept = peer.data_sets()
    assert all(kept[uid] == wire.witness.sent[uid] for uid in wire.witness.acknowledged)


def test_no_more_is_sent_than_the_bandwidth(tmp_path: Path, lone: Lone, storescp: Callable[..., StoreSCP]) -> None:
    peer = storescp("+B", "--fork")
    bound = 200_000
    settings = [{**PACS, "bandwidth": {"maxBytesPerSecond": bound}}]
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(peer.port), to_pacs(destinations=settings)])
    files = small(tmp_path / "corpus", 20)
    began = time.monotonic()
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=len(files))
    seconds = time.monotonic() - began
    sent = sum(map(len, peer.data_sets().values()))
    assert sent > 3 * bound
    assert seconds > sent / bound - 0.5


def test_a_gateway_that_ends_ends_its_associations(tmp_path: Path, lone: Lone, scripted: Scripted) -> None:
    """One that is idle is released; one whose peer is silent does not hold up the end."""
    ends: list[int] = []

    def script(peer: Acceptor) -> None:
        peer.accept()
        peer.respond(peer.message())
        kind, _ = peer.read_pdu()
        ends.append(kind)
        peer.send(pdu(6, bytes(4)))

    idle = lone(tmp_path / "idle", [local_node(), pacs(scripted(script)), to_pacs()])
    assert storescu(idle.port, small(tmp_path / "one", 1)) == 0
    idle.wait_for(deliveredTotal=1)
    assert idle.stop() == 0
    assert ends == [5]
    taken = threading.Event()

    def silent(peer: Acceptor) -> None:
        peer.accept().message()
        taken.set()
        peer.wait_gone()

    route = to_pacs(gateway={"drainTimeoutSeconds": 1})
    busy = lone(tmp_path / "busy", [local_node(), pacs(scripted(silent)), route])
    assert storescu(busy.port, small(tmp_path / "two", 1)) == 0
    assert taken.wait(20)
    began = time.monotonic()
    assert busy.stop() == 0
    assert time.monotonic() - began < 10
