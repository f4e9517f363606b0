"""What all documents are built from."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel

_MOMENT = TypeAdapter(datetime)


class Document(BaseModel):
    """A document of the API, in camelCase. Fields that a reader does not know are passed over."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def known(*values: str) -> Any:
    """Return the schema annotation of a word of which these values are known: a later release may say another."""
    return Field(json_schema_extra={"enum": list(values)})


def _not_negative(number: int) -> int:
    if number < 0:
        raise ValueError("a count is not negative")
    return number


Count = Annotated[int, AfterValidator(_not_negative)]


def _time_or_none(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return None


KnownTime = Annotated[datetime | None, WrapValidator(_time_or_none)]
"""A time that others have said, such as the end of a credential; None for what is no time."""


def text_of(moment: datetime) -> str:
    """Return a time as documents write it (RFC 3339)."""
    return str(_MOMENT.dump_python(moment, mode="json"))
