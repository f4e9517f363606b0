"""CloudTarget: a DICOMweb origin server."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from .credentials import HOST, PORT, Auth, Username
from .files import BundleReference, FileReference, TLSSecretReference, files_of
from .meta import SET, Conditions, Model, OwnerMeta, SecretKeyReference, rules


class Accepts(StrEnum):
    """What a target may be sent."""

    ANY = "Any"
    DEIDENTIFIED_ONLY = "DeidentifiedOnly"


class Provider(StrEnum):
    """Whose server a target is."""

    AZURE = "Azure"
    GOOGLE = "Google"
    AWS = "AWS"
    ORTHANC = "Orthanc"
    DCM4CHEE = "Dcm4chee"
    GENERIC = "Generic"


class OnDuplicate(StrEnum):
    """What is made of an instance of whose UID the target has one already."""

    ACCEPT_IDENTICAL = "AcceptIdentical"
    OVERWRITE = "Overwrite"
    ACCEPT = "Accept"
    FAIL = "Fail"


class TLS(Model):
    """What TLS trusts and shows, to the target and to what gives tokens for it. TLS is 1.2 or newer."""

    ca_bundle_ref: BundleReference | None = Field(
        default=None, description="Certificates to trust beside those of the system."
    )
    client_certificate_ref: TLSSecretReference | None = Field(
        default=None,
        description="The certificate that is shown to a server that asks for one, with any type of auth. The condition "
        "CredentialsExpiring says when it ends.",
    )


class ProxyCredential(Model):
    """Who the gateway is to the proxy (HTTP Basic)."""

    username: Username = Field(description="The user name.")
    password_secret_ref: SecretKeyReference = Field(description="Where the password is.")


class Proxy(Model):
    """A forward proxy for data and tokens alike."""

    url: Annotated[
        str,
        Field(
            max_length=2048,
            json_schema_extra=rules(
                (
                    rf"self.matches(r'^https?://{HOST}{PORT}/?$')",
                    "write the proxy as http(s)://HOST[:PORT], without user and path",
                )
            ),
        ),
    ] = Field(description="URL of the proxy. Changed without a restart.")
    basic: ProxyCredential | None = Field(default=None, description="User name and password, if the proxy wants them.")
    no_proxy: Annotated[
        list[
            Annotated[
                str,
                Field(
                    min_length=1,
                    max_length=253,
                    json_schema_extra=rules(
                        (
                            r"self.matches(r'^([A-Za-z0-9._-]+|[0-9a-fA-F:]+)$') || isCIDR(self)",
                            "an entry is a host, which stands for its subdomains too, an IP address, or a network in "
                            "CIDR notation",
                        )
                    ),
                ),
            ]
        ],
        Field(max_length=64, json_schema_extra=SET),
    ] = Field(
        default=[],
        description="Hosts (with their subdomains), addresses and networks that are reached without the proxy. Names "
        "are not resolved: a network is compared with literal addresses alone. Changed without a restart.",
    )
    ca_bundle_ref: BundleReference | None = Field(
        default=None,
        description="Further certificates to trust: those of a proxy with https://, or of one that looks into TLS.",
    )


Reasons = Annotated[
    list[Annotated[int, Field(ge=1, le=65535)]],
    Field(max_length=64, json_schema_extra=SET),
]


class Answers(Model):
    """Failure Reasons (0008,1197) that a server gives a meaning of its own."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!self.permanentReasons.exists(r, r in self.transientReasons || r in self.duplicateReasons) && "
                "!self.transientReasons.exists(r, r in self.duplicateReasons)",
                "a failure reason stands in two lists: leave it in the one that says what it means",
            )
        )
    )

    permanent_reasons: Reasons = Field(
        default=[],
        description="Failure reasons, as decimal numbers, that will not change: an instance refused for one twice, "
        "alone, becomes a dead letter.",
    )
    transient_reasons: Reasons = Field(
        default=[], description="Failure reasons that pass: such an instance is tried again for ever."
    )
    duplicate_reasons: Reasons = Field(
        default=[], description="Failure reasons that say that the instance is there already: onDuplicate decides."
    )


class Azure(Model):
    """What a DICOM service of Azure Health Data Services needs beside its URL."""

    partition: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[A-Za-z0-9._-]+$') && !self.matches(r'^[.]+$')",
                    "the name of a data partition has letters, digits, '.', '-' and '_' alone",
                )
            ),
        ),
    ] = Field(
        description="Data partition that instances are stored to: the gateway stores to URL/partitions/NAME/studies. "
        "Another one gets what is delivered from then on; what is in the old one stays there."
    )


