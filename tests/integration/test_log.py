"""The log of a real gateway: one instance can be followed by its association and number from socket to archive."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateways import LoneGateway
from manifests import Json
from pdus import data_set, element
from peer import Answered, Peer, new_uid
from routes import local_node, local_route, to
from sink import Sink

NOWHERE = "http://127.0.0.1:9/dicom-web"


@pytest.fixture
def sink() -> Iterator[Sink]:
    one = Sink()
    yield one
    one.close()


def about(gateway: LoneGateway, instance: int) -> list[Json]:
    """Return the lines about one instance."""
    return [one for one in gateway.log() if instance in (one.get("instance"), *one.get("instances", ()))]


def test_an_instance_is_followed_from_its_association_to_the_answer_of_the_archive(
    tmp_path: Path, sink: Sink, lone: Callable[..., LoneGateway]
) -> None:
    gateway = lone(tmp_path, [local_node(), to(sink.url), local_route()], log_level="debug")
    peer = Peer(gateway.port).associated()
    first, second = new_uid(), new_uid()
    assert peer.store(data_set(first), first) == Answered(0)
    assert peer.store(data_set(second), second) == Answered(0)
    peer.release()
    gateway.wait_for(deliveredTotal=2)
    gateway.wait_for_events("association.ended")
    (accepted,) = gateway.events("association.accepted")
    numbers = [one["instance"] for one in gateway.wait_for_events("instance.received", 2)]
    assert len(numbers) == 2
    for number in numbers:
        gateway.process.wait_until(lambda number=number: len(about(gateway, number)) == 2, "no line of the delivery")
        lines = about(gateway, number)
        assert [one["event"] for one in lines] == ["instance.received", "delivery.made"]
        assert {one["association"] for one in lines} == {accepted["association"]}
        assert (lines[1]["destination"], lines[1]["reason"]) == ("CloudTarget/archive", "Stored")
        assert {one["level"] for one in lines} == {"debug"}, "a line an instance would flood the log"


def test_an_association_ends_with_one_line_that_counts(tmp_path: Path, lone: Callable[..., LoneGateway]) -> None:
    gateway = lone(tmp_path, [local_node(), to(NOWHERE), local_route()], log_level="info")
    peer = Peer(gateway.port).associated()
    uid = new_uid()
    assert peer.store(data_set(uid), uid) == Answered(0)
    assert peer.store(data_set(uid), new_uid()) == Answered(0xA900)
    peer.reset()
    gateway.wait_for_events("association.ended")
    lines = [one for one in gateway.log() if "association" in one and one["event"].startswith(("association", "inst"))]
    assert [one["event"] for one in lines] == ["association.accepted", "association.peer_gone", "association.ended"]
    assert {one["association"] for one in lines} == {lines[0]["association"]}
    ended = lines[-1]
    assert (ended["end"], ended["stored"], ended["refused"], ended["level"]) == ("PeerGone", 1, 1, "info")
    assert ended["seconds"] >= 0


@pytest.mark.parametrize("release, end", [(True, "Released"), (False, "AbortedByPeer")])
def test_the_end_of_an_association_says_how(
    tmp_path: Path, lone: Callable[..., LoneGateway], release: bool, end: str
) -> None:
    from pdus import abort

    gateway = lone(tmp_path, [local_node(), to(NOWHERE), local_route()], log_level="info")
    peer = Peer(gateway.port).associated()
    if release:
        peer.release()
    else:
        peer.send(abort())
    assert gateway.wait_for_events("association.ended")[0]["end"] == end


def test_whatever_goes_wrong_on_the_way_names_association_and_instance(
    tmp_path: Path, lone: Callable[..., LoneGateway]
) -> None:
    rules = [{"name": "broken", "when": "instance.Rows / (instance.Rows - 2) > 0",
              "destinations": [{"kind": "CloudTarget", "name": "archive"}]},
             {"name": "all", "destinations": [{"kind": "CloudTarget", "name": "archive"}]}]  # fmt: skip
    gateway = lone(tmp_path, [local_node(), to(NOWHERE), local_route(rules=rules)], log_level="info")
    peer = Peer(gateway.port).associated()
    uid, other = new_uid(), new_uid()
    assert peer.store(data_set(uid), uid) == Answered(0)
    assert peer.store(data_set(other, element(0x00080060, "CS", b"MR")), new_uid()) == Answered(0xA900)
    refused = gateway.wait_for_events("dimse.refused")[0]
    rule = gateway.wait_for_events("rules.error")[0]
    failed = gateway.wait_for_events("delivery.failed")[0]
    assert {refused["association"], rule["association"], failed["association"]} == {rule["association"]}
    assert failed["instance"] == rule["instance"] == refused["instance"] - 1


def test_what_libraries_warn_of_is_a_bounded_line_like_all_others_and_quotes_nothing(
    tmp_path: Path, sink: Sink, lone: Callable[..., LoneGateway]
) -> None:
    rule = {
        "name": "reads",
        "when": "instance.PatientName != 'nobody' && instance.SliceThickness != 7.0 && instance.NumberOfFrames != 7",
        "destinations": [{"kind": "CloudTarget", "name": "archive"}],
    }
    gateway = lone(tmp_path, [local_node(), to(sink.url), local_route(rules=[rule])])
    peer = Peer(gateway.port).associated()
    for term in (b"ISO-IR 100", b"ISO_IR 192\\GB18030\\ " * 1000, b"ISO 2022 IR 87\\ISO_IR 192 ", b"GBK\\"):
        for name in (b"Quixlebury^Zebedee", b"Quix\x1b$B!!\xff", b"\xff\xfe"):
            more = [element(0x00080005, "CS", term), element(0x00100010, "PN", name)]
            more += [element(0x00180050, "DS", b"1.2345678901234567890123456789"), element(0x00280008, "IS", b"1.5 ")]
            uid = new_uid()
            assert len(term + name) % 2 == 0
            assert peer.store(data_set(uid, *more), uid) == Answered(0)
    assert gateway.stop() == 0
    lines = gateway.process.output.read_text().splitlines()
    assert all(line.startswith("{") and isinstance(json.loads(line), dict) for line in lines), lines
    assert max(map(len, lines), default=0) < 2000
    assert not any("Quixlebury" in line for line in lines)
