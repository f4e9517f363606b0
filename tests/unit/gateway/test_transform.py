"""Transforms: what is named changes, is noted in the data set, and all else stays as it was, byte for byte."""

import io
import struct
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
import pytest
from corpus import FILES, data_set_bytes
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomroute_gateway.configuration.recipe import Change, Recipe, Transform, parse_recipe
from dicomroute_gateway.prepare.elements import EXPLICIT, IMPLICIT
from dicomroute_gateway.prepare.failures import TranscodingFailed, TreatmentFailed
from dicomroute_gateway.prepare.places import places
from dicomroute_gateway.prepare.transform import Came, Source, transform
from dicomroute_gateway.rules.changes import compile_transform
from dicomroute_gateway.rules.expression import ExpressionError

EXPLICIT_SYNTAX, IMPLICIT_SYNTAX = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
FACTS = {"callingAETitle": "CT1", "calledAETitle": "GATE", "address": "192.0.2.1", "listener": "dicom"}
CAME = Came(FACTS, 1_700_000_000.25)


def change(kind: str, attribute: str, value: str = "", **more: Any) -> Change:
    return Change(kind=kind, attribute=attribute, value=value, **more)


def transformed(data: bytes, *changes: Change, syntax: str = EXPLICIT_SYNTAX) -> bytes:
    source = Source(syntax, len(data), lambda: io.BytesIO(data), lambda at, length: data[at : at + length])
    return b"".join(transform(source, compile_transform(Transform(changes=changes)), CAME))


def encoded(one: Dataset, syntax: str = EXPLICIT_SYNTAX) -> bytes:
    buffer = io.BytesIO()
    one.save_as(buffer, implicit_vr=syntax == IMPLICIT_SYNTAX, little_endian=True, enforce_file_format=False)
    return buffer.getvalue()


def parsed(data: bytes, syntax: str = EXPLICIT_SYNTAX) -> Dataset:
    return pydicom.filereader.read_dataset(io.BytesIO(data), syntax == IMPLICIT_SYNTAX, True, bytelength=len(data))


def example(**more: Any) -> Dataset:
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    one.Modality, one.PatientID, one.PatientName = "CT", "4711", "Muster^Erika"
    one.AccessionNumber, one.StudyDescription = "A-17", "Chest"
    request, other = Dataset(), Dataset()
    request.ScheduledProcedureStepID, request.RequestedProcedureID = "S1", "R1"
    other.ScheduledProcedureStepID = "S2"
    one.RequestAttributesSequence = Sequence([request, other])
    block = one.private_block(0x0009, "ACME 1.1", create=True)
    block.add_new(0x02, "LO", "serial 7")
    block.add_new(0x03, "LO", "kept")
    one.Rows, one.PixelSpacing = 512, [1.5, 2.0]
    for keyword, value in more.items():
        setattr(one, keyword, value)
    return one


@pytest.mark.parametrize("syntax", [EXPLICIT_SYNTAX, IMPLICIT_SYNTAX])
def test_each_change_does_what_it_says_and_nothing_else(syntax: str) -> None:
    before = encoded(example(), syntax)
    after = transformed(
        before,
        change("Set", "IssuerOfPatientID", '"NORTH"'),
        change("Replace", "PatientID", '"N-" + instance.PatientID'),
        change("Replace", "PatientComments", '"never there"'),
        change("Remove", "StudyDescription"),
        change("Copy", "StudyID", source="AccessionNumber"),
        change("Set", "InstitutionName", 'association.callingAETitle.lowerAscii() + "@" + association.address'),
        change("Set", "ImageComments", 'instance.Rows > 500 ? "large" : "small"'),
        change("Set", "PixelSpacing", "[instance.PixelSpacing[1], 0.125]"),
        syntax=syntax,
    )
    came, made = parsed(before, syntax), parsed(after, syntax)
    assert (made.IssuerOfPatientID, made.PatientID, made.StudyID) == ("NORTH", "N-4711", "A-17")
    assert (made.InstitutionName, made.ImageComments, made.PixelSpacing) == ("ct1@192.0.2.1", "large", [2.0, 0.125])
    assert "PatientComments" not in made
    assert "StudyDescription" not in made
    (noted,) = made.OriginalAttributesSequence
    (modified,) = noted.ModifiedAttributesSequence
    assert (modified.PatientID, modified.StudyDescription, modified.PixelSpacing) == ("4711", "Chest", [1.5, 2.0])
    assert len(modified) == 3, "what was not there before has no previous value"
    assert (noted.ModifyingSystem, noted.SourceOfPreviousValues) == ("dicomroute", "")
    assert noted.ReasonForTheAttributeModification == "COERCE"
    assert noted.AttributeModificationDateTime == "20231114221320.250000+0000"
    changed = {"IssuerOfPatientID", "PatientID", "StudyID", "InstitutionName", "ImageComments", "PixelSpacing"}
    for element in came:
        if element.keyword not in changed | {"StudyDescription"}:
            assert made[element.tag] == element
    assert [element.tag for element in made] == sorted(element.tag for element in made)


