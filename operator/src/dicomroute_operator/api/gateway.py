"""The platform team's half of a DicomRoute: how its gateway runs."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .meta import Model, SecretKeyReference, keyed_by, rules
from .pod import IS_NAME_OR_EMPTY, KEYS_ARE_QUALIFIED, LongText, PodTemplate, ResourceRequirements
from .quantity import PATTERN


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
    annotations: Annotated[dict[str, LongText], Field(max_length=32, json_schema_extra=rules(KEYS_ARE_QUALIFIED))] = (
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
        Annotated[str, Field(min_length=1, max_length=253, json_schema_extra=rules(IS_NAME_OR_EMPTY))] | None
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
