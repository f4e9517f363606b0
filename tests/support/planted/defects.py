"""Deliberate defects: each makes a file as it must not come out of de-identifying, and a checker has to see it."""

import io
import struct
from collections.abc import Callable

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from .corpus import ROOT, Instance

Defect = Callable[[Instance, bytes], bytes]


def _edited(change: Callable[[Dataset], None]) -> Defect:
    """Return a defect of a data set that is written as any library would."""

    def defect(_: Instance, result: bytes) -> bytes:
        made = pydicom.dcmread(io.BytesIO(result))
        change(made)
        written = io.BytesIO()
        made.save_as(written, enforce_file_format=False)
        return written.getvalue()

    return defect


def _raw(tag: int, vr: str, value: bytes) -> RawDataElement:
    return RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)


def _put(tag: int, vr: str, value: bytes, depth: int = 0) -> Defect:
    """Return a defect: an element with these bytes, within `depth` sequences."""

    def change(made: Dataset) -> None:
        item = made
        for _ in range(depth):
            inner = Dataset()
            item.add(DataElement(0x00081115, "SQ", [inner]))
            item = inner
        item[Tag(tag)] = _raw(tag, vr, value + b" " * (len(value) % 2))

    return _edited(change)


def _set(keyword: str, value: object) -> Defect:
    return _edited(lambda made: setattr(made, keyword, value))


def _without(keyword: str) -> Defect:
    return _edited(lambda made: delattr(made, keyword))


def _other_uid_elsewhere(_: Instance, result: bytes) -> bytes:
    """The study has a UID that is not the one of its other instances."""
    return _set("StudyInstanceUID", "2.25.170141183460469231731687303715884105728")(_, result)


def _meta(_: Instance, result: bytes) -> bytes:
    made = pydicom.dcmread(io.BytesIO(result))
    made.file_meta.SourceApplicationEntityTitle = "QZXSCANNER"
    written = io.BytesIO()
    made.save_as(written, enforce_file_format=False)
    return written.getvalue()


def _comment(_: Instance, result: bytes) -> bytes:
    """A comment in whatever the pixels are: of JPEG it is a segment, of others it is where a segment would be."""
    at = result.rindex(b"\xe0\x7f\x10\x00")
    return result[: at + 12] + b"\xff\xfe" + struct.pack(">H", 9) + b"Qzxpixe" + result[at + 23 :]


def _planted_value(one: int) -> Defect:
    """Something of the key is back, where it does not belong."""

    def defect(instance: Instance, result: bytes) -> bytes:
        form = instance.planted[one % len(instance.planted)].forms[0]
        return _put(0x00081080, "LO", form)(instance, result)

    return defect


def _nothing_done(instance: Instance, _: bytes) -> bytes:
    return instance.content


def _original_uid(instance: Instance, result: bytes) -> bytes:
    return _put(0x00083010, "UI", max(instance.uids).encode())(instance, result)


def _date(instance: Instance, result: bytes) -> bytes:
    return _put(0x00080025, "DA", next(iter(instance.dates.values()))[:8].encode())(instance, result)


DEFECTS: dict[str, Defect] = {
    "nothing was done": _nothing_done,
    **{
        f"a name is back in {vr} of {tag:08X}, {depth} deep": _put(tag, vr, value, depth)
        for tag, vr, value, depth in (
            (0x00081080, "LO", b"Qzxback", 0),
            (0x00081080, "LO", b"Qzxback", 1),
            (0x00081080, "LO", b"Qzxback", 2),
            (0x00081080, "LO", b"Qzxback", 3),
            (0x00081080, "LO", b"Qzxback", 4),
            (0x00080090, "PN", b"Qzxback^Anna", 0),
            (0x00080090, "PN", "Qzxbackäß^Anna".encode("latin-1"), 0),
            (0x00280A04, "OB", "Qzxback山田".encode(), 1),
            (0x00080050, "SH", b"qzxback", 0),
            (0x00081155, "UI", f"{ROOT}77".encode(), 1),
            (0x00104000, "LT", b"he said\r\nQZXBACK", 0),
            (0x00081049, "ST", b"Dr. Qzxback", 0),
            (0x0040A160, "UT", b"Qzxback", 2),
            (0x00189908, "UC", b"Qzxback", 0),
            (0x00081190, "UR", b"http://h/qzxback", 0),
            (0x00080054, "AE", b"QZXBACK", 0),
            (0x00180015, "CS", b"QZXBACK", 0),
            (0x00080080, "UN", b"Qzxback", 0),
            (0x00280A04, "OB", b"\0\1\2Qzxback\0", 0),
            (0x00280A04, "OB", "Qzxback".encode("utf-16-le"), 0),
            (0x00280A04, "OB", "Qzxback".encode("utf-16-be"), 0),
            (0x00090010, "LO", b"Qzxback", 0),
            (0x00091001, "UN", b"Qzxback", 0),
            (0x60000022, "LO", b"Qzxback", 0),
            (0x60003000, "OW", b"Qzxback\0", 0),
            (0x50000030, "LO", b"Qzxback", 0),
            (0xFFFCFFFC, "OB", b"Qzxback\0", 0),
        )
    },
    **{f"value {one} of the key is back": _planted_value(one) for one in (0, 3, 9, 20, 31, 44, 57, 70)},
    "a private element is left": _put(0x00110010, "LO", b"ACME"),
    "an original UID is left": _original_uid,
    "a date is left": _date,
    "the preamble is left": lambda _, result: b"Qzxback".ljust(128, b"\0") + result[128:],
    "the preamble is left, without a word": lambda _, result: b"II*\0".ljust(128, b"\0") + result[128:],
    "bytes follow the data set": lambda _, result: result + b"Qzxback\0",
    "the meta information names the sender": _meta,
    "a comment is in the pixels": _comment,
    "it does not say that it was de-identified": _without("PatientIdentityRemoved"),
    "it says that it was not": _set("PatientIdentityRemoved", "NO"),
    "it does not say how": _without("DeidentificationMethod"),
    "it has no code of the profile": _without("DeidentificationMethodCodeSequence"),
    "it does not speak of dates": _without("LongitudinalTemporalInformationModified"),
    "it says that dates are as they were": _set("LongitudinalTemporalInformationModified", "UNMODIFIED"),
    "its UID is not that of the file": _set("SOPInstanceUID", "2.25.170141183460469231731687303715884105729"),
    "its study has another UID than elsewhere": _other_uid_elsewhere,
    "its UID is of another arc": _set("SeriesInstanceUID", "1.2.3.4.5.6"),
    "its UID is no UUID of version 8": _set("SeriesInstanceUID", "2.25.12345"),
    "two UIDs have become one": _edited(lambda made: setattr(made, "SeriesInstanceUID", made.StudyInstanceUID)),
    "the patient has another pseudonym": _set("PatientID", "SOMEBODYELSE"),
    "the patient has none": _set("PatientID", ""),
    "a number has changed": _set("SliceThickness", "1.26"),
    "a position has changed": _set("ImagePositionPatient", [1, 2, 3]),
    "an instance number has changed": _set("InstanceNumber", "99"),
    "a number is gone": _without("KVP"),
    "a binary number has changed": _set("DiffusionBValue", 1000.25),
    "a pixel has changed": lambda _, result: result[:-9] + bytes([result[-9] ^ 1]) + result[-8:],
    "the pixels are gone": _without("PixelData"),
    "it is cut off": lambda _, result: result[: len(result) // 2 // 2 * 2],
    "it is empty": lambda _, __: b"",
}
