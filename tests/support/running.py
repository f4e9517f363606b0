"""`dicomroute run` as a process, and the senders of DCMTK."""

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from manifests import Json
from processes import Process, wait_until

from dicomroute_cli.tunnel import trusting

DICOMROUTE = Path(sys.executable).parent / "dicomroute"


class Running:
    """A `dicomroute run` of manifests in a folder, with any free ports."""

    def __init__(
        self,
        folder: Path,
        documents: Sequence[Json],
        *,
        wait: bool = True,
        log_level: str = "info",
        options: Sequence[str] = (),
    ) -> None:
        self._options = options
        self.folder = folder
        self._log_level = log_level
        self.manifests = folder / "manifests"
        self.state = folder / "state"
        self.manifests.mkdir(parents=True, exist_ok=True)
        self.write(documents)
        self._listeners = [
            f"default/{one['metadata']['name']}/{listener['name']}"
            for one in documents
            if one["kind"] == "DicomRoute"
            for listener in one["spec"]["listeners"]
        ]
        self.start(wait=wait)

    def start(self, *, wait: bool = True) -> None:
        self._ready = self.folder / "ready.json"
        self._ready.write_text("")
        command = [str(DICOMROUTE), "run", "-f", str(self.manifests), "--state", str(self.state), "--admin-port", "0"]
        command += ["--log-level", self._log_level, *self._options]
        for listener in self._listeners:
            command += ["--port", f"{listener}=0"]
        with self._ready.open("ab") as ready:
            self.process = Process(["sh", "-c", 'exec "$@" >"$0"', self._ready, *command], self.folder / "run.log")
            ready.flush()
        if wait:
            self.process.wait_until(lambda: self._ready.read_text().endswith("\n"), "dicomroute run is not ready")
            self.addresses = json.loads(self._ready.read_text())["routes"]

    def write(self, documents: Sequence[Json]) -> None:
        """Write the manifests, each in one step."""
        for document in documents:
            name = f"{document['kind']}-{document['metadata']['name']}.yaml"
            temporary = self.manifests / f".{name}.new"
            temporary.write_text(yaml.safe_dump(document))
            temporary.replace(self.manifests / name)

    def remove(self, kind: str, name: str) -> None:
        (self.manifests / f"{kind}-{name}.yaml").unlink()

    @property
    def route(self) -> str:
        return next(iter(self.addresses))

    @property
    def port(self) -> int:
        return int(self.status()["listeners"][0]["port"])

    @property
    def admin(self) -> str:
        return str(self.addresses[self.route]["admin"])

    @property
    def gateway_pid(self) -> int:
        """The process of the one gateway."""
        (pid,) = self._children()
        return pid

    def status(self) -> Json:
        return self.get("/api/v1/status")

    def get(self, path: str) -> Any:
        token = (self.state / self.route / "admin-token").read_text().strip()
        request = urllib.request.Request(f"https://{self.admin}{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30, context=self.tls) as response:
            return json.loads(response.read())

    @property
    def tls(self) -> ssl.SSLContext:
        """What trusts the certificate of the admin API."""
        return trusting((self.state / self.route / "admin-tls.crt").read_text())

    def counts(self) -> Json:
        return dict(self.status()["instances"])

    def wait_for(self, seconds: float = 60, **counts: int) -> None:
        """Wait until the instances are counted so."""
        wait_until(
            lambda: {key: self.counts()[key] for key in counts} == counts,
            lambda: f"wanted {counts}, have {self.status()}\n{self.process.tail()}",
            seconds,
        )

    def wait_reloaded(self, before: str, seconds: float = 10) -> None:
        """Wait until a configuration other than `before` is in force."""
        wait_until(lambda: self.hash() != before, lambda: f"not reloaded\n{self.process.tail()}", seconds)

    def hash(self) -> str:
        return str(self.status()["configuration"]["hash"])

    def kill_gateway(self) -> None:
        """End the gateway as a power failure would, and wait until its supervisor has started it again."""
        killed = self.gateway_pid
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: self._children() not in ([], [killed]) and self._answers(), "the gateway is not back", 60)

    def stop(self) -> int:
        return self.process.stop()

    def _children(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def children_that(self, program: str) -> list[int]:
        """Return the children that run a program of Python."""
        return [one for one in self._children() if program in Path(f"/proc/{one}/cmdline").read_text()]

    def _answers(self) -> bool:
        try:
            return bool(self.status()["ready"])
        except OSError:
            return False


def cli(*words: str | Path, check: bool = False, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `dicomroute` and return what it said."""
    return subprocess.run(
        [DICOMROUTE, *map(str, words)],
        capture_output=True,
        text=True,
        check=check,
        timeout=120,
        env={**os.environ, **(env or {})},
    )


def storescu(port: int, files: Sequence[Path], *options: str, called: str = "CTGATE", calling: str = "CT1") -> int:
    """Send with DCMTK's storescu, in one association; return its exit code."""
    command = ["storescu", "-aet", calling, "-aec", called, *options, "127.0.0.1", str(port), *map(str, files)]
    return subprocess.run(command, check=False, capture_output=True, timeout=300).returncode


def dcmsend(port: int, files: Sequence[Path], *options: str, called: str = "CTGATE", calling: str = "CT1") -> int:
    """Send with DCMTK's dcmsend, which proposes the syntax of each file and changes nothing."""
    command = ["dcmsend", "-aet", calling, "-aec", called, "--decompress-never", *options, "127.0.0.1", str(port)]
    return subprocess.run([*command, *map(str, files)], check=False, capture_output=True, timeout=300).returncode


def echoscu(port: int, called: str = "CTGATE", calling: str = "CT1") -> int:
    """Verify with DCMTK's echoscu; return its exit code."""
    command = ["echoscu", "-aet", calling, "-aec", called, "127.0.0.1", str(port)]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode
