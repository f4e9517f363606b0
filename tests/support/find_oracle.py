"""What a query has to find, computed from the files by a matcher of its own: no code of the gateway is used here.

The rules are those of PS3.4 C.2.2.2, with the choices that docs/query-retrieve.md states. Values are read by pydicom.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import PersonName

SC = "1.2.840.10008.5.1.4.1.1.7"
CT = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.10.1561"
UNIQUE = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
LEVELS = list(UNIQUE)

NAMES: Sequence[tuple[str | list[str], str]] = (
    ("", "Alder^Anna"),
    ("", "ALDER^Bert^^Dr"),
    ("", "O'Hara^Sean"),
    ("ISO_IR 100", "Müller^Jürgen"),
    ("ISO_IR 100", "D'Arcy^Zoë"),
    ("ISO_IR 101", "Wałęska^Łucja"),
    ("ISO_IR 144", "Люкceмбypг^Роза"),
    ("ISO_IR 126", "Διονυσιος^Κώστας"),
    ("ISO_IR 138", "שרון^דבורה"),
    ("ISO_IR 166", "นามสกุล^ชื่อ"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ("GB18030", "Wang^XiaoDong=王^小东="),
    ("ISO_IR 192", "Żółć^Ñandú=王^小東=ワン"),
)
"""Names with the character sets that they are written in: twelve of them."""


def make_files(folder: Path) -> list[Path]:
    """Write 66 studies of small instances; return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(66):
        character_set, name = NAMES[number % 40 % len(NAMES)]
        modalities = (["CT"], ["MR"], ["CT", "SR"], ["US"], ["CT", "MR"])[number % 5]
        for series, modality in enumerate(modalities):
            for instance in range(1 + number % 3):
                data_set = _instance(number, character_set, name, series, modality, instance)
                file = folder / f"{number:03}-{series}-{instance}.dcm"
                data_set.save_as(file, enforce_file_format=True)
                files.append(file)
    return files


def _instance(
    number: int, character_set: str | list[str], name: str, series: int, modality: str, instance: int
) -> Dataset:
    data_set = Dataset()
    if character_set:
        data_set.SpecificCharacterSet = character_set
    data_set.SOPClassUID = CT if modality == "CT" else SC
    data_set.SOPInstanceUID = f"{ROOT}.1.{number}.{series}.{instance}"
    data_set.StudyInstanceUID = f"{ROOT}.2.{number}"
    data_set.SeriesInstanceUID = f"{ROOT}.3.{number}.{series}"
    data_set.PatientName = name
    data_set.PatientID = ("ID_%03d" if number % 2 else "ID%%%03d") % (number % 40)
    patient = number % 40
    data_set.PatientBirthDate = "" if patient % 7 == 0 else f"19{patient + 20:02}0{patient % 9 + 1}15"
    data_set.PatientSex = "MFO"[patient % 3]
    data_set.StudyDate = "" if number % 11 == 0 else f"2024{number % 12 + 1:02}{number % 28 + 1:02}"
    data_set.StudyTime = (
        "" if number % 11 == 0 else f"{number % 24:02}{number % 60:02}00" + (".500" if number % 4 == 0 else "")
    )
    data_set.AccessionNumber = f"A{number:05}" if number % 5 else ""
    data_set.StudyID = str(number)
    data_set.StudyDescription = ("CT Thorax*", "MR Kopf", "100% Dosis", "Knee_left", 'a "quoted" one', "")[number % 6]
    data_set.ReferringPhysicianName = "Bergmann^Ute"
    data_set.Modality = modality
    data_set.SeriesNumber = series + 1 if number % 2 else f"00{series + 1}"
    data_set.SeriesDescription = f"series {series}"
    data_set.BodyPartExamined = ("CHEST", "HEAD", "KNEE")[number % 3]
    data_set.InstanceNumber = instance + 1
    data_set.Rows, data_set.Columns = 4, 8
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data_set


@dataclass(frozen=True)
class FindQuery:
    """A query: its level, and its keys by keyword. `character_set` is that of the request."""

    level: str
    keys: Mapping[str, Any]
    model: str = "S"
    character_set: str | Sequence[str] = ""
    relational: bool = False
    combined: bool = False

    def __str__(self) -> str:
        return f"{self.model}-{self.level}-" + "-".join(f"{k}={v}" for k, v in self.keys.items() if v not in ("", None))

    @property
    def identifier(self) -> Dataset:
        """The identifier as a client sends it."""
        data_set = Dataset()
        if self.character_set:
            data_set.SpecificCharacterSet = (
                list(self.character_set) if not isinstance(self.character_set, str) else self.character_set
            )
        data_set.QueryRetrieveLevel = self.level
        for keyword, value in self.keys.items():
            setattr(data_set, keyword, value)
        for above in levels(self.model)[: levels(self.model).index(self.level) + 1]:
            if UNIQUE[above] not in data_set:
                setattr(data_set, UNIQUE[above], "")
        return data_set


