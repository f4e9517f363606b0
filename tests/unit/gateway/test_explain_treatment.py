"""What `explain` shows of a treatment: each attribute that changes, and nothing that an odd value could stop."""

import struct
from pathlib import Path

import pytest
from corpus import FILES

from dicomroute_gateway.configuration.recipe import Change, Recipe, Transform
from dicomroute_gateway.explain.instance import InstanceFile, open_instance
from dicomroute_gateway.explain.treatment import differences
from dicomroute_gateway.prepare.transform import Came
from dicomroute_gateway.spool.part10 import file_head

CAME = Came({"callingAETitle": "CT1", "calledAETitle": "GATE", "address": "192.0.2.1", "listener": "dicom"}, 1.7e9)
RENAMED = Recipe((Transform(changes=(Change(kind="Set", attribute="PatientID", value="'N'", record=False),)),))
EXPLICIT = "1.2.840.10008.1.2.1"


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def instance(folder: Path, *elements: bytes) -> InstanceFile:
    file = folder / "one.dcm"
    file.write_bytes(file_head("1.2.840.10008.5.1.4.1.1.2", "1.2.3", EXPLICIT) + b"".join(elements))
    return open_instance(file)


def test_values_that_break_the_standard_are_shown_as_they_can_be(tmp_path: Path) -> None:
    odd = instance(
        tmp_path,
        element(0x00080018, b"UI", b"1." + b"2" * 66),
        element(0x00080060, b"CS", b"\xff\xfe lower case"[:14]),
        element(0x00100020, b"LO", b"\xe4\xf6\xfc "),
        element(0x00200013, b"IS", b"no number "),
    )
    (found,) = differences(odd, RENAMED, CAME)
    assert found == {"attribute": "PatientID", "before": "äöü", "after": "N"}


def test_a_treatment_that_cannot_be_carried_out_is_a_sentence(tmp_path: Path) -> None:
    cut_off = instance(tmp_path, element(0x00080060, b"CS", b"CT"), b"\x10\0\x20\0LO\x40\0N")
    assert "beyond" in str(differences(cut_off, RENAMED, CAME))


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "image_dfl.dcm", "JPEG2000.dcm", "CT_small.dcm"])
def test_every_transfer_syntax_is_looked_into(name: str) -> None:
    found = differences(open_instance(FILES / name), RENAMED, CAME)
    assert [one["attribute"] for one in found if isinstance(one, dict)] == ["PatientID"]
