"""`dicomroute find` and `dicomroute move`, from a laptop through a gateway."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateways import LoneGateway
from retrieving import Receiver, moving_route
from running import dcmsend
from studies import instance, instance_uid, series_uid, study_uid

STUDY = f"StudyInstanceUID={study_uid(2)}"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[LoneGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    one = LoneGateway(folder, moving_route(port=receiver.port))
    files = [folder / f"{study}-{number}.dcm" for study in (1, 2) for number in (1, 2)]
    for file in files:
        study, number = map(int, file.stem.split("-"))
        file.write_bytes(instance(study, number=number, PatientName="Müller^Jörg"))
    assert dcmsend(one.port, files) == 0
    yield one
    one.kill()


def run(gateway: LoneGateway, verb: str, *arguments: str, calling: str = "CT1") -> tuple[int, str, str]:
    command = [str(Path(sys.executable).with_name("dicomroute")), verb, f"127.0.0.1:{gateway.port}"]
    titles = ["--called", "CTGATE", "--calling", calling]
    done = subprocess.run([*command, *titles, *arguments], check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_studies_are_found_and_shown(gateway: LoneGateway) -> None:
    code, out, err = run(gateway, "find", "-k", "PatientName=müller*")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["PATIENTNAME", "PATIENTID", "STUDYDATE", "STUDYINSTANCEUID"]
    wide = run(gateway, "find", "-k", "PatientName=müller*", "-o", "wide")[1]
    assert "MODALITIESINSTUDY" in wide.splitlines()[0].split()
    assert sorted(line.split()[-1] for line in out.splitlines()[1:]) == [study_uid(1), study_uid(2)]
    within = ["-k", STUDY, "-k", f"SeriesInstanceUID={series_uid(2, 1)}"]
    code, out, _ = run(gateway, "find", "--level", "image", *within, "-o", "json")
    assert code == 0
    assert sorted(one["SOPInstanceUID"] for one in json.loads(out)) == [instance_uid(2, 1, n) for n in (1, 2)]


def test_what_cannot_be_found_is_said_with_the_reason(gateway: LoneGateway) -> None:
    code, out, err = run(gateway, "find", "--level", "SERIES")
    assert code == 1
    assert "status A900" in err
    assert "StudyInstanceUID" in err
    code, _, err = run(gateway, "find", "-k", "PatientNane=x")
    assert code == 2
    assert "PatientNane" in err
    code, _, err = run(gateway, "find", calling="NOBODY")
    assert code == 1
    assert "dicomroute refused" in err
    code, out, err = run(gateway, "find", "--limit", "1")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "more than 1" in err


def test_a_study_is_moved_to_a_node_and_nowhere_else(gateway: LoneGateway, receiver: Receiver) -> None:
    code, out, _ = run(gateway, "move", "--to", "PACS", "-k", STUDY, "-o", "json")
    assert code == 0
    assert json.loads(out)["completed"] == 2
    assert receiver.uids() == [instance_uid(2, 1, n) for n in (1, 2)]
    code, _, err = run(gateway, "move", "--to", "ELSEWHERE", "-k", STUDY)
    assert code == 1
    assert "A801: this gateway has no move destination" in err
