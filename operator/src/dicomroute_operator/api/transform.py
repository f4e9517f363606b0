"""Transforms: attributes that are changed on the way to the destinations of a rule."""

from typing import Annotated

from pydantic import ConfigDict, Field

from .meta import Model, rules

AttributePath = Annotated[str, Field(min_length=1, max_length=256)]
_PATH = (
    "a keyword such as PatientID, a tag such as (0010,0020), or a private element by its creator such as (0009,ACME "
    "1.1,02). In sequences: RequestAttributesSequence.ScheduledProcedureStepID for every item, "
    "RequestAttributesSequence[0].ScheduledProcedureStepID for the first one"
)
_RECORD = "Whether the previous value is kept in the Original Attributes Sequence (0400,0561) (PS3.3 C.12.1.1.9)."


class GivenAttribute(Model):
    """An attribute and its new value."""

    attribute: AttributePath = Field(
        description=f"Attribute to set: {_PATH}. Never a UID, the character set, or pixels."
    )
    value: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description=(
            "Value in CEL over the received instance and its association: a text, a number or a list, such as "
            "'\"NORTH-\" + instance.PatientID' or '\"NORTH\"'. An empty text, null or an empty list makes the "
            "attribute empty."
        ),
    )
    vr: Annotated[str, Field(pattern="^([A-Z]{2})?$", max_length=2)] = Field(
        default="", description="VR of a private attribute that is not in the data dictionary, such as LO."
    )
    record: bool = Field(default=True, description=_RECORD)


class RemovedAttribute(Model):
    """An attribute to remove."""

    attribute: AttributePath = Field(description=f"Attribute to remove: {_PATH}. Sequences are removed whole.")
    record: bool = Field(default=True, description=_RECORD)


class CopiedAttribute(Model):
    """An attribute that gets the value of another attribute."""

    from_: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="Keyword of the top-level attribute to read, such as AccessionNumber."
    )
    to: AttributePath = Field(description=f"Attribute to write: {_PATH}.")
    record: bool = Field(default=True, description=_RECORD)


class TransformStep(Model):
    """One change of the data set. Exactly one field is set."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "[has(self.set), has(self.replace), has(self.remove), has(self.copy)].filter(one, one).size() == 1",
                "a step of transform has exactly one of set, replace, remove and copy: write a separate step for each "
                "change",
            )
        )
    )

    set_: GivenAttribute | None = Field(
        default=None, description="Sets an attribute. Adds the attribute if it is missing."
    )
    replace: GivenAttribute | None = Field(default=None, description="Sets an attribute only if the instance has it.")
    remove: RemovedAttribute | None = Field(default=None, description="Removes an attribute.")
    copy_: CopiedAttribute | None = Field(
        default=None,
        description=(
            "Sets an attribute to the received value of another attribute. Adds the attribute if it is missing."
        ),
    )
