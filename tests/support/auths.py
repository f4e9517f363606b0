"""A full credential of every type, for tests that go through them all."""

from manifests import Json

_REF = {"name": "archive", "key": "password"}

MEMBERS: dict[str, tuple[str, Json]] = {
    "Basic": ("basic", {"username": "u", "passwordSecretRef": _REF}),
    "Bearer": ("bearer", {"tokenSecretRef": _REF}),
    "OAuth2ClientCredentials": (
        "oauth2ClientCredentials",
        {
            "tokenURL": "https://login.example/token",
            "clientID": "gateway",
            "clientSecretRef": _REF,
            "parameters": [{"name": "realm", "value": "r"}],
        },
    ),
    "AzureClientSecret": ("azureClientSecret", {"tenantID": "t", "clientID": "c", "clientSecretRef": _REF}),
    "AzureClientCertificate": (
        "azureClientCertificate",
        {"tenantID": "t", "clientID": "c", "certificateSecretRef": {"name": "certificate"}},
    ),
    "AzureWorkloadIdentity": ("azureWorkloadIdentity", {"clientID": "c"}),
    "AzureManagedIdentity": ("azureManagedIdentity", {}),
    "GoogleWorkloadIdentity": ("googleWorkloadIdentity", {}),
    "GoogleServiceAccountKey": ("googleServiceAccountKey", {"keySecretRef": _REF}),
    "AWSWebIdentity": ("awsWebIdentity", {"region": "eu-central-1"}),
}


def auth(type_: str, **fields: object) -> Json:
    """Return the credential of a type; `fields` replace those of its member."""
    if type_ == "None":
        return {"type": type_}
    name, member = MEMBERS[type_]
    return {"type": type_, name: {**member, **fields}}
