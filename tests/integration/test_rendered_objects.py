"""A real API server takes what is rendered as it stands, and every file that the gateway is told of is mounted."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from control_plane import ControlPlane

GOLDEN = sorted(Path(__file__).parents[1].glob("golden/*/objects.yaml"))
PLURALS = {
    "ConfigMap": "configmaps",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "StatefulSet": "statefulsets",
}


def objects(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


@pytest.fixture(scope="module")
def namespace(control_plane: ControlPlane) -> str:
    """A namespace under the restricted Pod Security Standard, which warns of every pod that breaks it."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "radiology", "labels": labels}}
    assert control_plane.request("POST", "/api/v1/namespaces", document).code == 201
    return "radiology"


@pytest.mark.parametrize("file", GOLDEN, ids=lambda path: path.parent.name)
def test_a_real_api_server_takes_every_object(control_plane: ControlPlane, namespace: str, file: Path) -> None:
    for document in objects(file):
        group = "/api/v1" if document["apiVersion"] == "v1" else f"/apis/{document['apiVersion']}"
        path = f"{group}/namespaces/{namespace}/{PLURALS[document['kind']]}?dryRun=All&fieldValidation=Strict"
        answer = control_plane.request("POST", path, document)
        assert answer.code == 201, f"{document['kind']}: {answer.message}"


@pytest.mark.parametrize("file", GOLDEN, ids=lambda path: path.parent.name)
def test_the_pods_keep_the_restricted_pod_security_standard(
    control_plane: ControlPlane, namespace: str, file: Path
) -> None:
    (stateful_set,) = [one for one in objects(file) if one["kind"] == "StatefulSet"]
    template = stateful_set["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "pod"},
        # The classes and the claim are another's business; what is judged is what the pod may do.
        "spec": {key: value for key, value in template["spec"].items() if not key.endswith("ClassName")},
    }
    pod["spec"]["volumes"] = [*pod["spec"]["volumes"], {"name": "spool", "emptyDir": {}}]
    answer = control_plane.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    assert answer.code == 201, answer.message
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = control_plane.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    assert refused.code == 403, "the standard is enforced here"


@pytest.mark.parametrize("file", GOLDEN, ids=lambda path: path.parent.name)
def test_every_file_that_the_gateway_is_told_of_is_mounted(file: Path) -> None:
    found = {one["kind"]: one for one in objects(file)}
    spec = found["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    contents = {
        "configuration": set(found["ConfigMap"]["data"]),
        "admin": set(found["Secret"]["data"]),
    }
    for argument in container["args"]:
        _, _, value = argument.partition("=")
        if not value.startswith("/"):
            continue
        path = Path(value)
        folder = next(one for one in (path, *path.parents) if str(one) in mounts)
        if mounts[str(folder)] in contents:
            assert path.name in contents[mounts[str(folder)]], argument
