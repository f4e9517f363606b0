"""Says what is wrong with de-identified files: it reads their bytes, and it parses them, by the answer key alone.

What an option keeps it knows from the second source of the table, never from the table that is tested.
"""

import datetime
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from .corpus import ROOT, SECOND, Instance

_WORD = re.compile(rb"qzx[^\x00-\x20\\^=]*")
_WIDE = re.compile(rb"q\x00z\x00x|\x00q\x00z\x00x", re.DOTALL)
_DATE = re.compile(rb"19[345][0-9][01][0-9][0-3][0-9]")
_TIME = re.compile(rb"031337\.[0-9]{6}")
_UID = re.compile(re.escape(ROOT.encode()) + rb"[0-9.]+")
_META = {0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012}
_DATES = {"RetainFullDates": "UNMODIFIED", "RetainModifiedDates": "MODIFIED"}
_CODES = {
    "CleanPixelData": "113101",
    "CleanGraphics": "113103",
    "CleanStructuredContent": "113104",
    "CleanDescriptors": "113105",
    "RetainFullDates": "113106",
    "RetainModifiedDates": "113107",
    "RetainPatientCharacteristics": "113108",
    "RetainDeviceIdentity": "113109",
    "RetainUIDs": "113110",
    "RetainSafePrivate": "113111",
    "RetainInstitutionIdentity": "113112",
}


