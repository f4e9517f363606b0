"""What is sent to Microsoft, Google and AWS for a token, and with a request: held against their own libraries."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from certificates import Authority
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from origin import BODY, Origin, destination, store
from token_server import TokenServer, form_of
from web_server import Answer, Received

from dicomroute_gateway.deliver.faults import CredentialFault, TransportFailed

SCOPE = "https://dicom.healthcareapis.azure.com/.default"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path / "authority")
    (tmp_path / "ConfigMap-authorities").mkdir()
    (tmp_path / "ConfigMap-authorities" / "ca.crt").write_text(authority.pem)
    return authority


@pytest.fixture
def entra(authority: Authority) -> Iterator[TokenServer]:
    """A token endpoint with TLS, as the libraries of Microsoft insist on."""
    with closing(TokenServer(authority.server(), "localhost")) as server:
        yield server


@pytest.fixture
def endpoint() -> Iterator[TokenServer]:
    with closing(TokenServer()) as server:
        yield server


@pytest.fixture
def origin() -> Iterator[Origin]:
    with closing(Origin(lambda request: request.headers.get("Authorization") == "Bearer token-1")) as server:
        yield server


def at(origin: Origin, auth: dict[str, Any]) -> Any:
    return destination(origin.url, auth, tls={"caBundleFile": "ConfigMap-authorities/ca.crt"})


def write(folder: Path, name: str, **files: str | bytes) -> None:
    (folder / name).mkdir(exist_ok=True)
    for key, value in files.items():
        (folder / name / key.replace("_", ".")).write_bytes(value.encode() if isinstance(value, str) else value)


def azure(entra: TokenServer, type_: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": type_,
        "tenantID": "tenant",
        "clientID": "client",
        "authorityHost": entra.url,
        "scope": SCOPE,
        **fields,
    }


def ours_and_theirs(entra: TokenServer, theirs: Callable[[], Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the form that we sent, and that of Microsoft's library, as far as both are about the token."""
    (ours,) = entra.forms
    theirs()
    asked = [one for one in entra.received if one.method == "POST"]
    assert asked[0].path == asked[1].path == "/tenant/oauth2/v2.0/token"
    return ours, {name: value for name, value in form_of(asked[1]).items() if name in ours}


def options(entra: TokenServer, authority: Authority) -> dict[str, Any]:
    return {
        "authority": entra.url,
        "disable_instance_discovery": True,
        "connection_verify": str(authority.file),
    }


def test_azure_with_a_secret(origin: Origin, entra: TokenServer, authority: Authority, tmp_path: Path) -> None:
    from azure.identity import ClientSecretCredential

    write(tmp_path, "azure", secret="an-example")
    assert store(tmp_path, at(origin, azure(entra, "AzureClientSecret", clientSecretFile="azure/secret"))) == 200
    credential = ClientSecretCredential("tenant", "client", "an-example", **options(entra, authority))
    ours, theirs = ours_and_theirs(entra, lambda: credential.get_token(SCOPE))
    assert ours == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": "an-example",
        "scope": SCOPE,
    }
    assert {**theirs, "scope": theirs["scope"].split()[0]} == ours


def test_azure_with_a_certificate(origin: Origin, entra: TokenServer, authority: Authority, tmp_path: Path) -> None:
    from azure.identity import CertificateCredential

    certificate, key = (file.read_bytes() for file in authority.issue("client"))
    write(tmp_path, "azure", tls_crt=certificate, tls_key=key)
    auth = azure(entra, "AzureClientCertificate", certificateFile="azure/tls.crt", keyFile="azure/tls.key")
    assert store(tmp_path, at(origin, auth)) == 200
    credential = CertificateCredential(
        "tenant", "client", certificate_data=certificate + key, **options(entra, authority)
    )
    ours, theirs = ours_and_theirs(entra, lambda: credential.get_token(SCOPE))
    assert ours.keys() == theirs.keys()
    assert ours["client_assertion_type"] == theirs["client_assertion_type"] == ASSERTION
    own = x509.load_pem_x509_certificate(certificate)
    for form in (ours, theirs):
        header = jwt.get_unverified_header(form["client_assertion"])
        url = f"{entra.url}/tenant/oauth2/v2.0/token"
        algorithms = ["PS256", "RS256"]
        claims = jwt.decode(form["client_assertion"], own.public_key(), algorithms=algorithms, audience=url)
        assert (claims["iss"], claims["sub"]) == ("client", "client")
        if form is theirs and header["alg"] == "RS256":
            continue  # an older form, which knows the certificate by its SHA-1
        assert header["alg"] == "PS256"
        assert base64.urlsafe_b64decode(header["x5t#S256"] + "=") == own.fingerprint(SHA256())