def levels(model: str) -> list[str]:
    return LEVELS if model == "P" else LEVELS[1:]


@dataclass
class Entity:
    """A patient, study, series or instance in the files."""

    values: dict[str, list[str]]
    files: list[Dataset] = field(default_factory=list)


def entities(level: str, files: Iterable[Dataset]) -> dict[tuple[str, ...], Entity]:
    """Return the entities of a level by their unique keys; a study is told by its UID alone."""
    found: dict[tuple[str, ...], Entity] = {}
    tags = ["PatientID"] if level == "PATIENT" else [UNIQUE[one] for one in LEVELS[1 : LEVELS.index(level) + 1]]
    for one in files:
        key = tuple(str(one.get(tag, "")) for tag in tags)
        entity = found.setdefault(key, Entity({}))
        entity.files.append(one)
        if len(entity.files) == 1:
            for element in one:
                if element.VR != "SQ" and element.keyword:
                    entity.values[element.keyword] = _texts(element.value)
    for entity in found.values():
        some = entity.files
        entity.values["ModalitiesInStudy"] = sorted({str(one.Modality) for one in some})
        counts = {"Studies": "StudyInstanceUID", "Series": "SeriesInstanceUID", "Instances": "SOPInstanceUID"}
        owner = {"PATIENT": "Patient", "STUDY": "Study", "SERIES": "Series"}.get(level, "None")
        for what, keyword in counts.items():
            entity.values[f"NumberOf{owner}Related{what}"] = [str(len({one[keyword].value for one in some}))]
    return found


def _texts(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    values = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return [str(one if isinstance(one, PersonName) else getattr(one, "original_string", one)) for one in values]


def expected(query: FindQuery, files: Iterable[Dataset]) -> dict[tuple[str, ...], Entity]:
    """Return what a query has to find."""
    keys = {k: v for k, v in query.keys.items() if v not in ("", None, "*")}
    if query.level == "STUDY" and "Modality" in keys:
        keys["ModalitiesInStudy"] = keys.pop("Modality")
    return {key: one for key, one in entities(query.level, files).items() if _matches(query, keys, one.values)}


def _matches(query: FindQuery, keys: Mapping[str, Any], values: Mapping[str, list[str]]) -> bool:
    if query.combined and "-" in str(keys.get("StudyDate", "")) and "-" in str(keys.get("StudyTime", "")):
        keys = dict(keys)
        date, time = keys.pop("StudyDate").split("-"), keys.pop("StudyTime").split("-")
        if not values["StudyDate"]:
            return False
        moment = values["StudyDate"][0] + (values["StudyTime"] or ["0"])[0].replace(".", "").ljust(12, "0")
        low, high = date[0] + time[0].ljust(12, "0"), date[1] + (time[1] or "9" * 12).ljust(12, "9")
        if not low <= moment <= high:
            return False
    for keyword, wanted in keys.items():
        alternatives = wanted if isinstance(wanted, list) else str(wanted).split("\\")
        found = values.get(keyword, [])
        if not any(_equal(keyword, str(one), value) for one in alternatives for value in found):
            return False
    return True


def _equal(keyword: str, wanted: str, value: str) -> bool:
    vr = pydicom.datadict.dictionary_VR(keyword)
    if vr == "PN":
        return _same_name(wanted, value)
    if vr in ("DA", "TM"):
        width = 8 if vr == "DA" else 12
        low, dash, high = wanted.partition("-")
        have = value.replace(".", "").ljust(width, "0")
        if not dash:
            return wanted.replace(".", "").ljust(width, "0") == have
        return (not low or low.replace(".", "").ljust(width, "0") <= have) and (
            not high or have <= high.replace(".", "").ljust(width, "9")
        )
    if vr in ("IS", "DS", "US"):
        return Decimal(wanted) == Decimal(value)
    if vr in ("UI",):
        return wanted == value
    return _wild(wanted, value)


def _wild(wanted: str, value: str) -> bool:
    pattern = "".join(".*" if one == "*" else "." if one == "?" else re.escape(one) for one in wanted)
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def _same_name(wanted: str, value: str) -> bool:
    def fold(text: str) -> str:
        return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())

    have = [fold(group.rstrip("^ ")) for group in value.split("=")]
    want = [fold(group.rstrip("^ ")) for group in wanted.split("=")]
    if len(want) == 1:
        return any(group and _wild(want[0], group) for group in have)
    have += [""] * (3 - len(have))
    return all(not group or not group.strip("*") or _wild(group, one) for group, one in zip(want, have, strict=False))


