"""What a manifest may say of the pods of a gateway: what they use, where they run, what they carry."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from .meta import ATOMIC, SET, Model, ObjectName, Text, keyed_by, rules

ResourceAmount = Annotated[int | str, Field(json_schema_extra={"x-kubernetes-int-or-string": True, "maxLength": 32})]
Amounts = Annotated[
    dict[str, ResourceAmount],
    Field(
        max_length=16,
        json_schema_extra=rules(
            (
                "self.all(k, type(self[k]) == string ? isQuantity(self[k]) && !self[k].startsWith('-') : self[k] >= 0)",
                "an amount is a quantity of zero or more, such as 500m or 1Gi",
            )
        ),
    ),
]
_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
KEYS_ARE_QUALIFIED = (
    f"self.all(k, k.size() <= 317 && k.matches(r'{_LABEL_KEY}'))",
    "a key is a name of letters, digits, '-', '_' and '.', with an optional DNS prefix, such as example.com/team",
)
_VALUES_ARE_LABELS = (
    f"self.all(k, self[k].matches(r'{_LABEL_VALUE}'))",
    "a label's value has at most 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit",
)
IS_NAME_OR_EMPTY = (
    r"self.matches(r'^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$')",
    "a name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit",
)
ShortText = Annotated[str, Field(max_length=63)]
LongText = Annotated[str, Field(max_length=4096)]


class ResourceRequirements(Model):
    """Resource requests and limits of the gateway's container."""

    requests: Amounts = Field(default={}, description="Requests by resource, such as cpu: 500m.")
    limits: Amounts = Field(default={}, description="Limits by resource, such as memory: 1Gi.")


class TemplateMeta(Model):
    """Labels and annotations of the pods."""

    labels: Annotated[
        dict[str, ShortText],
        Field(
            max_length=32,
            json_schema_extra=rules(
                (
                    "self.all(k, !k.startsWith('dicomroute.dev/') && !k.startsWith('app.kubernetes.io/'))",
                    "the operator uses labels of dicomroute.dev/ and app.kubernetes.io/ itself: use another prefix",
                ),
                KEYS_ARE_QUALIFIED,
                _VALUES_ARE_LABELS,
            ),
        ),
    ] = Field(default={}, description="Further labels of the pods.")
    annotations: Annotated[dict[str, LongText], Field(max_length=32, json_schema_extra=rules(KEYS_ARE_QUALIFIED))] = (
        Field(default={}, description="Annotations of the pods.")
    )


class Toleration(Model):
    """Lets the pods run on nodes with a matching taint (as in core/v1)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(has(self.operator) && self.operator == 'Exists') || !has(self.value) || self.value == ''",
                "a toleration with operator Exists has no value: remove it, or use operator Equal",
            ),
            (
                "has(self.key) && self.key != '' || has(self.operator) && self.operator == 'Exists'",
                "a toleration without a key tolerates every taint: set operator Exists to confirm that, or name a key",
            ),
            (
                "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
                "tolerationSeconds needs effect NoExecute",
            ),
        )
    )

    key: Text = Field(default="", description="Key of the tolerated taint. Empty with operator Exists: all taints.")
    operator: Annotated[str, Field(json_schema_extra={"enum": ["Exists", "Equal"]}, max_length=6)] = Field(
        default="Equal", description="Exists or Equal."
    )
    value: Text = Field(default="", description="Value of the taint, for operator Equal.")
    effect: Annotated[
        str, Field(json_schema_extra={"enum": ["", "NoSchedule", "PreferNoSchedule", "NoExecute"]}, max_length=16)
    ] = Field(default="", description="Tolerated effect. Empty: all effects.")
    toleration_seconds: int | None = Field(
        default=None,
        ge=0,
        le=2147483647,
        description="How long a NoExecute taint is tolerated, in seconds. Absent: no limit.",
    )


class PullSecret(Model):
    """A Secret with the credentials of an image registry."""

    name: ObjectName = Field(description="Name of the Secret.")


HostName = Annotated[str, Field(min_length=1, max_length=253, json_schema_extra=rules(IS_NAME_OR_EMPTY))]
NameServer = Annotated[
    str, Field(max_length=45, json_schema_extra=rules(("isIP(self)", "write an IP address, such as 192.0.2.53")))
]
Opaque = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]


class Affinity(Model):
    """Node affinity, pod affinity and pod anti-affinity, as in core/v1."""

    node_affinity: Opaque = Field(default={}, description="Node affinity as in core/v1.")
    pod_affinity: Opaque = Field(default={}, description="Pod affinity as in core/v1.")
    pod_anti_affinity: Opaque = Field(default={}, description="Pod anti-affinity as in core/v1.")


class HostAlias(Model):
    """Host names for an address that DNS does not know, as in core/v1."""

    ip: Annotated[
        str, Field(max_length=45, json_schema_extra=rules(("isIP(self)", "write an IP address, such as 192.0.2.7")))
    ] = Field(description="The address, such as that of a PACS.")
    hostnames: Annotated[list[HostName], Field(min_length=1, max_length=16, json_schema_extra=SET)] = Field(
        description="Host names of the address."
    )


class DNSOption(Model):
    """A resolver option, as in core/v1."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of the option, such as ndots.")
    value: Annotated[str, Field(max_length=63)] = Field(default="", description="Its value, if it has one.")


