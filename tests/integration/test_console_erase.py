"""The console erases a study or a patient by a person with that right, with a reason, and keeps no name of either."""

import json
from collections.abc import Iterator

import pytest
from console import Answer, ask, audit_lines
from console_here import MR, STUDY, Here
from pydicom import dcmread

API = "/api/v1/routes/default/ct-to-cloud/erase"
PAGE = "/routes/default/ct-to-cloud/erase"
WHY = "consent was withdrawn"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    found = Here(tmp_path_factory.mktemp("console-erase"))
    yield found
    assert found.running.stop() == 0


def erase(here: Here, **body: str) -> Answer:
    data = json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {here.token}", "Content-Type": "application/json"}
    return ask(here.url, API, data=data, **headers)


def test_what_is_not_named_or_has_no_reason_is_not_erased(here: Here) -> None:
    for body, sentence in (
        ({"study": STUDY}, "say why"),
        ({"why": WHY}, "name a study or a patient"),
        ({"study": STUDY, "patient": "P", "why": WHY}, "not both"),
    ):
        refused = erase(here, **body)
        assert refused.code == 403
        assert sentence in json.loads(refused.text)["error"]
    assert here.running.counts()["owed"] == 2


def test_a_study_goes_by_the_page_and_a_patient_by_the_api(here: Here) -> None:
    cookie, origin = here.signed_in(), here.url.rstrip("/")
    assert f"{PAGE}?study={STUDY}" in here.ask(f"/studies/{STUDY}", Cookie=cookie).text
    assert f'value="{STUDY}"' in here.ask(f"{PAGE}?study={STUDY}", Cookie=cookie).text
    done = here.ask(PAGE, form={"study": STUDY, "why": WHY}, Cookie=cookie, Origin=origin)
    assert (done.code, "1 erased; 1 deliveries given up" in done.text) == (200, True)
    here.running.wait_for(owed=1)
    patient = str(dcmread(MR).PatientID)
    (report,) = json.loads(erase(here, patient=patient, why=WHY).text)["gateways"]
    assert len(report["document"]["instances"]) == 1
    here.running.wait_for(owed=0)
    records = [one for one in audit_lines(here.running.process.output) if one.get("action") == "erase"]
    assert [(one["by_attribute"], one["instances"], one["why"]) for one in records] == [
        ("StudyInstanceUID", 1, WHY),
        ("PatientID", 1, WHY),
    ]
    log = here.running.process.output.read_text()
    assert STUDY not in "".join(json.dumps(one) for one in records)
    assert patient not in log
