"""What a route says of its deliveries: where, how fast, how often, who has to have an instance, what is kept of it."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .meta import SET, AETitle, Model, ObjectName, keyed_by, rules
from .quantity import PATTERN


class DestinationKind(StrEnum):
    """The kinds of object that a rule may name as a destination."""

    CLOUD_TARGET = "CloudTarget"
    DICOM_NODE = "DicomNode"


class Destination(Model):
    """An object of the same namespace that instances are delivered to."""

    kind: DestinationKind = Field(
        description="Kind of the destination: CloudTarget, by STOW-RS, or DicomNode, by C-STORE."
    )
    name: ObjectName = Field(description="Name of the destination.")


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


TimeOfDay = Annotated[
    str,
    Field(
        max_length=5,
        json_schema_extra=rules(
            (r"self.matches(r'^([01][0-9]|2[0-3]):[0-5][0-9]$')", "write a time of day as HH:MM, such as 07:30")
        ),
    ),
]
BytesPerSecond = Annotated[int, Field(ge=1024, le=1_000_000_000_000)]


class Window(Model):
    """A time of the week with a bound of its own."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                    "a window's name has lower case letters, digits and '-', and begins and ends with one of the first "
                    "two",
                )
            ),
        ),
    ] = Field(description="Name of the window, unique in its list.")
    days: Annotated[list[Weekday], Field(max_length=7, json_schema_extra=SET)] = Field(
        default=[], description="Days that the window begins on. Empty: every day."
    )
    start: TimeOfDay = Field(description="When it begins, as HH:MM.")
    end: TimeOfDay = Field(
        description="When it ends, as HH:MM. Before its start: on the next day. Equal to it: after a day."
    )
    max_bytes_per_second: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000_000_000,
            json_schema_extra=rules(
                ("self == 0 || self >= 1024", "write 0, so that nothing is sent, or at least 1024 bytes a second")
            ),
        ),
    ] = Field(description="Bytes a second that are sent at most in this window. 0: they are Pending/OutsideWindow.")


class Bandwidth(Model):
    """How much a destination is sent at most, by each gateway pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.maxBytesPerSecond) || has(self.windows) && size(self.windows) > 0",
                "give maxBytesPerSecond, or windows, or both",
            ),
        )
    )

    max_bytes_per_second: BytesPerSecond | None = Field(
        default=None, description="Bytes a second that are sent at most outside of all windows. Absent: no bound."
    )
    time_zone: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[A-Za-z]([A-Za-z0-9_+/-]*[A-Za-z0-9])?$')",
                    "write a time zone of the IANA data base, such as Europe/Berlin",
                )
            ),
        ),
    ] = Field(default="UTC", description="Time zone of the windows, such as Europe/Berlin.")
    windows: Annotated[list[Window], Field(max_length=16, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="Times of the week with bounds of their own; the first that it is counts."
    )


class ConfirmBy(StrEnum):
    """How a destination confirms that it has what it was sent."""

    ANSWER = "Answer"
    QUERY = "Query"
    STORAGE_COMMITMENT = "StorageCommitment"


class Confirm(Model):
    """When a destination has an instance."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.by) && self.by != 'Answer' || !has(self.withinSeconds) || self.withinSeconds == 86400",
                "withinSeconds counts with by: Query and by: StorageCommitment alone: add one of them, or remove it",
            ),
        )
    )

    by: ConfirmBy = Field(
        default=ConfirmBy.ANSWER,
        description="Answer: once it has answered that it took the instance. Query: once a search finds the instance "
        "at a CloudTarget. StorageCommitment: once a DicomNode has committed to keep it (PS3.4 annex J). Until then "
        "the delivery is Unconfirmed: it counts as owed, and the spool keeps the bytes.",
    )
    within_seconds: int = Field(
        default=86_400,
        ge=60,
        le=2_592_000,
        description="An instance that is not confirmed after so many seconds is sent again.",
    )


