"""Identifiers survive their way in both transfer syntaxes and whatever character set; pydicom reads what is written."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from dicomroute_gateway.decoded import Element
from dicomroute_gateway.query.identifier import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    IdentifierInvalid,
    decode_identifier,
    encode_identifier,
)

NAME, SETS = 0x00100010, 0x00080005
SYNTAXES = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]


def written(data_set: Dataset, syntax: str) -> bytes:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, syntax == IMPLICIT_VR_LITTLE_ENDIAN
    write_dataset(file, data_set)
    return file.getvalue()


def read(data: bytes, syntax: str) -> Dataset:
    return read_dataset(BytesIO(data), syntax == IMPLICIT_VR_LITTLE_ENDIAN, True)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_pydicom_writes_is_read(syntax: str) -> None:
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 100"
    asked.QueryRetrieveLevel = "STUDY"
    asked.PatientName = "Müller^*"
    asked.ModalitiesInStudy = ["CT", "MR"]
    asked.StudyDate = ""
    asked.Rows = 512
    item = Dataset()
    item.ScheduledProcedureStepID = "7"
    asked.RequestAttributesSequence = [item]
    asked.add_new(0x00090010, "LO", "PRIVATE")
    found = decode_identifier(written(asked, syntax), syntax)
    assert (found.level, found.character_set) == ("STUDY", b"ISO_IR 100")
    assert found.keys == {
        NAME: Element("PN", ("Müller^*",)),
        0x00080061: Element("CS", ("CT", "MR")),
        0x00080020: Element("DA"),
        0x00280010: Element("US", ("512",)),
        0x00400275: Element("SQ", (), ({0x00400009: Element("SH", ("7",))},)),
    }


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(data=st.binary(max_size=200))
def test_bytes_of_a_stranger_are_an_identifier_or_an_error(syntax: str, data: bytes) -> None:
    try:
        decode_identifier(data, syntax)
    except IdentifierInvalid:
        pass


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\\^= "), min_size=1, max_size=12),
        min_size=1, max_size=3,
    ),
    preferred=st.sampled_from(
        [b"", b"ISO_IR 100", b"ISO_IR 144", b"\\ISO 2022 IR 87", b"ISO 2022 IR 13\\ISO 2022 IR 87", b"GB18030",
         b"\\ISO 2022 IR 149", b"ISO_IR 166", b"nonsense"]
    ),
)  # fmt: skip
def test_pydicom_reads_the_text_that_is_written(syntax: str, names: list[str], preferred: bytes) -> None:
    data = encode_identifier({NAME: Element("PN", ("^".join(names),))}, syntax, preferred)
    told = read(data, syntax)
    assert str(told.PatientName) == "^".join(names)
    if "^".join(names).isascii():
        assert "SpecificCharacterSet" not in told


def test_the_character_set_of_an_answer() -> None:
    def declared(name: str, preferred: bytes) -> str:
        told = read(encode_identifier({NAME: Element("PN", (name,))}, SYNTAXES[0], preferred), SYNTAXES[0])
        return (
            "\\".join(told.get("SpecificCharacterSet") or [""])
            if not isinstance(told.get("SpecificCharacterSet"), str)
            else str(told.SpecificCharacterSet)
        )

    assert declared("Alder", b"ISO_IR 100") == ""
    assert declared("Müller", b"ISO_IR 100") == "ISO_IR 100"
    assert declared("Wałęska", b"ISO_IR 100") == "ISO_IR 192"
    assert declared("Müller", b"") == "ISO_IR 192"
    assert declared("山田^太郎", b"\\ISO 2022 IR 87").endswith("ISO 2022 IR 87")
    assert declared("Müller", b"ISO_IR 999") == "ISO_IR 192"


@pytest.mark.parametrize(
    ("name", "otherwise", "text"),
    [
        ("Müller".encode(), b"", "Müller"),
        ("Müller".encode("latin-1"), b"ISO_IR 100", "Müller"),
        ("Müller".encode("latin-1"), b"", "M?ller"),
        ("Wałęska".encode("iso8859_2"), b"ISO_IR 101", "Wałęska"),
    ],
)
def test_text_without_a_declaration(name: bytes, otherwise: bytes, text: str) -> None:
    name += b" " * (len(name) % 2)
    data = b"\x10\0\x10\0PN" + len(name).to_bytes(2, "little") + name
    assert decode_identifier(data, SYNTAXES[0], otherwise).keys[NAME].values == (text,)