@pytest.mark.parametrize("syntax", [EXPLICIT_SYNTAX, IMPLICIT_SYNTAX])
def test_in_sequences_every_item_or_one_is_changed_and_the_whole_is_noted(syntax: str) -> None:
    before = encoded(example(), syntax)
    after = transformed(
        before,
        change("Replace", "RequestAttributesSequence.ScheduledProcedureStepID", '"X"'),
        change("Set", "RequestAttributesSequence[1].RequestedProcedureID", "instance.PatientID"),
        change("Remove", "RequestAttributesSequence[7].RequestedProcedureID"),
        change("Remove", "ReferencedStudySequence.StudyDescription"),
        syntax=syntax,
    )
    made = parsed(after, syntax)
    first, second = made.RequestAttributesSequence
    assert (first.ScheduledProcedureStepID, first.RequestedProcedureID) == ("X", "R1")
    assert (second.ScheduledProcedureStepID, second.RequestedProcedureID) == ("X", "4711")
    (modified,) = made.OriginalAttributesSequence[0].ModifiedAttributesSequence
    assert modified.RequestAttributesSequence == parsed(before, syntax).RequestAttributesSequence


@pytest.mark.parametrize("syntax", [EXPLICIT_SYNTAX, IMPLICIT_SYNTAX])
def test_private_elements_are_named_by_their_creator(syntax: str) -> None:
    after = transformed(
        encoded(example(), syntax),
        change("Remove", "(0009,ACME 1.1,02)"),
        change("Set", "(0009,OURS,01)", '"added"', vr="LO"),
        change("Remove", "(0011,NOBODY,01)"),
        change("Set", "RequestAttributesSequence.(0009,OURS,05)", '"within"', vr="LO"),
        syntax=syntax,
    )
    made = parsed(after, syntax)
    assert 0x00091002 not in made
    assert made.get_private_item(0x0009, 0x03, "ACME 1.1").value in ("kept", b"kept")
    assert made.get_private_item(0x0009, 0x01, "OURS").value in ("added", b"added ")
    assert 0x00110010 not in made
    for item in made.RequestAttributesSequence:
        assert item.get_private_item(0x0009, 0x05, "OURS").value in ("within", b"within")
    (modified,) = made.OriginalAttributesSequence[0].ModifiedAttributesSequence
    assert modified.get_private_item(0x0009, 0x02, "ACME 1.1").value in ("serial 7", b"serial 7")


def test_what_is_not_to_be_recorded_is_not_and_earlier_records_stay() -> None:
    once = transformed(encoded(example()), change("Replace", "PatientID", '"first"'))
    twice = transformed(
        once, change("Replace", "PatientID", '"second"'), change("Remove", "StudyDescription", record=False)
    )
    records = parsed(twice).OriginalAttributesSequence
    assert [one.ModifiedAttributesSequence[0].PatientID for one in records] == ["4711", "first"]
    assert all("StudyDescription" not in one.ModifiedAttributesSequence[0] for one in records)
    silent = transformed(encoded(example()), change("Replace", "PatientID", '"x"', record=False))
    assert "OriginalAttributesSequence" not in parsed(silent)


