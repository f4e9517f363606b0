"""An archive behind OAuth 2.0 in a cluster: a rotated client secret waits for its Secret, and for nothing else."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from certificates import Authority
from corpus import make_corpus
from manifests import Json, target
from modality import start_sending
from orthanc import Orthanc
from reverse_proxy import ReverseProxy

from cluster import NODE_ADDRESS, Namespace
from keycloak import STORING, Keycloak

OLD, NEW = "an-example-of-a-secret", "another-example-of-a-secret"
HOST = "archive.hospital.example"


@pytest.fixture
def keycloak(tmp_path: Path) -> Iterator[Keycloak]:
    """A Keycloak outside of the cluster's pods, reachable from them."""
    one = Keycloak(tmp_path / "keycloak", host=NODE_ADDRESS, names=(HOST,))
    yield one
    one.stop()


def client_secret(value: str) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "client"}, "stringData": {"secret": value}}


def last_reason(namespace: Namespace) -> str:
    """Return the last fault of the one destination, as the route's status has it."""
    (one,) = namespace.route()["status"].get("destinations", []) or [{}]
    return str((one.get("lastError") or {}).get("reason", ""))


@pytest.mark.timeout(600)
def test_a_client_secret_is_rotated(
    namespace: Namespace,
    archive: Orthanc,
    keycloak: Keycloak,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path / "hospital", "hospital")
    client = keycloak.client(OLD)
    bundle = {"ca.crt": authority.pem + keycloak.authority.pem}
    auth = {
        "type": "OAuth2ClientCredentials",
        "oauth2ClientCredentials": {
            "tokenURL": keycloak.token_url,
            "clientID": client.name,
            "clientSecretRef": {"name": "client", "key": "secret"},
            "scopes": [STORING],
        },
    }
    tls = {"caBundleRef": {"kind": "ConfigMap", "name": "authorities", "key": "ca.crt"}}
    with closing(ReverseProxy(archive.url, keycloak, authority, host=NODE_ADDRESS, names=(HOST,))) as front:
        namespace.apply(
            ct,
            target(url=front.url, auth=auth, tls=tls),
            client_secret(OLD),
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authorities"}, "data": bundle},
            small_route(),
        )
        namespace.wait_ready()
        before = namespace.pod()
        files = make_corpus(tmp_path / "study", 45, ("CT_small.dcm",))
        sending = start_sending(namespace.endpoint(), files, pause=1)  # one association all the while
        namespace.wait(lambda: archive.count() > 0, "nothing is delivered")
        client.rotate(NEW)
        namespace.wait(lambda: last_reason(namespace) == "TokenRefused", "the old secret is not refused")
        assert namespace.condition("Ready")["status"] == "True"
        namespace.apply(client_secret(NEW))
        assert [one.get("status") for one in sending.answers()] == [0] * len(files)
        namespace.wait_instances(owed=0, deadLettered=0, deliveredTotal=len(files), seconds=120)
        assert archive.count() == len(files)
        after = namespace.pod()
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["status"]["containerStatuses"][0]["restartCount"] == 0
        log = namespace.kubectl("logs", "ct-to-cloud-gw-0")
        for hidden in (OLD, NEW, *(token.rpartition(".")[2] for token in front.tokens())):
            assert hidden not in log
