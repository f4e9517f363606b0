"""The queue: deliveries, what may be decided on them, and all that is known of one instance."""

from datetime import datetime
from enum import StrEnum

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from .document import Document


class QueueState(StrEnum):
    """The states of deliveries as people see them."""

    PENDING = "Pending"
    WAITING = "Waiting"
    UNCONFIRMED = "Unconfirmed"
    HELD = "Held"
    SKIPPED = "Skipped"
    DEAD_LETTERED = "DeadLettered"
    DELIVERED = "Delivered"


class QueueItem(Document):
    """A delivery, or with an empty destination an instance that is held without one.

    `nextAttemptTime` is the earliest, and there where a delivery is left alone after a fault; without one it is being
    made, in its turn, held or decided.
    """

    instance: int
    destination: str
    state: str
    reason: str
    attempts: int
    status: int | None
    last_attempt_time: datetime | None
    next_attempt_time: datetime | None = None
    received_time: datetime
    calling_ae_title: str = Field(alias="callingAETitle")
    study_instance_uid: str = Field(default="", alias="studyInstanceUID")
    sop_instance_uid: str = Field(alias="sopInstanceUID")
    bytes: int


class AttemptDocument(Document):
    """An attempt at a delivery; `status` is an HTTP status or a DICOM status or failure reason."""

    time: datetime
    reason: str
    status: int | None


class DeliveryDocument(QueueItem):
    """A delivery with its attempts; the last one is said by `reason`, `status` and `lastAttemptTime`.

    `decidedBy` is who last made it due again, released it or dropped it, as the caller named himself; "" for nobody.
    """

    earlier_attempts: list[AttemptDocument]
    decided_by: str = ""


class QueueDocument(Document):
    """A page of the queue, oldest first; `truncated` says that there is more."""

    items: list[QueueItem]
    truncated: bool


class InstanceDocument(Document):
    """All that is known of one instance; `digest` is that of its data set: the algorithm, a colon, hexadecimal.

    `outcome` is what it counts as. With a `finishedTime` nothing is left to do, and its bytes are gone or about to go.
    `key` is the id of the key with which it is encrypted on the spool, "" when it is not.
    """

    instance: int
    outcome: str
    received_time: datetime
    finished_time: datetime | None = None
    sop_class_uid: str = Field(alias="sopClassUID")
    sop_instance_uid: str = Field(alias="sopInstanceUID")
    series_instance_uid: str = Field(alias="seriesInstanceUID")
    study_instance_uid: str = Field(alias="studyInstanceUID")
    transfer_syntax_uid: str = Field(alias="transferSyntaxUID")
    bytes: int
    digest: str
    key: str = ""
    association: str
    listener: str
    calling_ae_title: str = Field(alias="callingAETitle")
    called_ae_title: str = Field(alias="calledAETitle")
    address: str
    generation: int
    hold: str
    deliveries: list[DeliveryDocument]


class QueueSelection(Document):
    """Which deliveries an operation is about: those of the named instances, or with `all` every one.

    `destination` (KIND/NAME), `state` and `reason` narrow either, and so do `study`, a Study Instance UID, and `key`,
    the id of the key that instances are encrypted with.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    instances: list[int] = Field(default=[], max_length=10_000)
    all: bool = False
    destination: str | None = None
    state: QueueState | None = None
    reason: str | None = None
    study: str | None = None
    key: str | None = Field(default=None, pattern="^[0-9a-f]{16}$")


class QueueChange(Document):
    """How many deliveries or held instances an operation changed, and what it could not."""

    changed: int
    messages: list[str] = Field(default=[])
