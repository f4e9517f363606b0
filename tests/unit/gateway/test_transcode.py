"""A data set in another native transfer syntax: what pydicom reads of both is the same, and so are the pixels."""

import contextlib
import io
import itertools
import struct
import threading
import tracemalloc
import zlib
from array import array
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pydicom
import pytest
from corpus import FILES
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomroute_gateway.configuration.recipe import Recipe, Transcode
from dicomroute_gateway.prepare.failures import TranscodingFailed
from dicomroute_gateway.prepare.transcode import alternatives, transcode
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.spool.derived import Derived
from dicomroute_gateway.spool.files import Files
from dicomroute_gateway.spool.keys import NO_KEYS, Keys, key_of
from dicomroute_gateway.spool.part10 import meta_length
from dicomroute_gateway.spool.records import Received, Sender

SOURCES = ("rtplan.dcm",  "CT_small.dcm", "MR_small.dcm", "reportsi.dcm", "examples_overlay.dcm",
           "examples_palette.dcm", "nested_priv_SQ.dcm", "waveform_ecg.dcm")  # fmt: skip


EVERY = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


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
    return b"".join(transcode(io.BytesIO(data), len(data), ImplicitVRLittleEndian, ExplicitVRLittleEndian))


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


def of_file(file: Path) -> tuple[bytes, str]:
    """Return the data set of a file, and the transfer syntax that it is in."""
    content = file.read_bytes()
    begin = meta_length(content)
    assert begin is not None
    return content[begin:], str(pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID)


NATIVE = [
    ("MR_small_bigendian.dcm", ExplicitVRBigEndian),
    ("SC_rgb_small_odd_big_endian.dcm", ExplicitVRBigEndian),
    ("image_dfl.dcm", DeflatedExplicitVRLittleEndian),
    ("CT_small.dcm", ExplicitVRLittleEndian),
    ("rtplan.dcm", ImplicitVRLittleEndian),
    ("reportsi.dcm", ExplicitVRLittleEndian),
    ("nested_priv_SQ.dcm", ImplicitVRLittleEndian),
    ("liver_expb_1frame.dcm", ExplicitVRBigEndian),
    ("ExplVR_BigEnd.dcm", ExplicitVRBigEndian),
]


@pytest.mark.parametrize("target", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("name, syntax", NATIVE)
def test_a_public_file_in_every_other_syntax(name: str, syntax: str, target: str) -> None:
    data, source = of_file(FILES / name)
    assert source == syntax
    if source == target:
        assert target not in alternatives(source)
        return
    assert target in alternatives(source)
    made = b"".join(transcode(io.BytesIO(data), len(data), source, target))
    before, after = pydicom.dcmread(FILES / name), read(made, target)
    if "PixelData" in before and source == ExplicitVRBigEndian:
        word = 2 if before["PixelData"].VR == "OW" else 1
        pixels = array("H" if word == 2 else "B", before.PixelData)
        pixels.byteswap()
        before.PixelData = pixels.tobytes()
    if "PixelData" in before:
        assert after.PixelData == before.PixelData
    assert values(after) == values(before)


def big(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    if vr in (b"OB", b"OW", b"UN", b"SQ", b"OD", b"OF"):
        return struct.pack(">HH2sHI", group, number, vr, 0, len(value)) + value
    return struct.pack(">HH2sH", group, number, vr, len(value)) + value


@pytest.mark.parametrize(
    "value, expected",
    [
        (big(0x0028, 0x0010, b"US", b"\2\0"), element(0x0028, 0x0010, b"\0\2")),
        (big(0x0028, 0x0009, b"AT", b"\0\x18\x10\x63"), element(0x0028, 0x0009, b"\x18\0\x63\x10")),
        (big(0x0018, 0x9087, b"FD", bytes(range(8))), element(0x0018, 0x9087, bytes(reversed(range(8))))),
        (big(0x7FE0, 0x0008, b"OF", b"abcdefgh"), element(0x7FE0, 0x0008, b"dcbahgfe")),
        (big(0x0009, 0x1001, b"UN", b"abcd"), element(0x0009, 0x1001, b"abcd")),
        (big(0x7FE0, 0x0010, b"OB", b"abcd"), element(0x7FE0, 0x0010, b"abcd")),
        (big(0x7FE0, 0x0010, b"OW", b"abcd"), element(0x7FE0, 0x0010, b"badc")),
    ],
)
def test_words_in_big_endian_are_turned(value: bytes, expected: bytes) -> None:
    assert b"".join(transcode(io.BytesIO(value), len(value), ExplicitVRBigEndian, ImplicitVRLittleEndian)) == expected


@pytest.mark.parametrize(
    "data, syntax, why",
    [
        (big(0x0028, 0x0100, b"US", b"\0\x20") + big(0x7FE0, 0x0010, b"OW", bytes(4)), ExplicitVRBigEndian, "32 bits"),
        (big(0x0028, 0x0010, b"US", b"\2\0\0"), ExplicitVRBigEndian, "not a multiple"),
        (struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF), ExplicitVRLittleEndian, "not a sequence"),
        (struct.pack("<HH", 8, 8) + b"\0\1\2\3", ExplicitVRLittleEndian, "without a VR"),
        (struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), ExplicitVRLittleEndian, "delimiter"),
        (b"no deflated bytes", DeflatedExplicitVRLittleEndian, "inflated"),
        (zlib.compress(b"\x08\0\x08\0CS\2\0AB" * 1000, wbits=-15)[:-8], DeflatedExplicitVRLittleEndian, "cut off"),
        (zlib.compress(b"\x08\0\x60", wbits=-15), DeflatedExplicitVRLittleEndian, "cut off"),
    ],
)
def test_what_has_no_other_form_is_said(data: bytes, syntax: str, why: str) -> None:
    with pytest.raises(TranscodingFailed, match=why):
        b"".join(transcode(io.BytesIO(data), len(data), syntax, ImplicitVRLittleEndian))


