"""DicomNode: a DIMSE peer, such as a modality, a PACS or a workstation."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from .files import PROFILE, BundleReference, FileReference, TLSProfile, TLSSecretReference, files_of
from .meta import ATOMIC, SET, Accepts, AETitle, Conditions, ConditionStatus, Model, OwnerMeta, keyed_by, rules

Host = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            (
                r"isIP(self) || self.matches(r'^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
                r"(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$') && !self.matches(r'^[0-9.]*$')",
                "write a DNS name, such as pacs.hospital.example, or an IP address, without a port",
            ),
        ),
    ),
]

Network = Annotated[
    str,
    Field(
        max_length=43,
        json_schema_extra=rules(
            ("isCIDR(self)", "write a network in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/64"),
            (
                "!isCIDR(self) || cidr(self) == cidr(self).masked()",
                "the address has bits set after its prefix: write the network address, such as 192.0.2.0/24",
            ),
        ),
    ),
]


class VerifyName(StrEnum):
    """Which name the certificate of a node must have."""

    HOST = "Host"
    NONE = "None"


class Relational(StrEnum):
    """When queries of a node may omit the unique keys of higher levels."""

    NEGOTIATED = "Negotiated"
    ALWAYS = "Always"


class NodeTLS(Model):
    """TLS towards a node, by PS3.15 B.12 or B.13 (BCP 195): TLS 1.2 and 1.3."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.verifyName) || self.verifyName != 'None' || has(self.caBundleRef)",
                "verifyName: None accepts any certificate of the authorities in caBundleRef: add caBundleRef, because "
                "the system's authorities issue certificates to anyone",
            ),
            (
                "!has(self.verifyName) || self.verifyName != 'None' || !has(self.serverName) || self.serverName == ''",
                "serverName has no effect with verifyName: None: remove one of them",
            ),
        )
    )

    ca_bundle_ref: BundleReference | None = Field(
        default=None, description="Authorities of the node's certificate. Absent: the system's authorities."
    )
    client_certificate_ref: TLSSecretReference | None = Field(
        default=None, description="Secret of type kubernetes.io/tls with the gateway's client certificate."
    )
    verify_name: VerifyName = Field(
        default=VerifyName.HOST,
        description=(
            "Host: the certificate must be for host, or for serverName. None: any certificate of the authorities is "
            "accepted. Use None for appliances that share one name."
        ),
    )
    server_name: Annotated[
        str,
        Field(
            max_length=253,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?)?$')",
                    "write a DNS name, such as pacs.example",
                )
            ),
        ),
    ] = Field(default="", description="Name in the certificate, if it is not host. Empty: host.")
    profile: TLSProfile = Field(default=TLSProfile.BCP195_RFC9325, description=PROFILE)