class CloudTargetSpec(Model):
    """Where a DICOMweb server is and how to speak to it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(self.auth.type in ['AzureWorkloadIdentity', 'AzureManagedIdentity', 'GoogleWorkloadIdentity', "
                "'AWSWebIdentity']) || self.url.startsWith('https://')",
                "an identity of a cloud is shown over TLS alone: write https:// in spec.url",
            ),
            (
                "self.provider == 'Generic' || !has(self.answers)",
                "answers is for provider Generic, the others are known: leave answers out, or say provider: Generic",
            ),
            (
                "self.provider == 'Azure' || !has(self.azure)",
                "azure has no effect with another provider: leave it out, or say provider: Azure",
            ),
            (
                "self.provider != 'Azure' || self.url.matches(r'/v[12]/?$')",
                "the URL of an Azure DICOM service ends with the version of its API: write https://HOST/v2; a data "
                "partition is azure.partition",
            ),
        )
    )

    url: Annotated[
        str,
        Field(
            max_length=2048,
            json_schema_extra=rules(
                (
                    rf"self.matches(r'^https?://{HOST}{PORT}(/[!\"$->@-~]*)?$')",
                    "write the base URL of the DICOMweb service as http(s)://HOST[:PORT][/PATH], without user, query "
                    "and fragment",
                ),
                (
                    "!self.matches(r'/studies/?$')",
                    "leave /studies out: the gateway adds it to the base URL of the DICOMweb service",
                ),
            ),
        ),
    ] = Field(
        description="Base URL of the DICOMweb service (PS3.18), such as https://archive.example/dicom-web. The gateway "
        "stores to URL/studies. Link-local addresses and the metadata services of clouds are not opened in the "
        "gateway's NetworkPolicy. Changed without a restart."
    )
    auth: Auth = Field(
        description="How requests are authenticated, see docs/credentials.md. Another Secret rolls the gateway's pods; "
        "changed contents of a Secret are used within seconds, without a restart."
    )
    tls: TLS = Field(default=TLS(), description="What TLS trusts and shows. Changed without a restart.")
    proxy: Proxy | None = Field(default=None, description="A forward proxy. Absent: requests go out directly.")
    provider: Provider = Field(
        default=Provider.GENERIC,
        description="Whose server it is: how its answers are read, how duplicates are replaced and how much it takes "
        "(docs/cloud-targets.md). Generic reads them by the standard. Changed without a restart.",
    )
    on_duplicate: OnDuplicate = Field(
        default=OnDuplicate.ACCEPT_IDENTICAL,
        description="What is made of an instance of whose UID the target has one that this gateway did not send. "
        "AcceptIdentical retrieves that one: an equal one counts as delivered, a different one makes a dead letter. "
        "Overwrite replaces it: what the target had is lost. Accept counts it as delivered unseen: a different one is "
        "not noticed. Fail makes a dead letter. Changed without a restart.",
    )
    answers: Answers | None = Field(
        default=None,
        description="Failure reasons that this server gives a meaning of its own; for provider Generic alone. A wrong "
        "one makes dead letters, or lets what will never be taken be sent for ever. Changed without a restart.",
    )
    azure: Azure | None = Field(
        default=None,
        description="For provider Azure alone. Changed without a restart.",
    )
    accepts: Accepts = Field(
        default=Accepts.ANY,
        description="What the target may be sent. DeidentifiedOnly: what rules de-identify and nothing else. While a "
        "rule sends to it without deidentify, its deliveries are Held with the reason NotDeidentified. Changed without "
        "a restart.",
    )


class CloudTargetStatus(Model):
    """What the operator says of a target."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status speaks of."
    )
    conditions: Conditions = Field(default=[], description="How the target stands: see docs/conditions.md.")


class CloudTarget(Model):
    """A DICOMweb origin server: a cloud archive or any other archive that speaks STOW-RS."""

    kind: ClassVar[str] = "CloudTarget"

    metadata: OwnerMeta
    spec: CloudTargetSpec = Field(description="Where the server is and how to speak to it.")
    status: CloudTargetStatus | None = Field(default=None, description="What the operator found.")

    def files(self) -> list[FileReference]:
        """Return the keys of Secrets and ConfigMaps that requests to the target need."""
        return [
            *files_of(self.spec.auth.member, f"spec.auth.{self.spec.auth.member_name}"),
            *files_of(self.spec.tls, "spec.tls"),
            *files_of(self.spec.proxy, "spec.proxy"),
        ]
