"""Studies as units: when one counts as complete, and what a delivery that waits for that waits for. Pure.

What a delivery waits for is decided when its instance is received and is written down then: a rule that changes later
changes nothing of it.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from pydantic import Field, TypeAdapter

from .section import Section


class Studies(Section):
    """When a study is complete. Durations in seconds."""

    idle_seconds: int = Field(default=60, ge=1)
    max_open_seconds: int = Field(default=5400, ge=1)


class Trigger(StrEnum):
    """When a rule lets an instance be delivered."""

    INSTANCE_RECEIVED = "InstanceReceived"
    STUDY_COMPLETE = "StudyComplete"


class OnRevision(StrEnum):
    """What becomes of a study's later revisions: of what comes after the study was complete."""

    SEND_NEW = "SendNew"
    SEND_ALL = "SendAll"
    HOLD = "Hold"


class Wait(Section):
    """What one rule lets a delivery wait for: the completion of its study, and a condition over `study.*` then."""

    rule: str
    when_complete: str = ""
    on_revision: OnRevision = OnRevision.SEND_NEW


class UnknownPlan(Exception):
    """A text says nothing that this gateway understands of what a delivery waits for."""


@dataclass(frozen=True)
class WaitPlan:
    """What a delivery waits for: the rules that named its destination, in their order. One that agrees is enough."""

    waits: tuple[Wait, ...]

    @cached_property
    def form(self) -> str:
        """Its canonical form: JSON (RFC 8259) without spaces, the members of objects in order."""
        waits = [wait.model_dump(by_alias=True, mode="json") for wait in self.waits]
        return json.dumps(waits, sort_keys=True, separators=(",", ":"))

    @cached_property
    def id(self) -> str:
        """The first 64 bits of the SHA-256 of its canonical form, in hexadecimal."""
        return hashlib.sha256(self.form.encode()).hexdigest()[:16]


_WAITS: TypeAdapter[tuple[Wait, ...]] = TypeAdapter(tuple[Wait, ...])


def parse_plan(form: str) -> WaitPlan:
    """Return the plan with a canonical form. Raises UnknownPlan, also for one of a later gateway."""
    try:
        return WaitPlan(_WAITS.validate_json(form))
    except ValueError as error:
        raise UnknownPlan(str(error)) from error
