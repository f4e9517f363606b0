"""The gateway configuration, schema version 1: the contract between the operator and the gateway.

The operator renders it, the gateway loads it; neither imports the other. An unknown field is an error
here, because a field that the gateway would ignore is a promise that it would break.
"""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

_ACRONYMS = {"ae": "AE", "pdu": "PDU"}


def _alias(name: str) -> str:
    """Return the JSON name of a field: camelCase with DICOM's acronyms in capitals, as in the manifests."""
    head, *tail = name.split("_")
    return head + "".join(_ACRONYMS.get(word, word.capitalize()) for word in tail)


class Section(BaseModel):
    """A part of the configuration: immutable, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=_alias, populate_by_name=True)


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


class SourcePolicy(StrEnum):
    """Who may associate with a listener."""

    NODES = "Nodes"
    ANY = "Any"


class Caller(Section):
    """A DicomNode that may associate: the titles it calls with and the networks it calls from."""

    node: str
    calling_ae_titles: list[str]
    any_address: bool = False
    networks: list[IPv4Network | IPv6Network] = []


class Sources(Section):
    """Who may associate with one listener."""

    policy: SourcePolicy
    callers: list[Caller] = []


class Listener(Section):
    """One DIMSE port of the gateway. Time-outs in seconds, sizes in bytes."""

    name: str
    port: int = Field(ge=0, le=65535)
    ae_titles: list[str] = Field(min_length=1)
    sources: Sources
    max_associations: int = Field(ge=1)
    max_pdu_bytes: int = Field(ge=4096)
    acse_timeout_seconds: int = Field(ge=1)
    idle_timeout_seconds: int = Field(ge=1)
    stall_timeout_seconds: int = Field(ge=1)


class DestinationKind(StrEnum):
    """The kinds of object that a rule may name as a destination."""

    CLOUD_TARGET = "CloudTarget"


class DestinationKey(Section):
    """A destination as a rule names it."""

    kind: DestinationKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class RuleMatching(StrEnum):
    """Whether every rule that matches counts, or the first alone."""

    ALL = "All"
    FIRST = "First"


class Rule(Section):
    """A condition in CEL and the destinations of what it takes; without a condition it takes everything."""

    name: str
    when: str = ""
    destinations: list[DestinationKey] = Field(min_length=1)


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


class NoAuth(Section):
    """Requests carry no credential."""

    type: Literal["None"]


class BasicAuth(Section):
    """HTTP Basic authentication (RFC 7617); the password is read from a mounted Secret."""

    type: Literal["Basic"]
    username: str
    password_file: str
    """Relative to the folder of the mounted Secrets: `SECRET/KEY`."""


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

    permanent_reasons: list[int] = []
    transient_reasons: list[int] = []
    duplicate_reasons: list[int] = []


class CloudTargetDestination(Section):
    """A DICOMweb origin server (PS3.18) to which instances are stored by STOW-RS."""

    kind: Literal["CloudTarget"]
    name: str
    url: str
    provider: Provider = Provider.GENERIC
    on_duplicate: OnDuplicate = OnDuplicate.ACCEPT_IDENTICAL
    answers: AnswerCodes = AnswerCodes()
    partition: str = ""
    """The data partition of an Azure DICOM service; "" where it has none."""
    auth: Annotated[NoAuth | BasicAuth, Field(discriminator="type")]
    accepts: Accepts = Accepts.ANY

    @property
    def key(self) -> DestinationKey:
        """The name by which rules and the spool know this destination."""
        return DestinationKey(kind=DestinationKind.CLOUD_TARGET, name=self.name)


class Retry(Section):
    """How deliveries are tried again. Durations in seconds."""

    initial_backoff_seconds: int = Field(ge=1)
    max_backoff_seconds: int = Field(ge=1)
    content_attempts: int = Field(ge=1)


class SpoolLimits(Section):
    """How much the spool may hold before the gateway answers 0xA700."""

    size_bytes: int = Field(gt=0)
    high_watermark_percent: int = Field(ge=1, le=100)


class Configuration(Section):
    """Everything a gateway needs to know about its route."""

    schema_version: Literal[1]
    route: RouteIdentity
    generation: int = 0
    mode: Mode
    listeners: list[Listener] = Field(min_length=1)
    rules: Rules
    destinations: list[CloudTargetDestination]
    retry: Retry
    spool: SpoolLimits
    drain_timeout_seconds: int = Field(ge=0)
