"""The documents of the admin API: what `/api/v1/...` answers and takes. Status version 1."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """A document of the API, in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class RouteDocument(Document):
    """Which DicomRoute the gateway serves."""

    namespace: str
    name: str
    uid: str


class FindingDocument(Document):
    """Something that a person has to mend: a section of the configuration, or the spool."""

    section: str
    reason: str
    message: str


class ConfigurationDocument(Document):
    """The configuration in force. `hash` is that of the text that was last read."""

    hash: str
    generation: int
    findings: list[FindingDocument] = []


class ListenerDocument(Document):
    """A listener that is open."""

    name: str
    port: int
    associations: int


class AssociationsDocument(Document):
    """Associations since the gateway started."""

    open: int
    accepted_total: int
    refused_total: dict[str, int]
    aborted_total: dict[str, int]


class InstancesDocument(Document):
    """Instances, each counted once; receivedTotal is the sum of the others."""

    received_total: int
    owed: int
    dead_lettered: int
    skipped_total: int
    delivered_total: int
    discarded_total: int


class DeliveriesDocument(Document):
    """Deliveries by state. `held` includes instances that are held without any delivery."""

    pending: int = 0
    in_flight: int = 0
    held: int = 0
    skipped: int = 0
    dead_lettered: int = 0
    delivered_total: int = 0


class LastErrorDocument(Document):
    """The last fault of a destination; `status` is an HTTP status or a DICOM failure reason."""

    reason: str
    status: int | None
    time: datetime
    message: str = ""


class DestinationDocument(DeliveriesDocument):
    """The deliveries to one destination."""

    kind: str
    name: str
    held_reason: str = ""
    state: Literal["Active", "Paused"] = "Active"
    """Paused: it refuses whatever comes, as it or its target is configured; one delivery at a time asks again."""
    paused_reason: str = ""
    paused_time: datetime | None = None
    warnings_total: int = 0
    """Instances that it stored with a warning, since the gateway started."""
    last_error: LastErrorDocument | None = None


class SpoolDocument(Document):
    """How full the spool is, and how fast it fills; above `watermarkBytes` the gateway answers 0xA700.

    `fillBytesPerSecond` is that of the last ten minutes: 0 when it is not known yet, negative while the spool drains.
    """

    used_bytes: int
    capacity_bytes: int
    watermark_bytes: int
    fill_bytes_per_second: int = 0


class StatusDocument(Document):
    """What `/api/v1/status` answers."""

    status_version: Literal[1] = 1
    gateway_version: str
    route: RouteDocument
    ready: bool
    problems: list[FindingDocument] = []
    started_time: datetime
    time: datetime
    configuration: ConfigurationDocument | None = None
    listeners: list[ListenerDocument] = []
    associations: AssociationsDocument | None = None
    instances: InstancesDocument | None = None
    deliveries: DeliveriesDocument | None = None
    oldest_owed_time: datetime | None = None
    destinations: list[DestinationDocument] = []
    spool: SpoolDocument | None = None
    unmounted_secrets: list[str] = []
    """Secret files (SECRET/KEY) that destinations need and that are not mounted."""


class QueueItem(Document):
    """A delivery, or with an empty destination an instance that is held without one."""

    instance: int
    destination: str
    state: str
    reason: str
    attempts: int
    status: int | None
    last_attempt_time: datetime | None
    received_time: datetime
    calling_ae_title: str = Field(alias="callingAETitle")
    sop_instance_uid: str = Field(alias="sopInstanceUID")
    bytes: int


class QueueDocument(Document):
    """A page of the queue, oldest first; `truncated` says that there is more."""

    items: list[QueueItem]
    truncated: bool


class InstanceDocument(Document):
    """All that is known of one instance; `digest` is that of its data set: the algorithm, a colon, hexadecimal."""

    instance: int
    received_time: datetime
    sop_class_uid: str = Field(alias="sopClassUID")
    sop_instance_uid: str = Field(alias="sopInstanceUID")
    series_instance_uid: str = Field(alias="seriesInstanceUID")
    study_instance_uid: str = Field(alias="studyInstanceUID")
    transfer_syntax_uid: str = Field(alias="transferSyntaxUID")
    bytes: int
    digest: str
    association: str
    listener: str
    calling_ae_title: str = Field(alias="callingAETitle")
    called_ae_title: str = Field(alias="calledAETitle")
    address: str
    generation: int
    hold: str
    deliveries: list[QueueItem]


class QueueSelection(Document):
    """Which deliveries an operation is about: those of the named instances, or with `all` every one.

    `destination` (KIND/NAME) narrows either.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    instances: list[int] = Field(default=[], max_length=10_000)
    all: bool = False
    destination: str | None = None


class QueueChange(Document):
    """How many deliveries or held instances an operation changed, and what it could not."""

    changed: int
    messages: list[str] = []


class ErrorDocument(Document):
    """Why a request was refused, and what to do."""

    error: str
