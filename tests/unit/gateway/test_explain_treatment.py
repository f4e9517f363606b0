"""What `explain` shows of a treatment: each attribute that changes, and nothing that an odd value could stop."""

import os
import struct
from pathlib import Path

import pytest
from corpus import FILES
from treated_ct import KEY, RESEARCH, ct, step

from dicomroute_gateway.configuration.profile import ObjectAction, ObjectRule, Option, Region
from dicomroute_gateway.configuration.recipe import Change, Recipe, Transform
from dicomroute_gateway.explain.instance import InstanceFile, of_descriptor, open_instance
from dicomroute_gateway.explain.treatment import Differences, differences
from dicomroute_gateway.prepare.deidentify.pseudonyms import Pseudonyms
from dicomroute_gateway.prepare.transform import Came
from dicomroute_gateway.spool.part10 import file_head

CAME = Came({"callingAETitle": "CT1", "calledAETitle": "GATE", "address": "192.0.2.1", "listener": "dicom"}, 1.7e9)
RENAMED = Recipe((Transform(changes=(Change(kind="Set", attribute="PatientID", value="'N'", record=False),)),))
NO_WORDS = dict[str, bytes]().get
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
    found = differences(odd, RENAMED, CAME, NO_WORDS)
    assert isinstance(found, Differences)
    assert found.changes == [{"attribute": "PatientID", "before": "äöü", "after": "N"}]


def test_a_treatment_that_cannot_be_carried_out_is_a_sentence(tmp_path: Path) -> None:
    cut_off = instance(tmp_path, element(0x00080060, b"CS", b"CT"), b"\x10\0\x20\0LO\x40\0N")
    assert "beyond" in str(differences(cut_off, RENAMED, CAME, NO_WORDS))


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "image_dfl.dcm", "JPEG2000.dcm", "CT_small.dcm"])
def test_every_transfer_syntax_is_looked_into(name: str) -> None:
    found = differences(open_instance(FILES / name), RENAMED, CAME, NO_WORDS)
    assert isinstance(found, Differences)
    assert [one["attribute"] for one in found.changes] == ["PatientID"]


def test_what_changes_within_a_sequence_is_shown_where_it_is() -> None:
    named = Change(
        kind="Set", attribute="RequestAttributesSequence.ScheduledProcedureStepID", value="'N'", record=False
    )
    found = differences(instance_of(nested()), Recipe((Transform(changes=(named,)),)), CAME, NO_WORDS)
    assert isinstance(found, Differences)
    assert found.changes == [
        {"attribute": f"RequestAttributesSequence[{item}].ScheduledProcedureStepID", "before": before, "after": "N"}
        for item, before in enumerate(("S1", None))
    ]


def nested() -> bytes:
    items = [[(0x00400009, "SH", b"S1"), (0x00401001, "SH", b"R1")], [(0x00401001, "SH", b"R2")]]
    return ct(1, (0x00400275, "SQ", items))


def instance_of(data_set: bytes, sop_class: str = "1.2.840.10008.5.1.4.1.1.2") -> InstanceFile:
    """Return an instance that is in memory alone."""
    descriptor = os.memfd_create("instance", os.MFD_CLOEXEC)
    os.write(descriptor, file_head(sop_class, "1.2.3.1", EXPLICIT) + data_set)
    return of_descriptor(descriptor, Path("instance"))


def by_attribute(found: Differences) -> dict[str, tuple[str | None, str | None]]:
    return {one["attribute"]: (one["before"], one["after"]) for one in found.changes}


def test_what_de_identifying_does_is_shown_at_all_depths_with_another_key_than_the_profiles() -> None:
    found = differences(instance_of(nested()), step(), CAME, NO_WORDS)
    assert isinstance(found, Differences)
    changes = by_attribute(found)
    assert found.profile == "research"
    assert found.masked == []
    pseudonym = Pseudonyms(bytes(32)).patient_id(b"", b"PID1234", "")
    assert changes["PatientName"] == ("Qzxmiller^Ann", pseudonym)
    assert (
        changes["PatientID"] == ("PID1234", pseudonym) != ("PID1234", Pseudonyms(KEY).patient_id(b"", b"PID1234", ""))
    )
    assert changes["SOPInstanceUID"] == ("1.2.3.1", Pseudonyms(bytes(32)).uid("1.2.3.1"))
    assert changes["PatientIdentityRemoved"] == (None, "YES")
    assert changes["DeidentificationMethodCodeSequence"] == (None, "a sequence")
    assert changes["RequestAttributesSequence"] == ("a sequence", None)
    assert "PixelData" not in changes
    assert not any(name.startswith("RequestAttributesSequence[") for name in changes)


def test_a_transform_before_it_counts() -> None:
    recipe = Recipe((*RENAMED.steps, *step().steps))
    found = differences(instance_of(nested()), recipe, CAME, NO_WORDS)
    assert isinstance(found, Differences)
    assert by_attribute(found)["PatientID"] == ("PID1234", Pseudonyms(bytes(32)).patient_id(b"", b"N", ""))


@pytest.mark.parametrize("is_compressed", [False, True])
def test_the_regions_that_are_masked_are_shown(is_compressed: bool) -> None:
    rule = ObjectRule(name="r", action=ObjectAction.MASK, regions=[Region(left=1, top=2, width=3, height=1)])
    profile = RESEARCH.model_copy(update={"objects": [rule]})
    shown = open_instance(FILES / "JPEG2000.dcm") if is_compressed else open_instance(FILES / "CT_small.dcm")
    found = differences(shown, step(profile), CAME, NO_WORDS)
    assert isinstance(found, Differences)
    assert found.masked == [{"left": 1, "top": 2, "width": 3, "height": 1}]
    assert by_attribute(found)["BurnedInAnnotation"] == (None, "NO")


def test_what_is_withheld_and_what_is_missing_is_a_sentence() -> None:
    burned = instance_of(ct(1, (0x00280301, "CS", b"YES")))
    assert str(differences(burned, step(), CAME, NO_WORDS)).startswith("MayShowNames: Burned In Annotation")
    (deidentify,) = step().steps
    worded = Recipe((deidentify.model_copy(update={"allowed_tokens_file": "ConfigMap-words/words"}),))
    assert "ConfigMap-words/words is missing" in str(differences(burned, worded, CAME, NO_WORDS))
    absent = Recipe((deidentify.model_copy(update={"key_file": ""}),))
    assert "profile research does not exist" in str(differences(burned, absent, CAME, NO_WORDS))


def test_words_of_a_configmap_stay() -> None:
    (deidentify,) = step(RESEARCH.model_copy(update={"options": [Option.CLEAN_DESCRIPTORS]})).steps
    worded = Recipe((deidentify.model_copy(update={"allowed_tokens_file": "ConfigMap-words/words"}),))
    described = instance_of(ct(1, (0x0008103E, "LO", b"Head of Qzxmiller ")))
    found = differences(described, worded, CAME, {"ConfigMap-words/words": b"head"}.get)
    assert isinstance(found, Differences)
    assert by_attribute(found)["SeriesDescription"] == ("Head of Qzxmiller", "Head")
