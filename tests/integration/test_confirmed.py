"""Deliveries that their destination confirms: counted as owed, and kept, until it has said that it has the instance."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from committing import CommittingPACS, Reporting
from corpus import make_corpus, uid_of
from gateways import LoneGateway
from manifests import Json
from orthanc import Orthanc
from ports import free_port
from processes import wait_until
from routes import PACS, local_node, local_route, pacs, references, to, to_pacs
from running import dcmsend

Lone = Callable[..., LoneGateway]
LISTENERS = [
    {
        "name": "dicom",
        "port": 11112,
        "aeTitles": ["CTGATE"],
        "sources": {"nodes": [{"name": "ct-1"}, {"name": "pacs"}]},
    }
]


@pytest.fixture
def committing() -> Iterator[Callable[..., CommittingPACS]]:
    started: list[CommittingPACS] = []

    def start(**options: Any) -> CommittingPACS:
        started.append(CommittingPACS(**options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def confirmed_by_commitment(port: int, title: str = "PACS", **spec: Any) -> list[Json]:
    """Return the manifests of a route to a PACS that commits."""
    node = pacs(port, allowedSources=["127.0.0.0/8"])
    node["spec"]["aeTitle"] = title
    confirm = {"by": "StorageCommitment", "withinSeconds": 600}
    route = to_pacs(listeners=LISTENERS, destinations=[{**PACS, "confirm": confirm}], **spec)
    return [local_node(), node, route]


def small(folder: Path, count: int) -> list[Path]:
    return make_corpus(folder, count, ("CT_small.dcm",))


def deliveries(gateway: LoneGateway) -> Json:
    (one,) = gateway.status()["destinations"]
    return dict(one)


@pytest.mark.parametrize("reporting", [Reporting.ANOTHER, Reporting.SAME, Reporting.WITHOUT_ROLE])
def test_a_delivery_is_made_once_the_pacs_has_committed_to_it(
    tmp_path: Path, lone: Lone, committing: Callable[..., CommittingPACS], reporting: Reporting
) -> None:
    peer = committing(reporting=reporting)
    gateway = lone(tmp_path / "gateway", confirmed_by_commitment(peer.port))
    peer.gateway_port = gateway.port
    files = small(tmp_path / "corpus", 3)
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=3, deadLettered=0)
    assert sorted(peer.stored) == sorted(map(uid_of, files)), "each is sent once"
    assert [sorted(one.uids) for one in peer.asked] == [sorted(map(uid_of, files))], "and asked for together"
    wait_until(lambda: peer.report_statuses == [0], lambda: f"the report is answered: {peer.report_statuses}")
    assert deliveries(gateway)["unconfirmed"] == 0


def test_until_then_it_counts_as_owed_and_its_bytes_are_kept_over_restarts(
    tmp_path: Path, lone: Lone, committing: Callable[..., CommittingPACS]
) -> None:
    peer = committing(reporting=Reporting.NEVER)
    documents = confirmed_by_commitment(peer.port)
    gateway = lone(tmp_path / "gateway", documents)
    peer.gateway_port = gateway.port
    files = small(tmp_path / "corpus", 2)
    assert dcmsend(gateway.port, files) == 0
    wait_until(lambda: len(peer.asked) == 1, "the PACS is asked")
    gateway.wait_for(owed=2, deliveredTotal=0)
    seen = deliveries(gateway)
    assert (seen["pending"], seen["inFlight"], seen["unconfirmed"], seen["deliveredTotal"]) == (0, 0, 2, 0)
    queue = gateway.get("/api/v1/queue?state=Unconfirmed")["items"]
    assert [one["state"] for one in queue] == ["Unconfirmed"] * 2
    assert 'dicomroute_deliveries{destination="DicomNode/pacs",state="unconfirmed"} 2.0' in gateway.metrics()
    spool = tmp_path / "gateway" / "spool"
    assert len(list((spool / "instances").glob("*/*.dcm"))) >= 2
    assert json.loads((spool / "format").read_text()) == {"format": 5}, "no gateway of before opens it"
    os.kill(gateway.process.pid, signal.SIGKILL)
    gateway.process.wait()
    peer.reporting = Reporting.ANOTHER
    again = lone(tmp_path / "gateway", documents)
    peer.gateway_port = again.port
    again.wait_for(owed=0, deliveredTotal=2)
    assert len(peer.stored) == 2, "what was sent is asked for, and not sent again"
    assert len({one.transaction_uid for one in peer.asked}) == len(peer.asked), "a transaction is never used twice"


def test_what_the_pacs_does_not_commit_to_is_sent_again_and_at_last_dead_lettered(
    tmp_path: Path, lone: Lone, committing: Callable[..., CommittingPACS]
) -> None:
    peer = committing()
    gateway = lone(tmp_path / "gateway", confirmed_by_commitment(peer.port))
    peer.gateway_port = gateway.port
    files = small(tmp_path / "corpus", 3)
    never, once, good = map(uid_of, files)
    peer.failing = lambda uid, transaction: 0x0110 if uid == never or (uid == once and transaction == 1) else 0
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=2, deadLettered=1)
    assert (peer.stored.count(good), peer.stored.count(once), peer.stored.count(never)) == (1, 2, 2)
    (item,) = gateway.get("/api/v1/queue?state=DeadLettered")["items"]
    assert (item["sopInstanceUID"], item["reason"], item["status"]) == (never, "NotCommitted", 0x0110)


def test_a_pacs_that_refuses_the_request_is_asked_again_and_nothing_is_lost(
    tmp_path: Path, lone: Lone, committing: Callable[..., CommittingPACS]
) -> None:
    peer = committing()
    peer.action_status = 0x0213
    gateway = lone(tmp_path / "gateway", confirmed_by_commitment(peer.port))
    peer.gateway_port = gateway.port
    assert dcmsend(gateway.port, small(tmp_path / "corpus", 1)) == 0
    wait_until(lambda: (deliveries(gateway)["lastError"] or {}).get("reason") == "CommitmentRefused", "it is shown")
    assert deliveries(gateway)["lastError"]["status"] == 0x0213
    gateway.wait_for(owed=1, deadLettered=0)
    peer.action_status = 0
    gateway.wait_for(owed=0, deliveredTotal=1)
    assert len(peer.stored) == 1


def test_a_real_archive_commits(tmp_path: Path, lone: Lone, any_orthanc: Callable[..., Orthanc]) -> None:
    port = free_port()
    gateway = lone(tmp_path / "gateway", confirmed_by_commitment(port, "ORTHANC"))
    orthanc = any_orthanc(
        dicom_port=port, further={"DicomModalities": {"gateway": ["CTGATE", "127.0.0.1", gateway.port]}}
    )
    files = make_corpus(tmp_path / "corpus", 2)
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=len(files), deadLettered=0)
    assert orthanc.count() == len(files)


def test_an_archive_confirms_by_a_search(tmp_path: Path, lone: Lone, any_orthanc: Callable[..., Orthanc]) -> None:
    orthanc = any_orthanc()
    confirm = {"by": "Query", "withinSeconds": 600}
    route = local_route(destinations=[{**references("archive")[0], "confirm": confirm}])
    gateway = lone(tmp_path / "gateway", [local_node(), to(orthanc.url), route], log_level="debug")
    files = make_corpus(tmp_path / "corpus", 3)
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=len(files), deadLettered=0)
    gateway.process.wait_until(
        lambda: sum(one["confirmed"] for one in gateway.events("delivery.confirmed")) == len(files),
        "the log does not say that all of them are confirmed",
    )
