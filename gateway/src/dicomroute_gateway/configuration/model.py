"""The gateway configuration, schema version 1: the contract between the operator and the gateway.

The operator renders it, the gateway loads it; neither imports the other. An unknown field is an error
here, because a field that the gateway would ignore is a promise that it would break.
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from dicomroute_gateway.destination import Destination, DestinationKind

from .commitment import StorageCommitment
from .destinations import AnyDestination, DestinationKey
from .listener import Listener
from .queries import QueryMode, QueryRetrieve
from .rules import Rules
from .section import Section
from .study import Studies

SCHEMA_VERSION = 1


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