def test_a_bomb_of_deflated_zeros_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomroute_gateway.prepare.transcode._MOST_INFLATED_BYTES", 1 << 24)
    data = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 1 << 26) + bytes(1 << 26)
    bomb = zlib.compress(data, wbits=-15)
    assert len(bomb) < 1 << 17
    with pytest.raises(TranscodingFailed, match="bytes when it is inflated"):
        for _ in transcode(io.BytesIO(bomb), len(bomb), DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian):
            pass


def test_a_sequence_that_came_as_unknown_is_one_again() -> None:
    within = element(0x0008, 0x0100, b"1234")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(within)) + within + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    data = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF) + item
    made = b"".join(transcode(io.BytesIO(data), len(data), ExplicitVRLittleEndian, ImplicitVRLittleEndian))
    assert read(made, ImplicitVRLittleEndian)[0x00091001].value[0][0x00080100].value == "1234"
    deflated = zlib.compress(data, wbits=-15)
    made = b"".join(
        transcode(io.BytesIO(deflated), len(deflated), DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian)
    )
    assert read(made, ExplicitVRLittleEndian)[0x00091001].value[0][0x00080100].value == "1234"


@given(st.binary(max_size=200), st.sampled_from([*EVERY]))
def test_whatever_bytes_come_they_are_written_or_said_to_be_none(data: bytes, syntax: str) -> None:
    for target in alternatives(syntax):
        with contextlib.suppress(TranscodingFailed):
            b"".join(transcode(io.BytesIO(data), len(data), syntax, target))


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
    total = sum(
        len(block) for block in transcode(file, len(head) + (2 << 30), ImplicitVRLittleEndian, ExplicitVRLittleEndian)
    )
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


def received(key: str = "") -> Received:
    sender = Sender("a", "dicom", "CT1", "GATE", "192.0.2.1")
    return Received(7, 0.0, "1.2", "1.3", "1.4", "1.5", "1.2.840.10008.1.2", 2, "", sender, 1, (), key=key)


KEY = key_of(bytes(range(32)))
EXPLICIT_FORM = Recipe((Transcode(transfer_syntax_uid="1.2.840.10008.1.2.1"),))
IMPLICIT_FORM = Recipe((Transcode(transfer_syntax_uid="1.2.840.10008.1.2"),))


