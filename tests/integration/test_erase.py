"""`dicomroute erase`: a study or a patient goes from the spool, quarantine and derived files, and is counted."""

import base64
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from gateways import LoneGateway
from manifests import Json, profile
from origin_server import OriginServer, Reply
from routes import local_node, local_route, references, targets
from running import dcmsend
from treated_ct import KEY, ct

from dicomroute_gateway.spool.part10 import file_head

CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
DICOMROUTE = Path(sys.executable).parent / "dicomroute"


def erase(gateway: LoneGateway, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [
        DICOMROUTE,
        "erase",
        "--admin",
        f"http://{gateway.admin}",
        "--token-file",
        gateway.token_file,
        *arguments,
    ]
    return subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, timeout=60)


def test_a_study_and_a_patient_are_erased_and_counted(
    tmp_path: Path, lone: Callable[..., LoneGateway], server: OriginServer
) -> None:
    server.always = lambda *_: Reply(503)
    rules: list[Json] = [
        {"name": "research", "destinations": references("archive"), "deidentify": {"name": "research"}},
    ]
    secret: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "research"},
        "stringData": {"key": base64.b64encode(KEY).decode()},
    }
    served = targets(archive=server.url)
    gateway = lone(tmp_path / "gateway", [local_node(), secret, profile(), *served, local_route(rules=rules)])
    files = []
    for number, study, patient in ((11, b"4", b"ONE"), (12, b"4", b"ONE"), (13, b"5", b"TWO"), (14, b"6", b"TWO2")):
        file = tmp_path / f"{number}.dcm"
        shown = ct(number, (0x00280301, "CS", b"YES")) if number == 12 else ct(number)
        data = shown.replace(b"1.2.3.4\0", b"1.2.3." + study + b"\0").replace(b"PID1234 ", patient.ljust(8))
        file.write_bytes(file_head(CT_IMAGE_STORAGE, f"1.2.3.{number}", EXPLICIT_VR_LITTLE_ENDIAN) + data)
        files.append(file)
    assert dcmsend(gateway.port, files) == 0
    spool = tmp_path / "gateway" / "spool"

    def present(folder: str) -> set[int]:
        return {int(one.name[:12]) for one in (spool / folder).glob("*.dcm")} if (spool / folder).exists() else set()

    gateway.process.wait_until(lambda: len(present("derived")) == 3, "nothing was prepared")
    numbers = {one["sopInstanceUID"]: one["instance"] for one in gateway.get("/api/v1/queue")["items"]}
    assert erase(gateway).returncode == 2
    done = erase(gateway, "--study", "1.2.3.4", "-o", "json")
    assert done.returncode == 0, done.stderr
    left = {numbers["1.2.3.13"], numbers["1.2.3.14"]}
    gateway.process.wait_until(lambda: present("derived") == left, "derived files are left")
    assert erase(gateway, "--patient", "TWO").returncode == 0
    gateway.process.wait_until(lambda: present("derived") == {numbers["1.2.3.14"]}, "the patient is left")
    gateway.wait_for(owed=1, skippedTotal=3)
    files_left = {int(one.name[:12]) for one in (spool / "instances").rglob("*.dcm") if one.stat().st_size}
    assert numbers["1.2.3.14"] in files_left
    said = [one for one in gateway.log() if one.get("event") == "audit"]
    assert [(one["action"], one["keys"], one["count"]) for one in said] == [
        ("Erase", ["StudyInstanceUID"], 2),
        ("Erase", ["PatientID"], 1),
    ]
    assert "1.2.3.4" not in str(said)
    assert "TWO" not in str(said)
