"""Instances to send: copies of pydicom's own test files with new UIDs, in many SOP classes and transfer syntaxes."""

from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

FILES = Path(pydicom.__file__).parent / "data" / "test_files"

SOURCES = (
    "CT_small.dcm",  # Explicit VR Little Endian
    "MR_small.dcm",
    "MR_small_bigendian.dcm",  # Explicit VR Big Endian
    "rtplan.dcm",  # Implicit VR Little Endian
    "rtdose.dcm",
    "MR_small_jp2klossless.dcm",  # JPEG 2000 Lossless Only
    "JPEG2000.dcm",  # JPEG 2000
    "SC_rgb_jpeg_gdcm.dcm",  # JPEG Lossless
    "MR_small_RLE.dcm",  # RLE Lossless
    "MR_small_jpeg_ls_lossless.dcm",  # JPEG-LS Lossless
    "SC_rgb_jpeg_dcmtk.dcm",  # JPEG Baseline
    "image_dfl.dcm",  # Deflated
    "reportsi.dcm",  # a structured report
    "examples_overlay.dcm",
)


def make_corpus(folder: Path, copies: int, sources: tuple[str, ...] = SOURCES) -> list[Path]:
    """Write `copies` of every source into a folder, each a new instance; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for source in sources:
        for number in range(copies):
            dataset = pydicom.dcmread(FILES / source)
            uid = generate_uid(entropy_srcs=[source, str(number), str(folder)])
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
                if not dataset.get(keyword):
                    setattr(dataset, keyword, generate_uid(entropy_srcs=[source, keyword]))
            if "PatientID" not in dataset:
                dataset.PatientID = "none"
            file = folder / f"{Path(source).stem}-{number}.dcm"
            dataset.save_as(file)
            files.append(file)
    return files


def uid_of(file: Path) -> str:
    return str(pydicom.dcmread(file, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID)


def data_set_bytes(file: bytes) -> bytes:
    """Return the data set of a DICOM file: what follows its File Meta Information (PS3.10 7.1)."""
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]
