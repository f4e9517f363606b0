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
        description=(
            "Node port, for types NodePort and LoadBalancer. Absent: the cluster chooses one. If two routes ask for "
            "the same port, the older route keeps it."
        ),
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
                "nodePort has no effect with allocateLoadBalancerNodePorts: false: remove one of them",
            ),
            (
                "!has(self.ports) || self.ports.all(p, self.ports.exists_one(q, q.port == p.port))",
                "two listeners are published on one port: give each listener its own port",
            ),
            (
                "self.type != 'ClusterIP' || !has(self.ports) || self.ports.all(p, !has(p.nodePort))",
                "nodePort needs type NodePort or LoadBalancer",
            ),
            (
                "!has(self.ports) || self.ports.all(p, !has(p.nodePort) || "
                "self.ports.exists_one(q, has(q.nodePort) && q.nodePort == p.nodePort))",
                "two listeners have the same nodePort: give each listener its own",
            ),
        )
    )

    type: ServiceType = Field(
        default=ServiceType.LOAD_BALANCER, description="Type of the Service: LoadBalancer, NodePort or ClusterIP."
    )
    external_traffic_policy: TrafficPolicy = Field(
        default=TrafficPolicy.LOCAL,
        description=(
            "Local keeps the caller's address, which allowedSources needs. Cluster hides it. No effect for type "
            "ClusterIP."
        ),
    )
    annotations: Annotated[dict[str, LongText], Field(max_length=32, json_schema_extra=rules(KEYS_ARE_QUALIFIED))] = (
        Field(default={}, description="Annotations of the Service, for example for the load balancer.")
    )
    load_balancer_sources: LoadBalancerSources = Field(
        default=LoadBalancerSources.NODES,
        description=(
            "Addresses that the load balancer accepts. Nodes: the allowedSources of the listeners' DicomNodes, unless "
            "a node or a listener accepts any address. Anywhere: all addresses. No effect for other types."
        ),
    )
    load_balancer_ip: Annotated[
        str,
        Field(
            max_length=45,
            json_schema_extra=rules(
                ("self == '' || isIP(self)", "write an IP address, such as 203.0.113.7, or leave it empty")
            ),
        ),
    ] = Field(
        default="", alias="loadBalancerIP", description="Address to request from the load balancer. Empty: any address."
    )
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
        description=(
            "Load balancer of the cluster that provides the address. Absent: the default. The API server allows a "
            "change only together with type."
        ),
    )
    allocate_load_balancer_node_ports: bool | None = Field(
        default=None,
        description=(
            "Whether the load balancer also allocates node ports. Absent: the default of the cluster, which is true. "
            "Use false for load balancers that reach pods directly."
        ),
    )
    ip_family_policy: IPFamilyPolicy | None = Field(
        default=None,
        description=(
            "SingleStack, PreferDualStack or RequireDualStack: whether the Service has an IPv4 address, an IPv6 "
            "address, or both. Absent: the default of the cluster, which is one address family."
        ),
    )
    ports: Annotated[list[ServicePort], Field(max_length=16, json_schema_extra=keyed_by("listener"))] = Field(
        default=[], description="Ports of the Service by listener. A listener that is not listed uses its own port."
    )


class EncryptionMode(StrEnum):
    """Whether instances are encrypted when they come."""

    ENABLED = "Enabled"
    DECRYPT_ONLY = "DecryptOnly"


class SpoolEncryption(Model):
    """How the files of instances are encrypted on the spool: AES-256-GCM, with keys from a Secret."""

    mode: EncryptionMode = Field(
        default=EncryptionMode.ENABLED,
        description=(
            "Enabled encrypts instances as they arrive. Without a usable key, the gateway does not receive. "
            "DecryptOnly stores new instances unencrypted and still delivers encrypted ones: use it before you remove "
            "encryption. Changed without a restart."
        ),
    )
    key_secret_ref: SecretKeyReference = Field(
        description=(
            "Secret key with the encryption keys: 32 bytes in base64, one per line. The first key encrypts new "
            "instances. Every key can decrypt. To rotate, put a new key first, and remove the old key when no "
            "instance needs it any more."
        )
    )


