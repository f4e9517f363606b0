"""What is made of an instance before it is sent: steps in order, named by a digest of their canonical form. Pure.

Two destinations may get two forms of one instance. What is made is kept by instance *and* recipe, so that none of them
is ever handed the bytes of the other.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, TypeAdapter, model_serializer

from .profile import Profile
from .section import Section


class UnknownRecipe(Exception):
    """A text is not a recipe that this gateway can carry out."""


class Transcode(Section):
    """The same data set in another transfer syntax (PS3.5 10.1), by its UID."""

    step: Literal["Transcode"] = "Transcode"
    transfer_syntax_uid: str


class ChangeKind(StrEnum):
    """What a change does with an attribute."""

    SET = "Set"
    REPLACE = "Replace"
    REMOVE = "Remove"
    COPY = "Copy"


class Change(Section):
    """One change of a data set. Paths are those of `rules.paths`.

    `value` is the CEL expression of what is set or replaced, `source` the keyword of what is copied, `vr` that of an
    attribute which the data dictionary does not have. `record`: the value before is kept in the Original Attributes
    Sequence (0400,0561).
    """

    kind: ChangeKind
    attribute: str
    value: str = ""
    source: str = ""
    vr: str = ""
    record: bool = True


class Transform(Section):
    """The same data set with some attributes changed; the values are computed of the data set before the first one."""

    step: Literal["Transform"] = "Transform"
    changes: tuple[Change, ...]


class Deidentify(Section):
    """The same instance de-identified (PS3.15 annex E); files are SECRET/KEY and ConfigMap-NAME/KEY.

    `allowed_tokens_file` has the words that cleaning keeps, `known_patient_ids_file` the pseudonyms that recipients
    have; "" where the profile names none.
    """

    step: Literal["Deidentify"] = "Deidentify"
    profile: Profile
    key_file: str
    allowed_tokens_file: str = ""
    known_patient_ids_file: str = ""

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what a release added while it says nothing: the recipes of spools keep their form and their id."""
        document: dict[str, Any] = serialize(self)
        if not self.known_patient_ids_file:
            for name in ("known_patient_ids_file", "knownPatientIDsFile"):
                document.pop(name, None)
        return document


Step = Annotated[Transcode | Transform | Deidentify, Field(discriminator="step")]


@dataclass(frozen=True)
class Recipe:
    """Steps, the first one first. One without a step is that of an instance that is sent as it came."""

    steps: tuple[Step, ...] = ()

    @cached_property
    def form(self) -> bytes:
        """Its canonical form: JSON (RFC 8259) without spaces, the members of objects in order."""
        steps = [step.model_dump(by_alias=True, mode="json") for step in self.steps]
        return json.dumps(steps, sort_keys=True, separators=(",", ":")).encode()

    @cached_property
    def id(self) -> str:
        """The first 64 bits of the SHA-256 of its canonical form, in hexadecimal; "" without a step."""
        return hashlib.sha256(self.form).hexdigest()[:16] if self.steps else ""

    @property
    def deidentifies(self) -> bool:
        """Whether what it makes is de-identified."""
        return any(isinstance(step, Deidentify) for step in self.steps)


AS_IT_CAME: Final = Recipe()

_STEPS: Final[TypeAdapter[tuple[Step, ...]]] = TypeAdapter(tuple[Step, ...])


def parse_recipe(form: bytes) -> Recipe:
    """Return the recipe with a canonical form. Raises UnknownRecipe, also for one of a later gateway."""
    try:
        return Recipe(_STEPS.validate_json(form))
    except ValueError as error:
        raise UnknownRecipe(str(error)) from error
