"""What a gateway tells of what happens: events (CloudEvents 1.0, JSON format), and the one list of their types.

Events hold UIDs, AE titles and addresses, and nothing else that a peer chose: no name, no value of a data set.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field

from .document import Document, known

PREFIX: Final = "dev.dicomroute."
MOST_TITLE_CHARACTERS: Final = 16
"""An AE title (PS3.5 table 6.2-1); one that is longer, or has other characters, is told as null."""

Study = Annotated[str, Field(alias="studyInstanceUID", description="Study Instance UID; empty where it is not a UID.")]
Destination = Annotated[str, Field(description="KIND/NAME, such as CloudTarget/archive.")]
Reason = Annotated[str, Field(description="One word for programs, as the queue and the status have it.")]


class StudyReceived(Document):
    """The first instance of a study was accepted."""

    study_instance_uid: Study
    calling_ae_title: str | None = Field(
        alias="callingAETitle", max_length=MOST_TITLE_CHARACTERS, description="What its sender called itself."
    )
    listener: str = Field(description="The listener that it came to.")


class StudyComplete(Document):
    """A study counts as complete (`spec.studies`); there is no end mark in DICOM, so `basis` says why.

    What comes later reopens it, and it is complete again with the next revision.
    """

    study_instance_uid: Study
    revision: int = Field(description="From 1.")
    basis: Annotated[str, known("Idle", "MaxOpen")] = Field(
        description="Idle: nothing of it has come for `idleSeconds`. MaxOpen: it has been open for too long."
    )
    instances: int = Field(description="Instances of this revision.")
    total: int = Field(description="Instances of all revisions, each as often as it counted for one.")
    series: int = Field(description="Series of all revisions.")
    not_sent_again: int = Field(
        default=0,
        description="With `onRevision: SendAll`: instances of earlier revisions that had left the spool. It includes "
        "instances that arrived again in this revision, which are sent.",
    )


class StudyReopened(Document):
    """An instance of a study that was complete has come: a new revision begins (`spec.studies`)."""

    study_instance_uid: Study
    revision: int = Field(description="The new one, from 2.")


class StudyDelivered(Document):
    """A destination has all instances of a study that the gateway knows of for it."""

    study_instance_uid: Study
    destination: Destination
    instances: int = Field(description="Instances of the study that the destination has from this gateway.")
    skipped: int = Field(description="Instances of it that were given up for this destination.")
    newest_instance: int = Field(description="The number of the newest instance among them: more may come later.")


class DeliveryDeadLettered(Document):
    """A destination refuses an instance: it is not sent again until a person retries it."""

    instance: int = Field(description="The number of the instance in the queue of this gateway.")
    sop_instance_uid: str = Field(alias="sopInstanceUID", description="SOP Instance UID; empty where it is not a UID.")
    study_instance_uid: Study
    destination: Destination
    reason: Reason
    status: int | None = Field(description="An HTTP status, or a DICOM status or failure reason.")
    attempts: int = Field(description="How often it was attempted.")


class DeliveryHeld(Document):
    """An instance, or its delivery to a destination, is held: it waits for rules, a treatment, or a person."""

    instance: int = Field(description="The number of the instance in the queue of this gateway.")
    sop_instance_uid: str = Field(alias="sopInstanceUID", description="SOP Instance UID; empty where it is not a UID.")
    study_instance_uid: Study
    destination: str = Field(description="KIND/NAME; empty where the instance itself is held.")
    reason: Reason


class DestinationStalled(Document):
    """A destination has taken nothing for ten seconds, and something is owed to it."""

    destination: Destination
    reason: Reason
    status: int | None = Field(description="An HTTP status, or a DICOM status or failure reason, of the last fault.")
    paused: bool = Field(description="It answers, and refuses whatever comes, as it is configured.")
    since: datetime = Field(description="When it began; the event that ends it says the same.")


class DestinationRecovered(Document):
    """A destination that had stalled takes instances again, or is owed nothing any more."""

    destination: Destination
    because: Annotated[str, known("Taken", "NothingOwed", "Removed")] = Field(
        description="Taken: it took an instance. NothingOwed: what it was owed was given up, or is held. Removed: no "
        "rule names it any more."
    )
    since: datetime = Field(description="When it had begun.")
    seconds: int = Field(description="How long it lasted.")


class CallerRefused(Document):
    """A caller was refused. It is told at once, then at most once an hour, with how often it was refused."""

    calling_ae_title: str | None = Field(alias="callingAETitle", max_length=MOST_TITLE_CHARACTERS)
    called_ae_title: str | None = Field(alias="calledAETitle", max_length=MOST_TITLE_CHARACTERS)
    address: str
    listener: str
    reason: Reason
    count: int = Field(description="How often since it was told last.")
    callers: int = Field(
        default=1,
        description="How many callers this is about. More than one: too many were refused at once to be told one by "
        "one; titles are null, the address is empty, `dicomroute refused` lists the latest.",
    )


class ConfigurationChanged(Document):
    """Another configuration is in force."""

    hash: str
    generation: int = Field(description="metadata.generation of the DicomRoute that it was made of.")


class ConfigurationRejected(Document):
    """A configuration, or sections of it, are not taken over: the last one stays in force."""

    reasons: list[str] = Field(description="One word for each thing that is wrong.")
    sections: list[str] = Field(description="The sections that are kept as they were; `configuration`: all.")


class SpoolPressureBegun(Document):
    """The spool is at its watermark: senders are answered 0xA700."""

    used_bytes: int
    watermark_bytes: int
    since: datetime


class SpoolPressureEnded(Document):
    """The spool is below 95 % of its watermark again."""

    used_bytes: int
    watermark_bytes: int
    since: datetime = Field(description="When it had begun.")
    seconds: int = Field(description="How long it lasted.")


class Health(Document):
    """The gateway has started, receives again, or does not receive."""

    ready: bool = Field(description="As /readyz.")
    reasons: list[str] = Field(description="Why it is not.")
    started_time: datetime = Field(description="When its process started.")


class DestinationTested(Document):
    """The test of a destination, or what deliveries say of it, has come to another result."""

    destination: Destination
    ready: Annotated[str, known("True", "False", "Unknown")] = Field(description="Whether it can be delivered to.")
    reason: Reason


@dataclass(frozen=True)
class EventType:
    """A type of event: its name without prefix and version, and what its data are.

    `is_of_ledger`: made of what journal and ledger say, so that it is told however the gateway ends. Of what only the
    process knows, the change between how it was told last and how it is now is told.
    """

    name: str
    data: type[Document]
    subject: str
    """What the CloudEvents attribute `subject` holds."""
    is_of_ledger: bool
    identity: str
    """What `id` is derived from."""
    version: int = 1

    @property
    def full_name(self) -> str:
        """The CloudEvents attribute `type`."""
        return f"{PREFIX}{self.name}.v{self.version}"


_STUDY: Final = "Study Instance UID"
_DESTINATION: Final = "KIND/NAME of the destination"

STUDY_RECEIVED: Final = EventType("study.received", StudyReceived, _STUDY, True, "the study")
STUDY_COMPLETE: Final = EventType("study.complete", StudyComplete, _STUDY, True, "study and revision")
STUDY_REOPENED: Final = EventType("study.reopened", StudyReopened, _STUDY, True, "study and revision")
STUDY_DELIVERED: Final = EventType(
    "study.delivered", StudyDelivered, _STUDY, True, "study, destination, number and time of the newest instance"
)
DELIVERY_DEAD_LETTERED: Final = EventType(
    "delivery.deadlettered", DeliveryDeadLettered, _STUDY, True, "instance, destination, time of the last attempt"
)
DELIVERY_HELD: Final = EventType(
    "delivery.held", DeliveryHeld, _STUDY, True, "instance, destination, reason, time of the attempt"
)
DESTINATION_STALLED: Final = EventType(
    "destination.stalled", DestinationStalled, _DESTINATION, False, "destination, since when"
)
DESTINATION_RECOVERED: Final = EventType(
    "destination.recovered", DestinationRecovered, _DESTINATION, False, "destination, since when it had stalled"
)
DESTINATION_TESTED: Final = EventType(
    "destination.tested", DestinationTested, _DESTINATION, False, "destination, result, time of the test"
)
CALLER_REFUSED: Final = EventType("caller.refused", CallerRefused, "the listener", False, "the caller, time")
CONFIGURATION_CHANGED: Final = EventType(
    "configuration.changed", ConfigurationChanged, "the hash", False, "the hash, time"
)
CONFIGURATION_REJECTED: Final = EventType(
    "configuration.rejected", ConfigurationRejected, "`configuration`", False, "what is wrong, time"
)
SPOOL_PRESSURE_BEGUN: Final = EventType("spool.pressure.begun", SpoolPressureBegun, "`spool`", False, "since when")
SPOOL_PRESSURE_ENDED: Final = EventType("spool.pressure.ended", SpoolPressureEnded, "`spool`", False, "since when")
HEALTH: Final = EventType("health", Health, "`gateway`", False, "what is said, start of the process, time")

EVENT_TYPES: Final = (
    STUDY_RECEIVED,
    STUDY_COMPLETE,
    STUDY_REOPENED,
    STUDY_DELIVERED,
    DELIVERY_DEAD_LETTERED,
    DELIVERY_HELD,
    DESTINATION_STALLED,
    DESTINATION_RECOVERED,
    DESTINATION_TESTED,
    CALLER_REFUSED,
    CONFIGURATION_CHANGED,
    CONFIGURATION_REJECTED,
    SPOOL_PRESSURE_BEGUN,
    SPOOL_PRESSURE_ENDED,
    HEALTH,
)
"""All there are: gateway, documents and schemas are made from this list."""


class EventDocument(Document):
    """One event, as CloudEvents 1.0 writes it in JSON. What has the same `source` and `id` is told again: drop it.

    `source` is the gateway: /namespaces/NAMESPACE/dicomroutes/ROUTE/gateways/HOST.
    """

    specversion: Annotated[str, Field(json_schema_extra={"const": "1.0"})] = "1.0"
    id: str
    source: str
    type: str
    subject: str = ""
    time: datetime
    datacontenttype: str = "application/json"
    data: dict[str, Any]

    @property
    def name(self) -> str:
        """The type without prefix and version."""
        return self.type.removeprefix(PREFIX).rpartition(".v")[0]


class EventsDocument(Document):
    """A page of the feed, in the order in which it was written down.

    `cursor` is what `after` has to be for the next page; `more` says that there is one already.
    """

    events: list[EventDocument]
    cursor: str
    more: bool = False
