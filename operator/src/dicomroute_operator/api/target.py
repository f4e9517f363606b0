"""CloudTarget: a DICOMweb origin server."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from .credentials import HOST, PORT, Auth, Username
from .files import BundleReference, FileReference, TLSSecretReference, files_of
from .meta import SET, Accepts, Conditions, Model, OwnerMeta, SecretKeyReference, rules


class Provider(StrEnum):
    """Product of a target's server."""

    AZURE = "Azure"
    GOOGLE = "Google"
    AWS = "AWS"
    ORTHANC = "Orthanc"
    DCM4CHEE = "Dcm4chee"
    GENERIC = "Generic"


class OnDuplicate(StrEnum):
    """What happens if the target already has an instance with the same UID."""

    ACCEPT_IDENTICAL = "AcceptIdentical"
    OVERWRITE = "Overwrite"
    ACCEPT = "Accept"
    FAIL = "Fail"


class TLS(Model):
    """Certificates for TLS, to the target and to its token endpoint. TLS is 1.2 or newer."""

    ca_bundle_ref: BundleReference | None = Field(
        default=None, description="CA certificates to trust in addition to the system's."
    )
    client_certificate_ref: TLSSecretReference | None = Field(
        default=None,
        description=(
            "Secret with the client certificate, for servers that ask for one, with any type of auth. The condition "
            "CredentialsExpiring reports when it expires."
        ),
    )


class ProxyCredential(Model):
    """Credential of the gateway at the proxy (HTTP Basic)."""

    username: Username = Field(description="The user name.")
    password_secret_ref: SecretKeyReference = Field(description="Where the password is.")


class Proxy(Model):
    """A forward proxy for data and tokens."""

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
    basic: ProxyCredential | None = Field(
        default=None, description="User name and password, if the proxy requires them."
    )
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
                            "an entry is a host (which includes its subdomains), an IP address, or a network in CIDR "
                            "notation",
                        )
                    ),
                ),
            ]
        ],
        Field(max_length=64, json_schema_extra=SET),
    ] = Field(
        default=[],
        description=(
            "Hosts (with their subdomains), addresses and networks to reach without the proxy. Names are not "
            "resolved, so a network matches only literal addresses. Changed without a restart."
        ),
    )
    ca_bundle_ref: BundleReference | None = Field(
        default=None,
        description="Additional CA certificates to trust, for a proxy with https:// or a proxy that inspects TLS.",
    )


Reasons = Annotated[
    list[Annotated[int, Field(ge=1, le=65535)]],
    Field(max_length=64, json_schema_extra=SET),
]


