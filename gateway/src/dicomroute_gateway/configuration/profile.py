"""How instances are de-identified: a profile of PS3.15 annex E, as the gateway is told it."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .section import Section

TAG_PATTERN = r"^[0-9A-Fx]{8}$"


class Option(StrEnum):
    """The options of PS3.15 E.3, but Clean Recognizable Visual Features, which nothing here can do."""

    CLEAN_PIXEL_DATA = "CleanPixelData"
    CLEAN_GRAPHICS = "CleanGraphics"
    CLEAN_STRUCTURED_CONTENT = "CleanStructuredContent"
    CLEAN_DESCRIPTORS = "CleanDescriptors"
    RETAIN_FULL_DATES = "RetainFullDates"
    RETAIN_MODIFIED_DATES = "RetainModifiedDates"
    RETAIN_PATIENT_CHARACTERISTICS = "RetainPatientCharacteristics"
    RETAIN_DEVICE_IDENTITY = "RetainDeviceIdentity"
    RETAIN_UIDS = "RetainUIDs"
    RETAIN_SAFE_PRIVATE = "RetainSafePrivate"
    RETAIN_INSTITUTION_IDENTITY = "RetainInstitutionIdentity"


class UnlistedText(StrEnum):
    """What becomes of text in attributes that the table has no row for."""

    DUMMY = "Dummy"
    REMOVE = "Remove"
    KEEP = "Keep"


class AttributeAction(StrEnum):
    """What a rule does with an attribute."""

    KEEP = "Keep"
    REMOVE = "Remove"
    EMPTY = "Empty"
    DUMMY = "Dummy"
    REPLACE_UID = "ReplaceUID"
    SHIFT_DATE = "ShiftDate"
    CLEAN = "Clean"


class AttributeRule(Section):
    """Attributes by tag, eight hexadecimal digits in which x stands for any, and what becomes of them."""

    name: str
    tags: list[Annotated[str, Field(pattern=TAG_PATTERN)]]
    action: AttributeAction


class Region(Section):
    """A rectangle of pixels; the first column and the first row are 0."""

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class ObjectAction(StrEnum):
    """What becomes of an instance that may carry names in its pixels or documents."""

    PASS = "Pass"  # noqa: S105
    MASK = "Mask"
    QUARANTINE = "Quarantine"


class ObjectRule(Section):
    """Instances by what they are, and what becomes of them. A field without values is no condition."""

    name: str
    sop_class_uids: list[str] = Field(default=[])
    modalities: list[str] = Field(default=[])
    manufacturers: list[str] = Field(default=[])
    models: list[str] = Field(default=[])
    image_types: list[str] = Field(default=[])
    rows: int = 0
    columns: int = 0
    action: ObjectAction
    regions: list[Region] = Field(default=[])
    outside_ultrasound_regions: bool = False


class Profile(Section):
    """A profile. A rule whose profile is missing has one that is on hold in its place."""

    namespace: str
    name: str
    edition: Literal["2026c"]
    options: list[Option] = Field(default=[])
    patient_id_prefix: str = ""
    keep_weekdays: bool = False
    unlisted_text: UnlistedText = UnlistedText.DUMMY
    allowed_tokens: list[str] = Field(default=[])
    rules: list[AttributeRule] = Field(default=[])
    objects: list[ObjectRule] = Field(default=[])
    hold: bool = False

    @model_validator(mode="after")
    def _has_one_kind_of_dates(self) -> Self:
        if {Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES} <= set(self.options):
            raise ValueError("RetainFullDates and RetainModifiedDates cannot be used together: choose one")
        return self
