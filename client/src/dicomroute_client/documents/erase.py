"""What is erased of a study or a patient, and what came of it: `/api/v1/erase`."""

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from .document import Document


class ErasureRequest(Document):
    """What is to be erased: the instances of a study, by its Study Instance UID, or of a patient, by Patient ID."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    study: str = Field(default="", max_length=64)
    patient: str = Field(default="", max_length=64)

    @model_validator(mode="after")
    def _names_one(self) -> "ErasureRequest":
        if bool(self.study) == bool(self.patient):
            raise ValueError("name a study or a patient, and not both")
        return self


class ErasureReport(Document):
    """What was erased: instances with their bytes, derived files and rows; deliveries that were owed count as skipped.

    `unread` are the numbers of instances whose Patient ID could not be read, so that they were left.
    """

    instances: list[int] = Field(default=[])
    bytes: int = 0
    deliveries: int = 0
    unread: list[int] = Field(default=[])
