"""How the operator does with many routes: on a real API server, with pods on simulated nodes (kwok) whose addresses are
answered by the real admin module of the gateway, in a network namespace of its own. `make bench-operator`.

Prints what the design asks: from nothing, all ready; after a restart, until settled, what was written, and memory.
"""

import asyncio
import ctypes
import itertools
import json
import os
import resource
import secrets
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from control_plane import BUILD
from manifests import changed, node, route, target
from processes import Process, wait_until

from dicomroute_gateway.admin.server import AdminServer
from dicomroute_gateway.admin.status import Observation
from dicomroute_gateway.configuration.load import load
from dicomroute_gateway.dimse.counts import CountsSnapshot
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.rules.routing import compile_rules
from dicomroute_gateway.spool.entries import InstanceCounts
from dicomroute_gateway.spool.views import Snapshot, SpoolLevel
from dicomroute_operator.gateways.credential import admin_credential
from dicomroute_operator.kinds.crd import crds
from dicomroute_operator.kube.client import ApiError, Client
from dicomroute_operator.kube.resources import CLAIM, CONFIG_MAP, OWN, POD, Resource
from dicomroute_operator.render import names

SPACE = "dicomroute-bench"
PODS, SERVICES = "198.18.0.0/16", "198.19.0.0/16"
KEY = b"a key of the benchmark, with thirty-two bytes or more"
TOKEN = secrets.token_hex(16)
NODES_EVERY = 100
VOLUME = Resource("v1", "PersistentVolume", "persistentvolumes")
NAMESPACE = "default"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    if os.environ.get("DICOMROUTE_BENCH_INSIDE") is None:
        outside(count)
    else:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        Bench(Path(os.environ["DICOMROUTE_BENCH_INSIDE"]), count).run()


def outside(count: int) -> None:
    """Make the namespace, run this program in it, and take the namespace away."""
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    try:
        for words in ("link set lo up", f"route add local {PODS} dev lo", f"route add local {SERVICES} dev lo"):
            subprocess.run(["ip", "-n", SPACE, *words.split()], check=True)
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "DICOMROUTE_BENCH_INSIDE": folder, "KUBECONFIG": f"{folder}/kubeconfig"}
            command = ["nsenter", f"--net=/run/netns/{SPACE}", sys.executable, __file__, str(count)]
            status = subprocess.run(command, check=False, env=environment).returncode
        sys.exit(status)
    finally:
        subprocess.run(["ip", "netns", "del", SPACE], check=False)


