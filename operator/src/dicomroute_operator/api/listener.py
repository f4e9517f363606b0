"""The listeners of a DicomRoute: the ports that modalities connect to, and who may."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .files import PROFILE, BundleReference, TLSProfile, TLSSecretReference
from .meta import SET, AETitle, Model, NodeReference, keyed_by, rules

Label = Annotated[str, Field(max_length=63)]


class SourcePolicy(StrEnum):
    """Who may associate."""

    NODES = "Nodes"
    ANY = "Any"


class NodeSelector(Model):
    """Selects DicomNodes of the namespace by their labels."""

    match_labels: Annotated[dict[str, Label], Field(min_length=1, max_length=16)] = Field(
        description="Labels that a DicomNode must have, all of them."
    )


class Sources(Model):
    """Who may associate with a listener."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.policy == 'Any' || has(self.selector) || has(self.nodes) && size(self.nodes) > 0",
                "policy Nodes needs nodes or a selector: add one of them, or set policy: Any to accept every caller",
            ),
            (
                "self.policy == 'Nodes' || !has(self.selector) && !(has(self.nodes) && size(self.nodes) > 0)",
                "nodes and selector have no effect with policy: Any: remove them, or set policy: Nodes",
            ),
        )
    )

    policy: SourcePolicy = Field(
        default=SourcePolicy.NODES,
        description=(
            "Nodes: the DicomNodes in nodes or selected by selector, from their addresses. Any: every caller from "
            "every address."
        ),
    )
    nodes: Annotated[list[NodeReference], Field(max_length=256, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="DicomNodes that may associate."
    )
    selector: NodeSelector | None = Field(
        default=None,
        description="Selects further DicomNodes by their labels. New nodes are allowed as soon as they exist.",
    )


class ClientCertificates(StrEnum):
    """How a listener checks the certificates of its callers."""

    REQUIRED = "Required"
    OPTIONAL = "Optional"
    IGNORED = "Ignored"


class ListenerTLS(Model):
    """TLS on a listener, by PS3.15 B.12 or B.13 (BCP 195): TLS 1.2 and 1.3, no tickets, no renegotiation."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.clientCertificates) && self.clientCertificates == 'Ignored' || has(self.clientCABundleRef)",
                "name the authorities of the callers' certificates in clientCABundleRef, or set clientCertificates: "
                "Ignored",
            ),
        )
    )

    certificate_ref: TLSSecretReference = Field(
        description=(
            "Secret of type kubernetes.io/tls with the listener's certificate, as cert-manager writes it. A renewed "
            "certificate is used from the next connection on."
        )
    )
    client_ca_bundle_ref: BundleReference | None = Field(
        default=None,
        description="Authorities of the callers' certificates. A change is used from the next connection on.",
    )
    client_certificates: ClientCertificates = Field(
        default=ClientCertificates.REQUIRED,
        description=(
            "Required: a caller without a valid certificate of these authorities gets no association. Optional: a "
            "caller may show no certificate, but a shown certificate must be valid. Ignored: the connection is "
            "encrypted, but only AE titles and addresses identify the caller."
        ),
    )
    handshake_timeout_seconds: int = Field(
        default=10, ge=1, le=120, description="How long a TLS handshake may take, in seconds."
    )
    profile: TLSProfile = Field(default=TLSProfile.BCP195_RFC9325, description=PROFILE)


class ListenerMode(StrEnum):
    """Whether a listener accepts associations."""

    RUNNING = "Running"
    REFUSE_ASSOCIATIONS = "RefuseAssociations"


class Listener(Model):
    """One DIMSE port. All fields except name and port are changed without a restart."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=15,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.matches(r'[a-z]') && "
                    r"!self.contains('--')",
                    "a listener's name is used as a port name: lower case letters, digits and single '-', with a "
                    "letter",
                ),
                (
                    "!(self in ['health', 'api'])",
                    "health and api are the names of the gateway's own ports: choose another",
                ),
            ),
        ),
    ] = Field(description="Name of the listener, unique in the route. Another name rolls the gateway's pods.")
    mode: ListenerMode = Field(
        default=ListenerMode.RUNNING,
        description=(
            "Running: associations are accepted. RefuseAssociations: new associations are rejected as transient, and "
            "open ones go on. The other listeners of the route are not affected."
        ),
    )
    port: Annotated[
        int,
        Field(
            ge=1024,
            le=65535,
            json_schema_extra=rules(
                ("!(self in [8080, 8443])", "8080 and 8443 are the gateway's own ports: choose another")
            ),
        ),
    ] = Field(
        default=11112,
        description=(
            "Port that the gateway listens on. It is 1024 or above, because the gateway runs without privileges. "
            "gateway.service.ports can publish it under another port, such as 104. Another port rolls the gateway's "
            "pods."
        ),
    )
    ae_titles: Annotated[list[AETitle], Field(min_length=1, max_length=32, json_schema_extra=SET)] = Field(
        description="The listener's AE titles. A request for another title is rejected (PS3.8 table 9-21)."
    )
    sources: Sources = Field(description="Who may associate.")
    max_associations: int = Field(
        default=50,
        ge=1,
        le=1000,
        description=(
            "Maximum number of open associations. A further one is rejected as transient, local limit exceeded."
        ),
    )
    max_associations_per_caller: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description=(
            "Maximum number of open associations of one caller: a DicomNode, or an address with policy Any. Absent: "
            "no limit if one DicomNode is the only caller, otherwise three quarters of maxAssociations, so that one "
            "caller cannot use them all."
        ),
    )
    max_pdu_bytes: int = Field(
        default=131072,
        ge=4096,
        le=1048576,
        description="Longest P-DATA-TF PDU that the gateway accepts, in bytes (PS3.8 D.1).",
    )
    acse_timeout_seconds: int = Field(
        default=30,
        ge=1,
        le=300,
        description="How long a new connection may take to send its complete A-ASSOCIATE-RQ (ARTIM timer), in seconds.",
    )
    idle_timeout_seconds: int = Field(
        default=600,
        ge=1,
        le=86400,
        description="How long an association may be open without a message before it is aborted, in seconds.",
    )
    stall_timeout_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="How long a peer may send nothing in the middle of a message, in seconds.",
    )
    tls: ListenerTLS | None = Field(
        default=None,
        description=(
            "TLS. The listener then accepts only TLS; 2762 is the standard port for it. Absent: nothing is encrypted. "
            "Another Secret rolls the gateway's pods."
        ),
    )
