"""How requests to a CloudTarget are authenticated and protected: its credential, its TLS, its way out.

Fields named `..._file` are relative to the folder of mounted Secrets: `SECRET/KEY`, or `ConfigMap-NAME/KEY`. Their
contents never enter the configuration.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from .section import Section


class NoAuth(Section):
    """Requests carry no credential."""

    type: Literal["None"]


class BasicAuth(Section):
    """HTTP Basic authentication (RFC 7617)."""

    type: Literal["Basic"]
    username: str
    password_file: str


class BearerAuth(Section):
    """A token that somebody else renews (RFC 6750)."""

    type: Literal["Bearer"]
    token_file: str


class ClientAuthentication(StrEnum):
    """How a client says to a token endpoint who it is (RFC 6749 2.3.1)."""

    BASIC = "Basic"
    POST = "Post"


class Parameter(Section):
    """A further parameter of a token request."""

    name: str
    value: str


class OAuth2ClientCredentialsAuth(Section):
    """A token of the client credentials grant (RFC 6749 4.4)."""

    type: Literal["OAuth2ClientCredentials"]
    token_url: str
    client_id: str
    client_secret_file: str
    scopes: list[str] = Field(default=[])
    audience: str = ""
    resource: str = ""
    client_authentication: ClientAuthentication = ClientAuthentication.BASIC
    parameters: list[Parameter] = Field(default=[])


class AzureClientSecretAuth(Section):
    """A token of Microsoft Entra ID for a secret."""

    type: Literal["AzureClientSecret"]
    tenant_id: str
    client_id: str
    client_secret_file: str
    authority_host: str
    scope: str


class AzureClientCertificateAuth(Section):
    """A token of Microsoft Entra ID for an assertion that a certificate's key signs (RFC 7523)."""

    type: Literal["AzureClientCertificate"]
    tenant_id: str
    client_id: str
    certificate_file: str
    key_file: str
    authority_host: str
    scope: str


class AzureWorkloadIdentityAuth(Section):
    """A token of Microsoft Entra ID for the token of the pod's service account.

    Without `tenant_id` and `authority_host` they are what the webhook has put into the pod's environment.
    """

    type: Literal["AzureWorkloadIdentity"]
    client_id: str
    tenant_id: str = ""
    authority_host: str = ""
    scope: str


class AzureManagedIdentityAuth(Section):
    """A token from the instance metadata service of an Azure machine."""

    type: Literal["AzureManagedIdentity"]
    client_id: str = ""
    scope: str


class GoogleWorkloadIdentityAuth(Section):
    """A token from GKE's metadata server; with `service_account` that one's and no other's."""

    type: Literal["GoogleWorkloadIdentity"]
    service_account: str = ""


class GoogleServiceAccountKeyAuth(Section):
    """A token for an assertion that a service account's key signs (RFC 7523)."""

    type: Literal["GoogleServiceAccountKey"]
    key_file: str


class AWSWebIdentityAuth(Section):
    """Requests signed with temporary keys that AWS STS gives for the token of the pod's service account.

    Without `role_arn` the role is that of the pod's environment.
    """

    type: Literal["AWSWebIdentity"]
    region: str
    role_arn: str = ""
    service: str


Auth = Annotated[
    NoAuth
    | BasicAuth
    | BearerAuth
    | OAuth2ClientCredentialsAuth
    | AzureClientSecretAuth
    | AzureClientCertificateAuth
    | AzureWorkloadIdentityAuth
    | AzureManagedIdentityAuth
    | GoogleWorkloadIdentityAuth
    | GoogleServiceAccountKeyAuth
    | AWSWebIdentityAuth,
    Field(discriminator="type"),
]


class Tls(Section):
    """What TLS trusts beside the certificates of the system, and the certificate that it shows."""

    ca_bundle_file: str = ""
    client_certificate_file: str = ""
    client_key_file: str = ""


class Proxy(Section):
    """A forward proxy for data and tokens alike, and the hosts that are reached without it."""

    url: str
    username: str = ""
    password_file: str = ""
    no_proxy: list[str] = Field(default=[])
    ca_bundle_file: str = ""
