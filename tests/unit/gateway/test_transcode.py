"""Implicit VR Little Endian as Explicit: what pydicom reads of both is the same, and pixels are the same bytes."""

import io
import itertools
import struct
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import pydicom
import pytest
from corpus import FILES
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomroute_gateway.deliver.transcode import TranscodingFailed, explicit_vr
from dicomroute_gateway.spool.derived import Derived
from dicomroute_gateway.spool.files import Files

SOURCES = ("rtplan.dcm",  "CT_small.dcm", "MR_small.dcm", "reportsi.dcm", "examples_overlay.dcm",
           "examples_palette.dcm", "nested_priv_SQ.dcm", "waveform_ecg.dcm")  # fmt: skip


def implicit(data_set: Dataset, *, undefined: bool = False) -> bytes:
    if undefined:
        for element in data_set.iterall():
            if element.VR == "SQ":
                element.is_undefined_length = True
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = buffer.is_little_endian = True
    write_dataset(buffer, data_set)
    return buffer.getvalue()


def explicit(data: bytes) -> bytes:
    return b"".join(explicit_vr(io.BytesIO(data), len(data)))


def read(data: bytes, syntax: str) -> Dataset:
    return pydicom.filereader.read_dataset(
        io.BytesIO(data), syntax == ImplicitVRLittleEndian, True, bytelength=len(data)
    )


def values(data_set: Dataset) -> list[object]:
    """Return tags and values, sequences deep, with what has no VR in the dictionary as the bytes that it is."""
    found: list[object] = []
    for element in data_set:
        if element.tag.element == 0:
            continue
        if element.VR == "SQ":
            found.append((element.tag, [values(item) for item in element.value]))
        else:
            found.append((element.tag, str(element.value)))
    return found


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_pydicom_reads_the_same_of_both(source: str, undefined: bool) -> None:
    file = FILES / source
    data_set = pydicom.dcmread(file, force=True)
    data = implicit(data_set, undefined=undefined)
    made = explicit(data)
    before, after = read(data, ImplicitVRLittleEndian), read(made, ExplicitVRLittleEndian)
    assert values(after) == values(before)
    if "PixelData" in before:
        assert after.PixelData == before.PixelData
    assert explicit(data) == made


def element(group: int, number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", group, number, len(value)) + value


@pytest.mark.parametrize(
    "data, expected",
    [
        (element(0x0008, 0x0000, b"\0\0\0\0") + element(0x0008, 0x0060, b"CT"), b"\x08\0\x60\0CS\2\0CT"),
        (element(0x0009, 0x0010, b"ACME"), b"\x09\0\x10\0LO\4\0ACME"),
        (element(0x0009, 0x1001, b"1234"), b"\x09\0\1\x10UN\0\0\4\0\0\0" + b"1234"),
        (element(0x0028, 0x0106, b"\1\0"), b"\x28\0\6\1US\2\0\1\0"),
        (
            element(0x0028, 0x0103, b"\1\0") + element(0x0028, 0x0106, b"\1\0"),
            b"\x28\0\3\1US\2\0\1\0\x28\0\6\1SS\2\0\1\0",
        ),
        (element(0x7FE0, 0x0010, b"1234"), b"\xe0\x7f\x10\0OW\0\0\4\0\0\0" + b"1234"),
        (element(0x6002, 0x3000, b"12"), b"\2\x60\0\x30OW\0\0\2\0\0\0" + b"12"),
        (
            element(0x0010, 0x4000, b"x" * 70_000),
            b"\x10\0\0\x40UN\0\0" + struct.pack("<I", 70_000) + b"x" * 70_000,
        ),
    ],
)
def test_the_vr_of_an_element(data: bytes, expected: bytes) -> None:
    assert explicit(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        element(0x0008, 0x0060, b"CT")[:-1],
        struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF),
        struct.pack("<HHI", 0xFFFE, 0xE00D, 0),
        element(0x0008, 0x1140, element(0x0008, 0x0060, b"CT")),
        element(0x0008, 0x1140, struct.pack("<HHI", 0xFFFE, 0xE000, 50)),
    ],
)
def test_what_is_no_such_data_set_is_said(data: bytes) -> None:
    with pytest.raises(TranscodingFailed):
        explicit(data)


class Zeros(io.RawIOBase):
    """A head, and zeros without end behind it."""

    def __init__(self, head: bytes) -> None:
        self._head = io.BytesIO(head)

    def read(self, size: int = -1) -> bytes:
        return self._head.read(size) or bytes(size)


def test_two_gigabytes_of_pixels_are_never_in_memory() -> None:
    head = element(0x0008, 0x0060, b"CT") + struct.pack("<HHI", 0x7FE0, 0x0010, 2 << 30)
    file: BinaryIO = Zeros(head)  # type: ignore[assignment]
    tracemalloc.start()
    total = sum(len(block) for block in explicit_vr(file, len(head) + (2 << 30)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == (2 << 30) + 10 + 12
    assert peak < 16 << 20


def test_deep_nesting_is_no_recursion() -> None:
    item = Dataset()
    item.CodeValue = "1"
    for _ in range(40):
        outer = Dataset()
        outer.ConceptCodeSequence = Sequence([item])
        item = outer
    data = implicit(item)
    assert values(read(explicit(data), ExplicitVRLittleEndian)) == values(item)


def test_a_derived_file_is_made_once_found_again_and_removed(tmp_path: Path) -> None:
    made = itertools.count()

    def make() -> list[bytes]:
        next(made)
        return [b"12", b"34"]

    derived = Derived(Files(tmp_path))
    path, length = derived.file(7, make)
    assert (path.read_bytes(), length, derived.total_bytes) == (b"1234", 4, 4)
    again = Derived(Files(tmp_path))
    (tmp_path / "derived" / "000000000008.dcm").write_bytes(b"of nothing")
    (tmp_path / "derived" / "000000000007.dcm.new").write_bytes(b"half")
    again.find({7}.__contains__)
    assert again.file(7, make) == (path, 4)
    assert next(made) == 1
    assert [file.name for file in (tmp_path / "derived").iterdir()] == [path.name]
    again.remove(7)
    assert (again.total_bytes, path.exists()) == (0, False)