class Bench:
    """The control plane, the simulated nodes, the gateways, and the operator."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.bin = Path(subprocess.run([BUILD, "kwok"], check=True, capture_output=True, text=True).stdout.strip())
        self.processes: list[Process] = []
        self.kubeconfig = folder / "kubeconfig"
        self.audit = folder / "audit.log"

    def run(self) -> None:
        try:
            self.start_control_plane()
            self.client = Client.connect("bench", "bench")
            command = [*self.kubectl, "apply", "-f", "-"]
            subprocess.run(command, input=self.world(), text=True, check=True, capture_output=True)
            self.measure()
        finally:
            for process in reversed(self.processes):
                process.kill()

    @property
    def kubectl(self) -> list[str]:
        return [str(self.bin / "kubectl"), "--kubeconfig", str(self.kubeconfig)]

    def start(self, name: str, *words: str) -> Process:
        process = Process([str(self.bin / name), *words], self.folder / f"{name}.log")
        self.processes.append(process)
        return process

    def start_control_plane(self) -> None:
        folder = self.folder
        tokens = {"admin": TOKEN, "operator": f"{TOKEN}o"}
        users = [f'{token},{user},{user},"system:masters"' for user, token in tokens.items()]
        (folder / "tokens.csv").write_text("\n".join(users) + "\n")
        rules = "- {level: Metadata, users: [operator]}\n- {level: None}\n"
        (folder / "policy.yaml").write_text(
            "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
            f"omitStages: [RequestReceived, ResponseStarted]\nrules:\n{rules}"
        )
        subprocess.run(["openssl", "genrsa", "-out", folder / "sa.key", "2048"], check=True, capture_output=True)
        self.start("etcd", f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync")
        api = self.start(
            "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--bind-address=127.0.0.1",
            "--advertise-address=198.18.255.254",
            f"--cert-dir={folder / 'certs'}", f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.key'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}", f"--service-cluster-ip-range={SERVICES}",
            f"--audit-policy-file={folder / 'policy.yaml'}", f"--audit-log-path={self.audit}",
            "--max-requests-inflight=1000", "--max-mutating-requests-inflight=500",
        )  # fmt: skip
        for file, token in ((self.kubeconfig, TOKEN), (folder / "operator.kubeconfig", f"{TOKEN}o")):
            file.write_text(json.dumps(_kubeconfig(token, folder / "certs" / "apiserver.crt")))
        api.wait_until(lambda: _quietly([*self.kubectl, "get", "--raw", "/readyz"]), "no API server", 120)
        self.start(
            "kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
            f"--service-account-private-key-file={folder / 'sa.key'}", "--use-service-account-credentials=false",
            "--allocate-node-cidrs=true", f"--cluster-cidr={PODS}", "--bind-address=127.0.0.1",
            "--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-statefulset-syncs=20",
            "--controllers=*,-persistentvolume-expander-controller",
        )  # fmt: skip
        self.start(
            "kube-scheduler", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1",
            "--kube-api-qps=500", "--kube-api-burst=1000",
        )  # fmt: skip
        self.start(
            "kwok",
            f"--kubeconfig={self.kubeconfig}",
            "--manage-all-nodes=true",
            "--node-port=0",
            "--node-lease-duration-seconds=40",
        )

    def world(self) -> str:
        """Return the manifests of everything: CRDs, nodes, one modality, one target."""
        nodes = [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": f"node-{i}", "annotations": {"kwok.x-k8s.io/node": "fake"}},
                "status": {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "250"}},
            }
            for i in range(self.count // NODES_EVERY + 1)
        ]
        return "\n---\n".join(json.dumps(one) for one in (*crds(), *nodes))

    def measure(self) -> None:
        for kind in OWN:
            wait_until(lambda: _listed(self.client, kind), f"{kind} is not served", 60)  # noqa: B023
        self.client.apply(_in_namespace(node()))
        self.client.apply(_in_namespace(target()))
        gateways = Gateways(self.client)
        gateways.start()
        began = time.monotonic()
        for number in range(self.count):
            one = changed(route(), "metadata.name", f"route-{number:04}")
            one["spec"]["gateway"] = {"service": {"type": "ClusterIP"}}
            self.client.apply(_in_namespace(one))
        print(f"{self.count} routes applied in {time.monotonic() - began:.0f} s", flush=True)

        began = time.monotonic()
        operator = self.start_operator()
        self.wait_ready(operator, 1200)
        print(f"from nothing, until all are ready: {time.monotonic() - began:.0f} s (must: < 600)", flush=True)
        print(f"memory of the operator: {_rss(operator.pid)} MiB resident", flush=True)
        self.wait_quiet()

        status = self.status()
        operator.stop()
        before = self.requests()
        began = time.monotonic()
        operator = self.start_operator()
        wait_until(lambda: _metric("routes") == self.count and _metric("queue_length") == 0, "not settled", 300)
        settled = time.monotonic() - began
        cpu = _cpu_seconds(operator.pid)
        time.sleep(60)
        written = self.written_since(before)
        print(f"after a restart, until settled: {settled:.1f} s (must: < 60)", flush=True)
        print(f"written in this and the next minute, but the Lease: {len(written)} {written[:5]} (must: 0)", flush=True)
        if written:
            print(f"before: {status}\nafter: {self.status()}", flush=True)
        print(f"memory of the operator: {_rss(operator.pid)} MiB resident (must: < 300)", flush=True)
        rate = (_cpu_seconds(operator.pid) - cpu) / 60
        print(f"at rest it asks {self.count} gateways every ten seconds: {100 * rate:.0f} % of a core", flush=True)
        operator.stop()

    def requests(self) -> int:
        """Return how often the operator has asked the API server for something."""
        with self.audit.open("rb") as lines:
            return sum(1 for _ in lines)

    def written_since(self, count: int) -> list[str]:
        """Return what the operator has written since it had asked so often, but for its Lease."""
        with self.audit.open() as lines:
            new = [json.loads(line) for line in itertools.islice(lines, count, None)]
        return [
            f"{one['verb']} {one['objectRef']['resource']}/{one['objectRef'].get('name', '')}"
            for one in new
            if one["verb"] in ("create", "update", "patch", "delete") and one["objectRef"]["resource"] != "leases"
        ]

    def wait_quiet(self) -> None:
        """Wait until the operator has written nothing for ten seconds."""

        def is_quiet() -> bool:
            before = self.requests()
            time.sleep(10)
            return not self.written_since(before)

        wait_until(is_quiet, "the operator goes on writing", 300)

    def status(self) -> str:
        """Return the status of the first route, to see what was written of it."""
        routes, _ = self.client.list(OWN["DicomRoute"], NAMESPACE)
        return json.dumps(routes[0].get("status"))

    def start_operator(self) -> Process:
        key = self.folder / "key"
        key.write_bytes(KEY)
        command = [
            sys.executable, "-m", "dicomroute_operator", "--gateway-image=gateway:1", f"--admin-key-file={key}",
            "--namespace=default", "--log-level=warning",
        ]  # fmt: skip
        process = Process(
            command,
            self.folder / "operator.log",
            env={**os.environ, "KUBECONFIG": str(self.folder / "operator.kubeconfig")},
        )
        self.processes.append(process)
        return process

    def wait_ready(self, operator: Process, seconds: float) -> None:
        seen = [0]

        def ready() -> bool:
            time.sleep(3)
            routes, _ = self.client.list(OWN["DicomRoute"], NAMESPACE)
            good = sum(_is_ready(one) for one in routes)
            if good // 100 > seen[0] // 100:
                print(f"  {good} ready", flush=True)
            seen[0] = good
            return good == self.count

        operator.wait_until(ready, "not all are ready", seconds)


class Gateways:
    """One process that is every gateway: the real admin server at each pod's address, with the pod's certificate."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.servers: dict[str, AdminServer] = {}
        self.folder = Path(tempfile.mkdtemp())

    def start(self) -> None:
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the benchmark
            self.client = Client.connect("bench", "bench")  # connections are not for two processes
            try:
                asyncio.run(self.serve())
            finally:
                os._exit(0)

    async def serve(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.bind_claims)
                pods, _ = await asyncio.to_thread(self.client.list, POD, NAMESPACE, names.ROUTE_LABEL)
                for pod in pods:
                    address = pod.get("status", {}).get("podIP")
                    if address and address not in self.servers:
                        await self.serve_pod(pod, address)
            except ApiError as error:
                print(f"gateways: {error}", file=sys.stderr)
            await asyncio.sleep(1)

    async def serve_pod(self, pod: dict[str, Any], address: str) -> None:
        name = pod["metadata"]["labels"][names.ROUTE_LABEL]
        found = await asyncio.to_thread(self.client.get, CONFIG_MAP, NAMESPACE, names.configuration(name))
        if found is None:
            return
        loaded = load(found["data"][names.CONFIGURATION_KEY], compile_rules)
        credential = admin_credential(loaded.configuration.route.uid, KEY)
        files = {part: self.folder / f"{name}.{part}" for part in ("token", "certificate", "key")}
        for part, file in files.items():
            file.write_text(getattr(credential, part))
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(files["certificate"], files["key"])
        snapshot = Snapshot(InstanceCounts(0, 0, 0, 7, 0), 0, {}, None, SpoolLevel(0, 1 << 30, 1 << 29))
        seen = Observation(
            True, [], time.time(), time.time(), loaded, [], CountsSnapshot(0, {}, {}), snapshot, {},
        )  # fmt: skip
        server = AdminServer(
            lambda: seen, lambda: None, lambda: None, files["token"], Measures(), list, lambda: None, lambda: None
        )
        self.servers[address] = server
        await server.start(address, names.API_PORT, health=False, api=True, tls=tls)

    def bind_claims(self) -> None:
        """Give each claim a volume, as a provisioner would."""
        claims, _ = self.client.list(CLAIM, NAMESPACE)
        for claim in claims:
            meta = claim["metadata"]
            if claim["spec"].get("volumeName"):
                continue
            volume = {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"pv-{meta['name']}"},
                "spec": {
                    "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
                    "accessModes": ["ReadWriteOnce"],
                    "hostPath": {"path": "/nowhere"},
                    "storageClassName": "",
                    "claimRef": {"namespace": NAMESPACE, "name": meta["name"], "uid": meta["uid"]},
                },
            }
            try:
                self.client.create(VOLUME, "", volume)
            except ApiError as error:
                if error.status != 409:
                    raise


def _kubeconfig(token: str, authority: Path) -> dict[str, Any]:
    cluster = {"server": "https://127.0.0.1:6443", "certificate-authority": str(authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": cluster}],
        "users": [{"name": "bench", "user": {"token": token}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    }


def _quietly(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _listed(client: Client, kind: str) -> bool:
    try:
        client.list(OWN[kind], NAMESPACE)
    except ApiError:
        return False
    return True


def _in_namespace(document: dict[str, Any]) -> dict[str, Any]:
    return changed(document, "metadata.namespace", NAMESPACE)


def _is_ready(one: dict[str, Any]) -> bool:
    conditions = {c["type"]: c["status"] for c in one.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == conditions.get("Programmed") == "True"


def _metric(name: str) -> float:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/metrics", timeout=5) as response:
            lines = response.read().decode().splitlines()
    except OSError:
        return -1
    return next((float(line.split()[1]) for line in lines if line.startswith(f"dicomroute_operator_{name} ")), -1)


def _rss(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
