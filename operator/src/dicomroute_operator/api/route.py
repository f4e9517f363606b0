"""DicomRoute: listeners, rules, a spool and deliveries."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from .commitment import StorageCommitment
from .delivery import Acknowledge, Destination, DestinationSettings, Ledger, Retry
from .gateway import Gateway
from .listener import Listener
from .meta import ATOMIC, Model, OwnerMeta, keyed_by, rules
from .profile import ProfileReference
from .quantity import PATTERN
from .query import QueryRetrieve
from .route_status import DicomRouteStatus
from .transform import TransformStep

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
    transform: Annotated[list[TransformStep], Field(max_length=32, json_schema_extra=ATOMIC)] = Field(
        default=[],
        description="Changes of attributes on the way to these destinations, in their order. Others get the instance "
        "as it came. A transform is no de-identification: it changes what it names and leaves everything else.",
    )
    deidentify: ProfileReference | None = Field(
        default=None,
        description="How the instances are de-identified for these destinations, after transform. What the profile "
        "withholds is Held with its reason. Another profile, or a changed one, applies to all that waits.",
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
            (
                "!has(self.destinations) || self.destinations.all(d, self.rules.exists(r, r.destinations.exists(one, "
                "one.kind == d.kind && one.name == d.name)))",
                "destinations has one that no rule names, which would be without effect: add it to a rule or remove it",
            ),
            (
                "!has(self.acknowledge) || !has(self.acknowledge.destinations) || self.acknowledge.destinations.all(d, "
                "self.rules.exists(r, r.destinations.exists(one, one.kind == d.kind && one.name == d.name)))",
                "acknowledge.destinations has one that no rule names, which nobody would wait for: add it to a rule or "
                "remove it",
            ),
            (
                "!has(self.queryRetrieve) || self.queryRetrieve.listeners.all(name, self.listeners.exists(l, l.name == "
                "name))",
                "queryRetrieve.listeners names a listener that does not exist: use the name of one of the listeners",
            ),
            (
                "!has(self.storageCommitment) || self.storageCommitment.listeners.all(n, self.listeners.exists(l, "
                "l.name == n))",
                "storageCommitment.listeners names a listener that does not exist: use the name of one of the "
                "listeners",
            ),
            (
                "!has(self.storageCommitment) || !has(self.storageCommitment.destinations) || "
                "self.storageCommitment.destinations.all(d, self.rules.exists(r, r.destinations.exists(one, "
                "one.kind == d.kind && one.name == d.name)))",
                "storageCommitment.destinations has one that no rule names, which would never have an instance: add it "
                "to a rule or remove it",
            ),
            (
                "!has(self.storageCommitment) || !has(self.ledger) || !has(self.ledger.retentionSeconds) || "
                "self.ledger.retentionSeconds >= 86400",
                "storageCommitment needs a ledger of at least a day: of what was delivered and forgotten nothing can "
                "be promised: raise ledger.retentionSeconds",
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
    destinations: Annotated[
        list[DestinationSettings], Field(max_length=32, json_schema_extra=keyed_by("kind", "name"))
    ] = Field(
        default=[],
        description="What is particular to destinations of this route. One that is not listed is required and has no "
        "bound. Changed without a restart.",
    )
    acknowledge: Acknowledge = Field(
        default=Acknowledge(), description="When senders are answered with success. Changed without a restart."
    )
    retry: Retry = Field(default=Retry(), description="How deliveries are tried again. Changed without a restart.")
    storage_commitment: StorageCommitment | None = Field(
        default=None,
        description="Storage commitment for those who send. Absent: the gateway commits to nothing. Changed without a "
        "restart, but for a node with TLS that its files are mounted for.",
    )
    ledger: Ledger = Field(default=Ledger(), description="The record of what became of instances.")
    query_retrieve: QueryRetrieve | None = Field(
        default=None,
        description="Queries by DIMSE, answered from archives and from the spool. Absent: they are refused.",
    )
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
        ),
        (
            "!has(self.spec.gateway) || !has(self.spec.gateway.spool) || !has(self.spec.gateway.spool.size) || "
            "!has(oldSelf.spec.gateway) || !has(oldSelf.spec.gateway.spool) || !has(oldSelf.spec.gateway.spool.size) "
            f"|| !self.spec.gateway.spool.size.matches(r'{PATTERN}') || "
            f"!oldSelf.spec.gateway.spool.size.matches(r'{PATTERN}') || "
            "quantity(self.spec.gateway.spool.size).compareTo(quantity(oldSelf.spec.gateway.spool.size)) >= 0 || "
            "has(self.status) && has(self.status.claims) && self.status.claims.size() > 0 && "
            "self.status.claims.all(c, !has(c.capacity) || "
            "quantity(self.spec.gateway.spool.size).compareTo(quantity(c.capacity)) >= 0)",
            "a volume cannot shrink: gateway.spool.size is at least what its claim has, as status.claims says",
        ),
        (
            "(has(self.spec.gateway) && has(self.spec.gateway.spool) && has(self.spec.gateway.spool.storageClassName) "
            "? self.spec.gateway.spool.storageClassName : '') == (has(oldSelf.spec.gateway) && "
            "has(oldSelf.spec.gateway.spool) && has(oldSelf.spec.gateway.spool.storageClassName) ? "
            "oldSelf.spec.gateway.spool.storageClassName : '') || has(self.status) && has(self.status.claims) && "
            "self.status.claims.size() > 0 && !self.status.claims.exists(c, has(c.capacity))",
            "gateway.spool.storageClassName cannot change: the claim of the spool has a volume; make a new route and "
            "let this one run empty",
        ),
    )

    metadata: OwnerMeta
    spec: DicomRouteSpec = Field(description="What the route does.")
    status: DicomRouteStatus | None = Field(default=None, description="How the route stands.")
