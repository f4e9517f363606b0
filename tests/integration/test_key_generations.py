"""A Secret with a new key: known patients stay who they are, on every gateway and after a restart; others are new."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from as_they_are import send
from gateways import LoneGateway
from manifests import Json, changed, profile
from planted.encoding import EXPLICIT
from pydicom.dataset import Dataset
from routes import local_node, local_route, pacs
from storescp import StoreSCP
from treated_ct import KEY, ct

from dicomroute_gateway.prepare.deidentify.pseudonyms import Pseudonyms
from dicomroute_gateway.spool.part10 import file_head

NEW = bytes(range(100, 132))
Lone = Callable[..., LoneGateway]


@pytest.fixture
def research(tmp_path: Path) -> Iterator[StoreSCP]:
    one = StoreSCP(tmp_path / "research", "+B", "+xa", "--fork")
    yield one
    one.stop()


def manifests(research: StoreSCP, *keys: bytes, known: str | None = None) -> list[Json]:
    node = changed(pacs(research.port), "metadata.name", "research")
    rule = {
        "name": "research",
        "destinations": [{"kind": "DicomNode", "name": "research"}],
        "deidentify": {"name": "research"},
    }
    lines = "\n".join(base64.b64encode(key).decode() for key in keys)
    documents: list[Json] = [
        local_node(),
        node,
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "research"}, "stringData": {"key": lines}},
    ]
    patient_id: Json = {"prefix": "S-"}
    if known is not None:
        metadata = {"name": "research-patients"}
        documents.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"known": known}})
        patient_id["knownRef"] = {"name": "research-patients", "key": "known"}
    return [*documents, profile(patientID=patient_id), local_route(rules=[rule])]


def instance(folder: Path, number: int, patient: bytes = b"PID1234 ") -> Path:
    file = folder / f"{number}.dcm"
    content = file_head("1.2.840.10008.5.1.4.1.1.2", f"1.2.3.{number}", EXPLICIT)
    file.write_bytes(content + ct(number).replace(b"PID1234 ", patient))
    return file


def arrived(research: StoreSCP, key: bytes, number: int) -> bytes:
    return research.data_sets()[Pseudonyms(key).uid(f"1.2.3.{number}")]


def test_known_patients_stay_the_same_after_a_rotation_on_two_gateways_and_after_a_restart(
    tmp_path: Path, lone: Lone, research: StoreSCP
) -> None:
    gateway = lone(tmp_path / "one", manifests(research, KEY))
    first, second = instance(tmp_path, 1), instance(tmp_path, 2)
    send(gateway.port, [first])
    gateway.wait_for(owed=0, deliveredTotal=1)
    before = arrived(research, KEY, 1)
    known = Pseudonyms(KEY).patient_id(b"", b"PID1234", "S-")
    rotated = manifests(research, NEW, KEY, known=f"{known}\n")
    gateway.reconfigure(rotated)
    send(gateway.port, [second, instance(tmp_path, 3, b"PID9999 ")])
    gateway.wait_for(owed=0, deliveredTotal=3)
    same, new = data_set(arrived(research, KEY, 2)), data_set(arrived(research, NEW, 3))
    assert same.PatientID == known
    assert same.StudyInstanceUID == Pseudonyms(KEY).uid("1.2.3.4")
    assert new.PatientID == Pseudonyms(NEW).patient_id(b"", b"PID9999", "S-")
    assert new.StudyInstanceUID == Pseudonyms(NEW).uid("1.2.3.4")

    gateway.stop()
    again = lone(tmp_path / "one", rotated)
    other = lone(tmp_path / "two", rotated)
    for one in (again, other):
        for file in research.folder.iterdir():
            file.unlink()
        send(one.port, [first])
        one.process.wait_until(lambda: len(research.data_sets()) == 1, "it has not arrived")
        one.wait_for(owed=0)
        assert arrived(research, KEY, 1) == before


def data_set(content: bytes) -> Dataset:
    return pydicom.filereader.read_dataset(io.BytesIO(content), False, True, bytelength=len(content))


def test_a_list_of_who_is_known_that_is_missing_makes_no_one_new(
    tmp_path: Path, lone: Lone, research: StoreSCP
) -> None:
    rotated = manifests(research, NEW, KEY, known=Pseudonyms(KEY).patient_id(b"", b"PID1234", "S-"))
    gateway = lone(tmp_path / "one", rotated)
    file = tmp_path / "one" / "secrets" / "ConfigMap-research-patients" / "known"
    content = file.read_bytes()
    file.unlink()
    send(gateway.port, [instance(tmp_path, 1)])

    def waits() -> bool:
        return [one["reason"] for one in gateway.get("/api/v1/queue")["items"]] == ["TreatmentKeyMissing"]

    gateway.process.wait_until(waits, "it does not wait for the list")
    assert research.data_sets() == {}
    file.write_bytes(content)
    gateway.wait_for(owed=0, deliveredTotal=1)
    assert arrived(research, KEY, 1)