class DNSConfig(Model):
    """DNS settings in addition to the cluster's DNS, as in core/v1."""

    nameservers: Annotated[list[NameServer], Field(max_length=3, json_schema_extra=ATOMIC)] = Field(
        default=[], description="Addresses of name servers."
    )
    searches: Annotated[list[HostName], Field(max_length=32, json_schema_extra=ATOMIC)] = Field(
        default=[], description="Search domains for short names."
    )
    options: Annotated[list[DNSOption], Field(max_length=16, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="Resolver options."
    )


class TopologySpreadConstraint(Model):
    """How pods are spread over zones or nodes, as in core/v1. A route has only one pod, so select the pods of several
    routes.
    """

    max_skew: int = Field(default=1, ge=1, le=1000, description="Maximum difference in pods between two domains.")
    topology_key: Annotated[str, Field(min_length=1, max_length=317)] = Field(
        description="Label of nodes whose values are the domains, such as topology.kubernetes.io/zone."
    )
    when_unsatisfiable: Annotated[
        str, Field(json_schema_extra={"enum": ["DoNotSchedule", "ScheduleAnyway"]}, max_length=14)
    ] = Field(default="ScheduleAnyway", description="DoNotSchedule or ScheduleAnyway.")
    label_selector: Opaque = Field(
        default={},
        description="Pods to count, as in core/v1. Empty: the gateways of the namespace.",
    )


class TemplateSpec(Model):
    """The fields of a pod's spec that a route may set."""

    node_selector: Annotated[
        dict[str, ShortText], Field(max_length=32, json_schema_extra=rules(KEYS_ARE_QUALIFIED, _VALUES_ARE_LABELS))
    ] = Field(default={}, description="Labels that a Kubernetes node must have.")
    tolerations: Annotated[list[Toleration], Field(max_length=32, json_schema_extra=ATOMIC)] = Field(
        default=[], description="Tolerated taints."
    )
    affinity: Affinity = Field(
        default=Affinity(), description="Affinity of the pods to Kubernetes nodes and other pods."
    )
    priority_class_name: Annotated[str, Field(max_length=253, json_schema_extra=rules(IS_NAME_OR_EMPTY))] = Field(
        default="", description="Priority class of the pods."
    )
    image_pull_secrets: Annotated[list[PullSecret], Field(max_length=16, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="Secrets for pulling the image."
    )
    topology_spread_constraints: (
        Annotated[list[TopologySpreadConstraint], Field(max_length=8, json_schema_extra=ATOMIC)] | None
    ) = Field(
        default=None,
        description=(
            "How the pods are spread over zones or nodes, together with pods of other routes. Absent: the scheduler's "
            "default."
        ),
    )
    host_aliases: Annotated[list[HostAlias], Field(max_length=64, json_schema_extra=keyed_by("ip"))] | None = Field(
        default=None, description="Host names that DNS does not know, which is common for hospital PACS. Absent: none."
    )
    dns_config: DNSConfig | None = Field(
        default=None, description="Name servers in addition to the cluster's DNS. Absent: only the cluster's DNS."
    )
    runtime_class_name: (
        Annotated[str, Field(min_length=1, max_length=253, json_schema_extra=rules(IS_NAME_OR_EMPTY))] | None
    ) = Field(
        default=None,
        description="Runtime class of the pods, such as a sandboxed runtime. Absent: the default.",
    )


class PodTemplate(Model):
    """Settings of the pods. A change of any field rolls the pods."""

    metadata: TemplateMeta = Field(default=TemplateMeta(), description="Labels and annotations of the pods.")
    spec: TemplateSpec = Field(default=TemplateSpec(), description="Scheduling and DNS of the pods.")
