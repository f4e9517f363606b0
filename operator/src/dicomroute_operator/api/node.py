"""DicomNode: a DIMSE peer, such as a modality, a PACS or a workstation."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from .files import PROFILE, BundleReference, FileReference, TLSProfile, TLSSecretReference, files_of
from .meta import ATOMIC, SET, AETitle, Conditions, ConditionStatus, Model, OwnerMeta, keyed_by, rules

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
                "the address has bits set behind its prefix: write the network's own address, such as 192.0.2.0/24",
            ),
        ),
    ),
]


class VerifyName(StrEnum):
    """Which name the certificate of a node has to have."""

    HOST = "Host"
    NONE = "None"


class Relational(StrEnum):
    """When queries of a node may leave out the unique keys of levels above."""

    NEGOTIATED = "Negotiated"
    ALWAYS = "Always"


class NodeTLS(Model):
    """TLS towards a node, by PS3.15 B.12 or B.13 (BCP 195): TLS 1.2 and 1.3."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.verifyName) || self.verifyName != 'None' || has(self.caBundleRef)",
                "verifyName: None takes any name of the authorities in caBundleRef: name them, as those of the system "
                "are everybody's",
            ),
            (
                "!has(self.verifyName) || self.verifyName != 'None' || !has(self.serverName) || self.serverName == ''",
                "serverName has no effect with verifyName: None: remove one of them",
            ),
        )
    )

    ca_bundle_ref: BundleReference | None = Field(
        default=None, description="The authorities of the node's certificate. Absent: those of the system."
    )
    client_certificate_ref: TLSSecretReference | None = Field(
        default=None, description="The certificate that the gateway shows: a Secret of type kubernetes.io/tls."
    )
    verify_name: VerifyName = Field(
        default=VerifyName.HOST,
        description="Host: the certificate has to be for host, or for serverName. None: any certificate of the "
        "authorities will do, as the appliances of a site often share one name.",
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
    ] = Field(default="", description="The name in the certificate, where it is not host. Empty: host.")
    profile: TLSProfile = Field(default=TLSProfile.BCP195_RFC9325, description=PROFILE)


