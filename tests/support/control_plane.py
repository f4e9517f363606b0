"""A real kube-apiserver on a real etcd, without nodes: what judges manifests in a cluster."""

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ports import free_port
from processes import Process, wait_until

BUILD = Path(__file__).parents[1] / "cluster" / "build"
TOKEN = "the-tests-alone-use-this"


@dataclass(frozen=True)
class Answer:
    """What the API server said: a status code and its object."""

    code: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


class ControlPlane:
    """etcd and kube-apiserver on loopback ports."""

    def __init__(self, folder: Path) -> None:
        self.binaries = Path(subprocess.run([BUILD], check=True, capture_output=True, text=True).stdout.strip())
        self.folder = folder
        self._port = free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        etcd, etcd_peer = free_port(), free_port()
        (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        subprocess.run(["openssl", "genrsa", "-out", folder / "sa.key", "2048"], check=True, capture_output=True)
        self._etcd = Process(
            [
                self.binaries / "etcd",
                f"--data-dir={folder / 'etcd'}",
                "--unsafe-no-fsync",
                f"--listen-client-urls=http://127.0.0.1:{etcd}",
                f"--advertise-client-urls=http://127.0.0.1:{etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{etcd_peer}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{etcd_peer}",
                f"--initial-cluster=default=http://127.0.0.1:{etcd_peer}",
            ],
            folder / "etcd.log",
        )
        self._apiserver = Process(
            [
                self.binaries / "kube-apiserver",
                f"--etcd-servers=http://127.0.0.1:{etcd}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self._port}",
                f"--cert-dir={folder / 'certs'}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--allow-privileged=true",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder / 'sa.key'}",
                f"--service-account-signing-key-file={folder / 'sa.key'}",
                "--service-cluster-ip-range=203.0.113.0/24",
                "--disable-admission-plugins=ServiceAccount",
            ],
            folder / "apiserver.log",
        )
        self._tokens: dict[str, str] = {}
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._apiserver.wait_until(self._is_ready, "kube-apiserver is not ready", 120)

    def stop(self) -> None:
        self._apiserver.stop()
        self._etcd.stop()

    def kubectl(self, *words: str) -> str:
        """Return what kubectl prints."""
        command = [
            self.binaries / "kubectl",
            f"--server=https://127.0.0.1:{self._port}",
            "--insecure-skip-tls-verify",
            f"--token={TOKEN}",
            f"--cache-dir={self.folder / 'kubectl'}",
            *words,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def environment(self) -> dict[str, str]:
        """Return what makes a kubectl of others speak to it: its kubeconfig, and the kubectl on the PATH."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "tests",
                    "cluster": {"server": f"https://127.0.0.1:{self._port}", "insecure-skip-tls-verify": True},
                }
            ],
            "users": [{"name": "tests", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests", "namespace": "default"}}],
            "current-context": "tests",
        }
        file = self.folder / "kubeconfig"
        file.write_text(json.dumps(document))
        return {"KUBECONFIG": str(file), "PATH": f"{self.binaries}:{os.environ['PATH']}"}

    def install_crds(self, crds: list[dict[str, Any]]) -> None:
        """Create the CRDs and wait until they are served."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for crd in crds:
            answer = self.request("POST", path, crd)
            assert answer.code == 201, answer.message
            name = crd["metadata"]["name"]
            wait_until(lambda: self._is_established(f"{path}/{name}"), f"{name} is not established")  # noqa: B023
            plural = crd["spec"]["names"]["plural"]
            group = f"/apis/{crd['spec']['group']}/v1alpha1/namespaces/default/{plural}"
            wait_until(lambda: self.request("GET", group).code == 200, f"{name} is not served")  # noqa: B023

    def apply(self, document: dict[str, Any], plural: str, *, dry_run: bool = True) -> Answer:
        """Create an object as `kubectl apply` would: with unknown fields refused."""
        path = f"/apis/{document['apiVersion']}/namespaces/default/{plural}?fieldValidation=Strict"
        return self.request("POST", path + ("&dryRun=All" if dry_run else ""), document)

    def replace(self, document: dict[str, Any], plural: str) -> Answer:
        """Replace an object, without effect, to see whether the change would be allowed."""
        path = f"/apis/{document['apiVersion']}/namespaces/default/{plural}/{document['metadata']['name']}"
        return self.request("PUT", f"{path}?fieldValidation=Strict&dryRun=All", document)

    def request(
        self, method: str, path: str, document: dict[str, Any] | None = None, *, user: str = "", kind: str = "json"
    ) -> Answer:
        """Send a request, as the administrator or as another `user`; `kind` is that of the body."""
        token = self._tokens.get(user, TOKEN)
        somebody_else = {"Impersonate-User": user, "Impersonate-Group": "system:authenticated"}
        request = urllib.request.Request(
            f"https://127.0.0.1:{self._port}{path}",
            method=method,
            data=None if document is None else json.dumps(document).encode(),
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": f"application/{kind}",
                **(somebody_else if user and token == TOKEN else {}),
            },
        )
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=30) as response:
                return Answer(response.status, json.loads(response.read() or b"{}"))
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return Answer(error.code, json.loads(text))
            except ValueError:
                return Answer(error.code, {"message": text.decode(errors="replace")})

    def sign_in(self, namespace: str, account: str) -> None:
        """Create a service account; what is asked as this user is asked with a token of its own from here on."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        assert self.request("POST", path, {"metadata": {"name": account}}).code == 201
        answer = self.request("POST", f"{path}/{account}/token", {"spec": {"expirationSeconds": 3600}})
        assert answer.code == 201, answer.message
        self._tokens[f"system:serviceaccount:{namespace}:{account}"] = answer.body["status"]["token"]

    def _is_ready(self) -> bool:
        try:
            return self.request("GET", "/readyz").code in (200, 0)
        except ValueError:
            return True
        except OSError:
            return False

    def _is_established(self, path: str) -> bool:
        conditions = self.request("GET", path).body.get("status", {}).get("conditions") or []
        assert not [c for c in conditions if c["type"] == "NonStructuralSchema" and c["status"] == "True"], conditions
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