class Answers(Model):
    """Failure Reasons (0008,1197) with a server-specific meaning."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!self.permanentReasons.exists(r, r in self.transientReasons || r in self.duplicateReasons) && "
                "!self.transientReasons.exists(r, r in self.duplicateReasons)",
                "a failure reason is in two lists: keep it only in the list with the right meaning",
            )
        )
    )

    permanent_reasons: Reasons = Field(
        default=[],
        description=(
            "Failure reasons that are permanent, as decimal numbers. An instance that is refused twice on its own "
            "with such a reason becomes a dead letter."
        ),
    )
    transient_reasons: Reasons = Field(
        default=[], description="Failure reasons that are temporary. Such an instance is retried until it succeeds."
    )
    duplicate_reasons: Reasons = Field(
        default=[],
        description=(
            "Failure reasons that mean that the server already has the instance. onDuplicate decides what happens."
        ),
    )


class Azure(Model):
    """Additional settings of a DICOM service in Azure Health Data Services."""

    partition: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[A-Za-z0-9._-]+$') && !self.matches(r'^[.]+$')",
                    "the name of a data partition may have only letters, digits, '.', '-' and '_'",
                )
            ),
        ),
    ] = Field(
        description=(
            "Data partition for instances: the gateway stores to URL/partitions/NAME/studies. A change applies to "
            "later deliveries. Instances in the old partition stay there."
        )
    )


class CloudTargetSpec(Model):
    """Address of a DICOMweb server, and how to connect to it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(self.auth.type in ['AzureWorkloadIdentity', 'AzureManagedIdentity', 'GoogleWorkloadIdentity', "
                "'AWSWebIdentity']) || self.url.startsWith('https://')",
                "an identity of a cloud is sent only over TLS: write https:// in spec.url",
            ),
            (
                "self.provider == 'Generic' || !has(self.answers)",
                "answers applies only to provider Generic: remove answers, or set provider: Generic",
            ),
            (
                "self.provider == 'Azure' || !has(self.azure)",
                "azure applies only to provider Azure: remove azure, or set provider: Azure",
            ),
            (
                "self.provider != 'Azure' || self.url.matches(r'/v[12]/?$')",
                "the URL of an Azure DICOM service ends with the version of its API, such as https://HOST/v2: add the "
                "version, and name a data partition in azure.partition",
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
        description=(
            "Base URL of the DICOMweb service (PS3.18), such as https://archive.example/dicom-web. The gateway stores "
            "to URL/studies. The gateway's NetworkPolicy does not open link-local addresses and the metadata services "
            "of clouds. Changed without a restart."
        )
    )
    auth: Auth = Field(
        description=(
            "How requests are authenticated: see docs/credentials.md. Another Secret rolls the gateway's pods; "
            "changed contents of a Secret are used within seconds, without a restart."
        )
    )
    tls: TLS = Field(default=TLS(), description="Certificates for TLS. Changed without a restart.")
    proxy: Proxy | None = Field(default=None, description="A forward proxy. Absent: direct connections.")
    provider: Provider = Field(
        default=Provider.GENERIC,
        description=(
            "Product of the server. It determines how answers are read, how duplicates are replaced, and request "
            "limits (docs/cloud-targets.md). Generic follows the standard. Changed without a restart."
        ),
    )
    on_duplicate: OnDuplicate = Field(
        default=OnDuplicate.ACCEPT_IDENTICAL,
        description=(
            "What happens if the target already has an instance with the same UID that this gateway did not send. "
            "AcceptIdentical retrieves that instance: an equal one counts as delivered, a different one makes a dead "
            "letter. Overwrite replaces it, and the previous instance is lost. Accept counts it as delivered without "
            "a comparison, so a different instance is not noticed. Fail makes a dead letter. Changed without a "
            "restart."
        ),
    )
    answers: Answers | None = Field(
        default=None,
        description=(
            "Failure reasons with a server-specific meaning, only for provider Generic. A wrong entry makes dead "
            "letters, or retries an instance that will never be accepted. Changed without a restart."
        ),
    )
    azure: Azure | None = Field(
        default=None,
        description="Only for provider Azure. Changed without a restart.",
    )
    accepts: Accepts = Field(
        default=Accepts.ANY,
        description=(
            "What may be sent to the target. DeidentifiedOnly: only instances that rules de-identify. Deliveries of a "
            "rule without deidentify are Held with the reason NotDeidentified. Changed without a restart."
        ),
    )


class CloudTargetStatus(Model):
    """State of a target, as the operator sees it."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status describes."
    )
    conditions: Conditions = Field(default=[], description="Conditions of the target: see docs/conditions.md.")


class CloudTarget(Model):
    """A DICOMweb origin server: a cloud archive or any other archive with STOW-RS."""

    kind: ClassVar[str] = "CloudTarget"

    metadata: OwnerMeta
    spec: CloudTargetSpec = Field(description="Address of the server, and how to connect to it.")
    status: CloudTargetStatus | None = Field(default=None, description="State of the target.")

    def files(self) -> list[FileReference]:
        """Return the keys of Secrets and ConfigMaps that requests to the target need."""
        return [
            *files_of(self.spec.auth.member, f"spec.auth.{self.spec.auth.member_name}"),
            *files_of(self.spec.tls, "spec.tls"),
            *files_of(self.spec.proxy, "spec.proxy"),
        ]
