"""Compressed pixels in native form: the same samples as independent decoders give, in the form that it says."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from corpus import FILES
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomroute_gateway.prepare.decoder_messages import write_message
from dicomroute_gateway.prepare.decoders import Decoders, bounds
from dicomroute_gateway.prepare.decompress import DECODED, decompress
from dicomroute_gateway.prepare.failures import DecoderDied, TranscodingFailed
from dicomroute_gateway.prepare.preparing import other_forms
from dicomroute_gateway.spool.part10 import meta_length


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    lent = Decoders()
    yield lent
    lent.end_idle()


def of_file(file: Path) -> tuple[bytes, str]:
    content = file.read_bytes()
    begin = meta_length(content)
    assert begin is not None
    return content[begin:], str(pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID)


def native(data: bytes, source: str, decoders: Decoders, target: str = ExplicitVRLittleEndian) -> bytes:
    def opened() -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]

    return b"".join(decompress(opened, len(data), source, target, decoders))


def read(data: bytes, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    found = pydicom.filereader.read_dataset(
        io.BytesIO(data), syntax == ImplicitVRLittleEndian, True, bytelength=len(data)
    )
    return found


LOSSLESS = [
    ("MR_small_RLE.dcm", "MR_small.dcm"),
    ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
    ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
    ("rtdose_rle.dcm", "rtdose.dcm"),
]


def by_pixel(one: Dataset) -> list[bytes]:
    """Return the samples of a data set with one byte order, those of a pixel side by side."""
    samples, size = one.SamplesPerPixel, one.BitsAllocated // 8
    frames = int(one.get("NumberOfFrames") or 1)
    length = one.Rows * one.Columns * samples * size
    found = []
    for number in range(frames):
        frame = one.PixelData[number * length : (number + 1) * length]
        if samples > 1 and one.PlanarConfiguration == 1:
            plane = length // samples
            cells = [frame[part * plane + at * size :][:size] for at in range(plane // size) for part in range(samples)]
            frame = b"".join(cells)
        found.append(frame)
    return found


@pytest.mark.parametrize("target", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("compressed, original", LOSSLESS)
def test_what_was_compressed_without_loss_is_as_it_was(
    decoders: Decoders, compressed: str, original: str, target: str
) -> None:
    data, source = of_file(FILES / compressed)
    made = read(native(data, source, decoders, target), target)
    assert by_pixel(made) == by_pixel(pydicom.dcmread(FILES / original))
    came = pydicom.dcmread(FILES / compressed)
    changed = {"PixelData", "PlanarConfiguration", "PhotometricInterpretation"}
    assert {e.tag: str(e.value) for e in made if e.keyword not in changed and e.VR != "SQ"} == {
        e.tag: str(e.value) for e in came if e.keyword not in changed and e.VR != "SQ" and e.tag.element
    }


@pytest.mark.parametrize(
    "name, command",
    [
        ("MR_small_RLE.dcm", "dcmdrle"),
        ("SC_rgb_rle_2frame.dcm", "dcmdrle"),
        ("SC_rgb_rle_16bit_2frame.dcm", "dcmdrle"),
        ("SC_rgb_jpeg_gdcm.dcm", "dcmdjpeg"),
        ("MR_small_jpeg_ls_lossless.dcm", "dcmdjpls"),
        ("JPEGLSNearLossless_16.dcm", "dcmdjpls"),
        ("SC_rgb_jls_lossy_line.dcm", "dcmdjpls"),
    ],
)
def test_dcmtk_decodes_the_same(decoders: Decoders, tmp_path: Path, name: str, command: str) -> None:
    data, source = of_file(FILES / name)
    made = read(native(data, source, decoders))
    subprocess.run([command, str(FILES / name), str(tmp_path / "theirs.dcm")], check=True, timeout=60)
    assert by_pixel(made) == by_pixel(pydicom.dcmread(tmp_path / "theirs.dcm"))


@pytest.mark.parametrize(
    "name, before, after",
    [
        ("SC_rgb_dcmtk_+eb+cy+np.dcm", "YBR_FULL_422", "YBR_FULL"),
        ("examples_jpeg2k.dcm", "YBR_RCT", "RGB"),
        ("SC_rgb_jpeg_dcmtk.dcm", "YBR_FULL", "YBR_FULL"),
        ("SC_jpeg_no_color_transform.dcm", "RGB", "RGB"),
    ],
)
def test_the_colour_is_said_as_the_decoder_gives_it(
    decoders: Decoders, tmp_path: Path, name: str, before: str, after: str
) -> None:
    data, source = of_file(FILES / name)
    made = read(native(data, source, decoders))
    assert (pydicom.dcmread(FILES / name).PhotometricInterpretation, made.PhotometricInterpretation) == (before, after)
    assert made.PlanarConfiguration == 0
    assert len(made.PixelData) == made.Rows * made.Columns * 3 * int(made.get("NumberOfFrames") or 1)
    file = tmp_path / "made.dcm"
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(file, enforce_file_format=True)
    subprocess.run(["dcm2pnm", str(file), str(tmp_path / "made.ppm")], check=True, timeout=60)
    theirs = tmp_path / "theirs.ppm"
    if source.endswith(".4.50"):
        subprocess.run(["dcmj2pnm", str(FILES / name), str(theirs)], check=True, timeout=60)
        ours = (tmp_path / "made.ppm").read_bytes()
        assert max(abs(a - b) for a, b in zip(ours, theirs.read_bytes(), strict=True)) <= 4


def test_a_lossy_image_keeps_its_history(decoders: Decoders) -> None:
    data, source = of_file(FILES / "JPEG2000.dcm")
    made, came = read(native(data, source, decoders)), pydicom.dcmread(FILES / "JPEG2000.dcm")
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        assert made.get(keyword) == came.get(keyword)
    data, source = of_file(FILES / "SC_rgb_jpeg_dcmtk.dcm")
    dataset = pydicom.dcmread(FILES / "SC_rgb_jpeg_dcmtk.dcm")
    del dataset.LossyImageCompression
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    begin = meta_length(buffer.getvalue())
    made = read(native(buffer.getvalue()[begin:], source, decoders))
    assert made.LossyImageCompression == "01"


def test_an_instance_without_pixels_is_written_as_it_is(decoders: Decoders) -> None:
    explicit, _ = of_file(FILES / "reportsi.dcm")
    made = read(native(explicit, "1.2.840.10008.1.2.4.70", decoders))
    assert made.SOPInstanceUID == pydicom.dcmread(FILES / "reportsi.dcm").SOPInstanceUID


def jpeg(**changes: object) -> tuple[bytes, str]:
    """Return a data set with JPEG pixels and changed attributes."""
    dataset = pydicom.dcmread(FILES / "SC_rgb_jpeg_gdcm.dcm")
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    content = buffer.getvalue()
    return content[meta_length(content) :], str(dataset.file_meta.TransferSyntaxUID)


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"Rows": 60_000, "Columns": 60_000}, "longer than"),
        ({"Rows": 101}, "decoded"),
        ({"NumberOfFrames": 7}, "frame"),
        ({"NumberOfFrames": 2_000_000_000}, "length can say"),
        ({"BitsAllocated": 12}, "no decoder takes"),
        ({"SamplesPerPixel": 0}, "no decoder takes"),
        ({"PixelData": encapsulate([b"no frame at all!"])}, "decoded"),
        ({"PixelData": b"\xfe\xff\x00\xe0\xff\xff\xff\x7f" + bytes(8)}, "too long|told apart"),
    ],
)
def test_what_cannot_be_decoded_is_said_and_nothing_is_made_up(
    decoders: Decoders, changes: dict[str, object], why: str
) -> None:
    data, source = jpeg(**changes)
    with pytest.raises(TranscodingFailed, match=why):
        native(data, source, decoders)


def test_frames_that_an_image_does_not_say_are_not_written(decoders: Decoders) -> None:
    frame = b"".join(pydicom.encaps.generate_frames(pydicom.dcmread(FILES / "SC_rgb_jpeg_gdcm.dcm").PixelData))
    data, source = jpeg(NumberOfFrames=1, PixelData=encapsulate([frame, frame, frame]))

    def opened() -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]

    written: list[int] = []
    blocks = decompress(opened, len(data), source, ExplicitVRLittleEndian, decoders)
    with pytest.raises(TranscodingFailed, match="more frames"):
        written.extend(len(block) for block in blocks)
    assert sum(written) < 100 * 100 * 3 + 4096


def test_planes_are_said_as_the_decoder_gives_them(decoders: Decoders) -> None:
    data, source = jpeg(PlanarConfiguration=1)
    made = read(native(data, source, decoders))
    assert made.PlanarConfiguration == 0
    assert made.PixelData == read(native(*jpeg(), decoders)).PixelData


@pytest.mark.parametrize("memory", [512 << 20, 1 << 30, 4 << 30, 1 << 40])
def test_what_decoding_may_take_follows_the_memory_of_the_pod(memory: int) -> None:
    found = bounds(memory)
    assert found.frame_bytes <= max(16 << 20, memory // 16)
    assert found.processes * found.process_bytes <= max(768 << 20, memory)
    assert 4 * found.frame_bytes < found.process_bytes


def test_12_bits_of_jpeg_extended_have_no_decoder(decoders: Decoders) -> None:
    data, source = of_file(FILES / "JPGExtended.dcm")
    with pytest.raises(TranscodingFailed, match="12-bit"):
        native(data, source, decoders)


def test_a_decoder_that_dies_or_stands_still_is_replaced(decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    data, source = of_file(FILES / "MR_small_RLE.dcm")
    expected = native(data, source, decoders)
    with decoders.lend() as one:
        pid = one._process.pid
    os.kill(pid, signal.SIGKILL)
    one._process.wait()
    assert native(data, source, decoders) == expected
    with monkeypatch.context() as impatient, decoders.lend() as one:
        impatient.setattr("dicomroute_gateway.prepare.decoders._FRAME_SECONDS", 0.5)
        os.kill(one._process.pid, signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(DecoderDied, match="memory or time"):
            one.decode(source, {}, b"")
        assert time.monotonic() - begin < 5
    assert native(data, source, decoders) == expected


def test_a_decoder_outlives_the_thread_that_has_started_it() -> None:
    """Deliveries have a thread a turn, and decoders are lent from one to the next."""
    lent, used = Decoders(), list[int]()
    data, source = of_file(FILES / "MR_small_RLE.dcm")

    def turn() -> None:
        native(data, source, lent)
        used.append(lent._idle[0]._process.pid)

    for _ in range(3):
        thread = threading.Thread(target=turn)
        thread.start()
        thread.join()
        time.sleep(0.1)
    assert len(set(used)) == 1
    assert lent._idle[0].is_running
    lent.end_idle()


def test_a_decoder_ends_by_itself_when_a_frame_takes_too_long() -> None:
    """As it is needed where the gateway was killed, which would have ended it."""
    hangs = (
        "import sys, time; from dicomroute_gateway.prepare import decoder\n"
        "decoder.decode = lambda head, frame: time.sleep(60)\n"
        "decoder.main()"
    )
    command = [sys.executable, "-c", hangs, str(1 << 30), "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        write_message(process.stdin, {}, b"")
        assert process.wait(20) == -signal.SIGALRM


def test_a_decoder_has_bounds_and_ends_when_nobody_needs_it() -> None:
    lent = Decoders()
    data, source = of_file(FILES / "MR_small_RLE.dcm")
    native(data, source, lent)
    (one,) = lent._idle
    limits = Path(f"/proc/{one._process.pid}/limits").read_text()
    assert f"Max address space         {lent.bounds.process_bytes}" in limits
    assert "Max file size             0" in limits
    assert Path(f"/proc/{one._process.pid}/oom_score_adj").read_text() == "1000\n"
    lent.end_idle()
    assert one._process.returncode is not None


def test_two_frames_of_a_long_series_are_never_in_memory_together(decoders: Decoders) -> None:
    data, source = of_file(FILES / "examples_ybr_color.dcm")

    def opened() -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]

    sizes = [len(block) for block in decompress(opened, len(data), source, ExplicitVRLittleEndian, decoders)]
    assert sum(sizes) > 6_912_000
    assert max(sizes) < 2 << 20


def test_every_syntax_that_is_decoded_has_both_other_forms() -> None:
    for syntax in DECODED:
        assert other_forms(syntax) == (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    assert other_forms("1.2.840.10008.1.2.4.100") == ()  # MPEG2 Main Profile has no native form here
