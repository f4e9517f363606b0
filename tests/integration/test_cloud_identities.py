"""What is sent to Microsoft, Google and AWS for a token, and with a request; what each answer is called."""

import asyncio
import base64
import hashlib
import json
import logging
import subprocess
import sys
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
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from origin import BODY, Origin, destination, post, store, with_client
from token_server import TokenServer, refusal
from web_server import Answer, Received

from dicomroute_gateway.dicomweb.client import Client
from dicomroute_gateway.dicomweb.faults import CredentialFault, TransportFailed

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


def asked(entra: TokenServer) -> dict[str, str]:
    """Return the form of the only request: nothing is looked up beside the token, there or elsewhere."""
    (one,) = entra.received
    assert (one.method, one.path) == ("POST", "/tenant/oauth2/v2.0/token")
    assert one.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert one.headers["User-Agent"] == "dicomroute", "not the platform, and not what the environment adds"
    return entra.forms[0]


def test_azure_with_a_secret(
    origin: Origin, entra: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "AZURE_AUTHORITY_HOST"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_HTTP_USER_AGENT"):
        monkeypatch.setenv(name, "of-somebody-else")
    write(tmp_path, "azure", secret="an-example: with +/% signs")
    assert store(tmp_path, at(origin, azure(entra, "AzureClientSecret", clientSecretFile="azure/secret"))) == 200
    assert asked(entra) == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": "an-example: with +/% signs",
        "scope": SCOPE,
    }


def certified(entra: TokenServer) -> dict[str, Any]:
    return azure(entra, "AzureClientCertificate", certificateFile="azure/tls.crt", keyFile="azure/tls.key")


def test_azure_with_a_certificate(origin: Origin, entra: TokenServer, authority: Authority, tmp_path: Path) -> None:
    certificate, key = (file.read_bytes() for file in authority.issue("client"))
    write(tmp_path, "azure", tls_crt=certificate, tls_key=key)
    assert store(tmp_path, at(origin, certified(entra))) == 200
    form = asked(entra)
    assertion = form.pop("client_assertion")
    assert form == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_assertion_type": ASSERTION,
        "scope": SCOPE,
    }
    own = x509.load_pem_x509_certificate(certificate)
    url = f"{entra.url}/tenant/oauth2/v2.0/token"
    claims = jwt.decode(assertion, own.public_key(), algorithms=["PS256"], audience=url)
    assert (claims["iss"], claims["sub"]) == ("client", "client")
    assert claims["jti"]
    assert 0 < claims["exp"] - time.time() <= 3600
    header = jwt.get_unverified_header(assertion)
    assert base64.urlsafe_b64decode(header["x5t#S256"].rstrip("=") + "=") == own.fingerprint(SHA256())


def test_a_certificate_or_a_key_that_is_none_says_which(
    origin: Origin, entra: TokenServer, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = (file.read_text() for file in authority.issue("client"))
    elliptic = ec.generate_private_key(ec.SECP256R1())
    pem = elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for crt, private, reason, shown in (
        ("PlantedMarker", key, "CertificateUnusable", "the key tls.crt of Secret azure"),
        ("PlantedMarker", "PlantedMarker", "CertificateUnusable", "the key tls.crt of Secret azure"),
        (certificate, "PlantedMarker", "CredentialInvalid", "the key tls.key of Secret azure"),
        (certificate, pem, "CredentialInvalid", "the key tls.key of Secret azure"),
    ):
        write(tmp_path, "azure", tls_crt=crt, tls_key=private)
        with pytest.raises(CredentialFault) as caught:
            store(tmp_path, at(origin, certified(entra)))
        assert caught.value.reason == reason
        assert shown in str(caught.value)
        assert "PlantedMarker" not in str(caught.value)
    assert entra.received == []


def test_azure_with_the_identity_of_the_pod(
    origin: Origin, entra: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = {"type": "AzureWorkloadIdentity", "clientID": "client", "scope": SCOPE}
    file = tmp_path / "azure-identity-token"

    def missing(shown: str) -> None:
        with pytest.raises(CredentialFault) as caught:
            store(tmp_path, at(origin, auth))
        assert caught.value.reason == "WorkloadIdentityMissing"
        assert shown in str(caught.value)

    missing("AZURE_TENANT_ID is not set")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    missing("AZURE_FEDERATED_TOKEN_FILE is not set")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "http://127.0.0.1:9")
    missing("AZURE_AUTHORITY_HOST")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{entra.url}/")
    missing("cannot be read")
    file.write_bytes(b"\xff")
    missing("cannot be read")
    assert entra.received == []
    monkeypatch.setenv("AZURE_CLIENT_ID", "of-somebody-else")
    file.write_text("the.federated.token")
    assert store(tmp_path, at(origin, auth)) == 200
    assert asked(entra) == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_assertion_type": ASSERTION,
        "client_assertion": "the.federated.token",
        "scope": SCOPE,
    }


