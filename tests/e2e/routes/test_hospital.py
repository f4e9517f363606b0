"""A workstation gets a prior from the cloud to the PACS through the gateway; the internet goes and comes back."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus import data_set_bytes
from manifests import Json, changed, node
from modality import MODALITIES_NETWORK, send
from orthanc import Orthanc
from ports import free_port
from storescp import StoreSCP
from studies import instance, instance_uid, study_uid

from cluster import NODE_ADDRESS, Namespace

PRIOR, NEW = 1, 2
ON_THE_LISTENER = {"listeners": ["query"], "archives": [{"kind": "CloudTarget", "name": "archive"}]}


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StoreSCP]:
    # Without names: nobody on the node's network answers questions for them, and storescp asks before it accepts.
    one = StoreSCP(tmp_path / "pacs", "+B", "+xa", "--fork", "--disable-host-lookup", port=free_port())
    yield one
    one.stop()


class Workstation:
    """Asks the route's second listener from the modalities' network, with the command line."""

    def __init__(self, namespace: Namespace) -> None:
        namespace.wait(lambda: len(namespace.route()["status"].get("endpoints", [])) == 2, "there are no two endpoints")
        (found,) = (one for one in namespace.route()["status"]["endpoints"] if one["listener"] == "query")
        self._address = f"{found['address']}:{found['port']}"

    def ask(self, verb: str, *words: str) -> tuple[int, Any, str]:
        """Run `dicomroute find` or `move`; return its exit code, what it found, and what it complained of."""
        command = ["nsenter", f"--net={MODALITIES_NETWORK}", str(Path(sys.executable).with_name("dicomroute")), verb]
        titles = ["--called", "ARCHIVE", "--calling", "WS1", "-o", "json"]
        done = subprocess.run(
            [*command, self._address, *titles, *words], check=False, capture_output=True, text=True, timeout=120
        )
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr

    def studies(self) -> list[str]:
        """Return what a query finds that ends with success."""
        code, found, said = self.ask("find", "-k", "PatientName=Prior*")
        assert code == 0, said
        return sorted(one["StudyInstanceUID"] for one in found)

    def move(self, study: int) -> tuple[int, Any, str]:
        return self.ask("move", "--to", "PACS", "-k", f"StudyInstanceUID={study_uid(study)}")


def study(folder: Path, number: int) -> list[Path]:
    """Write a study of a patient."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"{number}-{index}.dcm" for index in (1, 2, 3)]
    for index, file in enumerate(files, 1):
        file.write_bytes(instance(number, number=index, PatientName="Prior^Anna", PatientID="4711"))
    return files


def test_a_prior_comes_from_the_cloud_to_the_pacs_and_the_internet_goes_and_comes_back(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    pacs: StoreSCP,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    prior, new = study(tmp_path / "prior", PRIOR), study(tmp_path / "new", NEW)
    for file in prior:
        archive.post("/instances", file.read_bytes())
    store = node(aeTitle="PACS", host=NODE_ADDRESS, port=pacs.port, connectionTestSeconds=0)
    workstation = node(aeTitle="WS1", allowedSources=["192.0.2.128/25"])
    dicom = {"name": "dicom", "port": 11112, "aeTitles": ["CTGATE"], "sources": {"nodes": [{"name": "ct-1"}]}}
    query = {"name": "query", "port": 11113, "aeTitles": ["ARCHIVE"], "sources": {"nodes": [{"name": "workstation"}]}}
    asked = {
        **ON_THE_LISTENER,
        "clients": {"nodes": [{"name": "workstation"}]},
        "moveDestinations": {"nodes": [{"name": "pacs"}]},
        "archiveTimeoutSeconds": 5,
    }
    namespace.apply(
        ct,
        changed(store, "metadata.name", "pacs"),
        changed(workstation, "metadata.name", "workstation"),
        changed(archive_target, "spec.provider", "Orthanc"),
        small_route(listeners=[dicom, query], queryRetrieve=asked),
    )
    namespace.wait_ready()
    one = Workstation(namespace)
    namespace.wait(lambda: one.ask("find")[0] == 0, "the workstation is not served")
    assert one.studies() == [study_uid(PRIOR)]
    code, moved, said = one.move(PRIOR)
    assert (code, moved["completed"]) == (0, len(prior)), said
    assert pacs.data_sets() == {
        instance_uid(PRIOR, 1, index): data_set_bytes(file.read_bytes()) for index, file in enumerate(prior, 1)
    }

    archive.stop()  # the internet is down: what is scanned now is kept, found and moved, and says so of the archive
    assert [answer.get("status") for answer in send(namespace.endpoint(), new)] == [0] * len(new)
    code, _, said = one.ask("find", "-k", "PatientName=Prior*")
    assert code == 1
    assert "C000" in said
    namespace.wait_condition("ArchiveUnreachable", "True", "ArchiveFailing")
    code, _, said = one.move(PRIOR)
    assert code == 1
    assert "A701" in said
    one.move(NEW)  # ends with A701 too, as the archive may have more of the study; what is here goes out
    assert {instance_uid(NEW, 1, index) for index in (1, 2, 3)} <= pacs.data_sets().keys()
    assert namespace.condition("Ready")["status"] == "True"
    namespace.wait_instances(owed=len(new))

    archive.start()
    namespace.wait_instances(owed=0, deliveredTotal=len(new), deadLettered=0)
    namespace.wait(lambda: one.ask("find")[0] == 0, "the archive is not asked again")
    assert one.studies() == sorted(map(study_uid, (PRIOR, NEW)))
    namespace.wait(lambda: not namespace.condition("ArchiveUnreachable"), "the condition stays")
    assert archive.count() == len(prior) + len(new)