def test_azure_with_the_identity_of_the_pod(
    origin: Origin, entra: TokenServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.identity import WorkloadIdentityCredential

    auth = {"type": "AzureWorkloadIdentity", "clientID": "client", "scope": SCOPE}
    with pytest.raises(CredentialFault) as caught:
        store(tmp_path, at(origin, auth))
    assert caught.value.reason == "WorkloadIdentityMissing"
    file = tmp_path / "azure-identity-token"
    file.write_text("the.federated.token")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{entra.url}/")
    monkeypatch.setenv("AZURE_CLIENT_ID", "of-somebody-else")
    assert store(tmp_path, at(origin, auth)) == 200
    credential = WorkloadIdentityCredential(
        tenant_id="tenant", client_id="client", token_file_path=str(file), **options(entra, authority)
    )
    ours, theirs = ours_and_theirs(entra, lambda: credential.get_token(SCOPE))
    assert (ours["client_id"], ours["client_assertion"]) == ("client", "the.federated.token")
    assert {**theirs, "scope": theirs["scope"].split()[0]} == ours


def test_azure_with_the_identity_of_the_machine_and_no_other(
    origin: Origin, endpoint: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.identity import ManagedIdentityCredential

    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint.url)
    endpoint.lifetime_seconds = "3600"
    auth = {"type": "AzureManagedIdentity", "clientID": "client", "scope": SCOPE}
    assert store(tmp_path, destination(origin.url, auth)) == 200
    ManagedIdentityCredential(client_id="client").get_token(SCOPE)
    ours, *_, theirs = [one for one in endpoint.received if "resource" in one.path]
    assert urlsplit(ours.path).path == urlsplit(theirs.path).path
    assert parse_qs(urlsplit(ours.path).query) == parse_qs(urlsplit(theirs.path).query)
    assert ours.headers["Metadata"] == "true"
    # A pod that has another identity too is not given that one.
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", "/nowhere")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    endpoint.given.clear()
    assert store(tmp_path, destination(origin.url, auth)) == 200
    assert "/metadata/identity" in endpoint.received[-1].path


def google_key(endpoint: TokenServer) -> tuple[rsa.RSAPrivateKey, str]:
    key = rsa.generate_private_key(65537, 2048)
    document = {
        "type": "service_account",
        "client_email": "gateway@project.example",
        "private_key_id": "the-key",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "token_uri": f"{endpoint.url}/token",
    }
    return key, json.dumps(document)


def test_google_with_a_key(origin: Origin, endpoint: TokenServer, tmp_path: Path) -> None:
    from google.auth.transport.requests import Request
    from google.oauth2 import service_account

    key, document = google_key(endpoint)
    write(tmp_path, "google", key_json=document)
    auth = {"type": "GoogleServiceAccountKey", "keyFile": "google/key.json"}
    assert store(tmp_path, destination(origin.url, auth)) == 200
    scope = "https://www.googleapis.com/auth/cloud-healthcare"
    service_account.Credentials.from_service_account_info(json.loads(document), scopes=[scope]).refresh(Request())
    ours, theirs = endpoint.forms
    assert ours.keys() == theirs.keys()
    assert ours["grant_type"] == theirs["grant_type"]
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    url = "https://oauth2.googleapis.com/token"
    mine, others = (
        jwt.decode(form["assertion"], public, algorithms=["RS256"], audience=[url]) for form in (ours, theirs)
    )
    assert {name: mine[name] for name in ("iss", "aud", "scope")} == {
        name: others[name] for name in ("iss", "aud", "scope")
    }
    assert mine["exp"] - mine["iat"] == others["exp"] - others["iat"]
    kids = [jwt.get_unverified_header(form["assertion"])["kid"] for form in (ours, theirs)]
    assert kids == ["the-key", "the-key"]


def test_a_google_key_that_is_none_says_so_and_not_what_it_is(origin: Origin, tmp_path: Path) -> None:
    for content in ("PlantedMarker", "[]", '{"client_email": "a", "private_key": "PlantedMarker"}'):
        write(tmp_path, "google", key_json=content)
        with pytest.raises(CredentialFault) as caught:
            store(tmp_path, destination(origin.url, {"type": "GoogleServiceAccountKey", "keyFile": "google/key.json"}))
        assert caught.value.reason == "CredentialInvalid"
        assert "PlantedMarker" not in str(caught.value)


def test_google_with_the_identity_of_the_pod(
    origin: Origin, endpoint: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{endpoint.port}")
    account = "gateway@project.iam.gserviceaccount.com"
    target = destination(origin.url, {"type": "GoogleWorkloadIdentity", "serviceAccount": account})
    with pytest.raises(TransportFailed) as caught:
        store(tmp_path, target)
    assert "not Google's metadata server" in str(caught.value)
    endpoint.given.clear()
    endpoint.play = lambda _: endpoint.grant(**{"Metadata-Flavor": "Google"})
    assert store(tmp_path, target) == 200
    asked = endpoint.received[-1]
    assert asked.path.startswith(f"/computeMetadata/v1/instance/service-accounts/{account}/token?")
    assert asked.headers["Metadata-Flavor"] == "Google"


STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>an-access-key</AccessKeyId>
<SecretAccessKey>a-secret-key</SecretAccessKey><SessionToken>a-session-token</SessionToken>
<Expiration>{}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
STS_ERROR = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{}</Code><Message>PlantedMarker</Message></Error></ErrorResponse>"""


def sts(text: str, status: int = 200) -> Callable[[Received], Answer]:
    return lambda _: Answer(status, text.encode(), "text/xml")


def is_signed(request: Received, url: str) -> bool:
    """Whether a request is signed: by botocore's own canonical request of what arrived."""
    given = request.headers["Authorization"]
    signed = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: value for name, value in request.headers.items() if name.lower() in signed}
    if hashlib.sha256(request.body).hexdigest() != headers["X-Amz-Content-SHA256"]:
        return False
    again = AWSRequest(method=request.method, url=url + request.path, headers=headers)
    again.context["timestamp"] = headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials("an-access-key", "a-secret-key", "a-session-token"), "medical-imaging", "eu-central-1")
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    covered = {"host", "content-type", "content-length", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}
    return given.endswith(f"Signature={signature}") and covered <= set(signed)


