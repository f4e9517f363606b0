"""What a route says of studies: when one is complete, and which rules wait for that."""

from enum import StrEnum

from pydantic import Field

from .meta import Model


class Trigger(StrEnum):
    """When a rule lets an instance be delivered."""

    INSTANCE_RECEIVED = "InstanceReceived"
    STUDY_COMPLETE = "StudyComplete"


class OnRevision(StrEnum):
    """What becomes of instances that come after their study was complete."""

    SEND_NEW = "SendNew"
    SEND_ALL = "SendAll"
    HOLD = "Hold"


class Studies(Model):
    """When a study is complete. DICOM has no mark for its end: what counts is that nothing more comes."""

    idle_seconds: int = Field(
        default=60,
        ge=1,
        le=86_400,
        description="A study is complete when no instance of it is being received and none arrived for this time, on "
        "any association. A scanner that pauses longer between two series starts another revision.",
    )
    max_open_seconds: int = Field(
        default=5400,
        ge=1,
        le=604_800,
        description="A study that stays open longer is completed anyway, with basis MaxOpen; later instances are its "
        "next revision. At least idleSeconds.",
    )
