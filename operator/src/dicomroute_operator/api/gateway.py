"""The platform team's half of a DicomRoute: how its gateway runs."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from .meta import ATOMIC, SET, Model, ObjectName, SecretKeyReference, Text, keyed_by, rules
from .quantity import PATTERN

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
_KEYS_ARE_QUALIFIED = (
    f"self.all(k, k.size() <= 317 && k.matches(r'{_LABEL_KEY}'))",
    "a key is a name of letters, digits, '-', '_' and '.', with an optional DNS prefix, such as example.com/team",
)
_VALUES_ARE_LABELS = (
    f"self.all(k, self[k].matches(r'{_LABEL_VALUE}'))",
    "a label's value has at most 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit",
)
_IS_NAME_OR_EMPTY = (
    r"self.matches(r'^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$')",
    "a name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit",
)
ShortText = Annotated[str, Field(max_length=63)]
LongText = Annotated[str, Field(max_length=4096)]


class ServiceType(StrEnum):
    """How a Service is reached."""

    LOAD_BALANCER = "LoadBalancer"
    NODE_PORT = "NodePort"
    CLUSTER_IP = "ClusterIP"


class TrafficPolicy(StrEnum):
    """Whether a Service keeps the address of its callers."""

    LOCAL = "Local"
    CLUSTER = "Cluster"


class ServicePort(Model):
    """How one listener is published."""

    listener: Annotated[str, Field(min_length=1, max_length=15)] = Field(description="Name of the listener.")
    port: int = Field(ge=1, le=65535, description="Port of the Service, such as 104.")
    node_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of every node, for types NodePort and LoadBalancer. Absent: the cluster chooses one. The "
        "older of two routes that ask for the same keeps it.",
    )


class LoadBalancerSources(StrEnum):
    """Whom the load balancer of a Service lets in."""

    NODES = "Nodes"
    ANYWHERE = "Anywhere"


class IPFamilyPolicy(StrEnum):
    """How many families of addresses a Service has."""

    SINGLE_STACK = "SingleStack"
    PREFER_DUAL_STACK = "PreferDualStack"
    REQUIRE_DUAL_STACK = "RequireDualStack"


class Service(Model):
    """The Service that modalities connect to. Changed without a restart."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.type == 'LoadBalancer' || !has(self.loadBalancerIP) || self.loadBalancerIP == ''",
                "loadBalancerIP needs type LoadBalancer",
            ),
            (
                "self.type == 'LoadBalancer' || !has(self.loadBalancerClass) && "
                "!has(self.allocateLoadBalancerNodePorts)",
                "loadBalancerClass and allocateLoadBalancerNodePorts need type LoadBalancer",
            ),
            (
                "!has(self.allocateLoadBalancerNodePorts) || self.allocateLoadBalancerNodePorts || !has(self.ports) || "
                "self.ports.all(p, !has(p.nodePort))",
                "a nodePort has no effect with allocateLoadBalancerNodePorts: false: remove one of them",
            ),
            (
                "!has(self.ports) || self.ports.all(p, self.ports.exists_one(q, q.port == p.port))",
                "two listeners are published on one port: give each its own",
            ),
            (
                "self.type != 'ClusterIP' || !has(self.ports) || self.ports.all(p, !has(p.nodePort))",
                "nodePort needs type NodePort or LoadBalancer",
            ),
            (
                "!has(self.ports) || self.ports.all(p, !has(p.nodePort) || "
                "self.ports.exists_one(q, has(q.nodePort) && q.nodePort == p.nodePort))",
                "two listeners have one nodePort: give each its own",
            ),
        )
    )

    type: ServiceType = Field(
        default=ServiceType.LOAD_BALANCER, description="How the Service is reached: LoadBalancer, NodePort, ClusterIP."
    )
    external_traffic_policy: TrafficPolicy = Field(
        default=TrafficPolicy.LOCAL,
        description="Local keeps the address of the caller, which allowedSources needs; Cluster hides it. Without "
        "effect for type ClusterIP.",
    )
    annotations: Annotated[dict[str, LongText], Field(max_length=32, json_schema_extra=rules(_KEYS_ARE_QUALIFIED))] = (
        Field(default={}, description="Annotations of the Service, as load balancers ask for them.")
    )
    load_balancer_sources: LoadBalancerSources = Field(
        default=LoadBalancerSources.NODES,
        description="Whom the load balancer lets in. Nodes: the allowedSources of the listeners' DicomNodes, unless "
        "one of them, or a listener, takes callers from anywhere. Anywhere: everybody. Without effect for other types.",
    )
    load_balancer_ip: Annotated[
        str,
        Field(
            max_length=45,
            json_schema_extra=rules(
                ("self == '' || isIP(self)", "write an IP address, such as 203.0.113.7, or leave it empty")
            ),
        ),
    ] = Field(default="", alias="loadBalancerIP", description="Address to ask of the load balancer. Empty: any.")
    load_balancer_class: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=253,
                json_schema_extra=rules(
                    (
                        r"self.matches(r'^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}"
                        r"[A-Za-z0-9])?$')",
                        "a load balancer class is a name with an optional DNS prefix, such as metallb.io/metallb",
                    )
                ),
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Which of the cluster's load balancers gives the address. Absent: its default. The API server lets "
        "it change with the type alone.",
    )
    allocate_load_balancer_node_ports: bool | None = Field(
        default=None,
        description="Whether a load balancer also has a port of every node. Absent: as the cluster does by default, "
        "which is true. False for load balancers that reach pods by themselves.",
    )
    ip_family_policy: IPFamilyPolicy | None = Field(
        default=None,
        description="SingleStack, PreferDualStack or RequireDualStack: whether the Service has an address of IPv4, of "
        "IPv6, or of both. Absent: as the cluster does by default, which is one.",
    )
    ports: Annotated[list[ServicePort], Field(max_length=16, json_schema_extra=keyed_by("listener"))] = Field(
        default=[], description="Ports of the Service by listener. A listener that is absent has its own port."
    )


