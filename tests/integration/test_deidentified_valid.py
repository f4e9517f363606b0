"""De-identified instances are as valid as they came: dciodvfy (David Clunie's dicom3tools) finds no new error in them.

It judges each instance by the IOD of its SOP class: missing attributes, values that their VR or Type does not allow.
"""

import re
import subprocess
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from corpus import FILES
from planted.corpus import Planter
from planted.deidentifying import made_of, plan_of
from planted.encoding import DEFLATED

from dicomroute_gateway.prepare.deidentify.withheld import Withheld
from dicomroute_gateway.spool.part10 import file_meta

MOST_BYTES = 1 << 20
TOGETHER = ("CleanDescriptors", "CleanGraphics", "CleanStructuredContent", "RetainModifiedDates", "RetainSafePrivate")
RETAINING = (
    *("RetainFullDates", "RetainPatientCharacteristics", "RetainDeviceIdentity", "RetainInstitutionIdentity"),
    "RetainUIDs",
)
AS_PIXELS_ARE = {
    # Of ultrasound, YBR_FULL is for RLE alone (PS3.3 C.8.5.6.1.1); decoded to be masked, the pixels are what they were.
    "examples_ybr_color.dcm": {"PhotometricInterpretation(0028,0004)", "PlanarConfiguration(0028,0006)"},
}
AS_THE_TABLE_SAYS = {
    # Table E.1-1 removes the approval number, and gives the committee a dummy, which is there with a number alone.
    "ClinicalTrialProtocolEthicsCommitteeName(0012,0081)",
}


def public() -> list[Path]:
    """Return the instances of pydicom's test files."""
    found = []
    for file in sorted(FILES.glob("*.dcm")):
        meta = file_meta(file.read_bytes()) if file.stat().st_size <= MOST_BYTES else None
        if meta is not None and meta.transfer_syntax_uid:
            found.append(file)
    return found


@cache
def errors_before(file: Path, folder: Path) -> frozenset[str]:
    meta = file_meta(file.read_bytes())
    if meta is None or meta.transfer_syntax_uid != DEFLATED:
        return errors(file)
    inflated = folder / f"inflated-{file.name}"  # it does not inflate
    subprocess.run(["dcmconv", "+te", file, inflated], check=True, capture_output=True)
    return errors(inflated)


def errors(file: Path) -> frozenset[str]:
    """Return what dciodvfy says, without the values: those are meant to be others."""
    done = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, check=False, timeout=60)
    lines = (done.stderr + done.stdout).decode("latin-1").splitlines()
    return frozenset(re.sub(r"= <[^>]*>|= '.*", "", one) for one in lines if one.startswith("Error"))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("options", [(), TOGETHER, RETAINING], ids=["Basic", "together", "retaining"])
def test_dciodvfy_finds_no_new_error(tmp_path_factory: pytest.TempPathFactory, options: tuple[str, ...]) -> None:
    folder = tmp_path_factory.mktemp("valid")
    planted = []
    for one in Planter().corpus(1):
        meta = file_meta(one.content)
        if meta is None or meta.transfer_syntax_uid == DEFLATED:
            continue  # it cannot be read as it came, and what inflates it mends what was planted twice
        planted.append(folder / one.name)
        planted[-1].write_bytes(one.content)
    released, problems = 0, []
    for file in [*public(), *planted]:
        made = folder / f"made-{file.name}"
        try:
            made.write_bytes(made_of(file.read_bytes(), plan_of(options)))
        except Withheld:
            continue
        released += 1
        known = AS_PIXELS_ARE.get(file.name, set()) | AS_THE_TABLE_SAYS
        new = errors(made) - errors_before(file, folder)
        problems += [f"{file.name}: {one}" for one in sorted(new) if not any(tag in one for tag in known)]
    assert not problems
    assert released > 80


def test_an_error_is_seen(tmp_path: Path) -> None:
    """What it finds in an instance that lacks what its IOD asks for, or has a value that its VR does not allow."""
    content = (FILES / "CT_small.dcm").read_bytes()
    whole, without = tmp_path / "whole.dcm", tmp_path / "without.dcm"
    whole.write_bytes(made_of(content, plan_of()))
    at = whole.read_bytes().index(b"\x28\0\x10\0US\2\0")
    without.write_bytes(whole.read_bytes()[:at] + whole.read_bytes()[at + 10 :])
    assert errors(without) - errors(whole)