def test_the_token_of_the_pod_is_read_anew_for_each_token_of_azure(
    origin: Origin, entra: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "azure-identity-token"
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    origin.wants = lambda request: request.headers["Authorization"] == "Bearer token-2"
    auth = azure(entra, "AzureWorkloadIdentity")

    def renewed(_: Received) -> Answer:
        file.write_text("the.second.token")  # the kubelet does, at any time
        return entra.grant()

    file.write_text("the.first.token")
    entra.play = renewed
    assert store(tmp_path, at(origin, auth)) == 200
    assert [one["client_assertion"] for one in entra.forms] == ["the.first.token", "the.second.token"]


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


GOOGLE = {"type": "GoogleServiceAccountKey", "keyFile": "google/key.json"}


def test_google_with_a_key(
    origin: Origin, endpoint: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    key, document = google_key(endpoint)
    write(tmp_path, "google", key_json=document)
    began = int(time.time())
    assert store(tmp_path, destination(origin.url, GOOGLE)) == 200
    (one,) = endpoint.received
    assert (one.method, one.path, one.headers["User-Agent"]) == ("POST", "/token", "dicomroute")
    (form,) = endpoint.forms
    assertion = form.pop("assertion")
    assert form == {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    url = "https://oauth2.googleapis.com/token"
    claims = jwt.decode(assertion, public, algorithms=["RS256"], audience=[url])
    assert began <= claims.pop("iat") <= time.time()
    assert began + 3600 <= claims.pop("exp") <= time.time() + 3600
    assert claims == {
        "iss": "gateway@project.example",
        "aud": url,
        "scope": "https://www.googleapis.com/auth/cloud-healthcare",
    }
    assert jwt.get_unverified_header(assertion)["kid"] == "the-key"


def test_a_gateway_does_not_wait_for_googles_endpoint_when_it_ends(
    origin: Origin, endpoint: TokenServer, tmp_path: Path
) -> None:
    write(tmp_path, "google", key_json=google_key(endpoint)[1])
    endpoint.gate.clear()

    async def act(client: Client) -> None:
        asking = asyncio.create_task(post(client, destination(origin.url, GOOGLE)))
        async with asyncio.timeout(30):
            while not endpoint.received:
                await asyncio.sleep(0.01)
        asking.cancel()

    began = time.monotonic()
    with_client(tmp_path, act)
    assert time.monotonic() - began < 20, "an exchange has 30 seconds"
    endpoint.gate.set()


def test_a_google_key_that_is_none_says_so_and_not_what_it_is(origin: Origin, tmp_path: Path) -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    pem = elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for content in (
        "PlantedMarker",
        "[]",
        '{"client_email": "a"}',
        '{"client_email": "a", "private_key": "PlantedMarker"}',
        '{"client_email": "a", "private_key": ["PlantedMarker"]}',
        '{"client_email": "a", "private_key": "b", "token_uri": "http://192.0.2.1/PlantedMarker"}',
        json.dumps({"client_email": "a", "private_key": pem}),
    ):
        write(tmp_path, "google", key_json=content)
        with pytest.raises(CredentialFault) as caught:
            store(tmp_path, destination(origin.url, GOOGLE))
        assert caught.value.reason == "CredentialInvalid"
        assert "PlantedMarker" not in str(caught.value)


ANSWERS = [
    (refusal("invalid_client", "AADSTS7000215: PlantedMarker"), "TokenRefused", "status 400, invalid_client, AADSTS70"),
    (refusal("PlantedMarker", status=401), "TokenRefused", "(status 401)"),
    (refusal("server_error", status=400), "TokenRefused", "server_error"),
    (Answer(404, b"<html>PlantedMarker"), "TokenRefused", "status 404"),
    (Answer(302, b"", headers=(("Location", "http://192.0.2.1/"),)), "TokenRefused", "redirects"),
    (Answer(500, b"PlantedMarker", headers=(("Retry-After", "1"),)), "TokenEndpointUnavailable", "500"),
    (Answer(429, headers=(("Retry-After", "1"),)), "TokenEndpointUnavailable", "429"),
    (Answer(200, b""), "TokenAnswerInvalid", "no access_token"),
    (Answer(200, b"[" * 60_000), "TokenAnswerInvalid", "no access_token"),
    (Answer(200, b'{"access_token": "PlantedMarker\\r\\nX: 1"}'), "TokenAnswerInvalid", "no access_token"),
    (Answer(200, b'{"access_token": "PlantedMarker", "token_type": "pop"}'), "TokenAnswerInvalid", "bearer"),
]


@pytest.mark.parametrize("cloud", ["azure", "google"])
def test_what_an_endpoint_answers_has_its_reason_and_is_neither_asked_again_nor_logged(
    origin: Origin, entra: TokenServer, endpoint: TokenServer, tmp_path: Path, cloud: str, caplog: Any
) -> None:
    """The libraries would try again after some of these, and warn of others in a log of their own."""
    caplog.set_level(logging.DEBUG)
    write(tmp_path, "azure", secret="PlantedMarker")
    write(tmp_path, "google", key_json=google_key(endpoint)[1])
    asked_of, auth = {
        "azure": (entra, azure(entra, "AzureClientSecret", clientSecretFile="azure/secret")),
        "google": (endpoint, GOOGLE),
    }[cloud]
    for answer, reason, shown in ANSWERS:
        asked_of.received.clear()
        asked_of.play = lambda _, answer=answer: answer
        with pytest.raises((CredentialFault, TransportFailed)) as caught:
            store(tmp_path, at(origin, auth))
        assert caught.value.reason == reason, answer
        assert shown in str(caught.value)
        assert "PlantedMarker" not in str(caught.value)
        assert len(asked_of.received) == 1, answer
    asked_of.play = None
    for lifetime in (None, "3600", "soon", -1, 0.1, 1e10, 1e99, True):
        asked_of.lifetime_seconds = lifetime
        asked_of.given.clear()
        assert store(tmp_path, at(origin, auth)) == 200, lifetime
    asked_of.close()
    with pytest.raises(TransportFailed) as lost:
        store(tmp_path, at(origin, auth))
    assert lost.value.reason == "TokenEndpointUnreachable"
    said = [one.getMessage() for one in caplog.records if not one.name.startswith("asyncio")]
    assert said == [], "the libraries say nothing, even where all is logged"


def test_an_authority_of_azure_that_nobody_named_is_not_trusted(
    origin: Origin, entra: TokenServer, tmp_path: Path
) -> None:
    write(tmp_path, "azure", secret="an-example")
    auth = azure(entra, "AzureClientSecret", clientSecretFile="azure/secret")
    with pytest.raises(TransportFailed) as caught:
        store(tmp_path, destination(origin.url, auth))
    assert caught.value.reason == "TLSUntrusted"


def test_no_library_of_a_cloud_is_loaded_before_its_type_is_used() -> None:
    libraries = {"azure.core", "azure.identity", "msal", "google.auth", "jwt", "botocore"}
    program = f"import sys, dicomroute_gateway.process.gateway; print({libraries} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


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
