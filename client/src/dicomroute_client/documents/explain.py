"""A dry run: what a gateway would do with an instance."""

from typing import Any

from pydantic import Field

from .document import Document


class AdmissionDocument(Document):
    """Whether a listener would admit the caller; `why` is the rejection that he would get."""

    name: str
    called_ae_title: str = Field(alias="calledAETitle")
    admits: bool
    why: str = ""


class RuleDocument(Document):
    """Whether a rule matches, with the values that its condition reads. They are those of the instance itself."""

    name: str
    matches: bool
    when: str = ""
    values: dict[str, Any] = Field(default={})
    error: str | None = None


class ChangeDocument(Document):
    """An attribute that a treatment changes; null where there is none."""

    attribute: str
    before: str | None = None
    after: str | None = None


class RegionDocument(Document):
    """A rectangle of pixels that is blackened in every frame; the first column and the first row are 0."""

    left: int
    top: int
    width: int
    height: int


class WaitDocument(Document):
    """A rule that sends once the study is complete: its condition over the study, and what it does with revisions."""

    rule: str
    when_complete: str = ""
    on_revision: str = ""


class WouldGoDocument(Document):
    """Where the instance would go: `held` says why it would wait, `notPrepared` why it cannot be treated.

    With `waitsForStudy` it goes once the study is complete, if one of those rules wants it then. `deidentifiedBy` is a
    profile: the new UIDs, pseudonyms and dates in `changes` are examples then, made with another key than its own.
    """

    name: str
    held: str = ""
    not_prepared: str = ""
    changes: list[ChangeDocument] = Field(default=[])
    deidentified_by: str = ""
    masked: list[RegionDocument] = Field(default=[])
    waits_for_study: list[WaitDocument] = Field(default=[])


class ExplanationDocument(Document):
    """What a gateway would do with an instance of a caller, by the configuration in force."""

    listeners: list[AdmissionDocument]
    rules: list[RuleDocument]
    destinations: list[WouldGoDocument]
    outcome: str
