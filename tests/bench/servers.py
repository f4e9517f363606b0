"""The systems as processes: this gateway, and its peers as the files in `peers/` set them."""

import base64
import json
import os
import string
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import machine
from certificates import Authority
from destinations import Destination, Storescp, StowSink, associates
from manifests import Json, node, profile, route, target, tls_secret
from orthanc import Installed
from ports import free_port
from processes import Process
from running import Running

from dicomroute_gateway.commitment.transactions import Transaction, Transactions
from dicomroute_gateway.dimse.storage_commitment import CommitmentRequest, Reference
from dicomroute_gateway.measures import CommitmentMeasures
from dicomroute_gateway.spool.spool import Spool

PEERS = Path(__file__).parent / "peers"
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


class Gateway:
    """The gateway, as `dicomroute run` starts it: it receives, routes by rules, and delivers what has a destination."""

    REFERENCES_A_REQUEST: Final = 10_000

    def __init__(
        self,
        folder: Path,
        destination: Destination | None = None,
        deidentified_by: Json | None = None,
        *,
        mode: str = "",
    ) -> None:
        """`deidentified_by` is the spec of a DeidentificationProfile for all that is delivered, without its key."""
        reference = destination.reference if destination else {"kind": "CloudTarget", "name": "archive"}
        rules = [
            {
                "name": "research",
                "when": 'instance.Modality == "CT" && instance.StudyDescription.contains("RESEARCH")',
                "destinations": [reference],
            },
            {"name": "everything", "destinations": [reference]},
        ]
        if deidentified_by is not None:
            rules = [{**rule, "deidentify": {"name": "research"}} for rule in rules]
        listener: Json = {
            "name": "dicom",
            "port": 11112,
            "aeTitles": ["BENCH"],
            "sources": {"policy": "Any"},
            "maxAssociations": MOST_ASSOCIATIONS,
            "maxAssociationsPerCaller": MOST_ASSOCIATIONS,  # every sender of the benchmark has this one address
        }
        authority = Authority(folder / "authority")
        self.authority = authority.file
        secret = tls_secret("gateway-tls", *authority.issue("127.0.0.1"))
        tls = {"certificateRef": {"name": "gateway-tls"}, "clientCertificates": "Ignored"}
        listeners = [listener, {**listener, "name": "dicom-tls", "port": 2762, "tls": tls}]
        spool = {"size": "1Ti", "highWatermarkPercent": 99}
        mode = mode or ("Running" if destination else "HoldDeliveries")
        objects = destination.manifests if destination else [target(url="https://127.0.0.1:9/dicom-web")]
        self._spec = {"listeners": listeners, "rules": rules, "gateway": {"spool": spool}}
        self._running = Running(folder, [route(**self._spec, mode=mode), secret, *objects, *_profile(deidentified_by)])

    @property
    def port(self) -> int:
        return int(self._running.addresses[self._running.route]["dicom"].rpartition(":")[2])

    @property
    def tls_port(self) -> int:
        """Where it speaks TLS, with a certificate of `authority`."""
        (found,) = (one["port"] for one in self._running.status()["listeners"] if one["name"] == "dicom-tls")
        return int(found)

    @property
    def roots(self) -> list[int]:
        """The gateway alone: in a cluster nothing stands over it."""
        return [self._running.gateway_pid]

    def count(self) -> int:
        """What it owes is known when it has read its journal; it receives before that."""
        self._running.process.wait_until(lambda: bool(self._running.status()["instances"]), "it reads its journal")
        return int(self._running.counts()["receivedTotal"])

    def owed(self) -> int:
        """How many instances somebody is still to get."""
        return int(self._running.counts()["owed"])

    def turn(self, mode: str) -> None:
        """Change the mode of its route; return when that is in force."""
        before = self._running.hash()
        self._running.write([route(**self._spec, mode=mode)])
        self._running.wait_reloaded(before)

    def serve_retrievals(self, destination: Storescp) -> None:
        """Answer queries and retrievals of the spool; return when that is in force."""
        before = self._running.hash()
        client = node(aeTitle="BENCHSENDER", allowedSources=["127.0.0.0/8"])
        query = {
            "listeners": ["dicom"],
            "clients": {"nodes": [{"name": client["metadata"]["name"]}]},
            "moveDestinations": {"nodes": [{"name": destination.reference["name"]}]},
            "maxMatches": 100_000,
        }
        self._spec = {**self._spec, "queryRetrieve": query}
        self._running.write([client, *destination.manifests, route(**self._spec, mode="HoldDeliveries")])
        self._running.wait_reloaded(before)

    def ask_for_commitment(self, sop_class: str, uids: Sequence[str]) -> None:
        """Leave requests for storage commitment in the spool of a gateway that has ended, as they come by N-ACTION."""
        self._spec = {**self._spec, "storageCommitment": {"listeners": ["dicom"]}}
        self._running.write([route(**self._spec, mode="HoldDeliveries")])
        spool = Spool(self._running.state / self._running.route / "spool", 1 << 40, 99)
        transactions = Transactions(spool, CommitmentMeasures())
        transactions.load()
        for begin in range(0, len(uids), self.REFERENCES_A_REQUEST):
            some = uids[begin : begin + self.REFERENCES_A_REQUEST]
            request = CommitmentRequest(f"2.25.{begin + 1}", tuple(Reference(sop_class, one) for one in some))
            asked = Transaction(request, "BENCHSENDER", "BENCH", "dicom", time.time())
            transactions.begin(asked, claim_seconds=0)
        spool.close()

    def open_commitments(self) -> int:
        """How many requests are not reported on."""
        folder = self._running.state / self._running.route / "spool" / "commitments"
        return sum(1 for _ in folder.glob("*.json"))

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
        self._process.wait_until(lambda: associates(port), "it accepts no association")

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