def differences(query: FindQuery, answers: Sequence[Dataset], files: Sequence[Dataset]) -> list[str]:
    """Return how answers differ from what a query has to find and to tell; none where they are right."""
    wanted = expected(query, files)
    tags = (
        ["PatientID"]
        if query.level == "PATIENT"
        else [UNIQUE[one] for one in LEVELS[1 : LEVELS.index(query.level) + 1]]
    )
    found = [tuple(str(one.get(tag, "")) for tag in tags) for one in answers]
    faults = [f"missing {key}" for key in wanted if key not in found]
    faults += [f"unwanted {key}" for key in found if key not in wanted]
    faults += [f"{key} told {found.count(key)} times" for key in set(found) if found.count(key) > 1]
    for key, answer in zip(found, answers, strict=True):
        if answer.get("QueryRetrieveLevel") != query.level:
            faults.append(f"{key}: QueryRetrieveLevel is {answer.get('QueryRetrieveLevel')!r}")
        if not answer.get("RetrieveAETitle"):
            faults.append(f"{key}: no RetrieveAETitle")
        if key not in wanted:
            continue
        for element in query.identifier:
            if element.keyword in ("SpecificCharacterSet", "QueryRetrieveLevel"):
                continue
            if element.keyword not in answer:
                faults.append(f"{key}: {element.keyword} is left out")
            elif element.keyword in wanted[key].values and not (
                query.level == "STUDY" and element.keyword == "Modality"
            ):
                have, right = _texts(answer[element.keyword].value), wanted[key].values[element.keyword]
                if element.VR in ("IS", "DS"):  # in JSON 007 is 7
                    have, right = [str(Decimal(x)) for x in have], [str(Decimal(x)) for x in right]
                if element.VR == "PN":
                    have, right = [x.rstrip("=^") for x in have], [x.rstrip("=^") for x in right]
                if sorted(have) != sorted(right):
                    faults.append(f"{key}: {element.keyword} is {have}, not {right}")
    return faults


def _q(level: str, model: str = "S", **keys: Any) -> FindQuery:
    options = {name: keys.pop(name) for name in ("character_set", "relational", "combined") if name in keys}
    return FindQuery(level, keys, model, **options)


_ALL = {
    "PatientName": "",
    "PatientID": "",
    "StudyDate": "",
    "StudyTime": "",
    "AccessionNumber": "",
    "StudyDescription": "",
}

