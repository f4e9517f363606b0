"""The credential of a CloudTarget: one type, and the member of that name."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from .files import TLSSecretReference
from .meta import SET, Model, SecretKeyReference, field_name, keyed_by, rules

PORT: Final = "(:([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
HOST: Final = r"([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])"

AZURE_AUTHORITY_HOST: Final = "https://login.microsoftonline.com"
AZURE_SCOPE: Final = "https://dicom.healthcareapis.azure.com/.default"

_AZURE_HOST_CHANGES: Final = "Set another host for a sovereign cloud, together with scope."
_NEW_PODS: Final = "Rolls the gateway's pods."


class AuthType(StrEnum):
    """How requests are authenticated."""

    NONE = "None"
    BASIC = "Basic"
    BEARER = "Bearer"
    OAUTH2_CLIENT_CREDENTIALS = "OAuth2ClientCredentials"
    AZURE_CLIENT_SECRET = "AzureClientSecret"  # noqa: S105
    AZURE_CLIENT_CERTIFICATE = "AzureClientCertificate"
    AZURE_WORKLOAD_IDENTITY = "AzureWorkloadIdentity"
    AZURE_MANAGED_IDENTITY = "AzureManagedIdentity"
    GOOGLE_WORKLOAD_IDENTITY = "GoogleWorkloadIdentity"
    GOOGLE_SERVICE_ACCOUNT_KEY = "GoogleServiceAccountKey"
    AWS_WEB_IDENTITY = "AWSWebIdentity"


Username = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        json_schema_extra=rules(
            ("!self.contains(':')", "a user name in Basic authentication has no colon (RFC 7617): remove it")
        ),
    ),
]

ClientID = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        json_schema_extra=rules(
            (r"self.matches(r'^[!-~]+$')", "a client ID has only visible ASCII characters: remove the others")
        ),
    ),
]

TenantID = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        json_schema_extra=rules(
            (
                r"self.matches(r'^[A-Za-z0-9][-A-Za-z0-9.]*$')",
                "write a tenant as its ID or as one of its domains, with letters, digits, '-' and '.'",
            )
        ),
    ),
]

AuthorityHost = Annotated[
    str,
    Field(
        max_length=255,
        json_schema_extra=rules(
            (
                rf"self.matches(r'^https://{HOST}{PORT}$')",
                "write an authority host as https://HOST, such as https://login.microsoftonline.us",
            )
        ),
    ),
]

Scope = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        json_schema_extra=rules(
            (
                r"self.matches(r'^[!#-\[\]-~]+$')",
                "a scope is one word of visible ASCII characters without quotes and backslash (RFC 6749 3.3)",
            )
        ),
    ),
]

Visible = Annotated[
    str,
    Field(
        max_length=1024,
        json_schema_extra=rules(
            (r"self.matches(r'^[ -~]*$')", "the value may have only ASCII characters: encode the others")
        ),
    ),
]


class BasicAuth(Model):
    """HTTP Basic authentication (RFC 7617)."""

    username: Username = Field(description="The user name.")
    password_secret_ref: SecretKeyReference = Field(description="Secret key with the password.")


class BearerAuth(Model):
    """A token that another system renews in its Secret (RFC 6750)."""

    token_secret_ref: SecretKeyReference = Field(
        description=(
            "Secret key with the token. If the token is a JSON Web Token, the condition CredentialsExpiring reports "
            "when it expires."
        )
    )


class ClientAuthentication(StrEnum):
    """How a client authenticates to a token endpoint."""

    BASIC = "Basic"
    POST = "Post"


class TokenParameter(Model):
    """An additional parameter of the token request."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=rules(
                (
                    r"self.matches(r'^[-._A-Za-z0-9]+$')",
                    "a parameter's name may have only letters, digits, '-', '_' and '.'",
                ),
                (
                    "!(self in ['grant_type', 'client_id', 'client_secret', 'scope', 'audience', 'resource'])",
                    "the gateway sets this parameter itself: use the field with that name",
                ),
            ),
        ),
    ] = Field(description="Name of the parameter.")
    value: Visible = Field(description="Value of the parameter. It is not secret: it is part of the configuration.")


