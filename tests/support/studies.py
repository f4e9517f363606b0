"""Made-up studies for queries and retrievals, as files."""

from io import BytesIO
from typing import Any, Final

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
MR: Final = "1.2.840.10008.5.1.4.1.1.4"
ROOT: Final = "1.2.826.0.1.3680043.10.999"


def study_uid(study: int) -> str:
    return f"{ROOT}.{study}"


def series_uid(study: int, series: int) -> str:
    return f"{ROOT}.{study}.{series}"


def instance_uid(study: int, series: int, instance: int) -> str:
    return f"{ROOT}.{study}.{series}.{instance}"


def instance(
    study: int,
    series: int = 1,
    number: int = 1,
    *,
    sop_class: str = CT,
    transfer_syntax: str = ExplicitVRLittleEndian,
    pixel_bytes: int = 512,
    **attributes: Any,
) -> bytes:
    """Return the file of an instance; `attributes` are set by keyword."""
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.SOPClassUID = sop_class
    data_set.StudyInstanceUID = study_uid(study)
    data_set.SeriesInstanceUID = series_uid(study, series)
    data_set.SOPInstanceUID = instance_uid(study, series, number)
    data_set.PatientName, data_set.PatientID = f"Alder^Anna{study}", f"AB-{study:04d}"
    data_set.StudyDate, data_set.StudyTime = f"2024{study % 12 + 1:02d}{study % 28 + 1:02d}", "101500"
    data_set.AccessionNumber, data_set.StudyID = f"ACC{study}", str(study)
    data_set.Modality = "CT" if sop_class == CT else "MR"
    data_set.SeriesNumber, data_set.InstanceNumber = series, number
    data_set.Rows = data_set.Columns = 16
    data_set.BitsAllocated = data_set.BitsStored = 16
    data_set.HighBit, data_set.PixelRepresentation, data_set.SamplesPerPixel = 15, 0, 1
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.add_new("PixelData", "OW", bytes(range(256)) * (pixel_bytes // 256))
    for keyword, value in attributes.items():
        setattr(data_set, keyword, value)
    return written(data_set, transfer_syntax)


def written(data_set: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return the file of a data set."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data_set.SOPClassUID, data_set.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.UID(transfer_syntax)
    file = BytesIO()
    FileDataset("", data_set, file_meta=meta, preamble=bytes(128)).save_as(file, enforce_file_format=True)
    return file.getvalue()
