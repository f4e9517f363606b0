"""The console in a cluster: everybody sees and does there what the API server's RBAC lets them, and nothing more.

A real API server; the gateway is that of `dicomroute run`, at an address that a Pod object has.
"""

import base64
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from console import Answer, ask, audit_lines, chromium, watch
from control_plane import ControlPlane
from corpus import FILES
from manifests import Json
from playwright.sync_api import expect
from processes import Process, wait_until
from routes import local_node, local_route, to
from running import Running, storescu

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

    def __init__(self, plane: ControlPlane, folder: Path, root: Path) -> None:
        self.plane = plane
        self._created: list[str] = []
        address = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.7"
        self.address = address
        documents = [local_node(), to(NOWHERE), local_route(rules=ONLY_CT)]
        options = ["--admin-bind", address, "--admin-port", "8443"]
        self.running = Running(folder, documents, options=options)
        assert storescu(self.running.port, [FILES / "CT_small.dcm", FILES / "MR_small.dcm"]) == 0
        self.running.wait_for(owed=2)
        self._objects(documents)
        rules = console_rules(root)
        self.tokens = {
            "viewer": self._person("default", "viewer", VIEW),
            "operator": self._person("default", "operator", [*VIEW, *SECRETS, *rules]),
            "careful": self._person("default", "careful", [*VIEW, *SECRETS, *_without(rules, "delete")]),
            "stranger": self._person("other", "stranger", VIEW),
        }
        authorities = folder / "authorities.crt"
        authorities.write_text((plane.folder / "certs" / "apiserver.crt").read_text())
        command = [sys.executable, "-m", "dicomroute_console", f"--kubernetes={plane.url}", "--port=0"]
        self.log = folder / "console.log"
        self.console = Process([*command, f"--authorities={authorities}"], self.log)
        self.console.wait_until(lambda: self.log.read_text().startswith("127.0.0.1 "), "the console does not listen")
        self.url = f"http://127.0.0.1:{self.log.read_text().splitlines()[0].split()[1]}"

    def stop(self) -> None:
        self.console.stop()
        self.running.stop()
        for path in reversed(self._created):  # others have the same API server
            assert self.plane.request("DELETE", path).code in (200, 202, 404), path

    def ask(self, who: str, path: str, **options: Any) -> Answer:
        return ask(self.url, path, Authorization=f"Bearer {self.tokens.get(who, who)}", **options)

    def _objects(self, documents: list[Json]) -> None:
        state = self.running.state / self.running.route
        data = {"token": state / "admin-token", "tls.crt": state / "admin-tls.crt"}
        encoded = {name: base64.b64encode(file.read_text().strip().encode()).decode() for name, file in data.items()}
        self._create("/api/v1", "secrets", {"metadata": {"name": "ct-to-cloud-gw-admin"}, "data": encoded})
        pod = {
            "metadata": {"name": "ct-to-cloud-gw-0", "labels": {"dicomroute.dev/route": "ct-to-cloud"}},
            "spec": {"containers": [{"name": "gateway", "image": "none"}]},
        }
        self._create("/api/v1", "pods", pod)
        path = "/api/v1/namespaces/default/pods/ct-to-cloud-gw-0/status"
        status = {"status": {"phase": "Running", "podIP": self.address, "podIPs": [{"ip": self.address}]}}
        answer = self.plane.request("PATCH", path, status, kind="merge-patch+json")
        assert answer.code == 200, answer.message
        api = "/apis/dicomroute.dev/v1alpha1"
        for document in documents:
            self._create(api, f"{document['kind'].lower()}s", document)
        condition = {
            "type": "Ready",
            "status": "False",
            "reason": "Starting",
            "message": "<b>it starts</b>",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }
        answer = self.plane.request(
            "PATCH",
            f"{api}/namespaces/default/dicomroutes/ct-to-cloud/status",
            {"status": {"conditions": [condition]}},
            kind="merge-patch+json",
        )
        assert answer.code == 200, answer.message

    def _create(self, api: str, plural: str, document: Json, namespace: str = "default") -> None:
        path = f"{api}/namespaces/{namespace}/{plural}"
        answer = self.plane.request("POST", path, document)
        assert answer.code == 201, answer.message
        self._created.append(f"{path}/{document['metadata']['name']}")

    def _person(self, namespace: str, name: str, rules: list[Json]) -> str:
        if namespace != "default":
            self.plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self._create("/api/v1", "serviceaccounts", {"metadata": {"name": name}}, namespace)
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        self._create(rbac, "roles", {"metadata": {"name": name}, "rules": rules}, namespace)
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
        self._create(rbac, "rolebindings", binding, namespace)
        return self.token(accounts, name)

    def token(self, accounts: str, name: str, **spec: Any) -> str:
        answer = self.plane.request("POST", f"{accounts}/{name}/token", {"spec": {"expirationSeconds": 3600, **spec}})
        assert answer.code == 201, answer.message
        return str(answer.body["status"]["token"])


def _without(rules: list[Json], verb: str) -> list[Json]:
    return [{**one, "verbs": [each for each in one["verbs"] if each != verb]} for one in rules]


