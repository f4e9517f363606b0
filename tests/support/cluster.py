"""A real Kubernetes: the embedded one, or that of DICOMROUTE_KUBE_CONTEXT."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import yaml
from api_server import ApiServer
from manifests import Json
from processes import wait_until

ROOT = Path(__file__).parents[2]
STATE = Path(os.environ.get("DICOMROUTE_CLUSTER_STATE", "/var/tmp/dicomroute-cluster"))
CLUSTER_NETWORK = Path("/run/netns/dicomroute")
NODE_ADDRESS = "192.0.2.1"
OPERATOR_NAMESPACE = "dicomroute-system"
CONTEXT = os.environ.get("DICOMROUTE_KUBE_CONTEXT", "")
"""A cluster that the caller named; nothing but kubectl and helm reaches it."""


class CommandError(AssertionError):
    """A command failed; the message is what it said."""


class Cluster:
    """kubectl and helm for the cluster of the tests. From outside of its network they are run inside."""

    def __init__(self) -> None:
        self._context = ["--context", CONTEXT] if CONTEXT else []
        self._api: ApiServer | None = None
        if CONTEXT:
            self._prefix, self._kubectl, self._helm = (
                [],
                ["kubectl", *self._context],
                ["helm", "--kube-context", CONTEXT],
            )
            self._environment = dict(os.environ)
            return
        binaries = Path((STATE / "run" / "bin").read_text().strip())
        inside = CLUSTER_NETWORK.stat().st_ino == Path("/proc/self/ns/net").stat().st_ino
        self._prefix = [] if inside else ["nsenter", f"--net={CLUSTER_NETWORK}"]
        self._api = ApiServer(f"https://{NODE_ADDRESS}:6443", STATE / "certs") if inside else None
        self._kubectl, self._helm = [str(binaries / "kubectl")], [str(binaries / "helm")]
        self._environment = {
            **os.environ,
            "HOME": str(STATE),
            "KUBECONFIG": str(STATE / "admin.kubeconfig"),
            "PATH": f"{binaries}:{os.environ['PATH']}",
        }

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Return what kubectl prints. Raises CommandError with what it says."""
        return self._run([*self._kubectl, *words], stdin, check)

    def helm(self, *words: str, check: bool = True) -> str:
        """Return what helm prints. Raises CommandError with what it says."""
        return self._run([*self._helm, *words], None, check)

    def _run(self, command: Sequence[str], stdin: str | None, check: bool) -> str:
        done = subprocess.run(
            [*self._prefix, *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            env=self._environment,
        )
        if check and done.returncode:
            raise CommandError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout + ("" if check else done.stderr)

    def dicomroute(self, *words: str) -> str:
        """Return what the command line prints with this cluster's kubectl."""
        return self._run([str(Path(sys.executable).parent / "dicomroute"), *words, *self._context], None, check=True)

    def forward(self, namespace: str, what: str, port: int) -> "subprocess.Popen[str]":
        """Forward a free port of this machine; kubectl prints the line that says which."""
        command = [*self._prefix, *self._kubectl, "port-forward", "-n", namespace, what, f":{port}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self._environment)

    def apply(self, documents: Sequence[Json], namespace: str) -> str:
        """Apply manifests in a namespace."""
        return self.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(documents))

    def get(self, kind: str, name: str, namespace: str) -> Json | None:
        """Return an object, or None when there is none."""
        if self._api is not None and self._api.knows(kind):
            return self._api.get(kind, name, namespace)
        text = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, namespace: str, selector: str = "") -> list[Json]:
        """Return the objects of a kind."""
        if self._api is not None and self._api.knows(kind):
            return self._api.list(kind, namespace, selector)
        words = ["get", kind, "-n", namespace, "-o", "json"] + (["-l", selector] if selector else [])
        return list(json.loads(self.kubectl(*words))["items"])


