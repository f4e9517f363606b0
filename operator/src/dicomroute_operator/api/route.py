"""DicomRoute: listeners, rules, a spool and deliveries."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from .gateway import Gateway
from .listener import Listener
from .meta import Model, ObjectName, OwnerMeta, keyed_by, rules
from .route_status import DicomRouteStatus

MAX_NAME_CHARACTERS = 45


class Mode(StrEnum):
    """What the route does as a whole."""

    RUNNING = "Running"
    HOLD_DELIVERIES = "HoldDeliveries"
    REFUSE_ASSOCIATIONS = "RefuseAssociations"


class RuleMatching(StrEnum):
    """Whether every rule that matches counts, or the first alone."""

    ALL = "All"
    FIRST = "First"


class Unmatched(StrEnum):
    """What becomes of an instance that no rule takes."""

    HOLD = "Hold"
    DISCARD = "Discard"
    REFUSE = "Refuse"


class DestinationKind(StrEnum):
    """The kinds of object that a rule may name as a destination."""

    CLOUD_TARGET = "CloudTarget"


class Destination(Model):
    """An object of the same namespace that instances are delivered to."""

    kind: DestinationKind = Field(description="Kind of the destination: CloudTarget.")
    name: ObjectName = Field(description="Name of the destination.")


class Rule(Model):
    """Names the destinations of the instances that it takes."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                    "a rule's name has lower case letters, digits and '-', and begins and ends with a letter or digit",
                )
            ),
        ),
    ] = Field(description="Name of the rule, unique in the route; it appears in explanations and errors.")
    when: Annotated[str, Field(max_length=2048)] = Field(
        default="",
        description="Condition in CEL over DICOM keywords and facts of the association, such as instance.Modality == "
        "'CT' && association.callingAETitle.startsWith('CT'). A missing attribute is '', [] or null. Empty: every "
        "instance.",
    )
    destinations: Annotated[
        list[Destination], Field(min_length=1, max_length=16, json_schema_extra=keyed_by("kind", "name"))
    ] = Field(description="Where the instances go.")


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


class DicomRouteSpec(Model):
    """What a route does."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.listeners.all(a, self.listeners.exists_one(b, b.port == a.port))",
                "two listeners have one port: give each its own",
            ),
            (
                "!has(self.gateway) || !has(self.gateway.service) || !has(self.gateway.service.ports) || "
                "self.gateway.service.ports.all(p, self.listeners.exists(l, l.name == p.listener))",
                "gateway.service.ports names a listener that does not exist: use the name of one of the listeners",
            ),
        )
    )

    mode: Mode = Field(
        default=Mode.RUNNING,
        description="Running. HoldDeliveries: receive and keep, deliver nothing. RefuseAssociations: deliver what is "
        "kept, reject new associations as transient. Changed without a restart.",
    )
    listeners: Annotated[list[Listener], Field(min_length=1, max_length=8, json_schema_extra=keyed_by("name"))] = Field(
        description="The ports that modalities connect to. All feed one spool."
    )
    rule_matching: RuleMatching = Field(
        default=RuleMatching.ALL,
        description="All: an instance goes to the destinations of every rule that matches. First: to those of the "
        "first. Changed without a restart.",
    )
    rules: Annotated[list[Rule], Field(min_length=1, max_length=64, json_schema_extra=keyed_by("name"))] = Field(
        description="Where instances go. Changed without a restart, for instances received from then on."
    )
    unmatched: Unmatched = Field(
        default=Unmatched.HOLD,
        description="What becomes of an instance that no rule takes. Hold: kept until it is released or dropped. "
        "Discard: answered with success, counted, not kept. Refuse: answered 0x0124, not authorized. Changed without "
        "a restart.",
    )
    retry: Retry = Field(default=Retry(), description="How deliveries are tried again. Changed without a restart.")
    ledger: Ledger = Field(default=Ledger(), description="The record of what became of instances.")
    gateway: Gateway = Field(default=Gateway(), description="How the gateway runs: the platform team's half.")


class DicomRoute(Model):
    """Receives instances from modalities, keeps them safely, and delivers them where rules say."""

    kind: ClassVar[str] = "DicomRoute"
    rules: ClassVar[dict[str, object]] = rules(
        (
            f"self.metadata.name.size() <= {MAX_NAME_CHARACTERS} && "
            r"self.metadata.name.matches(r'^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            f"the name of a route has at most {MAX_NAME_CHARACTERS} lower case letters, digits and '-', and begins "
            "with a letter: other objects are named after it",
        )
    )

    metadata: OwnerMeta
    spec: DicomRouteSpec = Field(description="What the route does.")
    status: DicomRouteStatus | None = Field(default=None, description="How the route stands.")