@pytest.fixture
def aws(endpoint: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (tmp_path / "web-identity").write_text("the.pods.token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "web-identity"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"{endpoint.url}/")
    endpoint.play = sts(STS.format(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))))
    role = "arn:aws:iam::000000000000:role/gateway"
    return {"type": "AWSWebIdentity", "region": "eu-central-1", "roleARN": role, "service": "medical-imaging"}


def test_aws_signs_each_request_with_temporary_keys(endpoint: TokenServer, aws: Any, tmp_path: Path) -> None:
    with closing(Origin()) as origin:
        origin.wants = lambda request: is_signed(request, origin.url)
        target = destination(f"{origin.url}/datastore/d", aws)
        assert store(tmp_path, target) == 200
        assert origin.received[0].body == BODY
        forged = Received("POST", "/other", origin.received[0].headers, BODY, 0)
        assert not is_signed(forged, origin.url), "the test can tell"
    (form,) = endpoint.forms
    assert form == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": aws["roleARN"],
        "RoleSessionName": "dicomroute",
        "WebIdentityToken": "the.pods.token",
    }


@pytest.mark.parametrize(
    "text, status, reason, shown",
    [
        (STS_ERROR.format("AccessDenied"), 403, "TokenRefused", "AccessDenied"),
        (STS_ERROR.format("PlantedMarker"), 400, "TokenRefused", "status 400"),
        ("<a", 200, "TokenAnswerInvalid", "no keys"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 200, "TokenAnswerInvalid", "no keys"),
        (STS.format("tomorrow"), 200, "TokenAnswerInvalid", "no keys"),
        ("", 503, "TokenEndpointUnavailable", "503"),
    ],
)
def test_what_sts_answers_has_a_reason(
    origin: Origin, endpoint: TokenServer, aws: Any, tmp_path: Path, text: str, status: int, reason: str, shown: str
) -> None:
    endpoint.play = sts(text, status)
    with pytest.raises((CredentialFault, TransportFailed)) as caught:
        store(tmp_path, destination(origin.url, aws))
    assert caught.value.reason == reason
    assert shown in str(caught.value)
    assert "PlantedMarker" not in str(caught.value)


def test_aws_without_an_identity_says_who_gives_it(
    origin: Origin, aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
    with pytest.raises(CredentialFault) as caught:
        store(tmp_path, destination(origin.url, aws))
    assert caught.value.reason == "WorkloadIdentityMissing"
