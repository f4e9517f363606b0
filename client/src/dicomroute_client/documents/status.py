"""What a gateway says of itself at `/api/v1/status`, version 1, and of a probe of a target."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from .document import Count, Document, KnownTime, known


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
    findings: list[FindingDocument] = Field(default=[])


class ListenerDocument(Document):
    """A listener that is open."""

    name: str
    port: int
    associations: int
    mode: Annotated[str, known("Running", "RefuseAssociations")] = ""
    """What it obeys: its own mode, or the route's."""
    credential_expires_time: KnownTime = None
    """When the first of its certificate and its authorities ends; None without TLS."""


class AssociationsDocument(Document):
    """Associations since the gateway started."""

    open: int
    accepted_total: int
    refused_total: dict[str, int]
    aborted_total: dict[str, int]


class InstancesDocument(Document):
    """Instances, each counted once; receivedTotal is the sum of the others."""

    received_total: Count
    owed: Count
    dead_lettered: Count
    skipped_total: Count
    delivered_total: Count
    discarded_total: Count


class DeliveriesDocument(Document):
    """Deliveries by state. `held` includes instances that are held without any delivery.

    `unconfirmed` are those that were sent, and that their destination has not confirmed yet; `waiting` those that wait
    for their studies.
    """

    pending: Count = 0
    waiting: Count = 0
    in_flight: Count = 0
    unconfirmed: Count = 0
    held: Count = 0
    skipped: Count = 0
    dead_lettered: Count = 0
    delivered_total: Count = 0


class LastErrorDocument(Document):
    """The last fault of a destination; `status` is an HTTP status or a DICOM failure reason."""

    reason: str
    status: int | None
    time: datetime
    message: str = ""


class StepDocument(Document):
    """A step of a probe: DNS, TCP, TLS, Credential, Query; through a proxy the first two are the proxy's.

    Of a node: DNS, TCP, TLS, Association, Echo.
    """

    step: str
    result: str
    """Passed, Failed, NotNeeded, or NotTried after one that failed."""
    reason: str = ""
    message: str = ""
    milliseconds: int | None = None


class ProbeFindingDocument(Document):
    """One thing that is known of a target, as a condition has it: `status` is True, False or Unknown."""

    status: Annotated[str, known("True", "False", "Unknown")]
    reason: str
    message: str


class ProbeDocument(Document):
    """The last probe of a target or a node, and what it and the deliveries since then say.

    `roundTripMilliseconds` is how long a node took to answer a C-ECHO, `withinMilliseconds` the same rounded up to 1,
    2, 5, 10 and so on.
    """

    time: datetime
    steps: list[StepDocument]
    round_trip_milliseconds: float | None = None
    within_milliseconds: int | None = None
    reachable: ProbeFindingDocument
    authenticated: ProbeFindingDocument
    ready: ProbeFindingDocument


class DestinationDocument(DeliveriesDocument):
    """The deliveries to one destination; `credentialExpiresTime` where its credential says when it ends."""

    kind: str
    name: str
    held_reason: str = ""
    state: Annotated[str, known("Active", "Waiting", "Paused")] = "Active"
    """Waiting: after a fault, until it is tried again. Paused: it refuses whatever comes, as it or its target is
    configured; one delivery at a time asks again."""
    paused_reason: str = ""
    paused_time: datetime | None = None
    warnings_total: int = 0
    """Instances that it stored with a warning, since the gateway started."""
    oldest_owed_time: datetime | None = None
    last_error: LastErrorDocument | None = None
    credential_expires_time: KnownTime = None
    probe: ProbeDocument | None = None
    """None before the first one, and for a node that is not tested by itself."""


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
    keys: list[SpoolKeyDocument] = Field(default=[])
    unencrypted: int = 0


class FailingArchiveDocument(Document):
    """An archive of queryRetrieve that did not answer when it was asked last; it is asked again until it does."""

    kind: str
    name: str
    reason: str
    message: str
    since: datetime


class OpenStudiesDocument(Document):
    """How many studies are not complete, and how many complete ones the gateway still knows."""

    open: Count
    complete: Count = 0


class StatusDocument(Document):
    """What `/api/v1/status` answers."""

    status_version: Annotated[int, Field(json_schema_extra={"const": 1})] = 1
    gateway_version: str
    route: RouteDocument
    ready: bool
    problems: list[FindingDocument] = Field(default=[])
    started_time: datetime
    time: datetime
    configuration: ConfigurationDocument | None = None
    mode: Annotated[str, known("Running", "HoldDeliveries", "RefuseAssociations")] = ""
    """The mode in force of the route as a whole."""
    query_mode: Annotated[str, known("Running", "Refuse")] = ""
    """That of queries and retrievals; "" where there are none."""
    held_rules: list[str] = Field(default=[])
    """The rules whose deliveries are held, as their mode says."""
    listeners: list[ListenerDocument] = Field(default=[])
    associations: AssociationsDocument | None = None
    instances: InstancesDocument | None = None
    deliveries: DeliveriesDocument | None = None
    oldest_owed_time: datetime | None = None
    destinations: list[DestinationDocument] = Field(default=[])
    failing_archives: list[FailingArchiveDocument] = Field(default=[])
    spool: SpoolDocument | None = None
    studies: OpenStudiesDocument | None = None
    """None where the route does not say when a study is complete."""
    unmounted_secrets: list[str] = Field(default=[])
    """Files (SECRET/KEY, ConfigMap-NAME/KEY) that destinations or the spool need and that are not mounted."""
    supports: list[str] = Field(default=[])
    """What it can do of what later releases added; an operator gives no treatment to a gateway that does not say so."""
