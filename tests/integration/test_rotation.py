"""A credential, an authority or a client certificate that changes is in use within seconds; nothing stops for it."""

import base64
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pydicom
from certificates import Authority
from corpus import FILES
from gateways import LoneGateway
from manifests import target
from origin import Origin
from processes import wait_until
from pynetdicom import AE
from routes import local_node, local_route
from running import Running, storescu
from token_server import TokenServer, form_of
from web_proxy import WebProxy
from web_server import Answer, Received

CT, MR = FILES / "CT_small.dcm", FILES / "MR_small.dcm"
MARKER = "PlantedMarker"
SECONDS = 5


def secret(name: str, **values: str) -> dict[str, Any]:
    data = {key.replace("_", "."): value for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def config_map(name: str, **values: str) -> dict[str, Any]:
    data = {key.replace("_", "."): value for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def ref(name: str, key: str) -> dict[str, str]:
    return {"name": name, "key": key}


def in_time(condition: Callable[[], bool], what: str, running: Running) -> None:
    """Wait for SECONDS and what `dicomroute run` takes to see that manifests have changed (the kubelet's part)."""
    began = time.monotonic()
    wait_until(condition, lambda: f"{what}\n{running.process.tail()}", SECONDS + 3)
    assert time.monotonic() - began < SECONDS + 3


def reason(running: Running) -> str:
    (one,) = running.status()["destinations"]
    return str((one["lastError"] or {}).get("reason", ""))


def test_a_rotated_secret_is_used_while_associations_stand(run: Callable[..., Running]) -> None:
    with closing(TokenServer()) as endpoint, closing(Origin()) as origin:
        endpoint.play = lambda got: (
            endpoint.grant() if form_of(got).get("client_secret") == "second" else Answer(401, b"{}")
        )
        auth = {
            "type": "OAuth2ClientCredentials",
            "oauth2ClientCredentials": {
                "tokenURL": f"{endpoint.url}/token",
                "clientID": "gateway",
                "clientSecretRef": ref("vendor", "client-secret"),
                "clientAuthentication": "Post",
            },
        }
        vendor = secret("vendor")
        vendor["stringData"] = {"client-secret": "first"}
        retry = {"initialBackoffSeconds": 60, "maxBackoffSeconds": 300, "contentAttempts": 2}
        running = run(local_node(), target(url=origin.url, auth=auth), local_route(retry=retry), vendor)
        pid = running.gateway_pid
        modality = AE("CT1")
        for one in (CT, MR):
            data_set = pydicom.dcmread(one)
            modality.add_requested_context(data_set.SOPClassUID, data_set.file_meta.TransferSyntaxUID)
        association = modality.associate("127.0.0.1", running.port, ae_title="CTGATE")
        assert association.send_c_store(pydicom.dcmread(CT)).Status == 0
        wait_until(lambda: reason(running) == "TokenRefused", running.process.tail)
        assert origin.received == []
        vendor["stringData"] = {"client-secret": "second"}
        running.write([vendor])
        in_time(lambda: bool(origin.received), "the second secret is not in use", running)
        assert origin.received[0].headers["Authorization"] == "Bearer token-1"
        assert association.send_c_store(pydicom.dcmread(MR)).Status == 0, "the association stands"
        association.release()
        assert running.gateway_pid == pid


def test_a_rotated_authority_and_client_certificate_are_used(run: Callable[..., Running], tmp_path: Path) -> None:
    first, second = Authority(tmp_path / "a", "first"), Authority(tmp_path / "b", "second")
    certificate, key = first.issue("gateway", days=9)
    tls = {
        "caBundleRef": {"kind": "ConfigMap", **ref("authorities", "ca.crt")},
        "clientCertificateRef": {"name": "own"},
    }
    with closing(Origin(tls=second.server(clients=second))) as origin:
        running = run(
            local_node(),
            target(url=origin.url, tls=tls),
            local_route(retry={"initialBackoffSeconds": 60, "maxBackoffSeconds": 300, "contentAttempts": 2}),
            config_map("authorities", ca_crt=first.pem),
            secret("own", tls_crt=certificate.read_text(), tls_key=key.read_text()),
        )
        (one,) = running.status()["destinations"]
        ends = datetime.fromisoformat(one["credentialExpiresTime"])
        assert abs(ends - datetime.now(UTC) - timedelta(days=9)) < timedelta(minutes=5)
        assert storescu(running.port, [CT]) == 0
        wait_until(lambda: reason(running) == "TLSUntrusted", running.process.tail)
        running.write([config_map("authorities", ca_crt=second.pem)])
        in_time(lambda: reason(running) == "TLSClientCertificateRequired", "the authority is not in use", running)
        certificate, key = second.issue("gateway", days=20)
        running.write([secret("own", tls_crt=certificate.read_text(), tls_key=key.read_text())])
        in_time(lambda: bool(origin.received), "the client certificate is not in use", running)
        (one,) = running.status()["destinations"]
        ends = datetime.fromisoformat(one["credentialExpiresTime"])
        assert abs(ends - datetime.now(UTC) - timedelta(days=20)) < timedelta(minutes=5)


def test_a_config_map_that_is_missing_is_named(run: Callable[..., Running], tmp_path: Path) -> None:
    tls = {"caBundleRef": {"kind": "ConfigMap", **ref("authorities", "ca.crt")}}
    running = run(local_node(), target(url="https://127.0.0.1:9", tls=tls), local_route(), wait=False)
    assert running.process.wait() == 2
    assert "ConfigMapNotFound: CloudTarget archive needs the ConfigMap authorities" in running.process.tail()


def test_no_secret_is_in_anything_that_a_gateway_says(
    lone: Callable[..., LoneGateway], tmp_path: Path, monkeypatch: Any
) -> None:
    """Every kind of credential, planted and refused, with all the log there is."""
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("gateway")
    token = jwt.encode({"exp": int(time.time()) + 86400, "sub": MARKER}, MARKER * 4, algorithm="HS256")
    text = {
        "password": f"{MARKER}1",
        "token": token,
        "client-secret": f"{MARKER}2",
        "key.json": json.dumps({"x": f"{MARKER}3"}),
    }
    environment = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "federated"),
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "federated"),
        "AZURE_TENANT_ID": "tenant",
    }
    (tmp_path / "federated").write_text(f"{MARKER}4")

    def echo(got: Received) -> Answer:
        """What a bad endpoint does: it says everything back that it was told."""
        told = got.body.decode() + "".join(got.headers.values())
        return Answer(400, b'{"error": "%s", "error_description": "%s"}' % ((told.encode(),) * 2))

    with (
        closing(TokenServer()) as endpoint,
        closing(TokenServer(authority.server(), "localhost")) as entra,
        closing(WebProxy("gateway", "another")) as proxy,
        closing(Origin(lambda _: False, authority.server())) as origin,
    ):
        endpoint.play = entra.play = echo
        environment |= {"AWS_ENDPOINT_URL_STS": endpoint.url, "AZURE_AUTHORITY_HOST": entra.url}
        azure = {"tenantID": "tenant", "clientID": "client", "authorityHost": entra.url}
        secret_ref = ref("marked", "client-secret")
        auths: dict[str, dict[str, Any]] = {
            "basic": {
                "type": "Basic",
                "basic": {"username": "gateway", "passwordSecretRef": ref("marked", "password")},
            },
            "bearer": {"type": "Bearer", "bearer": {"tokenSecretRef": ref("marked", "token")}},
            **{
                f"oauth2-{style.lower()}": {
                    "type": "OAuth2ClientCredentials",
                    "oauth2ClientCredentials": {
                        "tokenURL": endpoint.url,
                        "clientID": "gateway",
                        "clientSecretRef": secret_ref,
                        "clientAuthentication": style,
                    },
                }
                for style in ("Basic", "Post")
            },
            "secret": {"type": "AzureClientSecret", "azureClientSecret": {**azure, "clientSecretRef": secret_ref}},
            "certificate": {
                "type": "AzureClientCertificate",
                "azureClientCertificate": {**azure, "certificateSecretRef": {"name": "own"}},
            },
            "workload": {"type": "AzureWorkloadIdentity", "azureWorkloadIdentity": {"clientID": "client"}},
            "google": {
                "type": "GoogleServiceAccountKey",
                "googleServiceAccountKey": {"keySecretRef": ref("marked", "key.json")},
            },
            "aws": {
                "type": "AWSWebIdentity",
                "awsWebIdentity": {"region": "eu-central-1", "roleARN": "arn:aws:iam::000000000000:role/gateway"},
            },
        }
        tls = {
            "caBundleRef": {"kind": "Secret", **ref("own", "ca.crt")},
            "clientCertificateRef": {"name": "own"},
        }
        own = secret("own", ca_crt=authority.pem, tls_crt=certificate.read_text(), tls_key=key.read_text())
        marked = {**secret("marked"), "stringData": text}
        targets = [_named(name, target(url=origin.url, auth=auth, tls=tls)) for name, auth in auths.items()]
        way = {"url": proxy.url, "basic": {"username": "gateway", "passwordSecretRef": ref("marked", "password")}}
        targets.append(_named("proxy", target(url=origin.url, proxy=way)))
        rules = [
            {
                "name": "all",
                "destinations": [{"kind": "CloudTarget", "name": one["metadata"]["name"]} for one in targets],
            }
        ]
        folder = tmp_path / "gateway"
        for document in (own, marked):
            mounted = folder / "secrets" / document["metadata"]["name"]
            mounted.mkdir(parents=True)
            for name, value in document["stringData"].items():
                (mounted / name).write_text(value)
        gateway = lone(
            folder, [local_node(), *targets, local_route(rules=rules), own, marked], env=environment, log_level="debug"
        )
        assert storescu(gateway.port, [CT]) == 0

        def all_failed() -> bool:
            return all(one["lastError"] for one in gateway.status()["destinations"])

        gateway.process.wait_until(all_failed, "some credential was not refused")
        said = [
            gateway.process.output.read_text(),
            str(gateway.status()),
            gateway.metrics(),
            gateway.text("/api/v1/queue"),
            (folder / "spool" / "configuration.json").read_text(),
        ]
        found = {one["name"]: one["lastError"]["reason"] for one in gateway.status()["destinations"]}
    assert found == {
        "basic": "Unauthorized",
        "bearer": "Unauthorized",
        "oauth2-basic": "TokenRefused",
        "oauth2-post": "TokenRefused",
        "secret": "TokenRefused",
        "certificate": "TokenRefused",
        "workload": "TokenRefused",
        "google": "CredentialInvalid",
        "aws": "TokenRefused",
        "proxy": "ProxyAuthenticationRequired",
    }
    coded = [base64.b64encode(f"gateway:{MARKER}{number}".encode()).decode() for number in (1, 2)]
    keys = [line for line in key.read_text().splitlines() if len(line) > 60]
    for hidden in (MARKER, token, *coded, *keys, "PRIVATE KEY"):
        assert not any(hidden in one for one in said), hidden
    assert os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") is None


def _named(name: str, document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "metadata": {"name": name}}