def test_a_change_to_what_is_there_already_is_none() -> None:
    before = encoded(example())
    assert transformed(before, change("Replace", "PatientID", "instance.PatientID")) == before
    assert transformed(before, change("Replace", "PatientName", "instance.PatientName")) == before
    there_and_back = (change("Replace", "PatientID", '"x"'), change("Replace", "PatientID", "instance.PatientID"))
    assert transformed(before, *there_and_back) == before
    added_and_removed = (change("Set", "PatientComments", '"x"'), change("Remove", "PatientComments"))
    assert transformed(before, *added_and_removed) == before


def test_texts_are_written_in_the_character_set_of_the_data_set() -> None:
    name = '"Müller^Jürgen=Мюллер"'
    utf8 = transformed(encoded(example(SpecificCharacterSet="ISO_IR 192")), change("Set", "PatientName", name))
    assert parsed(utf8).PatientName == "Müller^Jürgen=Мюллер"
    with pytest.raises(TreatmentFailed, match=r"set PatientName: characters .*ISO_IR 100") as raised:
        transformed(encoded(example(SpecificCharacterSet="ISO_IR 100")), change("Set", "PatientName", name))
    assert "ller" not in str(raised.value), "no value is in the sentence"
    latin = transformed(encoded(example(SpecificCharacterSet="ISO_IR 100")), change("Set", "PatientName", '"Müller"'))
    assert parsed(latin).PatientName == "Müller"