@dataclass
class Checker:
    """Checks the results of one profile, one after the other: what has to agree over files it remembers."""

    options: frozenset[str] = frozenset()
    uids: dict[str, str] = field(default_factory=dict)
    patients: dict[int, str] = field(default_factory=dict)
    shifts: dict[int, int] = field(default_factory=dict)

    def problems(self, instance: Instance, result: bytes) -> list[str]:
        """Return what is wrong with the file that was made of an instance."""
        found = list(self._head(result))
        try:
            made = pydicom.dcmread(io.BytesIO(result))
            elements = list(_walked(made, ()))
        except Exception as error:
            return [*found, f"cannot be parsed: {error}"]
        if "RetainModifiedDates" in self.options:
            found += self._shifts(made, instance)
        found += self._bytes(instance, result)
        found += self._texts(instance, elements)
        found += self._claims(made, instance)
        found += self._consistency(made, instance)
        found += self._clinical(made, instance)
        found += self._pixels(made, instance)
        return found

    def _kept(self, path: tuple[int, ...]) -> bool:
        row = SECOND.get(f"{path[-1]:08X}", {})
        dates = "RetainFullDates" in self.options and not row
        times = "RetainModifiedDates" in self.options and row.get("RetainModifiedDates") == "C"
        return dates or times or any(row.get(option) == "K" for option in self.options)

    def _allowed(self, instance: Instance) -> set[bytes]:
        allowed = {form for one in instance.planted if self._kept(one.path) for form in one.forms}
        if "RetainModifiedDates" in self.options:  # times stay, dates never
            forms = (form for one in instance.planted for form in one.forms)
            times = {match[0] for form in forms for match in [_TIME.search(form)] if match}
            allowed = {form for form in allowed if not _DATE.match(form)} | times
            days = datetime.timedelta(self.shifts.get(instance.patient, 0))
            if days:  # one date may move to where another was
                moved = (_day(text) + days for text in instance.dates.values())
                allowed |= {f"{one:%Y%m%d}".encode() for one in moved}
        if "RetainUIDs" in self.options:
            allowed |= {uid.encode() for uid in instance.uids}
        return allowed

    def _bytes(self, instance: Instance, result: bytes) -> Iterator[str]:
        """Look at the bytes, of whatever element they are."""
        lower = result.lower()
        allowed = self._allowed(instance)
        known = {form for one in instance.planted for form in one.forms}
        known |= {text[:8].encode() for text in instance.dates.values()}
        for pattern in (_WORD, _UID, _TIME, _DATE):
            for match in pattern.finditer(lower):
                if match[0] in allowed or (pattern is _DATE and match[0] not in known):
                    continue
                if pattern is _WORD and any(match[0].startswith(one) for one in allowed):
                    continue  # with the first byte of the element behind it
                if pattern is _UID and len(match[0]) % 2 and match[0][:-1] in allowed:
                    continue  # so has this one: group 0032 begins with the digit 2
                if pattern is _DATE and any(one.startswith(match[0]) for one in allowed):
                    continue
                if pattern is _TIME and any(match[0] in one for one in allowed):
                    continue
                yield f"at byte {match.start()} is {match[0]!r}"
        if _WIDE.search(lower):
            yield "there is a word of two bytes a character"
        for one in instance.planted:
            for form in one.forms:
                is_part = _DATE.fullmatch(form) and any(other.startswith(form) for other in allowed)  # two on one day
                if form in lower and form not in allowed and not is_part:
                    yield f"{one.path} is left"

    def _head(self, result: bytes) -> Iterator[str]:
        if any(result[:128]):
            yield "the preamble is not empty"
        if len(result) % 2:
            yield "the file has an odd length"

    def _texts(self, instance: Instance, elements: list[tuple[tuple[int, ...], pydicom.DataElement]]) -> Iterator[str]:
        allowed = {form.decode("latin-1") for form in self._allowed(instance)}
        before = 0
        for path, element in elements:
            if len(path) == 1:
                if element.tag <= before:
                    yield f"{element.tag} is out of order"
                before = int(element.tag)
            if element.VR == "SQ" or isinstance(element.value, bytes):
                continue
            text = str(element.value).lower()
            if "qzx" in text and not any(one in text for one in allowed):
                yield f"{path} says {text!r}"
            if int(element.tag) >> 16 & 1 and "RetainSafePrivate" not in self.options:
                yield f"{path} is private"
            if element.tag.group in (0, 2, 4) or element.tag.element == 0:
                yield f"{path} does not belong into a data set"

    def _claims(self, made: Dataset, instance: Instance) -> Iterator[str]:
        if made.get("PatientIdentityRemoved") != "YES":
            yield "it does not say that the identity was removed"
        if not made.get("DeidentificationMethod"):
            yield "it does not say how"
        codes = {one.CodeValue for one in made.get("DeidentificationMethodCodeSequence", [])}
        expected = {"113100", *(_CODES[option] for option in self.options)}
        if not expected <= codes or not codes <= expected | {"113101"}:
            yield f"it claims {sorted(codes)} in place of {sorted(expected)}"
        temporal = next((_DATES[option] for option in self.options if option in _DATES), "REMOVED")
        if made.get("LongitudinalTemporalInformationModified") != temporal:
            yield f"Longitudinal Temporal Information Modified is not {temporal}"
        if instance.burned_in is not None and made.get("BurnedInAnnotation") != "NO":
            yield "its pixels were cleaned, and it does not say so"
        extra = {int(one.tag) for one in made.file_meta} - _META
        if extra or made.file_meta.MediaStorageSOPInstanceUID != made.SOPInstanceUID:
            yield "the file's meta information is not that of its data set"

    def _consistency(self, made: Dataset, instance: Instance) -> Iterator[str]:
        old = pydicom.dcmread(io.BytesIO(instance.content), stop_before_pixels=True)
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            before, after = str(old[keyword].value), str(made[keyword].value)
            if self.uids.setdefault(before, after) != after:
                yield f"{keyword} is another one than elsewhere"
            if "RetainUIDs" not in self.options:
                if not re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", after):
                    yield f"{keyword} is not made of a UUID"
                elif int(after[5:]) >> 76 & 0xF != 8 or int(after[5:]) >> 62 & 3 != 2:
                    yield f"{keyword} is not a UUID of version 8"
        if len(set(self.uids.values())) != len(self.uids):
            yield "two UIDs have become one"
        if self.patients.setdefault(instance.patient, made.PatientID) != made.PatientID or not made.PatientID:
            yield "the patient has another pseudonym than elsewhere, or none"
        if len(set(self.patients.values())) != len(self.patients):
            yield "two patients have become one"

    def _clinical(self, made: Dataset, instance: Instance) -> Iterator[str]:
        old = pydicom.dcmread(io.BytesIO(instance.content), stop_before_pixels=True)
        for tag in instance.clinical:
            if tag not in made or made[tag].value != old[tag].value:
                yield f"{tag:08X} has another value"

    def _pixels(self, made: Dataset, instance: Instance) -> Iterator[str]:
        if not instance.frames:
            return
        if "PixelData" not in made:
            yield "its pixels are gone"
            return
        if instance.burned_in is not None:
            left, top, right, bottom = instance.burned_in
            before, after = bytearray(instance.frames[0]), bytearray(made.PixelData)
            for row in range(top, bottom):
                at = slice(row * 32 + left, row * 32 + right)
                if any(after[at]):
                    yield "text is still in its pixels"
                before[at] = after[at] = bytes(right - left)
            if before != after:
                yield "pixels elsewhere have changed"
            return
        old = pydicom.dcmread(io.BytesIO(instance.content))
        syntax = made.file_meta.TransferSyntaxUID
        if syntax.is_compressed and syntax != RLELossless and syntax != "1.2.840.10008.1.2.1.99":
            if not _coded_alike(old.PixelData, made.PixelData):
                yield "its coded pixels have changed"
        elif bytes(made.PixelData) != instance.frames[0]:
            yield "its pixels have changed"

    def _shifts(self, made: Dataset, instance: Instance) -> Iterator[str]:
        for path, text in instance.dates.items():
            row = SECOND.get(f"{path[-1]:08X}", {})
            value = _at(made, path)
            if len(path) > 1 or not row.get("RetainModifiedDates") or value is None:
                continue
            days = (_day(value) - _day(text)).days
            if self.shifts.setdefault(instance.patient, days) != days or not -365 <= days <= -1:
                yield f"{path} has moved by {days} days"


def _day(text: str) -> datetime.date:
    return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _walked(data_set: Dataset, path: tuple[int, ...]) -> Iterable[tuple[tuple[int, ...], pydicom.DataElement]]:
    for element in data_set:
        here = (*path, int(element.tag))
        yield here, element
        if element.VR == "SQ":
            for item in element.value:
                yield from _walked(item, here)


def _at(data_set: Dataset, path: tuple[int, ...]) -> str | None:
    element = data_set.get(path[0])
    return str(element.value) if element is not None and element.value else None


def _coded_alike(before: bytes, after: bytes) -> bool:
    """Whether what is coded is the same: from the first quantization table, or the first tile-part, on."""
    marks = (b"\xff\xdb", b"\xff\x90")
    for mark in marks:
        if mark in before:
            coded = before[before.index(mark) :]
            end = max(coded.rfind(b"\xff\xd9"), 0)
            return coded[:end] in after
    return False
