"""DicomRoute: listeners, rules, a spool and deliveries."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from .commitment import StorageCommitment
from .delivery import Acknowledge, DeliveryMode, Destination, DestinationSettings, Events, Ledger, Retry
from .gateway import Gateway
from .listener import Listener
from .meta import ATOMIC, Model, OwnerMeta, keyed_by, rules
from .profile import ProfileReference
from .quantity import PATTERN
from .query import QueryRetrieve
from .route_status import DicomRouteStatus
from .studies import OnRevision, Studies, Trigger
from .transform import TransformStep

MAX_NAME_CHARACTERS = 45


class Mode(StrEnum):
    """What the route does as a whole."""

    RUNNING = "Running"
    HOLD_DELIVERIES = "HoldDeliveries"
    REFUSE_ASSOCIATIONS = "RefuseAssociations"


class RuleMatching(StrEnum):
    """Whether every matching rule applies, or only the first."""

    ALL = "All"
    FIRST = "First"


class Unmatched(StrEnum):
    """What happens to an instance that no rule matches."""

    HOLD = "Hold"
    DISCARD = "Discard"
    REFUSE = "Refuse"


class Rule(Model):
    """Names the destinations of the instances that match it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.trigger) && self.trigger == 'StudyComplete' || (!has(self.whenComplete) || "
                "self.whenComplete == '') && (!has(self.onRevision) || self.onRevision == 'SendNew')",
                "whenComplete and onRevision are for rules that wait for studies: set trigger: StudyComplete, or "
                "remove them",
            ),
        )
    )

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
    ] = Field(description="Name of the rule, unique in the route. Explanations and errors contain it.")
    mode: DeliveryMode = Field(
        default=DeliveryMode.RUNNING,
        description="Running: the deliveries of the rule are made. HoldDeliveries: the rule still matches, but its "
        "deliveries are Held until the mode is Running again, so that no instance falls through to another rule. A "
        "delivery that another rule names too is made. This includes instances that are already waiting.",
    )
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
        description=(
            "Changes of attributes for these destinations, in this order. Other destinations get the instance "
            "unchanged. A transform is not de-identification: it changes only the attributes that it names."
        ),
    )
    trigger: Trigger = Field(
        default=Trigger.INSTANCE_RECEIVED,
        description="InstanceReceived: an instance is delivered as soon as it is safe. StudyComplete: once its study "
        "is complete, as spec.studies says; until then its deliveries are Waiting, count as owed, and the spool keeps "
        "the bytes. A destination that another rule names for it at once does not wait.",
    )
    when_complete: Annotated[str, Field(max_length=2048)] = Field(
        default="",
        description="Condition in CEL over the complete study, such as study.instances >= 10 && 'CT' in "
        "study.modalities. There are study.instances, newInstances, series, modalities, firstArrival, lastArrival "
        "(seconds since 1970), basis and revision. It is asked once, when the study is complete. False: the deliveries "
        "are skipped. Empty: every study.",
    )
    on_revision: OnRevision = Field(
        default=OnRevision.SEND_NEW,
        description="What happens to instances that arrive after their study was complete, when it is complete again. "
        "SendNew: they are sent. SendAll: so are the earlier ones that the spool still has. Hold: they are Held until "
        "a person releases or drops them.",
    )
    deidentify: ProfileReference | None = Field(
        default=None,
        description=(
            "De-identification for these destinations, applied after transform. Instances that the profile withholds "
            "are Held with a reason. A changed profile, or another one, also applies to deliveries that are waiting."
        ),
    )


