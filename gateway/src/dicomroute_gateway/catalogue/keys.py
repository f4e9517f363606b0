"""Which attributes of instances are kept, and whose they are: of patient, study, series or instance. Pure.

The unique, required and usual optional keys of PS3.4 C.6.1.1 and C.6.2.1. Counts and lists of a whole entity are not
kept but computed.
"""

from typing import Final

from dicomroute_gateway.decoded import Level

SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
MODALITY: Final = 0x00080060
PATIENT_ID: Final = 0x00100020
STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E

UNIQUE_KEYS: Final = {
    Level.PATIENT: PATIENT_ID,
    Level.STUDY: STUDY_INSTANCE_UID,
    Level.SERIES: SERIES_INSTANCE_UID,
    Level.IMAGE: SOP_INSTANCE_UID,
}

_PATIENT: Final = {
    0x00100010: "PN",  # PatientName
    PATIENT_ID: "LO",
    0x00100021: "LO",  # IssuerOfPatientID
    0x00100030: "DA",  # PatientBirthDate
    0x00100032: "TM",  # PatientBirthTime
    0x00100040: "CS",  # PatientSex
    0x00102160: "SH",  # EthnicGroup
}
_STUDY: Final = {
    0x00080020: "DA",  # StudyDate
    0x00080030: "TM",  # StudyTime
    0x00080050: "SH",  # AccessionNumber
    0x00080090: "PN",  # ReferringPhysicianName
    0x00081030: "LO",  # StudyDescription
    0x00081060: "PN",  # NameOfPhysiciansReadingStudy
    0x00101010: "AS",  # PatientAge
    0x00101020: "DS",  # PatientSize
    0x00101030: "DS",  # PatientWeight
    0x00102180: "SH",  # Occupation
    STUDY_INSTANCE_UID: "UI",
    0x00200010: "SH",  # StudyID
}
_SERIES: Final = {
    0x00080021: "DA",  # SeriesDate
    0x00080031: "TM",  # SeriesTime
    MODALITY: "CS",
    0x00080070: "LO",  # Manufacturer
    0x00080080: "LO",  # InstitutionName
    0x00081010: "SH",  # StationName
    0x0008103E: "LO",  # SeriesDescription
    0x00081040: "LO",  # InstitutionalDepartmentName
    0x00081050: "PN",  # PerformingPhysicianName
    0x00081070: "PN",  # OperatorsName
    0x00081090: "LO",  # ManufacturerModelName
    0x00180015: "CS",  # BodyPartExamined
    0x00181030: "LO",  # ProtocolName
    SERIES_INSTANCE_UID: "UI",
    0x00200011: "IS",  # SeriesNumber
    0x00200060: "CS",  # Laterality
    0x00400244: "DA",  # PerformedProcedureStepStartDate
    0x00400245: "TM",  # PerformedProcedureStepStartTime
    0x00400254: "LO",  # PerformedProcedureStepDescription
}
_IMAGE: Final = {
    0x00080008: "CS",  # ImageType
    SOP_CLASS_UID: "UI",
    SOP_INSTANCE_UID: "UI",
    0x00080022: "DA",  # AcquisitionDate
    0x00080023: "DA",  # ContentDate
    0x00080032: "TM",  # AcquisitionTime
    0x00080033: "TM",  # ContentTime
    0x00200012: "IS",  # AcquisitionNumber
    0x00200013: "IS",  # InstanceNumber
    0x00280008: "IS",  # NumberOfFrames
    0x00280010: "US",  # Rows
    0x00280011: "US",  # Columns
    0x00280100: "US",  # BitsAllocated
}
KEPT: Final = {Level.PATIENT: _PATIENT, Level.STUDY: _STUDY, Level.SERIES: _SERIES, Level.IMAGE: _IMAGE}
VRS: Final = _PATIENT | _STUDY | _SERIES | _IMAGE

MODALITIES_IN_STUDY: Final = 0x00080061
SOP_CLASSES_IN_STUDY: Final = 0x00080062
STUDIES_OF_PATIENT: Final = 0x00201200
SERIES_OF_PATIENT: Final = 0x00201202
INSTANCES_OF_PATIENT: Final = 0x00201204
SERIES_OF_STUDY: Final = 0x00201206
INSTANCES_OF_STUDY: Final = 0x00201208
INSTANCES_OF_SERIES: Final = 0x00201209

COMPUTED: Final = {
    Level.PATIENT: {STUDIES_OF_PATIENT: "IS", SERIES_OF_PATIENT: "IS", INSTANCES_OF_PATIENT: "IS"},
    Level.STUDY: {
        MODALITIES_IN_STUDY: "CS",
        SOP_CLASSES_IN_STUDY: "UI",
        SERIES_OF_STUDY: "IS",
        INSTANCES_OF_STUDY: "IS",
    },
    Level.SERIES: {INSTANCES_OF_SERIES: "IS"},
    Level.IMAGE: dict[int, str](),
}
"""NumberOf…RelatedInstances and the like (PS3.4 C.3.4): they speak of all that is held of an entity."""


def known_at(level: Level) -> frozenset[int]:
    """Return the attributes that an entity of this level has here, those of the levels above included."""
    levels = list(Level)
    above = levels[: levels.index(level) + 1]
    return frozenset(tag for one in above for table in (KEPT[one], COMPUTED[one]) for tag in table)