class Spool(Model):
    """The volume that stores the instances that the gateway has accepted and still owes."""

    size: Annotated[
        str,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    {
                        "rule": f"self.matches(r'{PATTERN}') && quantity(self).compareTo(quantity('1Mi')) >= 0",
                        "message": "write an amount of at least 1Mi with its unit, such as 50Gi",
                    },
                ]
            },
            max_length=32,
        ),
    ] = Field(
        default="50Gi",
        description=(
            "Size of the volume, such as 50Gi. It can grow, but cannot be less than the size of the claim "
            "(status.claims). If the claim cannot grow, set this field back to the size of the claim."
        ),
    )
    storage_class_name: (
        Annotated[str, Field(min_length=1, max_length=253, json_schema_extra=rules(IS_NAME_OR_EMPTY))] | None
    ) = Field(
        default=None,
        description=(
            "Storage class of the volume. Absent: the default of the cluster. Acknowledged instances are only as safe "
            "as this class makes them. Cannot be changed once the claim has a volume."
        ),
    )
    high_watermark_percent: int = Field(
        default=90,
        ge=1,
        le=99,
        description=(
            "Fill level at which the gateway answers 0xA700 (out of resources), in percent of the spool's size, or of "
            "the file system if that is smaller. Changed without a restart."
        ),
    )
    encryption: SpoolEncryption | None = Field(
        default=None,
        description=(
            "Encrypts the files of instances on the volume. The journal beside them is not encrypted: it contains "
            "UIDs, AE titles and addresses. Absent: nothing is encrypted. Another Secret rolls the pods; other "
            "changes need no restart. Before you remove this field, use mode DecryptOnly until the spool has no "
            "encrypted instances. Encrypted instances that are left wait until the field is set again."
        ),
    )
    adopt: bool = Field(
        default=False,
        description=(
            "Take over the spool of a deleted route with the same name, with everything that it still owes. Without "
            "this, such a route is not accepted."
        ),
    )


class NetworkPolicyMode(StrEnum):
    """Which traffic of the pods a NetworkPolicy restricts."""

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
                    "replicas is at most 1: removing a second pod would leave its spool without a gateway",
                )
            ),
        ),
    ] = Field(
        default=1, description="Number of gateway pods: 1, or 0 to stop receiving and delivering. The spool is kept."
    )
    image: Annotated[
        str,
        Field(
            max_length=1024,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^([a-zA-Z0-9][-a-zA-Z0-9._/:@]*)?$')",
                    "write an image as REGISTRY/NAME:TAG or REGISTRY/NAME@DIGEST, without spaces",
                )
            ),
        ),
    ] = Field(
        default="", description="Image of the gateway. Empty: the operator's default. Another image rolls the pods."
    )
    service: Service = Field(default=Service(), description="The Service that modalities connect to.")
    network_policy: NetworkPolicyMode = Field(
        default=NetworkPolicyMode.ENABLED,
        description=(
            "Traffic of the pods that a NetworkPolicy restricts. Enabled: incoming and outgoing. IngressOnly: "
            "incoming. Disabled: none. For destinations with a host name, the policy restricts only the port. Changed "
            "without a restart."
        ),
    )
    spool: Spool = Field(default=Spool(), description="The volume that stores owed instances.")
    drain_timeout_seconds: int = Field(
        default=20,
        ge=0,
        le=3600,
        description=(
            "How long a stopping gateway may take to finish the instances that it is receiving, in seconds. Rolls the "
            "pods."
        ),
    )
    resources: ResourceRequirements = Field(
        default=ResourceRequirements(), description="Resource requests and limits of the container. Rolls the pods."
    )
    pod_template: PodTemplate = Field(default=PodTemplate(), description="Other settings of the pods.")
