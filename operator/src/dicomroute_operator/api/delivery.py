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
    """An object of the same namespace that receives deliveries."""

    kind: DestinationKind = Field(description="Kind of the destination: CloudTarget (STOW-RS) or DicomNode (C-STORE).")
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
    """A time window in the week, with its own limit."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                    "a window's name has lower case letters, digits and '-', and begins and ends with a letter or "
                    "digit",
                )
            ),
        ),
    ] = Field(description="Name of the window, unique in its list.")
    days: Annotated[list[Weekday], Field(max_length=7, json_schema_extra=SET)] = Field(
        default=[], description="Days on which the window begins. Empty: every day."
    )
    start: TimeOfDay = Field(description="Start of the window, as HH:MM.")
    end: TimeOfDay = Field(
        description=(
            "End of the window, as HH:MM. An end before the start is on the next day. An end equal to the start is "
            "one day later."
        )
    )
    max_bytes_per_second: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000_000_000,
            json_schema_extra=rules(
                ("self == 0 || self >= 1024", "write 0 to send nothing, or at least 1024 bytes per second")
            ),
        ),
    ] = Field(
        description=(
            "Limit in bytes per second in this window. 0: nothing is sent, and deliveries are Pending/OutsideWindow."
        )
    )


class Bandwidth(Model):
    """Limit of the traffic from each gateway pod to one destination."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.maxBytesPerSecond) || has(self.windows) && size(self.windows) > 0",
                "give maxBytesPerSecond, or windows, or both",
            ),
        )
    )

    max_bytes_per_second: BytesPerSecond | None = Field(
        default=None, description="Limit in bytes per second outside of all windows. Absent: no limit."
    )
    time_zone: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[A-Za-z]([A-Za-z0-9_+/-]*[A-Za-z0-9])?$')",
                    "write a time zone of the IANA database, such as Europe/Berlin",
                )
            ),
        ),
    ] = Field(default="UTC", description="Time zone of the windows, such as Europe/Berlin.")
    windows: Annotated[list[Window], Field(max_length=16, json_schema_extra=keyed_by("name"))] = Field(
        default=[],
        description="Windows with their own limits. The first window that contains the current time applies.",
    )


class ConfirmBy(StrEnum):
    """How a destination confirms that it has an instance."""

    ANSWER = "Answer"
    QUERY = "Query"
    STORAGE_COMMITMENT = "StorageCommitment"


class Confirm(Model):
    """When a destination counts as having an instance."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.by) && self.by != 'Answer' || !has(self.withinSeconds) || self.withinSeconds == 86400",
                "withinSeconds applies only to by: Query and by: StorageCommitment: add one of them, or remove "
                "withinSeconds",
            ),
        )
    )

    by: ConfirmBy = Field(
        default=ConfirmBy.ANSWER,
        description=(
            "Answer: the destination answered that it took the instance. Query: a search finds the instance at a "
            "CloudTarget. StorageCommitment: a DicomNode has committed to keep the instance (PS3.4 annex J). Until "
            "then, the delivery is Unconfirmed: it counts as owed, and the spool keeps the instance."
        ),
    )
    within_seconds: int = Field(
        default=86_400,
        ge=60,
        le=2_592_000,
        description="Seconds until an unconfirmed instance is sent again.",
    )


class DeliveryMode(StrEnum):
    """Whether deliveries are made."""

    RUNNING = "Running"
    HOLD_DELIVERIES = "HoldDeliveries"


class DestinationSettings(Destination):
    """Settings for one destination of a route."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.maxOwed) || has(self.required) && !self.required",
                "maxOwed needs required: false, because instances beyond it are skipped: add required: false, or "
                "remove maxOwed",
            ),
            (
                "!has(self.callingAETitle) || self.kind == 'DicomNode'",
                "callingAETitle applies only to a DicomNode: a CloudTarget has no AE title, so remove it",
            ),
            (
                "!has(self.confirm) || !has(self.confirm.by) || self.confirm.by == 'Answer' || "
                "self.confirm.by == (self.kind == 'DicomNode' ? 'StorageCommitment' : 'Query')",
                "a DicomNode confirms by StorageCommitment, and a CloudTarget by Query: use that value, or Answer",
            ),
        )
    )

    mode: DeliveryMode = Field(
        default=DeliveryMode.RUNNING,
        description=(
            "Running: deliveries are made. HoldDeliveries: deliveries to the destination are Held until the mode is "
            "Running again; instances are still received for it, and other destinations are not affected. Changed "
            "without a restart."
        ),
    )
    required: bool = Field(
        default=True,
        description=(
            "false: the destination is optional. Its deliveries may be skipped beyond maxOwed. When the spool would "
            "otherwise be full, the oldest instances that only optional destinations still need are skipped first. "
            "Skipped deliveries are counted, and can be retried while the instance is in the spool."
        ),
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
                            "message": "write an amount of at least 1Mi with its unit, such as 10Gi",
                        }
                    ]
                },
            ),
        ]
        | None
    ) = Field(
        default=None,
        description=(
            "Limit of what is owed to an optional destination, such as 10Gi. Instances that arrive above this limit "
            "are skipped there. Absent: only the size of the spool limits it."
        ),
    )
    bandwidth: Bandwidth | None = Field(
        default=None, description="Limit of the traffic to the destination. Absent: no limit."
    )
    confirm: Confirm = Field(
        default=Confirm(),
        description=(
            "When the destination counts as having an instance. Changed without a restart, for instances that are "
            "sent after the change."
        ),
    )
    calling_ae_title: AETitle | None = Field(
        default=None,
        description=(
            "The AE title that the gateway uses to call this DicomNode. The node may have to know this title. Absent: "
            "the first AE title of the first listener. Changed without a restart; associations with the former title "
            "are released."
        ),
    )