class EncryptionMode(StrEnum):
    """Whether instances are encrypted when they come."""

    ENABLED = "Enabled"
    DECRYPT_ONLY = "DecryptOnly"


class SpoolEncryption(Model):
    """How the files of instances are encrypted on the spool: AES-256-GCM, with keys from a Secret."""

    mode: EncryptionMode = Field(
        default=EncryptionMode.ENABLED,
        description="Enabled encrypts what comes; without a usable key nothing is taken in. DecryptOnly keeps what "
        "comes in clear and still delivers what is encrypted: the way out. Changed without a restart.",
    )
    key_secret_ref: SecretKeyReference = Field(
        description="Where the keys are: 32 bytes in base64, one a line. The first encrypts what comes, every one "
        "decrypts. To rotate, put a new one first, and remove the old one when no instance needs it any more."
    )


class Spool(Model):
    """The volume that keeps what the gateway has accepted and still owes."""

    size: Annotated[
        str,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    {
                        "rule": f"self.matches(r'{PATTERN}') && quantity(self).compareTo(quantity('1Mi')) >= 0",
                        "message": "write an amount of bytes of at least 1Mi, with its unit, such as 50Gi",
                    },
                ]
            },
            max_length=32,
        ),
    ] = Field(
        default="50Gi",
        description="Size of the volume, such as 50Gi. It can grow, and never be less than what the claim has: "
        "status.claims. Where the claim cannot grow, its size is the way back.",
    )
    storage_class_name: (
        Annotated[str, Field(min_length=1, max_length=253, json_schema_extra=rules(_IS_NAME_OR_EMPTY))] | None
    ) = Field(
        default=None,
        description="Storage class of the volume. Absent: the cluster's default. What is acknowledged is as safe as "
        "this class makes it. Cannot change once the claim has a volume.",
    )
    high_watermark_percent: int = Field(
        default=90,
        ge=1,
        le=99,
        description="How full the spool may be, in percent of its size or of the file system if that is smaller, "
        "before the gateway answers 0xA700, out of resources. Changed without a restart.",
    )
    encryption: SpoolEncryption | None = Field(
        default=None,
        description="Encrypts the files of instances on the volume. The journal beside them stays in clear: UIDs, AE "
        "titles and addresses. Absent: nothing is encrypted. Another Secret rolls the pods, all else is changed "
        "without a restart. Before it is removed, mode DecryptOnly has to have emptied the spool of encrypted "
        "instances: those that are left wait until it is back.",
    )
    adopt: bool = Field(
        default=False,
        description="Take over the spool that a deleted route of the same name has left, with all that it still owes. "
        "Without it such a route is not accepted.",
    )


class ResourceRequirements(Model):
    """What the gateway's container asks for and may use."""

    requests: Amounts = Field(default={}, description="What is reserved, by resource, such as cpu: 500m.")
    limits: Amounts = Field(default={}, description="What is allowed at most, by resource, such as memory: 1Gi.")


