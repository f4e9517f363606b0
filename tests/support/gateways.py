"""What a gateway needs to be started alone: the files that `dicomroute run` or the operator would give it."""

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from manifests import Json
from ports import free_port
from processes import Process

from dicomroute_cli.examine import inputs_of
from dicomroute_cli.manifests.mounted import mounted_files
from dicomroute_cli.manifests.world import load_world
from dicomroute_operator.render.gateway_configuration import configuration_text, gateway_configuration


def prepare(folder: Path, documents: Sequence[Json]) -> list[str]:
    """Write the files of the one route in these manifests; return the arguments of a gateway without its ports."""
    (folder / "secrets").mkdir(parents=True, exist_ok=True)
    (folder / "manifests.yaml").write_text(yaml.safe_dump_all(documents))
    world = load_world([folder / "manifests.yaml"])
    assert world.findings == []
    (key,) = world.routes
    inputs = inputs_of(world, key)
    for name, values in mounted_files(world, inputs).items():
        (folder / "secrets" / name).mkdir(exist_ok=True)
        for key_, value in values.items():
            (folder / "secrets" / name / key_).write_bytes(value)
    configuration = folder / "configuration.json.new"
    configuration.write_text(configuration_text(gateway_configuration(inputs)))
    configuration.rename(folder / "configuration.json")
    (folder / "token").write_text("an-example-token")
    return [
        f"--configuration={folder / 'configuration.json'}",
        f"--secrets={folder / 'secrets'}",
        f"--spool={folder / 'spool'}",
        f"--admin-token={folder / 'token'}",
        "--bind=127.0.0.1",
    ]


class LoneGateway:
    """A gateway without a supervisor: what ends it has ended it. `prefix` is a command that runs it."""

    def __init__(
        self,
        folder: Path,
        documents: Sequence[Json],
        *,
        prefix: Sequence[str] = (),
        program: Sequence[str] = ("-m", "dicomroute_gateway"),
        spool: Path | None = None,
        env: Mapping[str, str] | None = None,
        wait: bool = True,
        log_level: str = "warning",
        further: Sequence[str] = (),
    ) -> None:
        self.port, self._admin = free_port(), free_port()
        self.folder = folder
        self.token_file = folder / "token"
        arguments = prepare(folder, documents)
        if spool is not None:
            arguments.append(f"--spool={spool}")
        arguments += [f"--listen=dicom={self.port}", f"--admin-port={self._admin}", f"--log-level={log_level}"]
        arguments += further
        self.process = Process(
            [*prefix, sys.executable, *program, *arguments], folder / "gateway.log", env={**os.environ, **(env or {})}
        )
        if wait:
            self.process.wait_until(lambda: self.is_ready, "the gateway is not ready")

    @property
    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}/readyz", timeout=10) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    @property
    def admin(self) -> str:
        """The address of its admin API."""
        return f"127.0.0.1:{self._admin}"

    def status(self) -> Json:
        return self.get("/api/v1/status")

    def get(self, path: str) -> Json:
        """Return a document of the admin API."""
        return dict(json.loads(self.text(path)))

    def post(self, path: str) -> Json:
        """Send a request without a body and return the document that is answered."""
        return dict(json.loads(self.text(path, "POST")))

    def text(self, path: str, method: str = "GET") -> str:
        """Return what the admin API answers."""
        request = urllib.request.Request(
            f"http://{self.admin}{path}", method=method, headers={"Authorization": "Bearer an-example-token"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return str(response.read().decode())

    def change(self, operation: str, **selection: object) -> int:
        """Retry, release or drop what is selected of the queue; return how much that changed."""
        request = urllib.request.Request(
            f"http://{self.admin}/api/v1/queue/{operation}",
            json.dumps(selection).encode(),
            {"Authorization": "Bearer an-example-token"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(json.loads(response.read())["changed"])

    def destination(self, name: str) -> Json:
        """Return what the status says of a CloudTarget."""
        return next(one for one in self.status()["destinations"] if one["name"] == name)

    def reconfigure(self, documents: Sequence[Json]) -> None:
        """Give it the configuration of other manifests, and wait until that is in force."""
        before = self.status()["configuration"]["hash"]
        prepare(self.folder, documents)
        self.process.wait_until(
            lambda: self.status()["configuration"]["hash"] != before, "the changed configuration is not in force"
        )

    def metrics(self) -> str:
        """Return the metrics as Prometheus would scrape them."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as response:
            return str(response.read().decode())

    def log(self) -> list[Json]:
        """Return the events of its log; what stands there besides is not from structlog."""
        lines = self.process.output.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def events(self, event: str) -> list[Json]:
        """Return those events of its log that are called so."""
        return [one for one in self.log() if one["event"] == event]

    def wait_for_events(self, event: str, count: int = 1) -> list[Json]:
        """Wait until so many events are in its log that are called so; what a peer sees is logged a moment later."""
        self.process.wait_until(lambda: len(self.events(event)) >= count, f"no {count} of {event} in the log")
        return self.events(event)

    def wait_for(self, **counts: int) -> None:
        """Wait until the instances are counted so."""

        def reached() -> bool:
            instances = self.status()["instances"] or {}
            return {key: instances.get(key) for key in counts} == counts

        self.process.wait_until(reached, f"wanted {counts}")

    def wait_problem(self, reason: str) -> None:
        """Wait until the status names a problem."""

        def named() -> bool:
            try:
                return reason in [problem["reason"] for problem in self.status()["problems"]]
            except OSError:
                return False

        self.process.wait_until(named, f"no {reason}")

    def stop(self) -> int:
        """Let it drain; return its exit code."""
        children = self._children()
        for child in children:
            os.kill(child, signal.SIGTERM)
        return self.process.wait(60) if children else self.process.stop()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        for child in self._children():
            os.kill(child, signal.SIGKILL)
        self.process.kill()

    def _children(self) -> list[int]:
        """Return the processes that its prefix runs."""
        try:
            text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(child) for child in text.split()]
