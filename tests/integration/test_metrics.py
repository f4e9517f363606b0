"""The metrics of a real gateway: they count what happened, hold nothing that a peer chose, and stay bounded."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateways import LoneGateway
from manifests import changed
from metrics import samples, value
from pdus import PLANTED, data_set
from peer import Answered, Peer, Rejected, new_uid
from routes import local_node, local_route, to
from sink import Sink

NOWHERE = "http://127.0.0.1:9/dicom-web"
ARCHIVE = {"destination": "CloudTarget/archive"}
DICOM = {"listener": "dicom"}
ANYBODY = changed(local_route(), "spec.listeners.0.sources", {"policy": "Any"})


@pytest.fixture
def sink() -> Iterator[Sink]:
    one = Sink()
    yield one
    one.close()


def store(gateway: LoneGateway, calling: bytes = b"CT1", count: int = 1) -> list[str]:
    """Store instances in one association; return their UIDs."""
    peer = Peer(gateway.port)
    peer.associate(calling=calling)
    uids = [new_uid() for _ in range(count)]
    for uid in uids:
        assert peer.store(data_set(uid), uid) == Answered(0)
    peer.release()
    peer.close()
    return uids


def test_what_was_received_and_delivered_is_measured(
    tmp_path: Path, sink: Sink, lone: Callable[..., LoneGateway]
) -> None:
    gateway = lone(tmp_path, [local_node(), to(sink.url), local_route()])
    uids = store(gateway, count=5)
    with_another = Peer(gateway.port).associated()
    wrong = new_uid()
    assert with_another.store(data_set(uids[0]), wrong) == Answered(0xA900), "its UID is another than in the request"
    gateway.wait_for(deliveredTotal=5, owed=0)
    gateway.process.wait_until(lambda: value(gateway.metrics(), "dicomroute_delivery_seconds_count", **ARCHIVE) == 5,
                               "the deliveries are not measured")  # fmt: skip
    text = gateway.metrics()
    size = sum(len(data_set(uid)) for uid in uids)
    assert value(text, "dicomroute_stores_total", status="0000", **DICOM) == 5
    assert value(text, "dicomroute_stores_total", status="A900", **DICOM) == 1
    assert value(text, "dicomroute_store_seconds_count", **DICOM) == 6
    assert 0 < value(text, "dicomroute_store_seconds_sum", **DICOM) < 60
    assert value(text, "dicomroute_instance_bytes_count", **DICOM) == 5
    assert value(text, "dicomroute_received_bytes_total", **DICOM) == size
    assert value(text, "dicomroute_delivered_bytes_total", **ARCHIVE) == size
    assert value(text, "dicomroute_commit_seconds_count") == 5
    assert value(text, "dicomroute_commit_seconds_sum") < value(text, "dicomroute_store_seconds_sum", **DICOM)
    assert value(text, "dicomroute_delivery_attempts_total", reason="Stored", **ARCHIVE) == 5
    assert 1 <= value(text, "dicomroute_delivery_attempt_seconds_count", **ARCHIVE) <= 5
    assert value(text, "dicomroute_destination_oldest_owed_seconds", **ARCHIVE) == 0
    assert value(text, "dicomroute_build_info", version="0.1.0") == 1
    assert value(text, "process_resident_memory_bytes") > 1 << 20


def test_a_destination_that_does_not_answer_is_waited_for_and_its_oldest_instance_ages(
    tmp_path: Path, lone: Callable[..., LoneGateway]
) -> None:
    gateway = lone(tmp_path, [local_node(), to(NOWHERE), local_route()])
    store(gateway, count=3)
    gateway.process.wait_until(
        lambda: value(gateway.metrics(), "dicomroute_destination_waiting", **ARCHIVE) == 1, "nobody waits"
    )
    text = gateway.metrics()
    assert value(text, "dicomroute_delivery_attempts_total", reason="ConnectionFailed", **ARCHIVE) >= 1
    assert value(text, "dicomroute_destination_held", **ARCHIVE) == 0
    first = value(text, "dicomroute_destination_oldest_owed_seconds", **ARCHIVE)
    gateway.process.wait_until(
        lambda: value(gateway.metrics(), "dicomroute_destination_oldest_owed_seconds", **ARCHIVE) > first,
        "it does not age",
    )


def test_a_route_that_holds_its_deliveries_says_so(tmp_path: Path, lone: Callable[..., LoneGateway]) -> None:
    when = [{"name": "ct", "when": 'instance.Modality == "MR"', "destinations": [{"kind": "CloudTarget", "name": "archive"}]}]  # noqa: E501  # fmt: skip
    gateway = lone(tmp_path, [local_node(), to(NOWHERE), local_route(mode="HoldDeliveries", rules=when)])
    store(gateway)
    text = gateway.metrics()
    assert value(text, "dicomroute_destination_held", **ARCHIVE) == 1
    assert value(text, "dicomroute_instances_held") == 1, "no rule takes it"


def test_nothing_that_a_peer_chose_is_in_the_metrics_and_they_stay_bounded(
    tmp_path: Path, sink: Sink, lone: Callable[..., LoneGateway]
) -> None:
    gateway = lone(tmp_path, [to(sink.url), ANYBODY])
    titles = [f"PLANTEDAE{number:02d}" for number in range(50)]
    uids = store(gateway, titles[0].encode())
    gateway.wait_for(deliveredTotal=1)
    refused = [f"STRANGER{number:02d}" for number in range(50)]
    assert Peer(gateway.port).associate(called=refused[0].encode()) == Rejected(1, 1, 7)
    gateway.process.wait_until(
        lambda: "\ndicomroute_events_oldest_seconds " in gateway.metrics(), "the feed tells of no event"
    )
    before = len(samples(gateway.metrics()))
    for title, stranger in zip(titles[1:], refused[1:], strict=True):
        uids += store(gateway, title.encode())
        assert Peer(gateway.port).associate(calling=stranger.encode(), called=stranger.encode()) == Rejected(1, 1, 7)
    gateway.wait_for(deliveredTotal=50)
    text = gateway.metrics()
    assert value(text, "dicomroute_stores_total", status="0000", **DICOM) == 50
    assert [one for one in (*titles, *refused, *uids, *PLANTED, "127.0.0.1") if one in text] == []
    assert len(samples(text)) == before
    assert before < 250