class DicomRouteSpec(Model):
    """Specification of a route."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.listeners.all(a, self.listeners.exists_one(b, b.port == a.port))",
                "two listeners have the same port: give each listener its own",
            ),
            (
                "!has(self.gateway) || !has(self.gateway.service) || !has(self.gateway.service.ports) || "
                "self.gateway.service.ports.all(p, self.listeners.exists(l, l.name == p.listener))",
                "gateway.service.ports names a listener that does not exist: use the name of one of the listeners",
            ),
            (
                "!has(self.destinations) || self.destinations.all(d, self.rules.exists(r, r.destinations.exists(one, "
                "one.kind == d.kind && one.name == d.name)))",
                "an entry of destinations is not named by any rule, so it has no effect: add it to a rule, or remove "
                "it",
            ),
            (
                "!has(self.acknowledge) || !has(self.acknowledge.destinations) || self.acknowledge.destinations.all(d, "
                "self.rules.exists(r, r.destinations.exists(one, one.kind == d.kind && one.name == d.name)))",
                "an entry of acknowledge.destinations is not named by any rule: add it to a rule, or remove it",
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
                "an entry of storageCommitment.destinations is not named by any rule, so it never gets an instance: "
                "add it to a rule, or remove it",
            ),
            (
                "!has(self.storageCommitment) || !has(self.ledger) || !has(self.ledger.retentionSeconds) || "
                "self.ledger.retentionSeconds >= 86400",
                "storageCommitment needs a ledger of at least a day, because the gateway can commit only to instances "
                "in the ledger: raise ledger.retentionSeconds",
            ),
            (
                "has(self.studies) || self.rules.all(r, !has(r.trigger) || r.trigger != 'StudyComplete')",
                "a rule has trigger: StudyComplete, and the route does not say when a study is complete: add studies, "
                "such as studies: {idleSeconds: 60}",
            ),
            (
                "!has(self.studies) || !has(self.studies.idleSeconds) || !has(self.studies.maxOpenSeconds) || "
                "self.studies.maxOpenSeconds >= self.studies.idleSeconds",
                "studies.maxOpenSeconds is less than idleSeconds, so no study would ever be complete by being idle: "
                "raise it",
            ),
            (
                "!has(self.acknowledge) || !has(self.acknowledge.when) || self.acknowledge.when != 'OnDelivered' || "
                "self.rules.all(r, !has(r.trigger) || r.trigger != 'StudyComplete')",
                "acknowledge.when: OnDelivered does not go with a rule that has trigger: StudyComplete, because the "
                "sender would wait for its own last instance: use OnSpooled, or trigger: InstanceReceived",
            ),
        )
    )

    mode: Mode = Field(
        default=Mode.RUNNING,
        description=(
            "Running: receive and deliver. HoldDeliveries: receive and store, but deliver nothing. "
            "RefuseAssociations: deliver stored instances, but reject new associations as transient. Changed without "
            "a restart."
        ),
    )
    listeners: Annotated[list[Listener], Field(min_length=1, max_length=8, json_schema_extra=keyed_by("name"))] = Field(
        description="Ports that modalities connect to. All listeners share one spool."
    )
    rule_matching: RuleMatching = Field(
        default=RuleMatching.ALL,
        description=(
            "All: an instance goes to the destinations of every matching rule. First: only to the destinations of the "
            "first matching rule. Changed without a restart."
        ),
    )
    rules: Annotated[list[Rule], Field(min_length=1, max_length=64, json_schema_extra=keyed_by("name"))] = Field(
        description=(
            "Destinations of instances. Changed without a restart, for instances that are received after the change."
        )
    )
    unmatched: Unmatched = Field(
        default=Unmatched.HOLD,
        description=(
            "What happens to an instance that no rule matches. Hold: it is kept until it is released or dropped. "
            "Discard: the sender gets a success response, and the instance is counted but not kept. Refuse: the "
            "sender gets the status 0x0124 (not authorized). Changed without a restart."
        ),
    )
    destinations: Annotated[
        list[DestinationSettings], Field(max_length=32, json_schema_extra=keyed_by("kind", "name"))
    ] = Field(
        default=[],
        description=(
            "Settings for single destinations of this route. A destination that is not listed is required and has no "
            "limit. Changed without a restart."
        ),
    )
    acknowledge: Acknowledge = Field(
        default=Acknowledge(), description="When senders get a success response. Changed without a restart."
    )
    retry: Retry = Field(default=Retry(), description="How deliveries are retried. Changed without a restart.")
    storage_commitment: StorageCommitment | None = Field(
        default=None,
        description=(
            "Storage commitment for senders. Absent: the gateway does not commit to instances. Changed without a "
            "restart, except that a node with TLS may need new files mounted, which rolls the pods."
        ),
    )
    studies: Studies | None = Field(
        default=None,
        description="When a study is complete. Absent: no study is followed. Changed without a restart, for open "
        "studies too.",
    )
    ledger: Ledger = Field(default=Ledger(), description="The record of finished instances.")
    events: Events = Field(default=Events(), description="The feed of events.")
    query_retrieve: QueryRetrieve | None = Field(
        default=None,
        description="DIMSE queries, answered from archives and from the spool. Absent: queries are refused.",
    )
    gateway: Gateway = Field(default=Gateway(), description="How the gateway runs: the settings of the platform team.")


class DicomRoute(Model):
    """Receives instances from modalities, stores them safely, and delivers them as its rules say."""

    kind: ClassVar[str] = "DicomRoute"
    rules: ClassVar[dict[str, object]] = rules(
        (
            f"self.metadata.name.size() <= {MAX_NAME_CHARACTERS} && "
            r"self.metadata.name.matches(r'^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            f"the name of a route has at most {MAX_NAME_CHARACTERS} lower case letters, digits and '-', and begins "
            "with a letter, because other objects use it in their names",
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
            "a volume cannot shrink: set gateway.spool.size to at least the size of its claim in status.claims",
        ),
        (
            "(has(self.spec.gateway) && has(self.spec.gateway.spool) && has(self.spec.gateway.spool.storageClassName) "
            "? self.spec.gateway.spool.storageClassName : '') == (has(oldSelf.spec.gateway) && "
            "has(oldSelf.spec.gateway.spool) && has(oldSelf.spec.gateway.spool.storageClassName) ? "
            "oldSelf.spec.gateway.spool.storageClassName : '') || has(self.status) && has(self.status.claims) && "
            "self.status.claims.size() > 0 && !self.status.claims.exists(c, has(c.capacity))",
            "gateway.spool.storageClassName cannot change, because the claim of the spool has a volume: create a new "
            "route, and let this one deliver the rest",
        ),
    )

    metadata: OwnerMeta
    spec: DicomRouteSpec = Field(description="Specification of the route.")
    status: DicomRouteStatus | None = Field(default=None, description="State of the route.")
