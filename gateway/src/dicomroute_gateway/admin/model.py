"""The documents of the admin API: what `/api/v1/...` answers and takes. Status version 1."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """A document of the API, in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class QueueState(StrEnum):
    """The states of deliveries as people see them."""

    PENDING = "Pending"
    HELD = "Held"
    SKIPPED = "Skipped"
    DEAD_LETTERED = "DeadLettered"
    DELIVERED = "Delivered"


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


class StepDocument(Document):
    """A step of a probe: DNS, TCP, TLS, Credential, Query; through a proxy the first two are the proxy's."""

    step: str
    result: str
    """Passed, Failed, NotNeeded, or NotTried after one that failed."""
    reason: str = ""
    message: str = ""
    milliseconds: int | None = None


class ProbeFindingDocument(Document):
    """One thing that is known of a target, as a condition has it: `status` is True, False or Unknown."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


class ProbeDocument(Document):
    """The last probe of a target, and what it and the deliveries since then say."""

    time: datetime
    steps: list[StepDocument]
    reachable: ProbeFindingDocument
    authenticated: ProbeFindingDocument
    ready: ProbeFindingDocument


class DestinationDocument(DeliveriesDocument):
    """The deliveries to one destination; `credentialExpiresTime` where its credential says when it ends."""

    kind: str
    name: str
    held_reason: str = ""
    state: Literal["Active", "Waiting", "Paused"] = "Active"
    """Waiting: after a fault, until it is tried again. Paused: it refuses whatever comes, as it or its target is
    configured; one delivery at a time asks again."""
    paused_reason: str = ""
    paused_time: datetime | None = None
    warnings_total: int = 0
    """Instances that it stored with a warning, since the gateway started."""
    oldest_owed_time: datetime | None = None
    last_error: LastErrorDocument | None = None
    credential_expires_time: datetime | None = None
    probe: ProbeDocument | None = None
    """None before the first one, and for what is no CloudTarget."""


class SpoolKeyDocument(Document):
    """A key of the spool: how many instances are encrypted with it, and whether it encrypts those that come.

    One that is not `mounted` is missing: its instances wait. One without instances that does not encrypt may go.
    """

    id: str
    instances: int
    mounted: bool
    encrypts: bool


class SpoolDocument(Document):
    """How full the spool is, and how fast it fills; above `watermarkBytes` the gateway answers 0xA700.

    `fillBytesPerSecond` is that of the last ten minutes: 0 when it is not known yet, negative while the spool drains.
    `unencrypted` counts the instances that are kept in clear.
    """

    used_bytes: int
    capacity_bytes: int
    watermark_bytes: int
    fill_bytes_per_second: int = 0
    keys: list[SpoolKeyDocument] = []
    unencrypted: int = 0


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
    """Files (SECRET/KEY, ConfigMap-NAME/KEY) that destinations or the spool need and that are not mounted."""


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


class LedgerDocument(Document):
    """Instances that were asked for, the newest day first; `truncated` says that there are more."""

    items: list[InstanceDocument]
    truncated: bool


class SourceReport(Document):
    """What one calling AE title sent on a day; `receivedTotal` is the sum of the counts behind it."""

    calling_ae_title: str = Field(alias="callingAETitle")
    studies: int
    bytes: int
    received_total: int
    owed: int
    dead_lettered: int
    skipped_total: int
    delivered_total: int
    discarded_total: int
    dead_lettered_deliveries: int = 0
    """Of all of them, those that are owed to others still included."""


class ReportDocument(Document):
    """What became, until now, of what was received on a day (UTC), by its source.

    `complete` is false where the ledger does not reach back to that day.
    """

    day: date
    complete: bool
    sources: list[SourceReport]
    total: SourceReport


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
    messages: list[str] = []


class RefusedCaller(Document):
    """A caller that was refused, and how often. Titles are null where the connection was closed before they came.

    Where no presentation context was accepted, `abstractSyntaxes` has some that were proposed. Titles and UIDs are the
    caller's own bytes: show them escaped.
    """

    calling_ae_title: str | None = Field(alias="callingAETitle")
    called_ae_title: str | None = Field(alias="calledAETitle")
    address: str
    listener: str
    reason: str
    abstract_syntaxes: list[str] = Field(alias="abstractSyntaxes", default_factory=list)
    count: int
    first_time: datetime
    last_time: datetime


class RefusedDocument(Document):
    """The callers that were refused since the gateway started, the last one first; at most 200 are remembered."""

    callers: list[RefusedCaller]


class ErrorDocument(Document):
    """Why a request was refused, and what to do."""

    error: str
