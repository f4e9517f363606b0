"""DeidentificationProfile: how instances are de-identified, by PS3.15 annex E."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from .files import FileReference, files_of
from .meta import ATOMIC, SET, Conditions, Key, Model, ObjectName, OwnerMeta, SecretKeyReference, keyed_by, rules


class Edition(StrEnum):
    """The editions of PS3.15 whose table is here."""

    E_2026C = "2026c"


class Option(StrEnum):
    """The options of PS3.15 E.3."""

    CLEAN_PIXEL_DATA = "CleanPixelData"
    CLEAN_RECOGNIZABLE_VISUAL_FEATURES = "CleanRecognizableVisualFeatures"
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
    """How text is treated in attributes that table E.1-1 does not list."""

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


class ObjectAction(StrEnum):
    """What happens to an instance as a whole."""

    PASS = "Pass"  # noqa: S105
    MASK = "Mask"
    QUARANTINE = "Quarantine"


class ConfigMapKeyReference(Model):
    """A key of a ConfigMap of the same namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: Key = Field(description="Key in the ConfigMap.")


class PatientIDSource(StrEnum):
    """How patient pseudonyms are made."""

    HASH = "Hash"


class PatientIDs(Model):
    """Replacements for Patient ID (0010,0020) and Patient's Name (0010,0010)."""

    source: PatientIDSource = Field(
        default=PatientIDSource.HASH,
        description=(
            "Hash: 16 characters derived from issuer, Patient ID and the key. A patient has the same pseudonym in "
            "every gateway with this key."
        ),
    )
    prefix: Annotated[
        str,
        Field(
            max_length=16,
            json_schema_extra=rules(
                (r"self.matches(r'^[-A-Za-z0-9_.]*$')", "a prefix has letters, digits, '-', '_' and '.' alone")
            ),
        ),
    ] = Field(default="", description="Prefix of pseudonyms, such as the name of a study.")
    known_ref: ConfigMapKeyReference | None = Field(
        default=None,
        description=(
            "Pseudonyms that recipients already have: a key of a ConfigMap, with spaces or line breaks between the "
            "pseudonyms. A patient with one of them by an older key of keySecretRef keeps the pseudonym, the UIDs and "
            "the shift of that key. Needed when the Secret gets a new key; without it, older keys are not used."
        ),
    )


class Dates(Model):
    """How dates are shifted with the option RetainModifiedDates: by the same number of days for each patient, up to a
    year.
    """

    keep_weekdays: bool = Field(
        default=False,
        description="Shift by whole weeks, so that the day of the week stays the same. This allows only 53 shifts.",
    )


TagPattern = Annotated[
    str,
    Field(
        min_length=8,
        max_length=8,
        json_schema_extra=rules(
            (
                r"self.matches(r'^[0-9A-Fx]{8}$')",
                "write a tag as eight hexadecimal digits in capitals, such as 0008103E; x stands for any digit",
            ),
            (
                r"!self.matches(r'^...[13579BDF]')",
                "only RetainSafePrivate keeps private attributes: write the tag of an even group",
            ),
        ),
    ),
]
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        json_schema_extra=rules(
            (
                r"self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                "a name has lower case letters, digits and '-', and begins and ends with a letter or digit",
            )
        ),
    ),
]


class AttributeRule(Model):
    """Attributes, and their treatment in place of the table's."""

    name: Name = Field(description="Name of the rule.")
    tags: Annotated[list[TagPattern], Field(min_length=1, max_length=256, json_schema_extra=SET)] = Field(
        description="Tags of the attributes, at all depths, such as 0008103E or 0018xxxx."
    )
    action: AttributeAction = Field(
        description=(
            "Keep, Remove, Empty, Dummy, ReplaceUID, ShiftDate (by the patient's days) or Clean (only allowed tokens "
            "stay). Names of persons and the Patient ID are never kept."
        )
    )


class Region(Model):
    """A rectangle of pixels to blacken in every frame."""

    left: int = Field(ge=0, le=65535, description="First column, counted from 0.")
    top: int = Field(ge=0, le=65535, description="First row, counted from 0.")
    width: int = Field(ge=1, le=65536, description="Number of columns.")
    height: int = Field(ge=1, le=65536, description="Number of rows.")


Values = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=64, json_schema_extra=SET)
]