class NodeCertificate(Model):
    """A certificate that the node uses when it calls, identified by a name or by its fingerprint."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(has(self.dnsName) ? 1 : 0) + (has(self.commonName) ? 1 : 0) + (has(self.sha256) ? 1 : 0) == 1",
                "set exactly one of dnsName, commonName and sha256; a node with two certificates has two entries",
            )
        )
    )

    dns_name: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=253,
                json_schema_extra=rules(
                    (
                        r"self.matches(r'^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$')",
                        "write a DNS name as it is in the certificate, such as ct-1.example, without a wildcard",
                    )
                ),
            ),
        ]
        | None
    ) = Field(
        default=None,
        description=(
            "DNS name in the certificate's subjectAltName, case-insensitive. Absent: one of the other two fields is "
            "set."
        ),
    )
    common_name: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description=(
            "Common name (CN) of the certificate's subject, compared exactly. The subject may have only one CN. "
            "Absent: one of the other two fields is set."
        ),
    )
    sha256: (
        Annotated[
            str,
            Field(
                max_length=95,
                json_schema_extra=rules(
                    (
                        r"self.matches(r'^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}$')",
                        "write the SHA-256 of the certificate in hexadecimal, with or without colons, as `openssl x509 "
                        "-fingerprint -sha256 -noout` prints it",
                    )
                ),
            ),
        ]
        | None
    ) = Field(
        default=None,
        description=(
            "SHA-256 of the certificate (DER). Each renewal needs a new value. Absent: one of the other two fields is "
            "set."
        ),
    )


class DicomNodeSpec(Model):
    """Description of a DIMSE peer."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.host) || has(self.anyAddress) && self.anyAddress || has(self.allowedSources) && "
                "size(self.allowedSources) > 0",
                "set allowedSources to the networks that the node may call from, or anyAddress: true, or host if the "
                "node is only called",
            ),
            (
                "!(has(self.anyAddress) && self.anyAddress && has(self.allowedSources) && "
                "size(self.allowedSources) > 0)",
                "allowedSources has no effect with anyAddress: true: remove one of them",
            ),
        )
    )

    ae_title: AETitle = Field(
        description="AE title of the node. The node also calls with this title, unless callingAETitles is set."
    )
    calling_ae_titles: Annotated[list[AETitle], Field(max_length=32, json_schema_extra=SET)] = Field(
        default=[], description="AE titles that the node calls with. Empty: only aeTitle."
    )
    allowed_sources: Annotated[list[Network], Field(max_length=64, json_schema_extra=SET)] = Field(
        default=[],
        description=(
            "Networks that the node may call from, in CIDR notation. AE titles are easy to forge; addresses are not."
        ),
    )
    any_address: bool = Field(
        default=False,
        description="Let the node call from any address. Then only the AE title identifies the node.",
    )

    certificates: Annotated[list[NodeCertificate], Field(max_length=4, json_schema_extra=ATOMIC)] = Field(
        default=[],
        description=(
            "Certificates of the node. It must show one of them when it calls. Use two entries while a certificate is "
            "replaced. The listener verifies them, so a listener without tls, or with clientCertificates: Ignored, "
            "refuses the node. Empty: only AE title and address identify the node. Changed without a restart, also "
            "for open associations."
        ),
    )

    host: Host | None = Field(
        default=None,
        description=(
            "Host to call the node at, as a destination: a DNS name or an IP address. The gateway's NetworkPolicy "
            "does not open link-local addresses and the metadata services of clouds. Absent: the node only calls. "
            "Changed without a restart."
        ),
    )
    port: int = Field(default=104, ge=1, le=65535, description="Port to call the node at. Changed without a restart.")
    tls: NodeTLS | None = Field(
        default=None,
        description=(
            "TLS for calls to the node. The gateway then uses only TLS. Absent: calls are not encrypted. Another "
            "Secret rolls the pods of the routes that send to the node."
        ),
    )
    acse_timeout_seconds: int = Field(
        default=30,
        ge=1,
        le=300,
        description=(
            "How long the node may take to answer an A-ASSOCIATE-RQ, in seconds. If the node does not answer while "
            "other associations with it are open, the gateway assumes that it accepts no more."
        ),
    )
    stall_timeout_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="How long the node may read nothing of a message that is sent to it, in seconds.",
    )
    response_timeout_seconds: int = Field(
        default=120,
        ge=1,
        le=3600,
        description=(
            "How long the node may take to answer a C-STORE after it has the whole instance, in seconds. An instance "
            "without an answer is sent again, so use a value above what the node needs for its largest instance."
        ),
    )
    connection_test_seconds: Annotated[
        int, Field(json_schema_extra=rules(("self == 0 || self >= 5", "write 0 for never, or at least 5 seconds")))
    ] = Field(
        default=300,
        ge=0,
        le=86400,
        description=(
            "Interval of the C-ECHO test by each gateway that delivers to the node, in seconds. After a failure, the "
            "test runs at least once a minute. A successful delivery replaces a test. 0: never. The condition "
            "Reachable shows the result. Changed without a restart."
        ),
    )

    accepts: Accepts = Field(
        default=Accepts.ANY,
        description="What the node may be sent. DeidentifiedOnly: what rules de-identify and nothing else. While a "
        "rule sends to it without deidentify, its deliveries are Held with the reason NotDeidentified. Its queries and "
        "retrievals, and retrievals to it, are refused, as they carry names. Changed without a restart.",
    )

    relational: Relational = Field(
        default=Relational.NEGOTIATED,
        description=(
            "When queries of the node may omit the unique keys of higher levels. Negotiated: if the node negotiated "
            "relational queries (PS3.4 C.5.1.1). Always: for a workstation that omits them without negotiation."
        ),
    )
    default_character_set: Annotated[
        str,
        Field(
            max_length=16,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^(|ISO_IR [0-9]{1,3}|GB18030|GBK)$')",
                    "write a defined term of Specific Character Set without code extensions, such as ISO_IR 100",
                )
            ),
        ),
    ] = Field(
        default="",
        description=(
            "Character set of text in the node's queries if the query declares none and the text is not UTF-8, as a "
            "defined term of Specific Character Set (PS3.3 C.12.1.1.2), such as ISO_IR 100. Empty: characters beyond "
            "ASCII are treated as unknown."
        ),
    )

    @property
    def may_call(self) -> bool:
        """Whether the node may call from anywhere at all; one that is called alone may not."""
        return self.any_address or bool(self.allowed_sources)

    @property
    def callers(self) -> list[str]:
        """The AE titles that the node calls with."""
        return self.calling_ae_titles or [self.ae_title]


class ConnectionTest(Model):
    """Result of the last test by the gateways of a route."""

    route: Annotated[str, Field(max_length=63)] = Field(description="The DicomRoute whose gateway tested the node.")
    reachable: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(max_length=128)] = Field(description="Why, in one word: see docs/conditions.md.")
    within_milliseconds: int | None = Field(
        default=None,
        ge=0,
        description="Time of the C-ECHO, rounded up to 1, 2, 5, 10 and so on.",
    )


class DicomNodeStatus(Model):
    """State of a node, as the operator sees it."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status describes."
    )
    conditions: Conditions = Field(default=[], description="Conditions of the node: see docs/conditions.md.")
    connection_tests: Annotated[list[ConnectionTest], Field(max_length=256, json_schema_extra=keyed_by("route"))] = (
        Field(default=[], description="Test results by route.")
    )


class DicomNode(Model):
    """A DIMSE peer: a modality, a PACS or a workstation."""

    kind: ClassVar[str] = "DicomNode"

    metadata: OwnerMeta
    spec: DicomNodeSpec = Field(description="Description of the peer.")
    status: DicomNodeStatus | None = Field(default=None, description="State of the node.")

    def files(self) -> list[FileReference]:
        """Return the keys of Secrets and ConfigMaps that calling the node needs."""
        return list(files_of(self.spec.tls, "spec.tls"))
