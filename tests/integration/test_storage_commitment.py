"""Storage commitment as SCP: nothing is promised before its destinations have it, and what is promised is told."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from committing import PUSH_MODEL
from corpus import make_corpus, uid_of
from gateways import LoneGateway
from killed_committing import STEPS
from manifests import Json, changed, node
from orthanc import Orthanc
from ports import free_port
from processes import wait_until
from pydicom.uid import generate_uid
from routes import PACS, pacs, to_pacs
from running import dcmsend
from scanner import CT, Scanner
from storescp import StoreSCP

from dicomroute_gateway.commitment.transactions import Transaction, Transactions
from dicomroute_gateway.dimse.storage_commitment import CommitmentRequest, Reference
from dicomroute_gateway.measures import CommitmentMeasures
from dicomroute_gateway.spool.spool import Spool

Lone = Callable[..., LoneGateway]
COMMITTED, FAILED = 1, 2


@pytest.fixture
def scanner() -> Iterator[Callable[..., Scanner]]:
    started: list[Scanner] = []

    def start(*arguments: Any, **options: Any) -> Scanner:
        started.append(Scanner(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


class Site:
    """A gateway that commits to what its PACS has, and the port of the scanner that is reported to."""

    def __init__(self, folder: Path, lone: Lone, **commitment: Any) -> None:
        self.folder = folder
        self.pacs_port, self.scanner_port = free_port(), free_port()
        self.commitment: Json = {"listeners": ["dicom"], "reportForSeconds": 600, **commitment}
        self._lone = lone
        self.gateway = self.start()

    def documents(self, **spec: Any) -> list[Json]:
        ct = node(aeTitle="CT1", allowedSources=["127.0.0.0/8"], host="127.0.0.1", port=self.scanner_port)
        route = to_pacs(storageCommitment=self.commitment, **spec)
        return [ct, pacs(self.pacs_port), route]

    def start(self) -> LoneGateway:
        self.gateway = self._lone(self.folder, self.documents(), log_level="info")
        return self.gateway

    def restart(self) -> LoneGateway:
        """Kill it at once and start it again."""
        os.kill(self.gateway.process.pid, signal.SIGKILL)
        self.gateway.process.wait()
        return self.start()

    def storescp(self) -> StoreSCP:
        return StoreSCP(self.folder.parent / "pacs", "+B", "+xa", "--fork", port=self.pacs_port)


def small(folder: Path, count: int) -> list[Path]:
    return make_corpus(folder, count, ("CT_small.dcm",))


def test_nothing_is_promised_before_the_pacs_has_it_and_then_on_a_new_association(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone)
    ct = scanner(site.gateway.port, port=site.scanner_port)
    files = small(tmp_path / "corpus", 3)
    uids = [uid_of(file) for file in files]
    assert dcmsend(site.gateway.port, files) == 0
    status, transaction = ct.ask([*uids, "1.2.3.4"])
    assert status == 0
    wait_until(lambda: site.gateway.status()["destinations"][0]["lastError"] is not None, "the PACS is down")
    assert ct.reports == []
    with site.storescp():
        site.gateway.wait_for(owed=0, deliveredTotal=3)
        wait_until(lambda: ct.report_on(transaction) is not None, site.gateway.process.tail, 30)
    report = ct.report_on(transaction)
    assert report is not None
    assert report.reasons == {**dict.fromkeys(uids, 0), "1.2.3.4": 0x0112}
    assert (report.event_type, report.on_own, report.caller) == (FAILED, False, "CTGATE")
    assert report.roles == {PUSH_MODEL: (False, True)}
    wait_until(lambda: not list((site.folder / "spool" / "commitments").glob("*.json")), "the transaction is over")
    assert len(ct.reports) == 1


def test_what_is_there_is_reported_on_the_same_association_while_that_is_idle(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone)
    ct = scanner(site.gateway.port, port=site.scanner_port)
    files = small(tmp_path / "corpus", 2)
    uids = [uid_of(file) for file in files]
    with site.storescp():
        assert dcmsend(site.gateway.port, files) == 0
        site.gateway.wait_for(owed=0, deliveredTotal=2)
    status, transaction = ct.ask(uids, stays=20)
    report = ct.report_on(transaction)
    assert report is not None
    assert (status, report.event_type, report.on_own) == (0, COMMITTED, True)
    assert report.reasons == dict.fromkeys(uids, 0)
    # Another class than was stored, and one that is stored nowhere.
    _, transaction = ct.ask(uids, stays=20, sop_class="1.2.840.10008.5.1.4.1.1.4")
    report = ct.report_on(transaction)
    assert report is not None
    assert set(report.reasons.values()) == {0x0119}
    _, transaction = ct.ask(uids, stays=20, sop_class="1.2.840.10008.5.1.4.31")
    report = ct.report_on(transaction)
    assert report is not None
    assert set(report.reasons.values()) == {0x0122}


def test_an_association_on_which_something_else_follows_gets_no_report_and_another_does(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone, sameAssociationSeconds=60)
    ct = scanner(site.gateway.port, port=site.scanner_port)
    own = ct.associate("1.2.840.10008.1.1")
    status, transaction = ct.ask(["1.2.3"], association=own)
    own.send_c_echo()
    own.release()
    wait_until(lambda: ct.report_on(transaction) is not None, site.gateway.process.tail)
    report = ct.report_on(transaction)
    assert report is not None
    assert (status, report.reasons) == (0, {"1.2.3": 0x0112})


def test_a_report_that_nobody_takes_is_tried_again_over_restarts_and_is_the_same(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone, sameAssociationSeconds=0)
    asking = scanner(site.gateway.port)  # listens on another port than the manifest says
    files = small(tmp_path / "corpus", 2)
    uids = [uid_of(file) for file in files]
    with site.storescp():
        assert dcmsend(site.gateway.port, files) == 0
        site.gateway.wait_for(owed=0, deliveredTotal=2)
    status, transaction = asking.ask([*uids, "1.2.3.4"])
    assert status == 0
    (file,) = (site.folder / "spool" / "commitments").glob("*.json")
    site.gateway.wait_for_events("commitment.report_failed")
    kept = json.loads(file.read_text())["report"]
    site.restart()
    ct = scanner(site.gateway.port, port=site.scanner_port)
    ct.answer = lambda number: 0x0110 if number == 1 else 0
    wait_until(lambda: len(ct.reports) >= 2, site.gateway.process.tail, 60)
    assert [one.transaction_uid for one in ct.reports] == [transaction] * 2
    assert ct.reports[0].reasons == ct.reports[1].reasons == {**dict.fromkeys(uids, 0), "1.2.3.4": 0x0112}
    assert [one[1] for one in kept["committed"]] == uids
    wait_until(lambda: not file.exists(), "the transaction is over")


def test_a_report_that_nobody_takes_in_time_is_given_up_and_counted(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone, sameAssociationSeconds=0)
    assert 'dicomroute_commitment_reports_total{outcome="GivenUp"} 0.0' in site.gateway.metrics(), (
        "an alert counts on it"
    )
    file, before = site.folder / "configuration.json", site.gateway.status()["configuration"]["hash"]
    document = json.loads(file.read_text())
    document["storageCommitment"]["reportForSeconds"] = 1  # less than a manifest may say
    file.write_text(json.dumps(document))
    wait_until(lambda: site.gateway.status()["configuration"]["hash"] != before, "it is not reloaded")
    asking = scanner(site.gateway.port)  # listens on another port than the manifest says
    status, _ = asking.ask(["1.2.3.4"])
    assert status == 0
    (given_up,) = site.gateway.wait_for_events("commitment.not_reported")
    assert (given_up["calling_ae_title"], given_up["attempts"]) == ("CT1", 1)
    wait_until(lambda: not list((site.folder / "spool" / "commitments").glob("*.json")), "the transaction is over")
    assert 'dicomroute_commitment_reports_total{outcome="GivenUp"} 1.0' in site.gateway.metrics()
    assert asking.reports == []


def test_once_the_request_is_answered_it_is_reported_on_whenever_the_gateway_is_killed(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone, sameAssociationSeconds=0)
    ct = scanner(site.gateway.port, port=site.scanner_port)
    files = small(tmp_path / "corpus", 2)
    uids = [uid_of(file) for file in files]
    assert dcmsend(site.gateway.port, files) == 0
    status, transaction = ct.ask(uids)
    assert status == 0
    site.restart()
    assert ct.reports == []
    with site.storescp():
        site.gateway.wait_for(owed=0, deliveredTotal=2)
        wait_until(lambda: ct.report_on(transaction) is not None, site.gateway.process.tail, 30)
    report = ct.report_on(transaction)
    assert report is not None
    assert (report.event_type, report.reasons) == (COMMITTED, dict.fromkeys(uids, 0))


@pytest.mark.parametrize("step", STEPS)
def test_a_gateway_killed_at_a_step_of_a_transaction_keeps_its_word(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner], step: str
) -> None:
    site = Site(tmp_path / "gateway", lone, sameAssociationSeconds=0)
    files = small(tmp_path / "corpus", 2)
    uids = [uid_of(file) for file in files]
    with site.storescp():
        assert dcmsend(site.gateway.port, files) == 0
        site.gateway.wait_for(owed=0, deliveredTotal=2)
    site.gateway.stop()
    program = [str(Path(__file__).parents[1] / "support" / "killed_committing.py")]
    dying = lone(site.folder, site.documents(), program=program, env={"DICOMROUTE_KILLED_AT": step})
    ct = scanner(dying.port, port=site.scanner_port)
    transaction = generate_uid()
    status = ct.try_to_ask([*uids, "1.2.3.4"], transaction)
    dying.process.wait()
    promised = {**dict.fromkeys(uids, 0), "1.2.3.4": 0x0112}
    site.start()
    if status == 0 and step != "after the removal":
        wait_until(lambda: ct.report_on(transaction) is not None, site.gateway.process.tail, 30)
    assert status is None or "first" not in step, "nothing is answered before it is on the volume"
    wait_until(lambda: not list((site.folder / "spool" / "commitments").glob("*.json")), "it is over", 30)
    if status == 0:
        assert ct.reports
    assert all(one.reasons == promised for one in ct.reports), "a report that is sent again says the same"


def test_an_open_transaction_goes_on_and_is_not_asked_for_something_else(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone)
    ct = scanner(site.gateway.port, port=site.scanner_port)
    files = small(tmp_path / "corpus", 2)
    uids = [uid_of(file) for file in files]
    assert dcmsend(site.gateway.port, files) == 0
    status, transaction = ct.ask(uids)
    again, _ = ct.ask(uids[::-1], transaction_uid=transaction)
    other, _ = ct.ask(uids[:1], transaction_uid=transaction)
    empty, _ = ct.ask([])
    assert (status, again, other, empty) == (0, 0, 0x0115, 0x0115)
    too_many, _ = ct.ask([f"1.2.{number}" for number in range(10_001)])
    assert too_many == 0x0213
    most, large = ct.ask([f"1.2.{number}" for number in range(10_000)])
    assert most == 0
    wait_until(lambda: ct.report_on(large) is not None, site.gateway.process.tail, 60)
    report = ct.report_on(large)
    assert report is not None
    assert (len(report.reasons), set(report.reasons.values())) == (10_000, {0x0112})
    assert ct.report_on(transaction) is None


def test_a_hundred_thousand_references_that_are_open_keep_nobody_from_storing(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone, sameAssociationSeconds=0)
    site.gateway.stop()
    spool = Spool(site.folder / "spool", 1 << 30, 90)
    transactions = Transactions(spool, CommitmentMeasures())
    transactions.load()
    for number in range(10):
        references = tuple(Reference(CT, f"1.2.{number}.{one}") for one in range(10_000))
        request = CommitmentRequest(f"2.25.{number}", references)
        transactions.begin(Transaction(request, "CT1", "CTGATE", "dicom", time.time()), claim_seconds=0)
    spool.close()
    site.start()
    began = time.monotonic()
    assert dcmsend(site.gateway.port, small(tmp_path / "corpus", 1)) == 0
    assert time.monotonic() - began < 3
    ct = scanner(site.gateway.port, port=site.scanner_port)
    wait_until(lambda: len({one.transaction_uid for one in ct.reports}) == 10, site.gateway.process.tail, 120)
    assert all(len(one.reasons) == 10_000 for one in ct.reports)


def cpu_seconds(pid: int) -> float:
    """Return what a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_what_waits_for_a_pacs_costs_next_to_nothing_and_is_reported_once_that_is_back(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    """The most that may be open, 200 000 references, of which one in 10 000 waits."""
    site = Site(tmp_path / "gateway", lone, sameAssociationSeconds=0)
    files = small(tmp_path / "corpus", 2)
    assert dcmsend(site.gateway.port, files) == 0
    site.gateway.stop()
    first, last = (Reference(CT, uid_of(file)) for file in files)
    spool = Spool(site.folder / "spool", 1 << 30, 90)
    transactions = Transactions(spool, CommitmentMeasures())
    transactions.load()
    for number in range(20):
        references = (last, *(Reference(CT, f"1.2.{number}.{one}") for one in range(9_998)), first)
        request = CommitmentRequest(f"2.25.{number}", references)
        transactions.begin(Transaction(request, "CT1", "CTGATE", "dicom", time.time()), claim_seconds=0)
    spool.close()
    site.start()
    wait_until(lambda: "dicomroute_commitments_open 20.0" in site.gateway.metrics(), "they are not open")
    time.sleep(5)  # it looks at each once
    before = cpu_seconds(site.gateway.process.pid)
    time.sleep(10)
    assert cpu_seconds(site.gateway.process.pid) - before < 0.8
    ct = scanner(site.gateway.port, port=site.scanner_port)
    with site.storescp():
        wait_until(lambda: len({one.transaction_uid for one in ct.reports}) == 20, site.gateway.process.tail, 120)
    promised = {uid for one in ct.reports for uid, reason in one.reasons.items() if reason == 0}
    assert promised == set(map(uid_of, files))
    assert {reason for one in ct.reports for reason in one.reasons.values()} == {0, 0x0112}


def test_after_the_wait_what_is_not_there_is_not_promised(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone, waitSeconds=3)
    ct = scanner(site.gateway.port, port=site.scanner_port)
    files = small(tmp_path / "corpus", 1)
    assert dcmsend(site.gateway.port, files) == 0
    _, transaction = ct.ask([uid_of(files[0])])
    wait_until(lambda: ct.report_on(transaction) is not None, site.gateway.process.tail, 30)
    report = ct.report_on(transaction)
    assert report is not None
    assert report.reasons == {uid_of(files[0]): 0x0110}
    site.gateway.wait_for(owed=1)


def test_what_was_delivered_in_another_form_is_never_promised(
    tmp_path: Path, lone: Lone, scanner: Callable[..., Scanner]
) -> None:
    site = Site(tmp_path / "gateway", lone)
    ct = scanner(site.gateway.port, port=site.scanner_port)
    transform = [{"set": {"attribute": "PatientComments", "value": "'changed'"}}]
    rules = [{"name": "everything", "destinations": [PACS], "transform": transform}]
    site.gateway.reconfigure([*site.documents()[:2], changed(site.documents()[2], "spec.rules", rules)])
    files = small(tmp_path / "corpus", 1)
    with site.storescp():
        assert dcmsend(site.gateway.port, files) == 0
        site.gateway.wait_for(owed=0, deliveredTotal=1)
    _, transaction = ct.ask([uid_of(files[0])], stays=20)
    report = ct.report_on(transaction)
    assert report is not None
    assert report.reasons == {uid_of(files[0]): 0x0110}


def test_a_real_archive_asks_and_is_told(tmp_path: Path, lone: Lone, any_orthanc: Callable[..., Orthanc]) -> None:
    port = free_port()
    site = Site(tmp_path / "gateway", lone)
    documents = site.documents()
    asking = node(aeTitle="ORTHANC", allowedSources=["127.0.0.0/8"], host="127.0.0.1", port=port)
    site.gateway.reconfigure([asking, *documents[1:]])
    modality = {"AET": "CTGATE", "Host": "127.0.0.1", "Port": site.gateway.port, "AllowStorageCommitment": True}
    orthanc = any_orthanc(dicom_port=port, further={"DicomModalities": {"gateway": modality}})
    files = small(tmp_path / "corpus", 2)
    ids = [orthanc.post("/instances", file.read_bytes())["ID"] for file in files]
    orthanc.post("/modalities/gateway/store", json.dumps(ids).encode())
    asked = {"DicomInstances": [[CT, uid_of(file)] for file in files], "Timeout": 10}
    transaction = orthanc.post("/modalities/gateway/storage-commitment", json.dumps(asked).encode())["ID"]
    with site.storescp():
        wait_until(lambda: orthanc._get(f"/storage-commitment/{transaction}")["Status"] != "Pending", "no report", 60)
    found = orthanc._get(f"/storage-commitment/{transaction}")
    assert (found["Status"], len(found["Success"]), found["Failures"]) == ("Success", 2, [])
