"""The examples run as they stand, with the commands of their readers."""

import shutil
import subprocess
from pathlib import Path

from corpus import FILES
from orthanc import PASSWORD, Orthanc
from processes import Process
from running import DICOMROUTE, cli


def test_every_example_is_valid(root: Path) -> None:
    folders = sorted(path.parent for path in root.glob("examples/*/route.yaml"))
    assert folders
    for folder in folders:
        result = cli("validate", "-f", folder)
        assert result.returncode == 0, result.stdout


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
