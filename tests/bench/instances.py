"""Makes the templates and files of the benchmark, from pydicom's own test files."""

import io
import struct
from pathlib import Path

import pydicom
from corpus import FILES, make_corpus
from pydicom.uid import ExplicitVRLittleEndian
from template import INSTANCE_UID, SERIES_UID, STUDY_UID, Template, uid

CT = "1.2.840.10008.5.1.4.1.1.2"
MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.7.3"  # Multi-frame Grayscale Word Secondary Capture
_PIXEL_DATA = 0x7FE00010


def ct(pixels_a_side: int) -> Template:
    """Return CT_small with so many rows and columns of 16 bits."""
    return _template(CT, pixels_a_side, 1)


def multi_frame(frames: int) -> Template:
    """Return an image of so many frames of 512 KB each."""
    return _template(MULTI_FRAME, 512, frames)


def small() -> Template:
    """Return an image of 3 KB, the elements of its vendor left out."""
    return _template(CT, 28, 1, private=False)


def small_files(folder: Path, count: int) -> list[Path]:
    """Write RT plans of 3 KB each."""
    return make_corpus(folder, count, ("rtplan.dcm",))


def files(folder: Path, template: Template, count: int) -> list[Path]:
    """Write so many instances as files (PS3.10)."""
    folder.mkdir(parents=True)
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = template.sop_class_uid
    meta.TransferSyntaxUID = template.transfer_syntax_uid
    written = []
    for serial in range(1, count + 1):
        meta.MediaStorageSOPInstanceUID = uid(1, serial).decode()
        head = io.BytesIO(bytes(128) + b"DICM")
        head.seek(0, io.SEEK_END)
        pydicom.filewriter.write_file_meta_info(head, meta)
        data_set = template.head.replace(INSTANCE_UID, uid(1, serial)) + bytes(template.pixel_bytes)
        written.append(folder / f"{serial:06d}.dcm")
        written[-1].write_bytes(head.getvalue() + data_set)
    return written


def _template(sop_class: str, side: int, frames: int, *, private: bool = True) -> Template:
    dataset = pydicom.dcmread(FILES / "CT_small.dcm")
    if not private:
        dataset.remove_private_tags()
    for tag in [one.tag for one in dataset if one.tag >= _PIXEL_DATA]:
        del dataset[tag]
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
        one.decode() for one in (INSTANCE_UID, STUDY_UID, SERIES_UID)
    )
    dataset.Rows = dataset.Columns = side
    if frames > 1:
        dataset.NumberOfFrames = frames
    buffer = io.BytesIO()
    pydicom.Dataset(dataset).save_as(buffer, implicit_vr=False, little_endian=True)
    pixels = side * side * 2 * frames
    header = struct.pack("<HH2sxxI", _PIXEL_DATA >> 16, _PIXEL_DATA & 0xFFFF, b"OW", pixels)
    return Template(sop_class, str(ExplicitVRLittleEndian), buffer.getvalue() + header, pixels)