@pytest.mark.parametrize(
    ("attribute", "value", "why"),
    [
        ("PatientID", '"' + "x" * 65 + '"', "does not fit LO"),
        ("PatientSex", '"female"', "does not fit CS"),
        ("StudyDate", '"yesterday"', "does not fit DA"),
        ("StudyDescription", r'"a\\b"', "separates values"),
        ("StudyDescription", "instance.Rows", "write string"),
        ("SeriesNumber", "1.5", "IS requires a text"),
        ("NumberOfStudyRelatedInstances", '"many"', "does not fit IS"),
        ("RecommendedDisplayFrameRate", "1e30", "DS|IS"),
        ("SelectorUSValue", "70000", "US does not allow this number"),
        ("SelectorUSValue", '"seven"', "US requires a number, not a text"),
        ("ImageComments", '["a", "b"]', "LT allows only one value, but there are 2"),
        ("StudyDescription", "instance.OtherPatientNames[3]", "Index error|no answer"),
        ("StudyDescription", r'"a\u0007b"', "control character"),
    ],
)
def test_what_is_no_value_is_said_and_nothing_is_sent(attribute: str, value: str, why: str) -> None:
    with pytest.raises(TreatmentFailed, match=why):
        transformed(encoded(example()), change("Set", attribute, value))


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (change("Set", "SOPInstanceUID", '"1.2"'), "is a UID"),
        (change("Remove", "StudyInstanceUID"), "is a UID"),
        (change("Set", "SpecificCharacterSet", '"ISO_IR 192"'), "the encoding of texts"),
        (change("Set", "(0002,0010)", '"x"'), "the gateway sets groups 0000 and 0002"),
        (change("Remove", "(0010,0000)"), "group lengths"),
        (change("Remove", "PixelData"), "cannot change pixel data"),
        (change("Set", "Rows", "7"), "the encoding of pixels"),
        (change("Remove", "OriginalAttributesSequence"), "what was changed"),
        (change("Set", "RequestAttributesSequence", '"x"'), "cannot set it"),
        (change("Set", "RedPaletteColorLookupTableData", '"x"'), "cannot set it"),
        (change("Set", "(0009,1002)", '"x"'), "by its creator|not in the data dictionary"),
        (change("Set", "(0009,NEW,02)", '"x"'), "add its vr"),
        (change("Set", "(0008,ACME,02)", '"x"'), "odd group"),
        (change("Set", "PatientIDs", '"x"'), "did you mean PatientID"),
        (change("Set", "patient id", '"x"'), "write a keyword"),
        (change("Set", "PatientID.PatientName", '"x"'), "is not a sequence"),
        (change("Set", "PatientID[0]", '"x"'), "leave it out"),
        (change("Set", "PatientID", "instance.Modalty"), "did you mean instance.Modality"),
        (change("Set", "PatientID", "true"), "it must be a text"),
        (change("Copy", "PatientID", source="RequestAttributesSequence"), "not a DICOM keyword that rules can use"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_beforehand(one: Change, why: str) -> None:
    with pytest.raises(ExpressionError, match=why):
        compile_transform(Transform(changes=(one,)))


PUBLIC = ["CT_small.dcm", "MR_small_RLE.dcm", "rtplan.dcm", "reportsi.dcm", "JPEG2000.dcm", "examples_overlay.dcm"]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_files_keep_every_other_byte(name: str) -> None:
    file = FILES / name
    one, data = pydicom.dcmread(file), data_set_bytes(file.read_bytes())
    syntax = IMPLICIT_SYNTAX if one.file_meta.TransferSyntaxUID == IMPLICIT_SYNTAX else EXPLICIT_SYNTAX
    encoding = IMPLICIT if syntax == IMPLICIT_SYNTAX else EXPLICIT
    after = transformed(data, change("Set", "PatientID", '"N-1"'), syntax=syntax)
    now = {place.tag: after[place.start : place.end] for place in places(io.BytesIO(after), len(after), encoding)}
    for place in places(io.BytesIO(data), len(data), encoding):
        if place.tag not in (0x00100020, 0x04000561) and place.tag & 0xFFFF:
            assert now[place.tag] == data[place.start : place.end]
    assert parsed(after, syntax).PatientID == "N-1"


def test_bytes_that_are_no_data_set_in_order_are_refused() -> None:
    twice = encoded(example())[:8] + encoded(example())
    with pytest.raises((TranscodingFailed, TreatmentFailed)):
        transformed(twice, change("Remove", "PatientID"))
    beyond = struct.pack("<HH2sH", 0x0008, 0x0060, b"CS", 200) + b"CT"
    with pytest.raises((TranscodingFailed, TreatmentFailed)):
        transformed(beyond, change("Remove", "PatientID"))


@given(st.binary(max_size=400), st.integers(0, 400), st.booleans())
def test_damaged_data_sets_are_changed_or_refused(junk: bytes, at: int, implicit: bool) -> None:
    syntax = IMPLICIT_SYNTAX if implicit else EXPLICIT_SYNTAX
    whole = encoded(example(), syntax)
    damaged = whole[: at % len(whole)] + junk + whole[at % len(whole) :]
    changes = (
        change("Remove", "RequestAttributesSequence.ScheduledProcedureStepID"),
        change("Set", "PatientID", '"x"'),
        change("Remove", "(0009,ACME 1.1,02)"),
    )
    try:
        made = transformed(damaged, *changes, syntax=syntax)
    except (TranscodingFailed, TreatmentFailed):
        return
    assert parsed(made, syntax).PatientID == "x"


def test_a_large_value_is_copied_in_blocks() -> None:
    size, reads = 64 << 20, list[int]()
    head = encoded(example())
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size)

    class Zeros(io.RawIOBase):
        """A data set with `size` bytes of pixels that are nowhere."""

        def __init__(self) -> None:
            self._at = 0

        def read(self, length: int = -1) -> bytes:
            data = read(self._at, length)
            self._at += len(data)
            return data

        def seek(self, offset: int, whence: int = 0) -> int:
            self._at = offset + (self._at if whence else 0)
            return self._at

    def read(offset: int, length: int) -> bytes:
        reads.append(length)
        first = (head + pixels)[offset : offset + length]
        return first + bytes(min(length, len(head + pixels) + size - offset) - len(first))

    length = len(head + pixels) + size
    source = Source(EXPLICIT_SYNTAX, length, partial(Zeros), read)  # type: ignore[arg-type]
    compiled = compile_transform(Transform(changes=(change("Set", "PatientID", '"x"'),)))
    total = sum(map(len, transform(source, compiled, CAME)))
    assert total > size
    assert max(reads) <= 1 << 20


def test_a_transform_has_a_name_of_its_own_and_is_read_again(tmp_path: Path) -> None:
    one = Recipe((Transform(changes=(change("Set", "PatientID", '"x"'),)),))
    other = Recipe((Transform(changes=(change("Set", "PatientID", '"y"'),)),))
    assert one.id != other.id
    assert parse_recipe(one.form) == one