class Namespace:
    """A namespace of its own for one test, under the restricted Pod Security Standard."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}], name)

    def apply(self, *documents: Json) -> str:
        return self.cluster.apply(documents, self.name)

    def kubectl(self, *words: str, check: bool = True) -> str:
        return self.cluster.kubectl("-n", self.name, *words, check=check)

    def get(self, kind: str, name: str) -> Json | None:
        return self.cluster.get(kind, name, self.name)

    def route(self, name: str = "ct-to-cloud") -> Json:
        found = self.get("dicomroute", name)
        assert found is not None, f"there is no route {name}"
        return found

    def condition(self, type_: str, name: str = "ct-to-cloud", kind: str = "dicomroute") -> Json:
        """Return a condition, or an empty one; only if it speaks of the newest version of the manifest."""
        found = self.get(kind, name) or {}
        generation = found.get("metadata", {}).get("generation")
        for one in found.get("status", {}).get("conditions", []):
            if one["type"] == type_ and one["observedGeneration"] == generation:
                return dict(one)
        return {}

    def wait_condition(
        self, type_: str, status: str, reason: str | None = None, name: str = "ct-to-cloud", seconds: float = 120
    ) -> Json:
        """Wait until a route's condition has a status, and a reason if one is given; return it."""
        found: Json = {}

        def reached() -> bool:
            found.clear()
            found.update(self.condition(type_, name))
            return found.get("status") == status and reason in (None, found.get("reason"))

        self.wait(reached, f"{type_} is not {status}/{reason}", seconds)
        return found

    def wait_ready(self, name: str = "ct-to-cloud", seconds: float = 120) -> None:
        """Wait until a route is programmed and ready."""
        self.wait_condition("Programmed", "True", name=name, seconds=seconds)
        self.wait_condition("Ready", "True", name=name, seconds=seconds)

    def instances(self, name: str = "ct-to-cloud") -> Json:
        return dict(self.route(name).get("status", {}).get("instances", {}))

    def wait_instances(self, name: str = "ct-to-cloud", seconds: float = 120, **counts: int) -> None:
        """Wait until the status counts instances so."""
        self.wait(lambda: counts.items() <= self.instances(name).items(), f"wanted {counts}", seconds)

    def endpoint(self, name: str = "ct-to-cloud") -> tuple[str, int]:
        """Return where modalities connect, as the status says."""
        found: list[Json] = []

        def is_there() -> bool:
            found[:] = self.route(name).get("status", {}).get("endpoints", [])
            return bool(found)

        self.wait(is_there, "there is no endpoint")
        return found[0]["address"], found[0]["port"]

    def pod(self, name: str = "ct-to-cloud") -> Json:
        found = self.get("pod", f"{name}-gw-0")
        assert found is not None
        return found

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
        """Wait for a condition; fail with what the namespace looks like."""
        wait_until(lambda: condition() or _pause(), lambda: f"{what}\n{self.picture()}", seconds)

    def picture(self) -> str:
        """Return what a person would look at."""
        parts = [
            self.kubectl("get", "dicom,pods,services,pvc", "-o", "wide", check=False),
            self.kubectl("describe", "dicomroutes", check=False)[-6000:],
            self.kubectl("logs", "-l", "app.kubernetes.io/name=dicomroute-gateway", "--tail=20", check=False),
            self.cluster.kubectl("logs", "-n", OPERATOR_NAMESPACE, "deployment/dicomroute", "--tail=20", check=False),
        ]
        return "\n".join(parts)

    def delete(self) -> None:
        """Delete the namespace with everything in it; the cluster does so on its own time."""
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false", check=False)


def _pause() -> bool:
    time.sleep(0.3)
    return False


def install(images: dict[str, str], *words: str, chart: Path = ROOT / "charts" / "dicomroute") -> str:
    """Install or upgrade the chart with these images, NAME:TAG, and wait until the operator is ready."""
    command = [ROOT / "tests" / "cluster" / "install-chart", images["operator"], images["gateway"], *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=180, env={**os.environ, "CHART": str(chart)}
    )
    if done.returncode:
        raise CommandError(f"install-chart {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def built_images(root: Path = ROOT) -> tuple[dict[str, str], list[Path]]:
    """Build the images of a checkout, or take them from the cache; return their names and archives.

    Those of this checkout are the ones that the run began with, whatever somebody edits meanwhile.
    """
    text = os.environ.get("DICOMROUTE_E2E_IMAGES") if root == ROOT else None
    if text is None:
        text = subprocess.run([root / "tools" / "images"], check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in text.splitlines()]
    names = {name.rpartition(":")[0].rpartition("-")[2]: name for name, _ in lines}
    return names, [Path(archive) for _, archive in lines]


@dataclass(frozen=True)
class VersionBefore:
    """A checkout of the parent of the last commit that changed the chart or the images."""

    folder: Path
    images: Future[tuple[dict[str, str], list[Path]]]
    """Their names and archives, as `built_images` returns them; building them takes a minute."""