class Floor(Keeping):
    """The least that an equally durable receiver has to do, compiled: `peers/floor`."""

    def __init__(self, folder: Path) -> None:
        program = folder / "floor"
        environment = {**os.environ, "CGO_ENABLED": "0"}
        command = ["go", "build", "-C", str(PEERS / "floor"), "-mod=readonly", "-trimpath", "-o", str(program), "."]
        subprocess.run(command, check=True, env=environment)
        super().__init__(folder, str(program))

    def count(self) -> int:
        """Those with content: files are made before instances come for them."""
        return sum(1 for file in self._kept.iterdir() if file.stat().st_size)


class Orthanc(Peer):
    """Orthanc, with a sync of each file or without; it may be given a further file of `peers/`, and its values."""

    def __init__(
        self,
        folder: Path,
        installed: Installed,
        *,
        sync: bool = True,
        further: str = "",
        values: dict[str, Any] | None = None,
    ) -> None:
        configuration = folder / "configuration"  # Orthanc reads every file in it
        configuration.mkdir(parents=True)
        self._http_port, port = free_port(), free_port()
        _fill(
            PEERS / "orthanc.json",
            configuration,
            {"folder": folder / "storage", "http_port": self._http_port, "dicom_port": port, "sync": json.dumps(sync)},
        )
        if further:
            _fill(PEERS / further, configuration, values or {})
        super().__init__(folder, port, [str(installed.program), str(configuration)], {"TCP_NODELAY": "1"})

    def count(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}/statistics", timeout=60) as answer:
            statistics: dict[str, Any] = json.loads(answer.read())
        return int(statistics["CountInstances"])

    def serve_retrievals(self, destination: Storescp) -> None:
        """Let the client of the benchmark query, and move to a destination."""
        for title, port in (("STORESCP", destination.port), ("BENCHSENDER", 104)):
            modality = json.dumps({"AET": title, "Host": "127.0.0.1", "Port": port}).encode()
            address = f"http://127.0.0.1:{self._http_port}/modalities/{title}"
            urllib.request.urlopen(urllib.request.Request(address, modality, method="PUT"), timeout=60).close()


class RoutingOrthanc(Orthanc):
    """Orthanc with its DICOMweb plugin, and the program that tells it to send on what it has stored."""

    def __init__(self, folder: Path, installed: Installed, destination: Destination | None) -> None:
        assert isinstance(destination, StowSink)
        folder.mkdir(parents=True)
        authority = folder / "authority.pem"
        authority.write_text(destination.authority)
        values = {
            "plugin": installed.plugin,
            "url": destination.url,
            "authority": authority if destination.authority else "",
        }
        super().__init__(folder, installed, further="orthanc-dicomweb.json", values=values)
        command = [sys.executable, str(PEERS / "orthanc_router.py"), str(self._http_port), "archive"]
        self._router = Process(command, folder / "router.log")

    @property
    def roots(self) -> list[int]:
        return [*super().roots, self._router.pid]

    def stop(self) -> None:
        self._router.stop()
        super().stop()


class StoreScu:
    """A program that sends the files of a folder to a destination, and receives nothing."""

    port = 0

    def __init__(self, destination: Destination | None) -> None:
        assert destination
        self.roots: list[int] = []
        self.command = [sys.executable, str(PEERS / "pynetdicom_scu.py"), str(destination.port)]

    def count(self) -> int:
        return 0

    def stop(self) -> None:
        """There is nothing to end: it ends with its files."""


def _profile(spec: Json | None) -> list[Json]:
    """Return a DeidentificationProfile and the Secret with its key, nothing without a spec."""
    if spec is None:
        return []
    key = base64.b64encode(bytes(range(32))).decode()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "research"}, "stringData": {"key": key}}
    return [profile(**spec), secret]


def _fill(template: Path, folder: Path, values: dict[str, Any]) -> None:
    """Write a committed configuration with what a run gives it."""
    (folder / template.name).write_text(string.Template(template.read_text()).substitute(values))