QUERIES: Sequence[FindQuery] = (
    _q("STUDY", **_ALL),
    _q(
        "STUDY", **{**_ALL, "PatientName": "*"}, ModalitiesInStudy="", NumberOfStudyRelatedSeries="",
        NumberOfStudyRelatedInstances="",
    ),
    _q("STUDY", PatientName="Alder^Anna"),
    _q("STUDY", PatientName="alder^anna"),
    _q("STUDY", PatientName="ALDER*"),
    _q("STUDY", PatientName="*ANNA"),
    _q("STUDY", PatientName="A?der^*"),
    _q("STUDY", PatientName="Alder^Bert^^Dr^^"),
    _q("STUDY", PatientName="Alder"),
    _q("STUDY", PatientName="O'Hara*"),
    _q("STUDY", PatientName="d'arcy*", character_set="ISO_IR 100"),
    _q("STUDY", PatientName="Müller^Jürgen", character_set="ISO_IR 100"),
    _q("STUDY", PatientName="MÜLLER*", character_set="ISO_IR 192"),
    _q("STUDY", PatientName="Muller*"),
    _q("STUDY", PatientName="wałęska*", character_set="ISO_IR 101"),
    _q("STUDY", PatientName="Люкceмбypг*", character_set="ISO_IR 144"),
    _q("STUDY", PatientName="люкceмбypг^роза", character_set="ISO_IR 192"),
    _q("STUDY", PatientName="Διονυσιος^*", character_set="ISO_IR 126"),
    _q("STUDY", PatientName="שרון^דבורה", character_set="ISO_IR 138"),
    _q("STUDY", PatientName="นาม*", character_set="ISO_IR 166"),
    _q("STUDY", PatientName="=山田*", character_set=("", "ISO 2022 IR 87")),
    _q("STUDY", PatientName="山田^太郎", character_set="ISO_IR 192"),
    _q("STUDY", PatientName="Yamada^Tarou=山田^太郎", character_set=("", "ISO 2022 IR 87")),
    _q("STUDY", PatientName="ﾔﾏﾀﾞ^ﾀﾛｳ", character_set="ISO_IR 13"),
    _q("STUDY", PatientName="やまだ^たろう", character_set="ISO_IR 192"),
    _q("STUDY", PatientName="=洪^吉洞", character_set=("", "ISO 2022 IR 149")),
    _q("STUDY", PatientName="홍*", character_set="ISO_IR 192"),
    _q("STUDY", PatientName="王^小东", character_set="GB18030"),
    _q("STUDY", PatientName="王*", character_set="GB18030"),
    _q("STUDY", PatientName="żółć^*", character_set="ISO_IR 192"),
    _q("STUDY", PatientName="nobody*"),
    _q("STUDY", PatientID="ID_001"),
    _q("STUDY", PatientID="ID?001"),
    _q("STUDY", PatientID="ID%%*"),
    _q("STUDY", PatientID="ID%*"),
    _q("STUDY", PatientID="id_001"),
    _q("STUDY", StudyDate="20240101-20240331"),
    _q("STUDY", StudyDate="20240615-"),
    _q("STUDY", StudyDate="-20240615"),
    _q("STUDY", StudyDate="20240202"),
    _q("STUDY", StudyTime="0800-1200"),
    _q("STUDY", StudyTime="-12"),
    _q("STUDY", StudyTime="120000.500"),
    _q("STUDY", StudyDate="20240301-20240601", StudyTime="1200-1300"),
    _q("STUDY", StudyDate="20240301-20240601", StudyTime="1200-1300", combined=True),
    _q("STUDY", PatientBirthDate="19300101-19491231", PatientSex="F"),
    _q("STUDY", AccessionNumber="A00007"),
    _q("STUDY", AccessionNumber="A0001?"),
    _q("STUDY", StudyID="7"),
    _q("STUDY", StudyDescription="CT*"),
    _q("STUDY", StudyDescription="100% *"),
    _q("STUDY", StudyDescription="Knee?left"),
    _q("STUDY", StudyDescription='*"quoted"*'),
    _q("STUDY", ModalitiesInStudy="CT"),
    _q("STUDY", ModalitiesInStudy=["MR", "SR"]),
    _q("STUDY", ModalitiesInStudy="US", PatientName="*^*"),
    _q("STUDY", Modality="SR"),
    _q("STUDY", StudyInstanceUID=[f"{ROOT}.2.{one}" for one in (1, 5, 7, 999)]),
    _q("STUDY", ReferringPhysicianName="bergmann*", PatientSex="O"),
    _q("PATIENT", "P", PatientName="", NumberOfPatientRelatedStudies=""),
    _q("PATIENT", "P", PatientID="ID_00?", PatientName=""),
    _q("PATIENT", "P", PatientName="Alder*", PatientBirthDate=""),
    _q("STUDY", "P", PatientID="ID_001", StudyDate=""),
    _q("SERIES", StudyInstanceUID=f"{ROOT}.2.2", Modality="", SeriesNumber="", NumberOfSeriesRelatedInstances=""),
    _q("SERIES", StudyInstanceUID=f"{ROOT}.2.2", Modality="SR"),
    _q("SERIES", StudyInstanceUID=f"{ROOT}.2.3", SeriesNumber="1", SeriesDescription=""),
    _q("SERIES", StudyInstanceUID=f"{ROOT}.2.2", SeriesNumber="1"),
    _q("SERIES", StudyInstanceUID=f"{ROOT}.2.2", SeriesNumber="0002"),
    _q("SERIES", "P", PatientID="ID%012", StudyInstanceUID=f"{ROOT}.2.12", Modality=""),
    _q("SERIES", StudyInstanceUID=f"{ROOT}.2.999", Modality=""),
    _q("SERIES", StudyInstanceUID="", Modality="US", relational=True),
    _q("SERIES", StudyInstanceUID="", BodyPartExamined="KNEE", Modality=["CT", "MR"], relational=True),
    _q(
        "IMAGE", StudyInstanceUID=f"{ROOT}.2.5", SeriesInstanceUID=f"{ROOT}.3.5.0", InstanceNumber="", SOPClassUID="",
        Rows=None,
    ),
    _q("IMAGE", StudyInstanceUID=f"{ROOT}.2.5", SeriesInstanceUID=f"{ROOT}.3.5.0", InstanceNumber="2"),
    _q("IMAGE", StudyInstanceUID=f"{ROOT}.2.5", SeriesInstanceUID=f"{ROOT}.3.6.0", InstanceNumber=""),
    _q("IMAGE", StudyInstanceUID="", SeriesInstanceUID="", SOPClassUID=CT, InstanceNumber="3", relational=True),
    _q(
        "IMAGE", StudyInstanceUID=f"{ROOT}.2.2", SeriesInstanceUID=f"{ROOT}.3.2.1",
        SOPInstanceUID=[f"{ROOT}.1.2.1.{one}" for one in (0, 2, 9)],
    ),
)  # fmt: skip
"""Queries of every matching kind, level and character set."""


def read(files: Iterable[Path]) -> list[Dataset]:
    return [pydicom.dcmread(file) for file in files]
