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
    """Chooses DicomNodes of the namespace by their labels."""

    match_labels: Annotated[dict[str, Label], Field(min_length=1, max_length=16)] = Field(
        description="Labels that a DicomNode has to carry, all of them."
    )


class Sources(Model):
    """Who may associate with a listener."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.policy == 'Any' || has(self.selector) || has(self.nodes) && size(self.nodes) > 0",
                "policy Nodes needs nodes or a selector; to let everybody in, say policy: Any",
            ),
            (
                "self.policy == 'Nodes' || !has(self.selector) && !(has(self.nodes) && size(self.nodes) > 0)",
                "policy Any makes nodes and selector without effect: remove them, or say policy: Nodes",
            ),
        )
    )

    policy: SourcePolicy = Field(
        default=SourcePolicy.NODES,
        description="Nodes: the DicomNodes named by nodes or chosen by selector, from their addresses. Any: every "
        "caller from everywhere.",
    )
    nodes: Annotated[list[NodeReference], Field(max_length=256, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="DicomNodes that may associate."
    )
    selector: NodeSelector | None = Field(
        default=None, description="Chooses further DicomNodes by their labels; new ones are admitted as they appear."
    )


class ClientCertificates(StrEnum):
    """What a listener makes of the certificates of its callers."""

    REQUIRED = "Required"
    OPTIONAL = "Optional"
    IGNORED = "Ignored"


class ListenerTLS(Model):
    """TLS on a listener, by PS3.15 B.12 or B.13 (BCP 195): TLS 1.2 and 1.3, no tickets, no renegotiation."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.clientCertificates) && self.clientCertificates == 'Ignored' || has(self.clientCABundleRef)",
                "name the authorities of the callers' certificates in clientCABundleRef, or say clientCertificates: "
                "Ignored",
            ),
        )
    )

    certificate_ref: TLSSecretReference = Field(
        description="The certificate that is shown to callers, as cert-manager writes it: a Secret of type "
        "kubernetes.io/tls. Renewed, it is shown from the next connection on."
    )
    client_ca_bundle_ref: BundleReference | None = Field(
        default=None,
        description="The authorities of the callers' certificates. Changed, it counts from the next connection on.",
    )
    client_certificates: ClientCertificates = Field(
        default=ClientCertificates.REQUIRED,
        description="Required: who shows no certificate of these authorities gets no association. Optional: who shows "
        "one has to show a good one. Ignored: the way is encrypted, and titles and addresses alone say who calls.",
    )
    handshake_timeout_seconds: int = Field(
        default=10, ge=1, le=120, description="How long a TLS handshake may take, in seconds."
    )
    profile: TLSProfile = Field(default=TLSProfile.BCP195_RFC9325, description=PROFILE)


class Listener(Model):
    """One DIMSE port. All fields but name and port are changed without a restart."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=15,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.matches(r'[a-z]') && "
                    r"!self.contains('--')",
                    "a listener's name becomes a port name: lower case letters, digits and single '-', with a letter",
                ),
                (
                    "!(self in ['health', 'api'])",
                    "health and api are the names of the gateway's own ports: choose another",
                ),
            ),
        ),
    ] = Field(description="Name of the listener, unique in the route. Another name rolls the gateway's pods.")
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
        description="Port that the gateway listens on, 1024 or above as it runs without privileges; "
        "gateway.service.ports publishes it under another, such as 104. Another port rolls the gateway's pods.",
    )
    ae_titles: Annotated[list[AETitle], Field(min_length=1, max_length=32, json_schema_extra=SET)] = Field(
        description="The AE titles that are served here; a request for another is rejected (PS3.8 table 9-21)."
    )
    sources: Sources = Field(description="Who may associate.")
    max_associations: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="Associations at the same time; a further one is rejected as transient, local limit exceeded.",
    )
    max_associations_per_caller: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="How many of them one caller may have: a DicomNode, or with policy Any an address. Absent: all "
        "where one DicomNode is the only caller, else three quarters, so that one caller never keeps all others out.",
    )
    max_pdu_bytes: int = Field(
        default=131072,
        ge=4096,
        le=1048576,
        description="Longest P-DATA-TF that the gateway takes, in bytes, as it tells the peer (PS3.8 D.1).",
    )
    acse_timeout_seconds: int = Field(
        default=30,
        ge=1,
        le=300,
        description="How long a new connection may take to send its whole A-ASSOCIATE-RQ (ARTIM timer), in seconds.",
    )
    idle_timeout_seconds: int = Field(
        default=600,
        ge=1,
        le=86400,
        description="How long an association may stand without a message before it is aborted, in seconds.",
    )
    stall_timeout_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="How long a peer may send nothing in the midst of a message, in seconds.",
    )
    tls: ListenerTLS | None = Field(
        default=None,
        description="TLS: the listener then speaks nothing else; 2762 is the port for it. Absent: nothing is "
        "encrypted. Another Secret rolls the gateway's pods.",
    )