class OAuth2ClientCredentialsAuth(Model):
    """The client credentials grant of OAuth 2.0 (RFC 6749 4.4)."""

    token_url: Annotated[
        str,
        Field(
            max_length=2048,
            json_schema_extra=rules(
                (
                    rf"self.matches(r'^https?://{HOST}{PORT}(/[!\"$->@-~]*)?$')",
                    "write the token endpoint as http(s)://HOST[:PORT][/PATH], without user, query and fragment",
                )
            ),
        ),
    ] = Field(
        description=(
            "URL of the token endpoint. The gateway uses the target's tls and proxy settings for it. Changed without "
            "a restart."
        )
    )
    client_id: ClientID = Field(description="Client ID of the gateway at the token endpoint.")
    client_secret_ref: SecretKeyReference = Field(description="Secret key with the client secret.")
    scopes: Annotated[list[Scope], Field(max_length=16, json_schema_extra=SET)] = Field(
        default=[], description="Scope of the token, as the standard defines it."
    )
    audience: Visible = Field(default="", description="Audience of the token, if the endpoint requires one.")
    resource: Visible = Field(default="", description="Resource of the token, if the endpoint requires one.")
    client_authentication: ClientAuthentication = Field(
        default=ClientAuthentication.BASIC,
        description=(
            "How client ID and secret are sent. Basic: in a header, as the standard prefers. Post: in the form."
        ),
    )
    parameters: Annotated[list[TokenParameter], Field(max_length=16, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="Additional parameters that the endpoint requires. Changed without a restart."
    )


class AzureClientSecretAuth(Model):
    """An application of Microsoft Entra ID with a secret."""

    tenant_id: TenantID = Field(description="The tenant: its ID or one of its domains.")
    client_id: ClientID = Field(description="The application's (client) ID.")
    client_secret_ref: SecretKeyReference = Field(description="Secret key with the application's secret.")
    authority_host: AuthorityHost = Field(
        default=AZURE_AUTHORITY_HOST, description=f"Authority host that issues tokens. {_AZURE_HOST_CHANGES}"
    )
    scope: Scope = Field(default=AZURE_SCOPE, description="Scope of tokens: the DICOM service.")


class AzureClientCertificateAuth(Model):
    """An application of Microsoft Entra ID with a certificate."""

    tenant_id: TenantID = Field(description="The tenant: its ID or one of its domains.")
    client_id: ClientID = Field(description="The application's (client) ID.")
    certificate_secret_ref: TLSSecretReference = Field(
        description=(
            "Secret with the certificate that the application knows, and its RSA key. The condition "
            "CredentialsExpiring reports when the certificate expires."
        )
    )
    authority_host: AuthorityHost = Field(
        default=AZURE_AUTHORITY_HOST, description=f"Authority host that issues tokens. {_AZURE_HOST_CHANGES}"
    )
    scope: Scope = Field(default=AZURE_SCOPE, description="Scope of tokens: the DICOM service.")


MicrosoftAuthorityHost = Annotated[
    str,
    Field(
        max_length=255,
        json_schema_extra=rules(
            (
                r"self.matches(r'^https://login[.](microsoftonline[.](com|us)|chinacloudapi[.]cn|partner[.]microsoftonline[.]cn)$')",
                "the token of a service account is sent only to Microsoft: leave authorityHost out, or write the host "
                "of the sovereign cloud, such as https://login.microsoftonline.us",
            )
        ),
    ),
]
"""Who is shown the token of a pod's service account: whoever has it can be that service account elsewhere."""

DICOMServiceScope = Annotated[
    str,
    Field(
        max_length=255,
        json_schema_extra=rules(
            (
                r"self.matches(r'^https://dicom[.]healthcareapis[.]azure[.](com|us|cn)/[.]default$')",
                "an identity of the cluster gets tokens only for DICOM services: leave scope out, or write the scope "
                "of the sovereign cloud, such as https://dicom.healthcareapis.azure.us/.default",
            )
        ),
    ),
]
"""What tokens of an identity are for that whoever writes a target has not been given: nothing but this."""


class AzureWorkloadIdentityAuth(Model):
    """The pods' own identity, federated with an application or a managed identity of Microsoft Entra ID.

    The cluster needs the webhook of Azure Workload Identity (AKS: --enable-workload-identity). The webhook gives a
    token of the service account to pods with the label azure.workload.identity/use. The operator sets that label, and
    annotates the service account. The federated credential's subject is system:serviceaccount:NAMESPACE:ROUTE-gw.
    """

    client_id: ClientID = Field(description="The client ID of the application or managed identity. " + _NEW_PODS)
    tenant_id: TenantID | None = Field(
        default=None, description="Tenant. Absent: the tenant that the webhook gives to the pods. " + _NEW_PODS
    )
    authority_host: MicrosoftAuthorityHost | None = Field(
        default=None,
        description="Authority host that issues tokens. Absent: the host that the webhook gives to the pods.",
    )
    scope: DICOMServiceScope = Field(default=AZURE_SCOPE, description="Scope of tokens: the DICOM service.")


class AzureManagedIdentityAuth(Model):
    """The identity of the machine that runs the pod. Every pod on that machine has this identity. Workload identity
    is narrower.

    The NetworkPolicy of the gateway opens the metadata service at 169.254.169.254.
    """

    client_id: ClientID | None = Field(
        default=None,
        description="Client ID of a user-assigned identity of the machines. Absent: their only identity.",
    )
    scope: DICOMServiceScope = Field(default=AZURE_SCOPE, description="Scope of tokens: the DICOM service.")


class GoogleWorkloadIdentityAuth(Model):
    """The pods' own identity in GKE's Workload Identity Federation.

    The operator annotates their service account, and the gateway's NetworkPolicy opens GKE's metadata server.
    """

    service_account: (
        Annotated[
            str,
            Field(
                max_length=255,
                json_schema_extra=rules(
                    (
                        r"self.matches(r'^[a-z0-9][-a-z0-9.]*@[-a-z0-9.]+$')",
                        "write a service account as its address, NAME@PROJECT.iam.gserviceaccount.com",
                    )
                ),
            ),
        ]
        | None
    ) = Field(
        default=None,
        description=(
            "IAM service account to act as. It must allow serviceAccount:PROJECT.svc.id.goog[NAMESPACE/ROUTE-gw] to "
            f"impersonate it. Absent: roles are granted to the pods' service account itself. {_NEW_PODS}"
        ),
    )


class GoogleServiceAccountKeyAuth(Model):
    """A key of an IAM service account. Google discourages these keys, because they do not expire."""

    key_secret_ref: SecretKeyReference = Field(
        description="Secret key with the service account key, in Google's JSON form."
    )


class AWSWebIdentityAuth(Model):
    """An IAM role for the pods' service account (IRSA). Requests are signed (Signature Version 4).

    The operator annotates the service account, and the webhook of EKS then gives the pods a token of it. The role
    must trust system:serviceaccount:NAMESPACE:ROUTE-gw of the cluster's OIDC provider.
    """

    region: Annotated[
        str,
        Field(
            max_length=32,
            json_schema_extra=rules(
                (r"self.matches(r'^[a-z]+(-[a-z0-9]+)+$')", "write a region as AWS does, such as eu-central-1")
            ),
        ),
    ] = Field(description="Region of the data store. Changed without a restart.")
    role_arn: (
        Annotated[
            str,
            Field(
                max_length=2048,
                json_schema_extra=rules(
                    (
                        r"self.matches(r'^arn:aws[-a-z]*:iam::[0-9]{12}:role/[!-~]+$')",
                        "write a role as its ARN, arn:aws:iam::ACCOUNT:role/NAME",
                    )
                ),
            ),
        ]
        | None
    ) = Field(
        default=None,
        description=(
            "Role to assume. Absent: the role that the chart's gateway.serviceAccountAnnotations gives to the pods' "
            f"service account. {_NEW_PODS}"
        ),
    )
    service: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=rules(
                (r"self.matches(r'^[-a-z0-9]+$')", "write a service as AWS signs it, such as medical-imaging")
            ),
        ),
    ] = Field(default="medical-imaging", description="Name of the service in signatures.")


