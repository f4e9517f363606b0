"""The gateway configuration, schema version 1: the contract between the operator and the gateway.

The operator renders it, the gateway loads it; neither imports the other. An unknown field is an error
here, because a field that the gateway would ignore is a promise that it would break.
"""

from collections.abc import Collection
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from dicomroute_gateway.destination import Destination, DestinationKind, destination_named

from .credentials import Auth, Proxy, Tls
from .listener import Caller, Listener, TlsProfile
from .recipe import Recipe, Step
from .section import Section
from .study import OnRevision, Studies, Trigger, Wait

SCHEMA_VERSION = 1

TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class RouteIdentity(Section):
    """Which DicomRoute this gateway serves."""

    namespace: str
    name: str
    uid: str = ""


class Mode(StrEnum):
    """What the gateway does as a whole."""

    RUNNING = "Running"
    HOLD_DELIVERIES = "HoldDeliveries"
    REFUSE_ASSOCIATIONS = "RefuseAssociations"


class DeliveryMode(StrEnum):
    """Whether the deliveries to one destination, or of one rule, are made."""

    RUNNING = "Running"
    HOLD_DELIVERIES = "HoldDeliveries"


class DestinationKey(Section):
    """A destination as a rule names it."""

    kind: DestinationKind
    name: str

    @property
    def destination(self) -> Destination:
        """The destination that is named."""
        return destination_named(self.kind, self.name)


class RuleMatching(StrEnum):
    """Whether every rule that matches counts, or the first alone."""

    ALL = "All"
    FIRST = "First"