@pytest.fixture(scope="module")
def there(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[InCluster]:
    found = InCluster(control_plane, tmp_path_factory.mktemp("console-cluster"), root)
    yield found
    found.stop()


def test_a_viewer_sees_the_status_of_his_namespace_and_no_queue(there: InCluster) -> None:
    listed = there.ask("viewer", "/")
    assert listed.code == 200
    assert "default/ct-to-cloud" in listed.text
    assert "&lt;b&gt;it starts&lt;/b&gt;" in listed.text, "what a condition says is text"
    shown = there.ask("viewer", ROUTE)
    assert (shown.code, "so its gateways are not asked" in shown.text) == (200, True)
    for path in (f"{ROUTE}/queue", f"{ROUTE}/refused", f"{ROUTE}/queue/drop"):
        refused = there.ask("viewer", path)
        assert (path, refused.code) == (path, 403)
        assert "has not the right to" in refused.text
    assert "Not asked" in there.ask("viewer", "/studies?calling=CT1").text
    assert there.ask("viewer", "/targets/default/archive/test", form={}).code == 403
    assert "/nodes/default/ct-1" in there.ask("viewer", "/nodes").text


def test_who_has_rights_in_another_namespace_sees_nothing_of_this_one(there: InCluster) -> None:
    assert "You cannot see any route" in there.ask("stranger", "/").text
    for path in (ROUTE, f"{ROUTE}/queue", "/targets/default/archive"):
        assert there.ask("stranger", path).code == 403
    assert there.ask("stranger", "/studies?calling=CT1").text.count("None of the gateways that you may ask") == 1


def test_each_decision_has_a_right_of_its_own_and_a_line_that_says_who(there: InCluster) -> None:
    assert "Unmatched" in there.ask("careful", f"{ROUTE}/queue").text
    assert "/queue/drop" not in there.ask("careful", f"{ROUTE}/queue").text, "no button that does nothing"
    refused = there.ask("careful", f"{ROUTE}/queue/drop?state=Held", form={"why": "x"})
    assert refused.code == 403
    dropped = there.ask("operator", f"{ROUTE}/queue/drop?state=Held", form={"why": "sent by mistake"})
    assert (dropped.code, "1 dropped" in dropped.text) == (200, True)
    there.running.wait_for(owed=1, discardedTotal=1)
    who = "system:serviceaccount:default:operator"
    (changed_,) = [
        json.loads(line) for line in there.running.process.output.read_text().splitlines() if '"queue.changed"' in line
    ]
    assert changed_["by"] == who, "the gateway knows the person too"
    lines = audit_lines(there.log)
    assert {(one["event"], one["by"].rpartition(":")[2]) for one in lines} >= {
        ("console.refused", "careful"),
        ("console.done", "operator"),
    }
    assert [one["why"] for one in lines if one.get("by") == who] == ["sent by mistake"]


def test_tokens_that_are_none_open_nothing(there: InCluster) -> None:
    other = there.token("/api/v1/namespaces/default/serviceaccounts", "operator", audiences=["another"])
    header, payload, _ = there.tokens["operator"].split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for token in (other, f"{none}.{payload}.", f"{header}.{payload}.AAAA", "x", "ünknown"):
        answer = ask(there.url, "/", Authorization=f"Bearer {token}".encode().decode("latin-1"))
        assert answer.code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_gateway_that_is_another_is_not_told_the_credential(there: InCluster) -> None:
    """Somebody else listens where the pod was: its certificate is not the one of the Secret."""
    path = "/api/v1/namespaces/default/secrets/ct-to-cloud-gw-admin"
    before = there.plane.request("GET", path).body["data"]
    from dicomroute_operator.gateways.credential import admin_credential

    another = base64.b64encode(admin_credential("another", b"k" * 32).certificate.encode()).decode()
    try:
        there.plane.request("PATCH", path, {"data": {"tls.crt": another}}, kind="merge-patch+json")
        shown = there.ask("operator", ROUTE)
        assert "it shows another certificate than the one made for it" in shown.text
    finally:
        there.plane.request("PATCH", path, {"data": before}, kind="merge-patch+json")


def test_people_sign_in_with_a_token_and_are_who_the_cluster_says(there: InCluster) -> None:
    with chromium() as browser:
        url = there.url.replace("127.0.0.1", "localhost")
        context, watched = watch(browser, url)
        watched.sign_in(there.tokens["operator"])
        expect(watched.page.get_by_text("system:serviceaccount:default:operator")).to_be_visible()
        watched.page.get_by_role("link", name="default/ct-to-cloud").click()
        expect(watched.page.get_by_role("region", name="Conditions")).to_contain_text("Starting")
        expect(watched.page.get_by_role("region", name="Destinations")).to_contain_text("CloudTarget/archive")
        (cookie,) = context.cookies()
        assert cookie["name"] == "__Host-dicomroute-console"
        assert cookie["secure"]
        assert there.tokens["operator"] not in str(context.storage_state())
        assert watched.complaints == []
        context.close()


def test_a_cluster_that_does_not_answer_is_said(tmp_path: Path, there: InCluster) -> None:
    log = tmp_path / "console.log"
    authorities = there.running.folder / "authorities.crt"
    command = [sys.executable, "-m", "dicomroute_console", "--kubernetes=https://127.0.0.1:9", "--port=0"]
    lonely = Process([*command, f"--authorities={authorities}"], log)
    try:
        lonely.wait_until(lambda: log.read_text().startswith("127.0.0.1 "), "the console does not listen")
        url = f"http://127.0.0.1:{log.read_text().split()[1]}"
        answer = ask(url, "/", Authorization="Bearer x")
        assert answer.code == 502
        assert "the API server does not answer" in answer.text
        assert ask(url, "/healthz").code == 200
    finally:
        lonely.stop()


def test_a_right_that_is_taken_away_is_gone_within_half_a_minute(there: InCluster) -> None:
    """The last test of this file: afterwards the operator has no right."""
    assert there.ask("operator", f"{ROUTE}/queue/drop").code == 200
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/operator"
    assert there.plane.request("DELETE", path).code == 200
    assert there.ask("operator", ROUTE).code == 403, "what the API server itself is asked is gone at once"
    gone = "does not have the right to delete dicomroutes/queue"
    wait_until(lambda: gone in there.ask("operator", f"{ROUTE}/queue/drop").text, "the right is still there", 32)