class AcknowledgeWhen(StrEnum):
    """When a sender gets a success response."""

    ON_SPOOLED = "OnSpooled"
    ON_DELIVERED = "OnDelivered"


class Acknowledge(Model):
    """When senders get a success response."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.when) && self.when == 'OnDelivered' || !has(self.destinations) || "
                "size(self.destinations) == 0",
                "destinations applies only to when: OnDelivered: add it, or remove destinations",
            ),
            (
                "has(self.when) && self.when == 'OnDelivered' || !has(self.timeoutSeconds) || "
                "self.timeoutSeconds == 30",
                "timeoutSeconds applies only to when: OnDelivered: add it, or remove timeoutSeconds",
            ),
        )
    )

    when: AcknowledgeWhen = Field(
        default=AcknowledgeWhen.ON_SPOOLED,
        description=(
            "OnSpooled: once the instance and the record of its deliveries are on stable storage. OnDelivered: once "
            "the destinations have the instance too. An association then stores no faster than its instances are "
            "delivered."
        ),
    )
    destinations: Annotated[list[Destination], Field(max_length=16, json_schema_extra=keyed_by("kind", "name"))] = (
        Field(
            default=[],
            description=(
                "The destinations that must have an instance, if the rules chose them for it. Empty: all required "
                "destinations."
            ),
        )
    )
    timeout_seconds: int = Field(
        default=30,
        ge=1,
        le=3600,
        description=(
            "After this time the sender gets the status 0xA700 (out of resources). The instance stays owed. If the "
            "sender sends it again, it waits for the same delivery. Use a value below the time-out of the senders."
        ),
    )


class Retry(Model):
    """How deliveries are retried. Errors of the network and of the destination are retried until the delivery
    succeeds.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.initialBackoffSeconds) || !has(self.maxBackoffSeconds) || "
                "self.initialBackoffSeconds <= self.maxBackoffSeconds",
                "initialBackoffSeconds is greater than maxBackoffSeconds: make initialBackoffSeconds smaller",
            )
        )
    )

    initial_backoff_seconds: int = Field(
        default=1,
        ge=1,
        le=3600,
        description="Longest wait after the first failure, in seconds. The limit doubles with each failure.",
    )
    max_backoff_seconds: int = Field(
        default=300, ge=1, le=86400, description="Longest wait between two attempts, in seconds."
    )
    content_attempts: int = Field(
        default=8,
        ge=1,
        le=100,
        description=(
            "Number of refusals of one instance, for a reason that may pass, before its delivery is dead-lettered. A "
            "definite refusal dead-letters it the second time."
        ),
    )


class Events(Model):
    """The feed of events: what happens, told to programs that ask the gateway's admin API for it."""

    retention_seconds: int = Field(
        default=604_800,
        ge=3600,
        le=31_536_000,
        description="How long an event is kept for those who have not read it yet, in seconds. Changed without a "
        "restart.",
    )
    max_bytes: int = Field(
        default=67_108_864,
        ge=1_048_576,
        le=17_179_869_184,
        description="How many bytes of the spool's volume events take at most, a twentieth of the spool's size at "
        "most; the oldest go first. An event takes about a kilobyte. Changed without a restart.",
    )
    study_quiet_seconds: int = Field(
        default=60,
        ge=1,
        le=86_400,
        description="The feed reports a study as delivered to a destination when the destination has every known "
        "instance and no instance arrived for this time. If more arrive later, the feed reports it again. Changed "
        "without a restart.",
    )


class Ledger(Model):
    """The record of finished instances. It is kept longer than the instances."""

    retention_seconds: int = Field(
        default=2_592_000,
        ge=0,
        le=315_360_000,
        description=(
            "How long the record of a finished instance is kept, in seconds. Records are kept in whole days and use "
            "at most a twentieth of the spool's size. They contain UIDs, AE titles and addresses, and no other data "
            "of the instance. 0: no record is kept. Changed without a restart."
        ),
    )
