"""The examples run as they stand, with the commands of their readers."""

import shutil
import subprocess
from pathlib import Path

import pydicom
from committing import CommittingPACS
from corpus import FILES, uid_of
from orthanc import PASSWORD, Orthanc
from processes import Process
from running import DICOMROUTE, cli, storescu
from scanner import Scanner
from storescp import StoreSCP


def test_every_example_is_valid(root: Path) -> None:
    folders = sorted(path.parent for path in root.glob("examples/*/route.yaml"))
    assert folders
    for folder in folders:
        result = cli("validate", "-f", folder)
        assert result.returncode == 0, result.stdout


def test_the_main_job_without_a_cluster(root: Path) -> None:
    command = [DICOMROUTE.with_name("python"), "tools/try.py"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PACS      5 images, patient IDs 4711" in done.stdout
    assert "RESEARCH  4 images, patient IDs STUDY-7-4711" in done.stdout
    assert "PatientID: '4711' -> 'STUDY-7-4711'" in done.stdout
    assert "5 Delivered" in done.stdout


def test_the_local_example_takes_a_study_from_storescu_to_orthanc(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "examples" / "local" / "orthanc", tmp_path / "orthanc")
    archive = Process(["Orthanc", "orthanc.json"], tmp_path / "orthanc.log", cwd=tmp_path / "orthanc")
    gateway = Process(
        [DICOMROUTE, "run", "-f", "examples/local", "--state", tmp_path / "state"], tmp_path / "run.log", cwd=root
    )
    view = Orthanc.__new__(Orthanc)
    view.port, view._password = 8042, PASSWORD
    try:
        archive.wait_until(view._answers, "Orthanc does not answer")
        gateway.wait_until(lambda: '"event": "ready"' in gateway.tail(), "the route is not ready")
        command = [
            "storescu",
            "-aec",
            "DICOMROUTE",
            "127.0.0.1",
            "11112",
            FILES / "CT_small.dcm",
            FILES / "MR_small.dcm",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        archive.wait_until(lambda: view.count() == 2, "the study is not there")
    finally:
        assert gateway.stop() == 0
        archive.stop()


def test_the_example_of_a_pacs_and_a_cloud_brings_a_study_to_both(root: Path, tmp_path: Path) -> None:
    example = root / "examples" / "pacs-and-cloud"
    pacs = StoreSCP(tmp_path / "pacs", "-aet", "PACS", port=11104)
    cloud = Orthanc(tmp_path / "cloud", port=8043)
    gateway = Process([DICOMROUTE, "run", "-f", example, "--state", tmp_path / "state"], tmp_path / "run.log", cwd=root)
    files = [FILES / "CT_small.dcm", FILES / "MR_small.dcm"]
    try:
        gateway.wait_until(lambda: '"event": "ready"' in gateway.tail(), "the route is not ready")
        assert storescu(11113, files) == 0
        gateway.wait_until(lambda: cloud.count() == 2, "the study is not in the cloud")
        gateway.wait_until(lambda: pacs.data_sets().keys() == set(map(uid_of, files)), "the study is not in the PACS")
    finally:
        assert gateway.stop() == 0
        cloud.stop()
        pacs.stop()


def test_the_example_of_storage_commitment_is_promised_once_the_pacs_has_promised(root: Path, tmp_path: Path) -> None:
    example = root / "examples" / "storage-commitment"
    pacs = CommittingPACS(port=11125)
    pacs.gateway_port = 11123
    gateway = Process([DICOMROUTE, "run", "-f", example, "--state", tmp_path / "state"], tmp_path / "run.log", cwd=root)
    ct = Scanner(11123, port=11124)
    files = [FILES / "CT_small.dcm"]
    try:
        gateway.wait_until(lambda: '"event": "ready"' in gateway.tail(), "the route is not ready")
        assert storescu(11123, files) == 0
        status, transaction = ct.ask([uid_of(files[0])])
        gateway.wait_until(lambda: ct.report_on(transaction) is not None, "no report", 60)
        report = ct.report_on(transaction)
        assert report is not None
        assert (status, report.reasons) == (0, {uid_of(files[0]): 0})
        assert len(pacs.asked) == 1, "and not before"
    finally:
        assert gateway.stop() == 0
        ct.close()
        pacs.close()


def test_the_example_of_queries_finds_a_study_before_and_after_it_is_in_the_cloud(root: Path, tmp_path: Path) -> None:
    """A workstation that speaks DIMSE alone finds it in the spool, then in the cloud, and moves it to itself."""
    example = root / "examples" / "query-retrieve"
    workstation = StoreSCP(tmp_path / "workstation", "-aet", "WORKSTATION", port=11105)
    cloud = Orthanc(tmp_path / "cloud", port=8044)
    cloud.stop()
    gateway = Process([DICOMROUTE, "run", "-f", example, "--state", tmp_path / "state"], tmp_path / "run.log", cwd=root)
    study = str(pydicom.dcmread(FILES / "CT_small.dcm").StudyInstanceUID)
    asks = ["-S", "-aet", "WORKSTATION", "-aec", "ARCHIVE", "-k", "QueryRetrieveLevel=STUDY"]

    def found() -> str:
        command = ["findscu", "-v", *asks, "-k", "StudyInstanceUID", "-k", "PatientName=compressed*"]
        said = subprocess.run([*command, "127.0.0.1", "11115"], capture_output=True, text=True, check=False, timeout=60)
        return said.stdout + said.stderr

    try:
        gateway.wait_until(lambda: '"event": "ready"' in gateway.tail(), "the route is not ready")
        assert storescu(11114, [FILES / "CT_small.dcm"]) == 0
        said = found()
        assert study in said, "the spool has it"
        assert "Success" not in said, "the cloud was asked and is not there: that is not all"
        cloud.start()
        gateway.wait_until(lambda: cloud.count() == 1, "the study is not in the cloud")
        gateway.wait_until(lambda: "(Success)" in found() and study in found(), "it is not found in the cloud")
        move = ["movescu", *asks, "-aem", "WORKSTATION", "-k", f"StudyInstanceUID={study}", "127.0.0.1", "11115"]
        subprocess.run(move, check=True, capture_output=True, timeout=60)
        assert workstation.data_sets().keys() == {uid_of(FILES / "CT_small.dcm")}
    finally:
        assert gateway.stop() == 0
        cloud.stop()
        workstation.stop()