class TemplateMeta(Model):
    """Labels and annotations of the pods."""

    labels: Annotated[
        dict[str, ShortText],
        Field(
            max_length=32,
            json_schema_extra=rules(
                (
                    "self.all(k, !k.startsWith('dicomroute.dev/') && !k.startsWith('app.kubernetes.io/'))",
                    "labels of dicomroute.dev/ and app.kubernetes.io/ are the operator's own: use another prefix",
                ),
                _KEYS_ARE_QUALIFIED,
                _VALUES_ARE_LABELS,
            ),
        ),
    ] = Field(default={}, description="Further labels of the pods.")
    annotations: Annotated[dict[str, LongText], Field(max_length=32, json_schema_extra=rules(_KEYS_ARE_QUALIFIED))] = (
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
                "a toleration without a key tolerates every taint: say so with operator Exists, or name a key",
            ),
            (
                "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
                "tolerationSeconds needs effect NoExecute",
            ),
        )
    )

    key: Text = Field(default="", description="Taint that is tolerated. Empty with operator Exists: all.")
    operator: Annotated[str, Field(json_schema_extra={"enum": ["Exists", "Equal"]}, max_length=6)] = Field(
        default="Equal", description="Exists or Equal."
    )
    value: Text = Field(default="", description="Value of the taint, for operator Equal.")
    effect: Annotated[
        str, Field(json_schema_extra={"enum": ["", "NoSchedule", "PreferNoSchedule", "NoExecute"]}, max_length=16)
    ] = Field(default="", description="Effect that is tolerated. Empty: all.")
    toleration_seconds: int | None = Field(
        default=None,
        ge=0,
        le=2147483647,
        description="How long a NoExecute taint is tolerated, in seconds. Absent: for ever.",
    )


class PullSecret(Model):
    """A Secret with the credentials of an image registry."""

    name: ObjectName = Field(description="Name of the Secret.")


HostName = Annotated[str, Field(min_length=1, max_length=253, json_schema_extra=rules(_IS_NAME_OR_EMPTY))]
NameServer = Annotated[
    str, Field(max_length=45, json_schema_extra=rules(("isIP(self)", "write an IP address, such as 192.0.2.53")))
]
Opaque = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]


class Affinity(Model):
    """Which nodes and pods attract or repel the pods, as in core/v1."""

    node_affinity: Opaque = Field(default={}, description="Node affinity as in core/v1.")
    pod_affinity: Opaque = Field(default={}, description="Pod affinity as in core/v1.")
    pod_anti_affinity: Opaque = Field(default={}, description="Pod anti-affinity as in core/v1.")


class HostAlias(Model):
    """Names of an address that no DNS knows, as in core/v1."""

    ip: Annotated[
        str, Field(max_length=45, json_schema_extra=rules(("isIP(self)", "write an IP address, such as 192.0.2.7")))
    ] = Field(description="The address, such as that of a PACS.")
    hostnames: Annotated[list[HostName], Field(min_length=1, max_length=16, json_schema_extra=SET)] = Field(
        description="The names that mean it."
    )


