"""The systems that receive: this gateway, and its peers as the files in `peers/` set them."""

import json
import os
import string
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import machine
import pydicom
import pynetdicom
from manifests import route, target
from ports import free_port
from processes import Process
from running import Running
from sender import Association, SendError

PEERS = Path(__file__).parent / "peers"
CT, IMPLICIT_VR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
MOST_ASSOCIATIONS = 1000


class Server(Protocol):
    """A system that runs."""

    port: int

    @property
    def roots(self) -> list[int]:
        """The processes that count as it; their children count too."""

    def count(self) -> int:
        """How many instances it says, or its folder shows, that it has."""

    def stop(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class System:
    """A system that can be measured; one that is not durable is shown, and not compared with."""

    name: str
    title: str
    start: Callable[[Path], Server]
    version: Callable[[], str]
    is_durable: bool = True


class Gateway:
    """The gateway, as `dicomroute run` starts it: it receives, routes by rules, and delivers nothing."""

    def __init__(self, folder: Path) -> None:
        rules = [
            {
                "name": "research",
                "when": 'instance.Modality == "CT" && instance.StudyDescription.contains("RESEARCH")',
                "destinations": [{"kind": "CloudTarget", "name": "archive"}],
            },
            {"name": "everything", "destinations": [{"kind": "CloudTarget", "name": "archive"}]},
        ]
        listener = {
            "name": "dicom",
            "port": 11112,
            "aeTitles": ["BENCH"],
            "sources": {"policy": "Any"},
            "maxAssociations": MOST_ASSOCIATIONS,
        }
        spool = {"size": "1Ti", "highWatermarkPercent": 99}
        manifests = (
            route(listeners=[listener], rules=rules, mode="HoldDeliveries", gateway={"spool": spool}),
            target(url="https://127.0.0.1:9/dicom-web"),
        )
        self._running = Running(folder, manifests)

    @property
    def port(self) -> int:
        return int(self._running.addresses[self._running.route]["dicom"].rpartition(":")[2])

    @property
    def roots(self) -> list[int]:
        """The gateway alone: in a cluster nothing stands over it."""
        return [self._running.gateway_pid]

    def count(self) -> int:
        return int(self._running.counts()["receivedTotal"])

    def stop(self) -> None:
        code = self._running.stop()
        assert code == 0, f"dicomroute run ended with {code}"

    def end_as_power_failure(self) -> None:
        """End the supervisor and with it the gateway, without a word."""
        gateway = self._running.gateway_pid
        self._running.process.kill()
        while Path(f"/proc/{gateway}").exists():  # the kernel ends it with its parent
            os.sched_yield()

    def start(self) -> None:
        """Start it again on what it has."""
        self._running.start()


class Peer:
    """A system that one command starts; it is ready when it accepts an association."""

    def __init__(self, folder: Path, port: int, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.port = port
        self._process = Process(command, folder / "log", env={**os.environ, **(environment or {})})
        self._process.wait_until(lambda: _associates(port), "it accepts no association")

    @property
    def roots(self) -> list[int]:
        return [self._process.pid]

    def stop(self) -> None:
        """End it and what it has started."""
        left = machine.tree(self.roots)[1:]
        self._process.stop()
        machine.kill(left)


class Keeping(Peer):
    """A system that writes a file an instance."""

    def __init__(self, folder: Path, *command: str, environment: dict[str, str] | None = None) -> None:
        self._kept = folder / "kept"
        self._kept.mkdir(parents=True)
        port = free_port()
        super().__init__(folder, port, [*command, str(port), str(self._kept)], environment)

    def count(self) -> int:
        return sum(1 for _ in self._kept.iterdir())


class Orthanc(Peer):
    """Orthanc, with a sync of each file or without."""

    def __init__(self, folder: Path, *, sync: bool) -> None:
        folder.mkdir(parents=True)
        self._http_port, port = free_port(), free_port()
        values = {"folder": folder / "storage", "http_port": self._http_port, "dicom_port": port}
        template = string.Template((PEERS / "orthanc.json").read_text())
        file = folder / "orthanc.json"
        file.write_text(template.substitute(values, sync=json.dumps(sync)))
        super().__init__(folder, port, ["Orthanc", str(file)], {"TCP_NODELAY": "1"})

    def count(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}/statistics", timeout=60) as answer:
            statistics: dict[str, Any] = json.loads(answer.read())
        return int(statistics["CountInstances"])


def _associates(port: int) -> bool:
    try:
        Association(port, CT, IMPLICIT_VR).release()
    except (OSError, SendError):
        return False
    return True


def _of_this_checkout() -> str:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        ["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _dcmtk() -> str:
    return machine.first_line("storescp", "--version").partition(" v")[2]


def _orthanc() -> str:
    return machine.first_line("Orthanc", "--version").partition(" ")[2]


def _storescp(name: str) -> Callable[[Path], Server]:
    return lambda folder: Keeping(folder, str(PEERS / name))


OWN = "dicomroute"
SYSTEMS = {
    one.name: one
    for one in (
        System(OWN, "dicomroute", Gateway, _of_this_checkout),
        System(
            "pynetdicom",
            "pynetdicom, raw bytes, fsync",
            lambda folder: Keeping(folder, sys.executable, str(PEERS / "pynetdicom_scp.py")),
            lambda: f"{pynetdicom.__version__} with pydicom {pydicom.__version__}",
        ),
        System("orthanc", "Orthanc, SyncStorageArea", lambda folder: Orthanc(folder, sync=True), _orthanc),
        System(
            "orthanc-unsafe",
            "Orthanc without SyncStorageArea",
            lambda folder: Orthanc(folder, sync=False),
            _orthanc,
            is_durable=False,
        ),
        System("storescp-nodelay", "storescp, TCP_NODELAY", _storescp("storescp-nodelay"), _dcmtk, is_durable=False),
        System("storescp-default", "storescp, as it comes", _storescp("storescp-default"), _dcmtk, is_durable=False),
    )
}