_MEMBERS: Final = {
    "Basic": "basic",
    "Bearer": "bearer",
    "OAuth2ClientCredentials": "oauth2ClientCredentials",
    "AzureClientSecret": "azureClientSecret",
    "AzureClientCertificate": "azureClientCertificate",
    "AzureWorkloadIdentity": "azureWorkloadIdentity",
    "AzureManagedIdentity": "azureManagedIdentity",
    "GoogleWorkloadIdentity": "googleWorkloadIdentity",
    "GoogleServiceAccountKey": "googleServiceAccountKey",
    "AWSWebIdentity": "awsWebIdentity",
}
"""The member of each type; None has none."""


MACHINE_IDENTITIES: Final = (AuthType.AZURE_MANAGED_IDENTITY, AuthType.GOOGLE_WORKLOAD_IDENTITY)
"""Credentials that come from the metadata service of the machine, which may have more rights than the pod."""


class Auth(Model):
    """The credential of a target: a type, and the field that belongs to the type."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                " && ".join(f"(self.type == '{type_}') == has(self.{member})" for type_, member in _MEMBERS.items()),
                "give exactly the field of the type: basic for type Basic, azureClientSecret for type "
                "AzureClientSecret and so on, and none for type None",
            )
        )
    )

    type: AuthType = Field(
        description="How requests are authenticated. Each type needs the field with the same name; None needs no field."
    )
    basic: BasicAuth | None = Field(default=None, description="User name and password.")
    bearer: BearerAuth | None = Field(default=None, description="A token that another system renews.")
    oauth2_client_credentials: OAuth2ClientCredentialsAuth | None = Field(
        default=None, description="A token of the OAuth 2.0 client credentials grant."
    )
    azure_client_secret: AzureClientSecretAuth | None = Field(
        default=None, description="An application of Microsoft Entra ID with a secret."
    )
    azure_client_certificate: AzureClientCertificateAuth | None = Field(
        default=None, description="An application of Microsoft Entra ID with a certificate."
    )
    azure_workload_identity: AzureWorkloadIdentityAuth | None = None
    azure_managed_identity: AzureManagedIdentityAuth | None = None
    google_workload_identity: GoogleWorkloadIdentityAuth | None = None
    google_service_account_key: GoogleServiceAccountKeyAuth | None = Field(
        default=None, description="A key of a Google service account."
    )
    aws_web_identity: AWSWebIdentityAuth | None = None

    @property
    def member_name(self) -> str:
        """The name of the member that belongs to the type, or "" for None."""
        return _MEMBERS.get(str(self.type), "")

    @property
    def member(self) -> Model | None:
        """The member that belongs to the type."""
        names = (name for name in type(self).model_fields if name != "type" and field_name(name) == self.member_name)
        return next((getattr(self, name) for name in names), None)
