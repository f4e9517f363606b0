"""The console in front of a real API server; the gateway is that of `dicomroute run`, at an address that a Pod has."""

import base64
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from console import Answer, ask
from control_plane import ControlPlane
from corpus import FILES
from manifests import Json
from processes import Process
from routes import local_node, local_route, to
from running import Running, storescu

from dicomroute_operator.gateways.credential import admin_credential, fingerprint

API = "/apis/dicomroute.dev/v1alpha1"
NOWHERE = "http://127.0.0.1:9/dicom-web"
ROUTE = "/routes/default/ct-to-cloud"
ONLY_CT = [
    {"name": "ct", "when": 'instance.Modality == "CT"', "destinations": [{"kind": "CloudTarget", "name": "archive"}]}
]
READ = {"apiGroups": ["dicomroute.dev"], "resources": ["dicomroutes", "dicomnodes", "cloudtargets"]}
VIEW = [{**READ, "verbs": ["get", "list"]}, {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
SECRETS = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]


def console_rules(root: Path) -> list[Json]:
    """Return what the chart lets the cluster's roles edit and admin do in the console."""
    documents = yaml.safe_load_all((root / "tests" / "golden" / "chart" / "console.yaml").read_text())
    (role,) = [
        one
        for one in documents
        if one and one["kind"] == "ClusterRole" and one["metadata"]["name"] == "dicomroute-console"
    ]
    return list(role["rules"])


class InCluster:
    """The objects of a route and its gateway, people with their rights, and the console."""

    def __init__(self, plane: ControlPlane, folder: Path, root: Path, options: Sequence[str] = ()) -> None:
        """`options` are for the console; with the file console-key in the folder it can ask the gateway by that."""
        self.plane = plane
        self._created: list[str] = []
        address = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.7"
        self.address = address
        documents = [local_node(), to(NOWHERE), local_route(rules=ONLY_CT)]
        self.uid = self._resources(documents)
        (folder / "admin-key").write_bytes(b"k" * 32)
        console = [sys.executable, "-m", "dicomroute_console"]
        made = ["--derive-key", str(folder / "admin-key"), str(folder / "console-key")]
        subprocess.run([*console, *made], check=True, timeout=60)
        credential = admin_credential(self.uid, b"k" * 32)
        state = folder / "state" / "default" / "ct-to-cloud"
        state.mkdir(parents=True, mode=0o700)
        for name, text in (
            ("admin-token", credential.token),
            ("admin-tls.crt", credential.certificate),
            ("admin-tls.key", credential.key),
            ("console-key", credential.console_key),
        ):
            (state / name).write_text(text)
            (state / name).chmod(0o600)
        binding = ["--admin-bind", address, "--admin-port", "8443"]
        self.running = Running(folder, documents, options=binding)
        assert storescu(self.running.port, [FILES / "CT_small.dcm", FILES / "MR_small.dcm"]) == 0
        self.running.wait_for(owed=2)
        self._objects()
        rules = console_rules(root)
        self.tokens = {
            "viewer": self.person("default", "viewer", VIEW),
            "operator": self.person("default", "operator", [*VIEW, *SECRETS, *rules]),
            "careful": self.person("default", "careful", [*VIEW, *SECRETS, *without(rules, "delete")]),
            "stranger": self.person("other", "stranger", VIEW),
        }
        authorities = folder / "authorities.crt"
        authorities.write_text((plane.folder / "certs" / "apiserver.crt").read_text())
        command = [sys.executable, "-m", "dicomroute_console", f"--kubernetes={plane.url}", "--port=0"]
        self.log = folder / "console.log"
        self.console = Process([*command, f"--authorities={authorities}", *options], self.log)
        self.console.wait_until(lambda: self.log.read_text().startswith("127.0.0.1 "), "the console does not listen")
        self.url = f"http://127.0.0.1:{self.log.read_text().splitlines()[0].split()[1]}"

    def stop(self) -> None:
        """End both, and leave the API server as it was."""
        self.console.stop()
        self.running.stop()
        for path in reversed(self._created):
            assert self.plane.request("DELETE", path, {"gracePeriodSeconds": 0}).code in (200, 202, 404)

    def ask(self, who: str, path: str, **options: Any) -> Answer:
        return ask(self.url, path, Authorization=f"Bearer {self.tokens.get(who, who)}", **options)

    def _resources(self, documents: list[Json]) -> str:
        """Apply our kinds, as GitOps does; return the UID of the route."""
        for document in documents:
            where = f"{API}/namespaces/default/{document['kind'].lower()}s/{document['metadata']['name']}"
            answer = self.plane.request("PATCH", f"{where}?fieldManager=git", document, kind="apply-patch+yaml")
            assert answer.code == 201, answer.message
            self._created.append(where)
        path = f"{API}/namespaces/default/dicomroutes/ct-to-cloud"
        return str(self.plane.request("GET", path).body["metadata"]["uid"])

    def _objects(self) -> None:
        state = self.running.state / self.running.route
        data = {"token": state / "admin-token", "tls.crt": state / "admin-tls.crt"}
        encoded = {name: base64.b64encode(file.read_text().strip().encode()).decode() for name, file in data.items()}
        self.create("/api/v1", "secrets", {"metadata": {"name": "ct-to-cloud-gw-admin"}, "data": encoded})
        pod = {
            "metadata": {"name": "ct-to-cloud-gw-0", "labels": {"dicomroute.dev/route": "ct-to-cloud"}},
            "spec": {"containers": [{"name": "gateway", "image": "none"}]},
        }
        self.create("/api/v1", "pods", pod)
        path = "/api/v1/namespaces/default/pods/ct-to-cloud-gw-0/status"
        status = {"status": {"phase": "Running", "podIP": self.address, "podIPs": [{"ip": self.address}]}}
        answer = self.plane.request("PATCH", path, status, kind="merge-patch+json")
        assert answer.code == 200, answer.message
        condition = {
            "type": "Ready",
            "status": "False",
            "reason": "Starting",
            "message": "<b>it starts</b>",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }
        shown = fingerprint(data["tls.crt"].read_text()).hex()
        answer = self.plane.request(
            "PATCH",
            f"{API}/namespaces/default/dicomroutes/ct-to-cloud/status",
            {"status": {"conditions": [condition], "adminCertificateSHA256": shown}},
            kind="merge-patch+json",
        )
        assert answer.code == 200, answer.message

    def create(self, api: str, plural: str, document: Json, namespace: str = "default") -> None:
        answer = self.plane.request("POST", f"{api}/namespaces/{namespace}/{plural}", document)
        assert answer.code == 201, answer.message
        self._created.append(f"{api}/namespaces/{namespace}/{plural}/{document['metadata']['name']}")

    def person(self, namespace: str, name: str, rules: list[Json]) -> str:
        if namespace != "default":
            self.plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.create("/api/v1", "serviceaccounts", {"metadata": {"name": name}}, namespace)
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        self.create(rbac, "roles", {"metadata": {"name": name}, "rules": rules}, namespace)
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
        self.create(rbac, "rolebindings", binding, namespace)
        return self.token(accounts, name)

    def token(self, accounts: str, name: str, **spec: Any) -> str:
        answer = self.plane.request("POST", f"{accounts}/{name}/token", {"spec": {"expirationSeconds": 3600, **spec}})
        assert answer.code == 201, answer.message
        return str(answer.body["status"]["token"])


def without(rules: list[Json], verb: str) -> list[Json]:
    return [{**one, "verbs": [each for each in one["verbs"] if each != verb]} for one in rules]