@pytest.mark.parametrize("key", ["", KEY.id], ids=["clear", "encrypted"])
def test_a_derived_file_is_made_once_found_again_and_removed(tmp_path: Path, key: str) -> None:
    made = itertools.count()

    def make() -> list[bytes]:
        next(made)
        return [b"secret", b"name"]

    def keys() -> Keys:
        return Keys({KEY.id: KEY}, KEY)

    derived = Derived(Files(tmp_path), keys)
    stored = derived.file(received(key), EXPLICIT_FORM.id, make)
    assert stored.fault() is None
    with stored.open() as content:
        assert content.read_at(0, 100) == b"secretname"
    on_disk = stored.path.read_bytes()
    assert (b"secret" in on_disk) is (key == "")
    assert derived.total_bytes == len(on_disk)
    again = Derived(Files(tmp_path), keys)
    (tmp_path / "derived" / f"000000000008-{EXPLICIT_FORM.id}.dcm").write_bytes(b"of nothing")
    (tmp_path / "derived" / "000000000007.dcm").write_bytes(b"of an earlier release, for nobody knows what")
    (tmp_path / "derived" / "000000000007.dcm.new").write_bytes(b"half")
    again.find({7}.__contains__)
    with again.file(received(key), EXPLICIT_FORM.id, make).open() as content:
        assert content.read_at(0, 100) == b"secretname"
    assert next(made) == 1
    assert [file.name for file in (tmp_path / "derived").iterdir()] == [stored.path.name]
    again.remove(7)
    assert (again.total_bytes, stored.path.exists()) == (0, False)


@pytest.mark.parametrize("key", ["", KEY.id], ids=["clear", "encrypted"])
def test_one_instance_has_a_file_for_each_recipe_and_none_is_taken_for_another(tmp_path: Path, key: str) -> None:
    def keys() -> Keys:
        return Keys({KEY.id: KEY}, KEY)

    def content(derived: Derived, recipe: Recipe, text: bytes) -> bytes:
        with derived.file(received(key), recipe.id, lambda: [text]).open() as opened:
            return opened.read_at(0, 100)

    derived = Derived(Files(tmp_path), keys)
    assert content(derived, EXPLICIT_FORM, b"explicit") == b"explicit"
    assert content(derived, IMPLICIT_FORM, b"implicit") == b"implicit"
    assert content(derived, EXPLICIT_FORM, b"never made") == b"explicit"
    again = Derived(Files(tmp_path), keys)
    again.find({7}.__contains__)
    assert again.total_bytes == derived.total_bytes
    assert content(again, IMPLICIT_FORM, b"never made") == b"implicit"
    again.remove(7)
    assert (again.total_bytes, list((tmp_path / "derived").iterdir())) == (0, [])


def test_a_recipe_is_named_by_what_it_does() -> None:
    assert Recipe().id == ""
    assert EXPLICIT_FORM.id == Recipe((Transcode(transfer_syntax_uid="1.2.840.10008.1.2.1"),)).id == "48d14678570def60"
    assert len({EXPLICIT_FORM.id, IMPLICIT_FORM.id, Recipe((*EXPLICIT_FORM.steps, *IMPLICIT_FORM.steps)).id}) == 3


def test_without_the_instances_key_nothing_is_made_in_clear(tmp_path: Path) -> None:
    derived = Derived(Files(tmp_path), lambda: NO_KEYS)
    with pytest.raises(Unreadable, match="add it there") as raised:
        derived.file(received(KEY.id), EXPLICIT_FORM.id, lambda: [b"secret"])
    assert raised.value.reason == "SpoolKeyMissing"
    assert not (tmp_path / "derived").exists()


def test_one_long_making_does_not_stop_others(tmp_path: Path) -> None:
    derived = Derived(Files(tmp_path), lambda: NO_KEYS)
    made = []

    def long() -> list[bytes]:
        other = threading.Thread(
            target=derived.file, args=(replace(received(), id=8), EXPLICIT_FORM.id, lambda: [b"short"])
        )
        other.start()
        other.join(10)
        made.append(other.is_alive())
        return [b"long"]

    derived.file(received(), EXPLICIT_FORM.id, long)
    assert made == [False]


def test_what_several_want_at_once_is_made_once(tmp_path: Path) -> None:
    derived = Derived(Files(tmp_path), lambda: NO_KEYS)
    begun, go_on, made = threading.Event(), threading.Event(), []

    def make() -> list[bytes]:
        made.append(1)
        begun.set()
        assert go_on.wait(10)
        return [b"once"]

    threads = [threading.Thread(target=derived.file, args=(received(), EXPLICIT_FORM.id, make)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join()
    assert (made, derived._making) == ([1], {})
