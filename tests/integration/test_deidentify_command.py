"""`dicomroute deidentify` on a folder: what is written, withheld and noted, and what it refuses to do."""

import base64
import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
import yaml
from manifests import Json, profile
from planted.checker import Checker
from planted.corpus import Instance, Planter

DICOMROUTE = Path(sys.executable).parent / "dicomroute"
KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(scope="module")
def instances() -> list[Instance]:
    return Planter(seed=3).corpus(1)


@pytest.fixture
def source(tmp_path: Path, instances: list[Instance]) -> Path:
    folder = tmp_path / "in"
    for one in instances:
        file = folder / f"patient-{one.patient}" / one.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(one.content)
    return folder


def manifest(tmp_path: Path, key: str = KEY, **spec: object) -> Path:
    secret: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "research"},
        "stringData": {"key": key},
    }
    file = tmp_path / "profile.yaml"
    file.write_text(yaml.safe_dump_all([secret, profile(**spec)]))
    return file


def run(tmp_path: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [DICOMROUTE, "deidentify", "-f", tmp_path / "profile.yaml", "--profile", "research", *arguments]
    return subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, timeout=120)


def test_a_folder_is_written_without_what_identified_and_the_rest_is_named(
    tmp_path: Path, source: Path, instances: list[Instance]
) -> None:
    manifest(tmp_path, patientID={"prefix": "STUDY-"})
    done = run(tmp_path, source, tmp_path / "out", "--mapping", tmp_path / "who")
    assert done.returncode == 0, done.stderr
    withheld = json.loads((tmp_path / "withheld.json").read_text())
    files = sorted((tmp_path / "out").rglob("*.dcm"))
    assert len(files) + len(withheld) == len(instances)
    assert done.stdout.startswith(f"{len(files)} de-identified, {len(withheld)} withheld")
    assert {one["reason"] for one in withheld} == {"MayContainNames", "MayShowNames"}
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file() and file.suffix != ".dcm"]

    tables = {name: _table(tmp_path / "who" / name) for name in ("uid_mapping.csv", "patid_mapping.csv")}
    assert all((tmp_path / "who" / name).stat().st_mode & 0o777 == 0o600 for name in tables)
    old = {str(pydicom.dcmread(io.BytesIO(one.content)).SOPInstanceUID): one for one in instances}
    by_new = {new: old[uid] for uid, new in tables["uid_mapping.csv"].items() if uid in old}
    checker = Checker()
    for file in files:
        assert not checker.problems(by_new[file.stem], file.read_bytes())
    patients = {pydicom.dcmread(file).PatientID for file in files}
    assert patients == set(tables["patid_mapping.csv"].values())
    assert all(one.startswith("STUDY-") for one in patients)


def _table(file: Path) -> dict[str, str]:
    with file.open(newline="") as opened:
        return {row["id_old"]: row["id_new"] for row in csv.DictReader(opened)}


def test_what_cannot_be_read_is_withheld_and_ends_with_1(tmp_path: Path) -> None:
    manifest(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").write_text("no DICOM file")
    good = Planter().corpus(1)[5].content
    (folder / "cut.dcm").write_bytes(good[: len(good) // 2])
    done = run(tmp_path, folder, tmp_path / "out")
    assert done.returncode == 1
    assert "2 could not be read or written" in done.stderr
    assert {one["file"] for one in json.loads((tmp_path / "withheld.json").read_text())} == {"notes.txt", "cut.dcm"}
    assert not [one for one in (tmp_path / "out").rglob("*") if one.is_file()]


def test_two_files_of_one_instance_do_not_overwrite_each_other(tmp_path: Path) -> None:
    manifest(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.dcm", "b.dcm"):
        (folder / name).write_bytes(Planter().corpus(1)[5].content)
    done = run(tmp_path, folder, tmp_path / "out")
    assert done.returncode == 1
    assert [one["reason"] for one in json.loads((tmp_path / "withheld.json").read_text())] == ["SameInstance"]
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1


@pytest.mark.parametrize(
    ("arguments", "spec", "key", "sentence"),
    [
        (("in", "in/out"), {}, KEY, "inside each other"),
        (("in", "out", "--mapping", "out/who"), {}, KEY, "could identify the patients"),
        (("in", "out", "-n", "elsewhere"), {}, KEY, "there is no DeidentificationProfile research"),
        (("in", "out"), {}, "c2hvcnQ=", "at least 32"),
        (("in", "out"), {}, "not base64!", "32 random bytes in base64"),
        (("in", "out"), {"keySecretRef": {"name": "other", "key": "key"}}, KEY, "Secret other is not in the manifests"),
        (("in", "out"), {"allowedTokensRef": {"name": "w", "key": "w"}}, KEY, "ConfigMap w is not in the manifests"),
        (("in", "out"), {"options": ["CleanRecognizableVisualFeatures"]}, KEY, "does not remove faces"),
        (("nothing", "out"), {}, KEY, "does not exist"),
    ],
)
def test_a_mistake_is_a_sentence_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], spec: Json, key: str, sentence: str
) -> None:
    manifest(tmp_path, key, **spec)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(Planter().corpus(1)[5].content)
    given = [one if one.startswith("-") or one == "elsewhere" else tmp_path / one for one in arguments]
    done = run(tmp_path, *given)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not list(tmp_path.rglob("out/**/*.dcm"))


def test_a_profile_on_hold_withholds_everything(tmp_path: Path, source: Path) -> None:
    manifest(tmp_path, hold=True)
    run(tmp_path, source, tmp_path / "out")
    assert {one["reason"] for one in json.loads((tmp_path / "withheld.json").read_text())} == {"OnHold"}


def test_what_a_profile_claims_is_written_without_its_key(tmp_path: Path) -> None:
    rules = [{"name": "protocol", "tags": ["00181030", "0018xx31"], "action": "Keep"}]
    file = manifest(tmp_path, options=["RetainModifiedDates"], rules=rules)
    command = [str(DICOMROUTE), "profile", "-f", str(file), "research"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "| 113100 | Basic Application Confidentiality Profile |" in lines
    assert [line for line in lines if "| 113107 |" in line]
    for line in (
        "| (0008,0020) | Study Date | C (shifted) | table and options |",
        "| (0010,0010) | Patient's Name | D (pseudonym) | table and options |",
        "| (0018,1030) | Protocol Name | K | a rule |",
        "| (0018,xx31) |  | Keep | a rule |",
        "| (0020,000D) | Study Instance UID | U | table and options |",
    ):
        assert line in lines
    assert KEY not in done.stdout
    missing = subprocess.run([*command[:-1], "other"], capture_output=True, text=True, check=False, timeout=120)
    assert missing.returncode == 2
    assert "there is research" in missing.stderr
