"""What de-identifying would change and mask, before anything is sent: command line, API and console."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from console import ask, chromium, fetch_assets, watch
from corpus import FILES
from manifests import Json, profile
from playwright.sync_api import Browser, expect
from pydicom import dcmread
from routes import local_node, local_route, pacs
from running import Running, cli
from treated_ct import KEY

from dicomroute_gateway.prepare.deidentify.pseudonyms import Pseudonyms

ROUTE = "/routes/default/ct-to-cloud"
CT = FILES / "CT_small.dcm"
REGION = {"left": 2, "top": 0, "width": 40, "height": 8}


def manifests() -> list[Json]:
    rule = {
        "name": "research",
        "destinations": [{"kind": "DicomNode", "name": "pacs"}],
        "deidentify": {"name": "research"},
    }
    secret: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "research"},
        "stringData": {"key": base64.b64encode(KEY).decode()},
    }
    words: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "words"},
        "data": {"words": "e+1"},
    }
    research = profile(
        options=["CleanDescriptors", "RetainModifiedDates"],
        allowedTokensRef={"name": "words", "key": "words"},
        objects=[{"name": "text", "modalities": ["CT"], "action": "Mask", "regions": [REGION]}],
    )
    return [local_node(), pacs(9), secret, words, research, local_route(rules=[rule])]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    one = Running(tmp_path_factory.mktemp("explain"), manifests(), options=["--console", "--console-port", "0"])
    yield one
    assert one.stop() == 0


def explained(running: Running, *words: str) -> str:
    arguments = ("-f", running.manifests, "--route", "ct-to-cloud", "--calling", "CT1", *words)
    return str(cli("explain", CT, *arguments, check=True).stdout)


def test_the_command_line_shows_the_diff_of_tags_and_the_regions(running: Running) -> None:
    came = dcmread(CT)
    lines = [line.strip() for line in explained(running).splitlines()]
    assert "to DicomNode/pacs" in lines
    assert "masked: 40 x 8 pixels at column 2, row 0" in lines
    assert any(line.startswith("de-identified by profile research; the new UIDs") for line in lines)
    (name,) = (line for line in lines if line.startswith("PatientName: "))
    assert name.startswith(f"PatientName: '{came.PatientName}' -> ")
    assert f"SeriesInstanceUID: '{came.SeriesInstanceUID}' -> " in "\n".join(lines)
    assert "StudyDescription: 'e+1' -> " not in "\n".join(lines)
    assert not [line for line in lines if line.startswith("PixelData")]


def test_no_answer_has_what_the_profiles_key_makes(running: Running) -> None:
    text = explained(running, "-o", "json")
    came = dcmread(CT)
    secret = Pseudonyms(KEY)
    assert came.SOPInstanceUID in text
    for one in (secret.uid(came.SOPInstanceUID), secret.patient_id(b"", came.PatientID.encode(), "")):
        assert one not in text


def test_the_console_shows_the_same(running: Running, root: Path) -> None:
    fetch_assets(root)
    said = json.loads((running.folder / "ready.json").read_text())["console"]
    token = Path(said["tokenFile"]).read_text().strip()
    (wanted,) = json.loads(explained(running, "-o", "json"))["destinations"]
    api = ask(
        said["url"],
        f"/api/v1{ROUTE}/explain?calling=CT1",
        data=CT.read_bytes(),
        Authorization=f"Bearer {token}",
        **{"Content-Type": "application/dicom"},
    )
    (one,) = json.loads(api.text)["destinations"]
    assert (one["deidentifiedBy"], one["masked"], one["changes"]) == ("research", [REGION], wanted["changes"])
    with chromium() as browser:
        show(browser, said["url"], token)


def show(browser: Browser, url: str, token: str) -> None:
    context, window = watch(browser, url)
    window.sign_in(token)
    window.open(f"{ROUTE}/explain")
    window.page.get_by_label("DICOM file").set_input_files(CT)
    window.page.get_by_label("Calling AE title").fill("CT1")
    window.page.get_by_role("button", name="Explain").click()
    found = window.page.get_by_role("region", name="Destinations")
    expect(found).to_contain_text("De-identified by profile research.")
    expect(found).to_contain_text("Masked: 40 × 8 pixels at column 2, row 0")
    expect(found).to_contain_text("PatientIdentityRemoved: (none) → YES")
    assert window.complaints == []
    assert window.violations() == []
    context.close()
