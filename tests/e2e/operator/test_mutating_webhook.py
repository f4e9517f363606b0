"""A webhook that rewrites what is applied: nothing is written again and again, and a roll-out reaches every route."""

import base64
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from audit import audited, is_quiet, written_since
from certificates import Authority
from manifests import Json, changed
from processes import wait_until

from cluster import NODE_ADDRESS, STATE, Cluster, Namespace, built_images, install

ROUTES = ("a-first", "b-second")


class _Webhook(BaseHTTPRequestHandler):
    """Gives the images of StatefulSets another name, and adds a toleration."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        spec = review["request"]["object"]["spec"]["template"]["spec"]
        image = spec["containers"][0]["image"]
        patch = [
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": mirrored(image)},
            {
                "op": "add",
                "path": "/spec/template/spec/tolerations",
                "value": [{"key": "theirs", "operator": "Exists", "effect": "NoSchedule"}],
            },
        ]
        answer = {
            "uid": review["request"]["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def mirrored(image: str) -> str:
    return image if image.endswith("-mirrored") else f"{image}-mirrored"


def tag(image: str, other: str) -> None:
    command = ["ctr", "-a", STATE / "run" / "containerd.sock", "-n", "k8s.io", "images", "tag", "--force", image, other]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def webhook(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> Iterator[None]:
    authority = Authority(tmp_path)
    server = ThreadingHTTPServer((NODE_ADDRESS, 0), _Webhook)
    server.socket = authority.server(NODE_ADDRESS).wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "mirrors.example.com"},
        "webhooks": [
            {
                "name": "mirrors.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
                "rules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["statefulsets"],
                    }
                ],
                "clientConfig": {
                    "url": f"https://{NODE_ADDRESS}:{server.server_address[1]}/",
                    "caBundle": base64.b64encode(authority.pem.encode()).decode(),
                },
            }
        ],
    }
    cluster.kubectl("apply", "-f", "-", stdin=str(yaml.safe_dump(configuration)))
    yield
    cluster.kubectl("delete", "mutatingwebhookconfiguration", "mirrors.example.com")
    server.shutdown()
    server.server_close()


@pytest.fixture
def images() -> Iterator[dict[str, str]]:
    """The images that the chart was installed with, and is again afterwards."""
    names, _ = built_images()
    yield names
    install(names)


def test_what_a_webhook_rewrites_is_settled_and_a_roll_out_goes_on(
    namespace: Namespace,
    webhook: None,
    images: dict[str, str],
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
) -> None:
    newer = f"{images['gateway']}-newer"
    for image in (images["gateway"], newer):
        tag(images["gateway"], image)
        tag(images["gateway"], mirrored(image))
    namespace.apply(ct, archive_target, *(changed(small_route(), "metadata.name", name) for name in ROUTES))
    for name in ROUTES:
        namespace.wait_ready(name)
        assert image_of(namespace, name) == mirrored(images["gateway"])
    wait_until(is_quiet, "the operator goes on writing", 60)
    before = len(audited())
    namespace.apply(*(changed(small_route(), "metadata.name", name) for name in ROUTES))
    namespace.kubectl("label", "--overwrite", "dicomnode", "ct-1", "site=south")  # the routes are looked at again
    assert not [one for one in written_since(before) if one[1] == "statefulsets"]

    install({**images, "gateway": newer})
    for name in ROUTES:
        namespace.wait(lambda: image_of(namespace, name) == mirrored(newer), f"{name} keeps the old image")  # noqa: B023
        namespace.wait_ready(name)


def image_of(namespace: Namespace, name: str) -> str:
    stateful_set = namespace.get("statefulset", f"{name}-gw") or {}
    return str(stateful_set["spec"]["template"]["spec"]["containers"][0]["image"])
