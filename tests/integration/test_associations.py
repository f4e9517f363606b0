"""Who may associate, what is answered to whom, and that no peer disturbs another."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from corpus import FILES, make_corpus
from manifests import changed, node
from orthanc import Orthanc
from peer import Aborted, Accepted, Peer, Rejected, Released
from processes import wait_until
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification
from routes import local_node, local_route, to
from running import Running, echoscu, storescu
from tap import Tap

NOWHERE = "http://127.0.0.1:9/dicom-web"
CT = FILES / "CT_small.dcm"


@pytest.fixture
def gateway(run: Callable[..., Running]) -> Running:
    """A gateway whose one target is never there."""
    return run(local_node(), to(NOWHERE), local_route())


def associate(port: int, calling: str = "CT1", called: str = "CTGATE", contexts: list[str] | None = None, **options):
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    for context in contexts or [CTImageStorage, Verification]:
        entity.add_requested_context(context)
    return entity.associate("127.0.0.1", port, ae_title=called, **options)


def reload_with(running: Running, *documents) -> None:
    before = running.hash()
    running.write(documents)
    running.wait_reloaded(before)


def test_an_unknown_called_title_is_rejected_with_reason_7(gateway: Running, tap: Callable[[int], Tap]) -> None:
    wire = tap(gateway.port)
    assert storescu(wire.port, [CT], called="OTHER") != 0
    assert wire.witness.rejections == [(1, 1, 7)]
    assert gateway.status()["associations"]["refusedTotal"] == {"CalledAETitle": 1}


def test_an_unknown_calling_title_is_rejected_with_reason_3(gateway: Running, tap: Callable[[int], Tap]) -> None:
    wire = tap(gateway.port)
    assert storescu(wire.port, [CT], calling="STRANGER") != 0
    assert wire.witness.rejections == [(1, 1, 3)]


def test_an_address_that_nobody_may_call_from_is_closed_and_counted(run: Callable[..., Running]) -> None:
    elsewhere = node(aeTitle="CT1", allowedSources=["192.0.2.0/24"])
    running = run(elsewhere, to(NOWHERE), local_route())
    with socket.create_connection(("127.0.0.1", running.port), 5) as connection:
        assert connection.recv(1) == b""
    assert running.status()["associations"]["refusedTotal"] == {"SourceAddress": 1}
    reload_with(running, local_node())
    assert storescu(running.port, [CT]) == 0


def test_a_title_from_the_address_of_another_node_is_rejected_with_reason_3(
    run: Callable[..., Running], tap: Callable[[int], Tap]
) -> None:
    both = changed(local_route(), "spec.listeners.0.sources.nodes.1", {"name": "ct-2"})
    elsewhere = changed(node(aeTitle="CT2", allowedSources=["192.0.2.0/24"]), "metadata.name", "ct-2")
    running = run(local_node(), elsewhere, to(NOWHERE), both)
    wire = tap(running.port)
    assert storescu(wire.port, [CT], calling="CT2") != 0
    assert wire.witness.rejections == [(1, 1, 3)]
    assert storescu(wire.port, [CT], calling="CT1") == 0


def test_an_association_ends_when_its_node_is_removed(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    association = associate(running.port)
    assert send(association, pydicom.dcmread(CT)) == 0
    reload_with(running, node(aeTitle="OTHER", allowedSources=["127.0.0.0/8"]))
    assert "Status" not in association.send_c_echo()
    wait_until(lambda: association.is_aborted, "the association stands")
    assert running.status()["associations"]["abortedTotal"] == {"SourceRemoved": 1}


def test_everybody_may_call_a_listener_with_policy_any(run: Callable[..., Running]) -> None:
    open_ = changed(local_route(), "spec.listeners.0.sources", {"policy": "Any"})
    running = run(to(NOWHERE), open_)
    assert storescu(running.port, [CT], calling="STRANGER") == 0


def test_verification_is_answered(gateway: Running) -> None:
    association = associate(gateway.port)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()


def test_further_associations_are_rejected_as_transient_and_come_in_when_one_has_gone(
    run: Callable[..., Running],
) -> None:
    limited = changed(local_route(), "spec.listeners.0.maxAssociations", 2)
    running = run(local_node(), to(NOWHERE), limited)
    first, second = associate(running.port), associate(running.port)
    third = associate(running.port)
    assert (third.is_established, third.is_rejected) == (False, True)
    rejection = third.acceptor.primitive
    assert (rejection.result, rejection.result_source, rejection.diagnostic) == (2, 3, 2)
    first.release()
    wait_until(lambda: running.status()["associations"]["open"] == 1, "the place is not free")
    fourth = associate(running.port)
    assert fourth.is_established
    fourth.release()
    second.release()


def test_one_caller_never_keeps_all_others_out(run: Callable[..., Running]) -> None:
    other = changed(changed(local_node(), "metadata.name", "ct-2"), "spec.aeTitle", "CT2")
    two = changed(local_route(), "spec.listeners.0.sources.nodes.1", {"name": "ct-2"})
    two = changed(two, "spec.listeners.0.maxAssociations", 4)
    running = run(local_node(), other, to(NOWHERE), two)
    mine = [associate(running.port) for _ in range(3)]
    assert all(one.is_established for one in mine)
    fourth = associate(running.port)
    rejection = fourth.acceptor.primitive
    assert (rejection.result, rejection.result_source, rejection.diagnostic) == (2, 3, 2)
    assert running.status()["associations"]["refusedTotal"] == {"TooManyAssociationsOfCaller": 1}
    theirs = associate(running.port, calling="CT2")
    assert theirs.is_established
    mine.pop().release()
    wait_until(lambda: running.status()["associations"]["open"] == 3, "the place is not free")
    again = associate(running.port)
    assert again.is_established
    for one in (*mine, theirs, again):
        one.release()
    reload_with(running, changed(two, "spec.listeners.0.maxAssociationsPerCaller", 1))
    first, second = associate(running.port), associate(running.port)
    assert (first.is_established, second.is_rejected) == (True, True)
    first.release()


def test_a_route_that_refuses_associations_rejects_new_ones_as_transient(
    run: Callable[..., Running], tap: Callable[[int], Tap]
) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    standing = associate(running.port)
    reload_with(running, local_route(mode="RefuseAssociations"))
    wire = tap(running.port)
    assert storescu(wire.port, [CT]) != 0
    assert wire.witness.rejections == [(2, 3, 1)]
    assert send(standing, pydicom.dcmread(CT)) == 0, "an association that stands goes on"
    standing.release()


def test_connections_without_an_association_take_no_place_and_are_no_error(run: Callable[..., Running]) -> None:
    limited = changed(local_route(), "spec.listeners.0.maxAssociations", 1)
    running = run(local_node(), to(NOWHERE), limited)
    probes = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(20)]
    association = associate(running.port)
    assert association.is_established
    association.release()
    for probe in probes:
        probe.close()
    wait_until(lambda: running.status()["associations"]["open"] == 0, "a probe took a place")
    assert running.status()["associations"]["abortedTotal"] == {}
    assert "error" not in running.process.tail()


def test_an_idle_association_is_aborted_after_its_time(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), changed(local_route(), "spec.listeners.0.idleTimeoutSeconds", 1))
    association = associate(running.port)
    wait_until(lambda: association.is_aborted, "the association stands", 10)
    assert running.status()["associations"]["abortedTotal"] == {"PeerStalled": 1}


def send(association, dataset: Dataset) -> int:
    return int(association.send_c_store(dataset).Status)


def test_a_sender_with_nagles_algorithm_on_does_not_wait_for_our_acknowledgements(
    tmp_path: Path, gateway: Running
) -> None:
    """An SCP that delays each ACK by 40 ms makes 100 instances take four seconds longer than with TCP_NODELAY."""

    def seconds() -> float:
        begin = time.monotonic()
        assert storescu(gateway.port, files) == 0
        return time.monotonic() - begin

    files = make_corpus(tmp_path / "corpus", 100, ("MR_small.dcm",))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TCP_NODELAY", "1")  # DCMTK's own switch
        without_nagle = min(seconds() for _ in range(3))
    assert min(seconds() for _ in range(3)) < without_nagle + 2


def test_a_draining_gateway_answers_the_instance_that_it_is_receiving(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    running = run(local_node(), to(NOWHERE), changed(local_route(), "spec.gateway.drainTimeoutSeconds", 15))
    association = associate(running.port)
    idle = associate(running.port)
    dataset = pydicom.dcmread(CT)
    statuses: list[int] = []
    begun, go_on = threading.Event(), threading.Event()
    send_bytes = association.dul.socket.send

    def slowly(data: bytes) -> None:
        if len(data) > 1000 and not begun.is_set():
            begun.set()
            go_on.wait(20)
        send_bytes(data)

    association.dul.socket.send = slowly
    sender = threading.Thread(target=lambda: statuses.append(send(association, dataset)))
    sender.start()
    assert begun.wait(20)
    stopping = threading.Thread(target=running.stop)
    stopping.start()
    wait_until(lambda: idle.is_aborted, "an idle association is not ended")
    go_on.set()
    sender.join()
    stopping.join()
    assert statuses == [0x0000]
    running.start()
    assert running.counts()["owed"] == 1


def test_a_spool_above_its_watermark_answers_out_of_resources(
    run: Callable[..., Running], tmp_path: Path, orthanc: Orthanc, tap: Callable[[int], Tap]
) -> None:
    small = changed(local_route(), "spec.gateway.spool", {"size": "1Mi", "highWatermarkPercent": 10})
    running = run(local_node(), to(NOWHERE), small)
    wire = tap(running.port)
    files = make_corpus(tmp_path / "corpus", 6, ("CT_small.dcm",))
    storescu(wire.port, files, "--no-halt")
    assert wire.witness.statuses == [0, 0, 0, 0xA700, 0xA700, 0xA700]
    assert running.status()["ready"], "a full spool is no reason not to answer"
    assert storescu(wire.port, files[3:]) != 0
    assert wire.witness.rejections == [(2, 3, 1)], "temporary congestion (PS3.8 table 9-21)"
    assert echoscu(wire.port) == 0, "a connection can be tested all the same"
    assert running.status()["associations"]["refusedTotal"] == {"SpoolFull": 1}
    reload_with(running, to(orthanc.url))
    running.wait_for(owed=0, deliveredTotal=3)
    wait_until(lambda: running.status()["spool"]["usedBytes"] == 0, "the spool keeps what is delivered")
    assert storescu(wire.port, files[3:]) == 0


@pytest.mark.parametrize("end", ["released", "aborted by us", "timed out"])
def test_a_place_is_free_when_its_association_has_ended_whoever_closes_the_connection(
    run: Callable[..., Running], end: str
) -> None:
    """Modalities that send one image an association release, and close the socket some time later."""
    route = changed(local_route(), "spec.listeners.0.maxAssociations", 1)
    running = run(local_node(), to(NOWHERE), changed(route, "spec.listeners.0.idleTimeoutSeconds", 1))
    kept = []
    for _ in range(5):
        peer = Peer(running.port)
        kept.append(peer)
        assert peer.associate() == Accepted()
        assert Peer(running.port).associate() == Rejected(2, 3, 2), "its place is taken"
        if end == "released":
            assert peer.release() == Released()
        else:
            answer = peer.send(b"\x09\0\0\0\0\0").answer() if end == "aborted by us" else peer.answer()
            assert isinstance(answer, Aborted)
    assert running.status()["associations"]["open"] == 0
    for peer in kept:
        peer.close()