class Rule(Section):
    """A condition in CEL and the destinations of what it takes; without a condition it takes everything."""

    name: str
    mode: DeliveryMode = DeliveryMode.RUNNING
    """A rule that holds its deliveries matches like any other."""
    when: str = ""
    destinations: list[DestinationKey] = Field(min_length=1)
    steps: tuple[Step, ...] = ()
    """How what it takes is prepared for these destinations; without a step it is sent as it came."""
    trigger: Trigger = Trigger.INSTANCE_RECEIVED
    when_complete: str = ""
    """A condition in CEL over `study.*`, asked once when the study is complete; "": none."""
    on_revision: OnRevision = OnRevision.SEND_NEW

    @property
    def names(self) -> tuple[Destination, ...]:
        """The destinations that it names."""
        return tuple(one.destination for one in self.destinations)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of these steps."""
        return Recipe(self.steps)

    @cached_property
    def wait(self) -> Wait | None:
        """What deliveries that it names wait for; None where they are made at once."""
        if self.trigger is Trigger.INSTANCE_RECEIVED:
            return None
        return Wait(rule=self.name, when_complete=self.when_complete, on_revision=self.on_revision)


class Unmatched(StrEnum):
    """What becomes of an instance that no rule takes."""

    HOLD = "Hold"
    DISCARD = "Discard"
    REFUSE = "Refuse"


class Rules(Section):
    """How instances find their destinations."""

    matching: RuleMatching
    unmatched: Unmatched
    rules: list[Rule]

    @cached_property
    def held(self) -> frozenset[Destination]:
        """The destinations that only rules name which hold their deliveries."""
        return self._named(DeliveryMode.HOLD_DELIVERIES) - self._named(DeliveryMode.RUNNING)

    @cached_property
    def partly_held(self) -> frozenset[Destination]:
        """The destinations that rules name which hold their deliveries, and others: each instance decides."""
        return self._named(DeliveryMode.HOLD_DELIVERIES) & self._named(DeliveryMode.RUNNING)

    def _named(self, mode: DeliveryMode) -> frozenset[Destination]:
        return frozenset(name for rule in self.rules if rule.mode is mode for name in rule.names)


class Accepts(StrEnum):
    """What a destination may be sent."""

    ANY = "Any"
    DEIDENTIFIED_ONLY = "DeidentifiedOnly"


class Provider(StrEnum):
    """Whose server a target is: how its answers are read, and how much it takes."""

    AZURE = "Azure"
    GOOGLE = "Google"
    AWS = "AWS"
    ORTHANC = "Orthanc"
    DCM4CHEE = "Dcm4chee"
    GENERIC = "Generic"


class OnDuplicate(StrEnum):
    """What is made of an instance of whose UID the target has one already that this gateway did not send."""

    ACCEPT_IDENTICAL = "AcceptIdentical"
    OVERWRITE = "Overwrite"
    ACCEPT = "Accept"
    FAIL = "Fail"


class AnswerCodes(Section):
    """Failure Reasons (0008,1197) that a server gives a meaning of its own."""

    permanent_reasons: list[int] = Field(default=[])
    transient_reasons: list[int] = Field(default=[])
    duplicate_reasons: list[int] = Field(default=[])


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


class Window(Section):
    """A time of the week with a bound of its own: from `start` to `end` (HH:MM), on days that begin so.

    One that ends before it starts ends on the next day. 0 bytes a second: nothing is sent.
    """

    days: list[Weekday] = Field(default=list(Weekday), min_length=1)
    start: str = Field(pattern=TIME_OF_DAY)
    end: str = Field(pattern=TIME_OF_DAY)
    max_bytes_per_second: int = Field(ge=0)


class Bandwidth(Section):
    """How much a destination is sent at most: the first window that it is counts, outside of all the bound itself."""

    max_bytes_per_second: int | None = Field(default=None, ge=1)
    time_zone: str = "UTC"
    windows: list[Window] = Field(default=[])

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f"there is no time zone {name!r}: write one such as Europe/Berlin") from error
        return name


class ConfirmBy(StrEnum):
    """How a destination confirms that it has what it was sent."""

    QUERY = "Query"
    STORAGE_COMMITMENT = "StorageCommitment"


class Confirm(Section):
    """A destination has an instance once it has confirmed that, within `within_seconds` of its being sent."""

    by: ConfirmBy
    within_seconds: int = Field(default=86_400, ge=1)


class DestinationSettings(Section):
    """What is particular to a destination of this route, whatever its kind.

    An optional one (not `required`) is owed `max_owed_bytes` at most; what comes beyond is skipped.
    """

    mode: DeliveryMode = DeliveryMode.RUNNING
    required: bool = True
    max_owed_bytes: int | None = Field(default=None, ge=1)
    bandwidth: Bandwidth | None = None
    confirm: Confirm | None = None
    """None: its answer confirms that it has an instance."""
    accepts: Accepts = Accepts.ANY


class CloudTargetDestination(DestinationSettings):
    """A DICOMweb origin server (PS3.18) to which instances are stored by STOW-RS."""

    kind: Literal["CloudTarget"]
    name: str
    url: str
    provider: Provider = Provider.GENERIC
    on_duplicate: OnDuplicate = OnDuplicate.ACCEPT_IDENTICAL
    answers: AnswerCodes = AnswerCodes()
    partition: str = ""
    """The data partition of an Azure DICOM service; "" where it has none."""
    auth: Auth
    tls: Tls = Tls()
    proxy: Proxy | None = None

    @property
    def key(self) -> Destination:
        """What rules and the spool know this destination by."""
        return destination_named(self.kind, self.name)

    @property
    def files(self) -> list[str]:
        """The files, within the folder of mounted Secrets, that requests need."""
        return [file for one in (self.auth, self.tls, self.proxy) if one is not None for file in one.files]


class NodeTls(Section):
    """How a node is called over TLS; files are SECRET/KEY and ConfigMap-NAME/KEY.

    Without `ca_bundle_file` the authorities of the system are trusted. `server_name` is what the certificate has to
    name, "" the host; without `verify_name` any name will do.
    """

    ca_bundle_file: str = ""
    client_certificate_file: str = ""
    client_key_file: str = ""
    verify_name: bool = True
    server_name: str = ""
    profile: TlsProfile = TlsProfile.BCP195_RFC9325


class DicomNodeDestination(DestinationSettings):
    """A storage SCP (PS3.4 annex B) to which instances are sent by C-STORE. Time-outs in seconds.

    `acse_timeout_seconds` is for the answer to an A-ASSOCIATE-RQ, `stall_timeout_seconds` for each time that the node
    takes not one byte of a message, `response_timeout_seconds` for the response to a whole one. A C-ECHO tests it every
    `connection_test_seconds`; 0: never.
    """

    kind: Literal["DicomNode"]
    name: str
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    called_ae_title: str = Field(min_length=1, max_length=16)
    calling_ae_title: str = Field(min_length=1, max_length=16)
    acse_timeout_seconds: int = Field(default=30, ge=1)
    stall_timeout_seconds: int = Field(default=60, ge=1)
    response_timeout_seconds: int = Field(default=120, ge=1)
    connection_test_seconds: int = Field(default=300, ge=0)
    tls: NodeTls | None = None

    @property
    def files(self) -> list[str]:
        """The files, within the folder of mounted Secrets, that calling it needs."""
        return self.tls.files if self.tls is not None else []

    @property
    def key(self) -> Destination:
        """What rules and the spool know this destination by."""
        return destination_named(self.kind, self.name)


AnyDestination = Annotated[CloudTargetDestination | DicomNodeDestination, Field(discriminator="kind")]


class Retry(Section):
    """How deliveries are tried again. Durations in seconds."""

    initial_backoff_seconds: int = Field(ge=1)
    max_backoff_seconds: int = Field(ge=1)
    content_attempts: int = Field(ge=1)


class EncryptionMode(StrEnum):
    """Whether instances that come are encrypted; with keys, those that are encrypted can be read in any case."""

    ENABLED = "Enabled"
    DECRYPT_ONLY = "DecryptOnly"


class SpoolEncryption(Section):
    """The keys with which instances are encrypted on the spool: 32 bytes in base64 a line, the first for what comes."""

    mode: EncryptionMode = EncryptionMode.ENABLED
    key_file: str
    """Relative to the folder of the mounted Secrets: `SECRET/KEY`."""


class SpoolLimits(Section):
    """How much the spool may hold before the gateway answers 0xA700, and how it is kept there."""

    size_bytes: int = Field(gt=0)
    high_watermark_percent: int = Field(ge=1, le=100)
    encryption: SpoolEncryption | None = None


class AcknowledgeWhen(StrEnum):
    """When a sender is answered with success."""

    ON_SPOOLED = "OnSpooled"
    ON_DELIVERED = "OnDelivered"


class Acknowledge(Section):
    """When a sender is answered: once the instance is safe, or once `destinations` have it too.

    Without destinations those are meant that are required. After `timeout_seconds` the answer is 0xA700.
    """

    when: AcknowledgeWhen = AcknowledgeWhen.ON_SPOOLED
    destinations: list[DestinationKey] = Field(default=[])
    timeout_seconds: int = Field(default=30, ge=1)


class CommitmentRequestor(Section):
    """A node that may ask for storage commitment, and how it is called to be reported to. Time-outs in seconds."""

    node: str
    calling_ae_titles: list[str]
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    called_ae_title: str = Field(min_length=1, max_length=16)
    acse_timeout_seconds: int = Field(default=30, ge=1)
    stall_timeout_seconds: int = Field(default=60, ge=1)
    response_timeout_seconds: int = Field(default=120, ge=1)
    tls: NodeTls | None = None


class StorageCommitment(Section):
    """Who is promised that instances are kept, and on which grounds (PS3.4 annex J). Durations in seconds.

    An instance is committed to once `destinations` have it; without any, once all have it that are required. After
    `wait_seconds` it is not. A report is made on the association of its request for `same_association_seconds`, and
    tried on others for `report_for_seconds`.
    """

    listeners: list[str] = Field(min_length=1)
    destinations: list[DestinationKey] = Field(default=[])
    wait_seconds: int = Field(default=86_400, ge=1)
    same_association_seconds: int = Field(default=10, ge=0)
    report_for_seconds: int = Field(default=86_400, ge=1)
    requestors: list[CommitmentRequestor] = Field(default=[])


class LedgerLimits(Section):
    """How long the ledger outlives the bytes, in seconds; 0: not at all."""

    retention_seconds: int = Field(default=0, ge=0)


class EventLimits(Section):
    """How long events are kept, in seconds and bytes, and when a study that a destination has is told.

    That is when nothing of it has come for `study_quiet_seconds`.
    """

    retention_seconds: int = Field(default=604_800, ge=3600)
    max_bytes: int = Field(default=64 << 20, ge=1 << 20)
    study_quiet_seconds: int = Field(default=60, ge=1)


class QueryMode(StrEnum):
    """Whether queries and retrievals are served."""

    RUNNING = "Running"
    REFUSE = "Refuse"


class QueryClient(Caller):
    """A DicomNode that may query.

    `is_relational`: its queries may leave out unique keys of levels above without having negotiated that.
    `default_character_set` is that of text for which it declares none. One that `accepts` de-identified data alone is
    answered nothing: what it would get has names.
    """

    is_relational: bool = False
    default_character_set: str = ""
    accepts: Accepts = Accepts.ANY


class QueryConcurrency(Section):
    """How many are served at the same time."""

    queries: int = Field(ge=1)
    retrievals: int = Field(default=4, ge=1)


class QueryRetrieve(Section):
    """Queries and retrievals by DIMSE: on which listeners, from whom, and who answers, the preferred archive first.

    `move_destinations` are those that a C-MOVE may name; `pending_interval_seconds` is how often its SCU hears of it.
    """

    mode: QueryMode = QueryMode.RUNNING
    listeners: list[str] = Field(min_length=1)
    clients: list[QueryClient]
    archives: list[CloudTargetDestination] = Field(default=[])
    include_spool: bool = True
    max_matches: int = Field(ge=1)
    max_candidates: int = Field(ge=1)
    max_concurrent: QueryConcurrency
    archive_timeout_seconds: int = Field(ge=1)
    move_destinations: list[DicomNodeDestination] = Field(default=[])
    pending_interval_seconds: int = Field(default=2, ge=1, le=5)

    def strict_with(self, nodes: Collection[str]) -> "QueryRetrieve":
        """Return the same, with nodes of these names taking de-identified data alone."""
        strict = {"accepts": Accepts.DEIDENTIFIED_ONLY}
        clients = [one.model_copy(update=strict) if one.node in nodes else one for one in self.clients]
        moved_to = [one.model_copy(update=strict) if one.name in nodes else one for one in self.move_destinations]
        return self.model_copy(update={"clients": clients, "move_destinations": moved_to})


class Configuration(Section):
    """Everything a gateway needs to know about its route."""

    schema_version: Literal[1]
    route: RouteIdentity
    generation: int = 0
    mode: Mode
    listeners: list[Listener] = Field(min_length=1)
    rules: Rules
    destinations: list[AnyDestination]
    retry: Retry
    spool: SpoolLimits
    ledger: LedgerLimits = LedgerLimits()
    events: EventLimits = EventLimits()
    acknowledge: Acknowledge = Acknowledge()
    query_retrieve: QueryRetrieve | None = None
    """None: its contexts are refused."""
    storage_commitment: StorageCommitment | None = None
    studies: Studies | None = None
    """None: studies are not tracked."""
    drain_timeout_seconds: int = Field(ge=0)
    treatment_not_in_force: list[DestinationKey] = Field(default=[])
    """Destinations that a newer manifest treats in another way than this configuration does: they get nothing."""

    def settings_of(self, destination: Destination) -> AnyDestination | None:
        """Return how a destination is configured; None where it is not."""
        return next((one for one in self.destinations if one.key == destination), None)

    @property
    def tracks_studies(self) -> bool:
        """Whether instances count for their studies: where it is set, and where a rule waits for them."""
        return self.studies is not None or any(rule.wait is not None for rule in self.rules.rules)

    def queries_on(self, listener: str) -> QueryRetrieve | None:
        """Return how queries and retrievals are served on a listener; None where they are not."""
        found = self.query_retrieve
        if found is None or found.mode is not QueryMode.RUNNING or listener not in found.listeners:
            return None
        names = {one.name for one in self.treatment_not_in_force if one.kind is DestinationKind.DICOM_NODE}
        return found.strict_with(names) if names else found