class ObjectRule(Model):
    """Instances by their properties, and their treatment. A condition that is not set always matches."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.action != 'Mask' || has(self.regions) && size(self.regions) > 0 || "
                "has(self.outsideUltrasoundRegions) && self.outsideUltrasoundRegions",
                "Mask needs regions, or outsideUltrasoundRegions: true",
            ),
            (
                "self.action == 'Mask' || !(has(self.regions) && size(self.regions) > 0) && "
                "!(has(self.outsideUltrasoundRegions) && self.outsideUltrasoundRegions)",
                "regions and outsideUltrasoundRegions apply only to action: Mask: remove them",
            ),
        )
    )

    name: Name = Field(description="Name of the rule.")
    sop_class_uids: Values = Field(default=[], description="SOP Class UIDs (0008,0016).")
    modalities: Values = Field(default=[], description="Values of Modality (0008,0060).")
    manufacturers: Values = Field(default=[], description="Values of Manufacturer (0008,0070), complete.")
    models: Values = Field(default=[], description="Values of Manufacturer's Model Name (0008,1090), complete.")
    image_types: Values = Field(
        default=[], description="Values of Image Type (0008,0008). One matching value is enough."
    )
    rows: int = Field(default=0, ge=0, le=65535, description="Rows (0028,0010). 0: any.")
    columns: int = Field(default=0, ge=0, le=65535, description="Columns (0028,0011). 0: any.")
    action: ObjectAction = Field(
        description=(
            "Pass: pixels or documents stay unchanged, and all attributes are de-identified. Mask: regions are "
            "blackened; compressed pixels are decoded first. Quarantine: the instance is withheld."
        )
    )
    regions: Annotated[list[Region], Field(max_length=64, json_schema_extra=ATOMIC)] = Field(
        default=[], description="Regions that Mask blackens."
    )
    outside_ultrasound_regions: bool = Field(
        default=False,
        description=(
            "Mask blackens everything outside the regions in Sequence of Ultrasound Regions (0018,6011). An instance "
            "without that sequence is withheld."
        ),
    )


class DeidentificationProfileSpec(Model):
    """How instances are de-identified."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.options) || !('RetainFullDates' in self.options && 'RetainModifiedDates' in self.options)",
                "RetainFullDates and RetainModifiedDates exclude each other: choose one",
            ),
            (
                "!has(self.options) || !('CleanRecognizableVisualFeatures' in self.options)",
                "dicomroute does not remove faces from images, so it cannot claim CleanRecognizableVisualFeatures: "
                "remove it",
            ),
            (
                "!has(self.options) || !('CleanDescriptors' in self.options) || has(self.allowedTokensRef)",
                "CleanDescriptors keeps allowed words of descriptions: name the list of these words in "
                "allowedTokensRef",
            ),
        )
    )

    edition: Edition = Field(description="Edition of PS3.15 whose table E.1-1 is applied.")
    options: Annotated[list[Option], Field(max_length=12, json_schema_extra=SET)] = Field(
        default=[],
        description=(
            "Options of PS3.15 E.3 in addition to the Basic Profile. Without a Retain…Dates option, dates are removed."
        ),
    )
    key_secret_ref: SecretKeyReference = Field(
        description=(
            "Secret key with the key that derives UIDs, pseudonyms and shifts: at least 32 random bytes in base64. "
            "Anyone with this key can find the patient of a pseudonym. Another key gives the same patients other "
            "pseudonyms. One key a line, at most 16: the first is used for new patients, the others for patients in "
            "patientID.knownRef."
        )
    )
    patient_id: PatientIDs = Field(default=PatientIDs(), description="Pseudonyms of patients.")
    dates: Dates = Field(default=Dates(), description="How dates are shifted.")
    unlisted_text: UnlistedText = Field(
        default=UnlistedText.DUMMY,
        description=(
            "How text is treated in attributes that the table does not list, except for a list of technical "
            "attributes (docs/deidentification.md). Keep: the text stays unless it contains one of the patient's "
            "identifiers."
        ),
    )
    allowed_tokens_ref: ConfigMapKeyReference | None = Field(
        default=None,
        description="Words that Clean keeps: a key of a ConfigMap, with spaces or line breaks between the words.",
    )
    rules: Annotated[list[AttributeRule], Field(max_length=256, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="Exceptions for attributes. The first matching rule applies, before the table."
    )
    objects: Annotated[list[ObjectRule], Field(max_length=256, json_schema_extra=keyed_by("name"))] = Field(
        default=[],
        description=(
            "Exceptions for instances that may contain names in pixels, sound or documents. Without an exception, "
            "these instances are withheld. The first matching rule applies."
        ),
    )
    hold: bool = Field(default=False, description="Withhold everything that uses this profile, immediately.")

    @property
    def files(self) -> list[FileReference]:
        """The keys of Secrets and ConfigMaps that it names."""
        files = list(files_of(self.key_secret_ref, "keySecretRef"))
        if (tokens := self.allowed_tokens_ref) is not None:
            files.append(FileReference("ConfigMap", tokens.name, tokens.key, "allowedTokensRef"))
        if (known := self.patient_id.known_ref) is not None:
            files.append(FileReference("ConfigMap", known.name, known.key, "patientID.knownRef"))
        return files


class ProfileReference(Model):
    """A DeidentificationProfile of the same namespace."""

    name: ObjectName = Field(description="Name of the DeidentificationProfile.")


class DeidentificationProfileStatus(Model):
    """State of a profile, as the operator sees it."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status describes."
    )
    conditions: Conditions = Field(default=[], description="Conditions of the profile: see docs/conditions.md.")


class DeidentificationProfile(Model):
    """How instances are de-identified: the Basic Profile of PS3.15 annex E, its options, and a site's exceptions."""

    kind: ClassVar[str] = "DeidentificationProfile"

    metadata: OwnerMeta
    spec: DeidentificationProfileSpec = Field(description="How instances are de-identified.")
    status: DeidentificationProfileStatus | None = Field(default=None, description="State of the profile.")