class DestinationSettings(Destination):
    """What is particular to one destination of a route."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.maxOwed) || has(self.required) && !self.required",
                "maxOwed needs required: false: what comes beyond it is skipped",
            ),
            (
                "!has(self.callingAETitle) || self.kind == 'DicomNode'",
                "callingAETitle is what a DicomNode is called with: a CloudTarget has none, remove it",
            ),
            (
                "!has(self.confirm) || !has(self.confirm.by) || self.confirm.by == 'Answer' || "
                "self.confirm.by == (self.kind == 'DicomNode' ? 'StorageCommitment' : 'Query')",
                "a DicomNode confirms by StorageCommitment, and a CloudTarget by Query: write that, or Answer",
            ),
        )
    )

    required: bool = Field(
        default=True,
        description="false: the destination is optional. What it is owed may be skipped, beyond maxOwed, or oldest "
        "first when the spool would be full otherwise and nobody else is to get it. Skipped deliveries are counted, "
        "and can be retried while the instance is in the spool.",
    )
    max_owed: (
        Annotated[
            str,
            Field(
                max_length=32,
                json_schema_extra={
                    "x-kubernetes-validations": [
                        {
                            "rule": f"self.matches(r'{PATTERN}') && quantity(self).compareTo(quantity('1Mi')) >= 0",
                            "message": "write an amount of bytes of at least 1Mi, with its unit, such as 10Gi",
                        }
                    ]
                },
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="How much an optional destination may be owed, such as 10Gi; an instance that comes when it is "
        "owed as much is skipped there. Absent: as much as the spool holds.",
    )
    bandwidth: Bandwidth | None = Field(
        default=None, description="How much is sent to it at most. Absent: as fast as it goes."
    )
    confirm: Confirm = Field(
        default=Confirm(),
        description="When it has an instance. Changed without a restart, for what is sent from then on.",
    )
    calling_ae_title: AETitle | None = Field(
        default=None,
        description="The AE title that a DicomNode is called with, which it may have to know. Absent: the first AE "
        "title of the first listener. Changed without a restart; associations with the former one are released.",
    )


class AcknowledgeWhen(StrEnum):
    """When a sender is answered with success."""

    ON_SPOOLED = "OnSpooled"
    ON_DELIVERED = "OnDelivered"


class Acknowledge(Model):
    """When senders are answered with success."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.when) && self.when == 'OnDelivered' || !has(self.destinations) || "
                "size(self.destinations) == 0",
                "destinations are waited for with when: OnDelivered alone: add it, or remove them",
            ),
            (
                "has(self.when) && self.when == 'OnDelivered' || !has(self.timeoutSeconds) || "
                "self.timeoutSeconds == 30",
                "timeoutSeconds counts with when: OnDelivered alone: add it, or remove timeoutSeconds",
            ),
        )
    )

    when: AcknowledgeWhen = Field(
        default=AcknowledgeWhen.ON_SPOOLED,
        description="OnSpooled: once the instance and what is owed of it are on stable storage. OnDelivered: once the "
        "destinations have it too; an association then stores no faster than its instances are delivered.",
    )
    destinations: Annotated[list[Destination], Field(max_length=16, json_schema_extra=keyed_by("kind", "name"))] = (
        Field(
            default=[],
            description="Who has to have an instance, of those that the rules name for it. Empty: all that are "
            "required.",
        )
    )
    timeout_seconds: int = Field(
        default=30,
        ge=1,
        le=3600,
        description="After so many seconds the sender is answered 0xA700, out of resources. The instance stays owed, "
        "and one that is sent again waits for the same delivery. Keep it below the time-out of the senders.",
    )


class Retry(Model):
    """How deliveries are tried again. Faults of the way and of the destination are retried for ever."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.initialBackoffSeconds) || !has(self.maxBackoffSeconds) || "
                "self.initialBackoffSeconds <= self.maxBackoffSeconds",
                "initialBackoffSeconds is greater than maxBackoffSeconds: make it smaller",
            )
        )
    )

    initial_backoff_seconds: int = Field(
        default=1, ge=1, le=3600, description="Bound of the wait after a first failure, in seconds; it then doubles."
    )
    max_backoff_seconds: int = Field(
        default=300, ge=1, le=86400, description="Greatest bound of the wait between attempts, in seconds."
    )
    content_attempts: int = Field(
        default=8,
        ge=1,
        le=100,
        description="Refusals of the same instance, for a reason that may pass, after which its delivery is "
        "dead-lettered. A definite refusal is so the second time.",
    )


class Ledger(Model):
    """The record of what became of instances, which outlives their bytes."""

    retention_seconds: int = Field(
        default=2_592_000,
        ge=0,
        le=315_360_000,
        description="How long it is kept what became of an instance of which nothing is left to do, in seconds. Whole "
        "days are kept, in at most a twentieth of the spool's size. They hold UIDs, AE titles and addresses, and no "
        "other data of the instance. 0: nothing is kept. Changed without a restart.",
    )