class DNSOption(Model):
    """An option of the resolver, as in core/v1."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of the option, such as ndots.")
    value: Annotated[str, Field(max_length=63)] = Field(default="", description="Its value, if it has one.")


class DNSConfig(Model):
    """Where the pods look up names beside the cluster's DNS, as in core/v1."""

    nameservers: Annotated[list[NameServer], Field(max_length=3, json_schema_extra=ATOMIC)] = Field(
        default=[], description="Addresses of name servers."
    )
    searches: Annotated[list[HostName], Field(max_length=32, json_schema_extra=ATOMIC)] = Field(
        default=[], description="Domains that are added to short names."
    )
    options: Annotated[list[DNSOption], Field(max_length=16, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="Options of the resolver."
    )


class TopologySpreadConstraint(Model):
    """How pods are spread over zones or nodes, as in core/v1. Of a route there is one: choose the pods of several."""

    max_skew: int = Field(default=1, ge=1, le=1000, description="By how many pods two domains may differ.")
    topology_key: Annotated[str, Field(min_length=1, max_length=317)] = Field(
        description="Label of nodes whose values are the domains, such as topology.kubernetes.io/zone."
    )
    when_unsatisfiable: Annotated[
        str, Field(json_schema_extra={"enum": ["DoNotSchedule", "ScheduleAnyway"]}, max_length=14)
    ] = Field(default="ScheduleAnyway", description="DoNotSchedule or ScheduleAnyway.")
    label_selector: Opaque = Field(
        default={},
        description="Which pods are counted, as in core/v1. Empty: the gateways of the namespace.",
    )


class TemplateSpec(Model):
    """The fields of a pod's spec that a route may set."""

    node_selector: Annotated[
        dict[str, ShortText], Field(max_length=32, json_schema_extra=rules(_KEYS_ARE_QUALIFIED, _VALUES_ARE_LABELS))
    ] = Field(default={}, description="Labels that a node has to carry.")
    tolerations: Annotated[list[Toleration], Field(max_length=32, json_schema_extra=ATOMIC)] = Field(
        default=[], description="Taints that are tolerated."
    )
    affinity: Affinity = Field(default=Affinity(), description="Which nodes and pods attract or repel the pods.")
    priority_class_name: Annotated[str, Field(max_length=253, json_schema_extra=rules(_IS_NAME_OR_EMPTY))] = Field(
        default="", description="Priority class of the pods."
    )
    image_pull_secrets: Annotated[list[PullSecret], Field(max_length=16, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="Secrets with which the image is pulled."
    )
    topology_spread_constraints: (
        Annotated[list[TopologySpreadConstraint], Field(max_length=8, json_schema_extra=ATOMIC)] | None
    ) = Field(
        default=None,
        description="How the pods are spread over zones or nodes, with those of other routes. Absent: as it comes.",
    )
    host_aliases: Annotated[list[HostAlias], Field(max_length=64, json_schema_extra=keyed_by("ip"))] | None = Field(
        default=None, description="Names of addresses that no DNS knows: hospitals' PACS often have none. Absent: none."
    )
    dns_config: DNSConfig | None = Field(
        default=None, description="Where names are looked up beside the cluster's DNS. Absent: there alone."
    )
    runtime_class_name: (
        Annotated[str, Field(min_length=1, max_length=253, json_schema_extra=rules(_IS_NAME_OR_EMPTY))] | None
    ) = Field(
        default=None,
        description="Runtime class of the pods, such as one with a kernel of its own. Absent: the default.",
    )


class PodTemplate(Model):
    """What a route may say of its pods. Every field rolls them."""

    metadata: TemplateMeta = Field(default=TemplateMeta(), description="Labels and annotations of the pods.")
    spec: TemplateSpec = Field(default=TemplateSpec(), description="Where the pods run.")


class NetworkPolicyMode(StrEnum):
    """How much of the pods' traffic a NetworkPolicy restricts."""

    ENABLED = "Enabled"
    INGRESS_ONLY = "IngressOnly"
    DISABLED = "Disabled"


class Gateway(Model):
    """How the gateway of a route runs."""

    replicas: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            json_schema_extra=rules(
                (
                    "self <= 1",
                    "replicas is at most 1: a second one, removed again, would strand the spool of a removed pod",
                )
            ),
        ),
    ] = Field(default=1, description="Gateway pods: 1, or 0 to stop receiving and delivering; the spool stays.")
    image: Annotated[
        str,
        Field(
            max_length=1024,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^([a-zA-Z0-9][-a-zA-Z0-9._/:@]*)?$')",
                    "an image is written REGISTRY/NAME:TAG or REGISTRY/NAME@DIGEST, without spaces",
                )
            ),
        ),
    ] = Field(
        default="", description="Image of the gateway. Empty: the operator's default. Another image rolls the pods."
    )
    service: Service = Field(default=Service(), description="The Service that modalities connect to.")
    network_policy: NetworkPolicyMode = Field(
        default=NetworkPolicyMode.ENABLED,
        description="Which traffic of the pods a NetworkPolicy restricts: Enabled, both ways; IngressOnly, who may "
        "connect; Disabled, none. Host names of destinations are open by port alone. Changed without a restart.",
    )
    spool: Spool = Field(default=Spool(), description="The volume that keeps what is owed.")
    drain_timeout_seconds: int = Field(
        default=20,
        ge=0,
        le=3600,
        description="How long a gateway that ends may take to finish the instances it is receiving, in seconds. "
        "Rolls the pods.",
    )
    resources: ResourceRequirements = Field(
        default=ResourceRequirements(), description="What the container asks for and may use. Rolls the pods."
    )
    pod_template: PodTemplate = Field(default=PodTemplate(), description="What else is said of the pods.")