class NodeCertificate(Model):
    """A certificate that the node shows when it calls: by one of its names, or by its fingerprint."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(has(self.dnsName) ? 1 : 0) + (has(self.commonName) ? 1 : 0) + (has(self.sha256) ? 1 : 0) == 1",
                "say one of dnsName, commonName and sha256; a node with two certificates has two entries",
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
                        "write a DNS name as it stands in the certificate, such as ct-1.example, without a wildcard",
                    )
                ),
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="A DNS name in its subjectAltName, in whatever case. Absent: it has another of the three.",
    )
    common_name: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="The common name (CN) of its subject, character by character; it may have one alone. Absent: it "
        "has another of the three.",
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
        description="The SHA-256 of the certificate (DER). Another one is needed with each renewal. "
        "Absent: it has another of the three.",
    )


class DicomNodeSpec(Model):
    """What is known of a DIMSE peer."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.host) || has(self.anyAddress) && self.anyAddress || has(self.allowedSources) && "
                "size(self.allowedSources) > 0",
                "say where the node may call from: allowedSources with its networks, or anyAddress: true; one that is "
                "called alone has a host",
            ),
            (
                "!(has(self.anyAddress) && self.anyAddress && has(self.allowedSources) && "
                "size(self.allowedSources) > 0)",
                "anyAddress: true makes allowedSources without effect: remove one of them",
            ),
        )
    )

    ae_title: AETitle = Field(
        description="The AE title of the node. It also calls with this title unless callingAETitles says otherwise."
    )
    calling_ae_titles: Annotated[list[AETitle], Field(max_length=32, json_schema_extra=SET)] = Field(
        default=[], description="The AE titles that the node calls with. Empty: aeTitle alone."
    )
    allowed_sources: Annotated[list[Network], Field(max_length=64, json_schema_extra=SET)] = Field(
        default=[],
        description="The networks that the node may call from, in CIDR notation. AE titles are easily forged; "
        "addresses are not.",
    )
    any_address: bool = Field(
        default=False,
        description="Let the node call from any address. The AE title is then all that tells it from a stranger.",
    )

    certificates: Annotated[list[NodeCertificate], Field(max_length=4, json_schema_extra=ATOMIC)] = Field(
        default=[],
        description="The certificates of the node, of which it has to show one when it calls; two while one follows "
        "the other. The listener verifies them first: one without tls, or with clientCertificates: Ignored, refuses "
        "the node. Empty: its AE title and address alone say who calls. Changed without a restart, for associations "
        "that are open too.",
    )

    host: Host | None = Field(
        default=None,
        description="Where the node is called when it is a destination: a DNS name or an IP address; link-local ones "
        "and the metadata services of clouds are not opened in the gateway's NetworkPolicy. Absent: the node only "
        "calls. Changed without a restart.",
    )
    port: int = Field(
        default=104, ge=1, le=65535, description="Port that the node is called on. Changed without a restart."
    )
    tls: NodeTLS | None = Field(
        default=None,
        description="TLS: how the node is called, which then speaks nothing else. Absent: it is called in clear. "
        "Another Secret rolls the pods of the routes that send to it.",
    )
    acse_timeout_seconds: int = Field(
        default=30,
        ge=1,
        le=300,
        description="How long the node may take to answer an A-ASSOCIATE-RQ, in seconds. While associations with it "
        "stand, one that is not answered means that it serves no more of them.",
    )
    stall_timeout_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="How long the node may take no byte of a message that is sent to it, in seconds.",
    )
    response_timeout_seconds: int = Field(
        default=120,
        ge=1,
        le=3600,
        description="How long the node may take to answer a C-STORE once it has the whole instance, in seconds. An "
        "instance without an answer is sent again: keep it above what the node needs for its largest.",
    )
    connection_test_seconds: Annotated[
        int, Field(json_schema_extra=rules(("self == 0 || self >= 5", "write 0 for never, or at least 5 seconds")))
    ] = Field(
        default=300,
        ge=0,
        le=86400,
        description="How often each gateway that delivers to the node tests it by a C-ECHO, in seconds; one that fails "
        "is tested each minute at least. Instances that the node takes meanwhile are as good as a test. 0: never. The "
        "condition Reachable says what was found. Changed without a restart.",
    )

    relational: Relational = Field(
        default=Relational.NEGOTIATED,
        description="When queries of the node may leave out the unique keys of levels above. Negotiated: when it has "
        "negotiated relational queries (PS3.4 C.5.1.1). Always: for a workstation that leaves them out without that.",
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
        description="The character set of text in the node's queries for which it declares none and that is not "
        "UTF-8, as a defined term of Specific Character Set (PS3.3 C.12.1.1.2), such as ISO_IR 100. Empty: letters "
        "beyond ASCII are unknown ones.",
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
    """What the gateways of a route last found when they tested the node."""

    route: Annotated[str, Field(max_length=63)] = Field(description="The DicomRoute whose gateway tests.")
    reachable: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(max_length=128)] = Field(description="Why, in one word: see docs/conditions.md.")
    within_milliseconds: int | None = Field(
        default=None,
        ge=0,
        description="A C-ECHO was answered within this time: it is rounded up to 1, 2, 5, 10 and so on.",
    )


class DicomNodeStatus(Model):
    """What the operator says of a node."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status speaks of."
    )
    conditions: Conditions = Field(default=[], description="How the node stands: see docs/conditions.md.")
    connection_tests: Annotated[list[ConnectionTest], Field(max_length=256, json_schema_extra=keyed_by("route"))] = (
        Field(default=[], description="What the routes that deliver to the node found, by route.")
    )


class DicomNode(Model):
    """A DIMSE peer: a modality, a PACS or a workstation."""

    kind: ClassVar[str] = "DicomNode"

    metadata: OwnerMeta
    spec: DicomNodeSpec = Field(description="What is known of the peer.")
    status: DicomNodeStatus | None = Field(default=None, description="What the operator found.")

    def files(self) -> list[FileReference]:
        """Return the keys of Secrets and ConfigMaps that calling the node needs."""
        return list(files_of(self.spec.tls, "spec.tls"))
