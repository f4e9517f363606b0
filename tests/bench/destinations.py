"""What is delivered to: an archive that speaks STOW-RS and storescp as it comes, the same for every system."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import machine
from certificate import make_certificate
from certificates import Authority
from manifests import Json, ca_bundle, node, target
from ports import free_port
from processes import Process
from sender import Association, SendError

from dicomroute_operator.kinds.crd import open_api_schema
from dicomroute_operator.kinds.listed import KINDS

BENCH = Path(__file__).parent
CT, IMPLICIT_VR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a destination has so far: `last` is when the last instance was there whole, on the monotonic clock."""

    instances: int = 0
    file_bytes: int = 0
    requests: int = 0
    last: float = 0.0
    cpu_seconds: float = 0.0


class Destination(Protocol):
    """A destination that runs. `reference` and `manifests` are how a DicomRoute names it."""

    port: int
    reference: Json

    @property
    def manifests(self) -> Sequence[Json]:
        """The objects behind `reference`."""

    def arrived(self) -> Arrived:
        """Return what it has."""

    def close(self) -> None:
        """End it."""


class StowSink:
    """`stow_sink.py`: it answers after `delay_seconds`, over TLS with a certificate that is made for it."""

    def __init__(self, folder: Path, *, delay_seconds: float = 0.0, tls: bool = False) -> None:
        folder.mkdir(parents=True)
        self.reference: Json = {"kind": "CloudTarget", "name": "archive"}
        command = [sys.executable, str(BENCH / "stow_sink.py"), f"--delay={delay_seconds}"]
        self.authority = ""
        """The certificate that clients have to trust; "" without TLS."""
        if tls:
            file, self.authority = make_certificate(folder)
            command += [f"--certificate={file}"]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
            )
        self.port = int(self._read()["port"])
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/dicom-web"

    @property
    def manifests(self) -> Sequence[Json]:
        if not self.authority:
            return [target(url=self.url)]
        authority, bundle = ca_bundle("archive-ca", self.authority)
        return [target(url=self.url, tls={"caBundleRef": bundle}), authority]

    def arrived(self) -> Arrived:
        assert self._process.stdin
        self._process.stdin.write("\n")
        facts = self._read()
        assert not facts["refused"], f"the sink refused a request: {facts['refused']}"
        return Arrived(**{one.name: facts[one.name] for one in fields(Arrived)})

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the sink has failed"
        return dict(json.loads(line))


class Storescp:
    """DCMTK's storescp as it comes: one association after the other, Nagle's algorithm on, nothing synced.

    With `no_delay` it is made as fast as it goes, a process an association.
    """

    def __init__(self, folder: Path, *, tls: bool = False, no_delay: bool = False) -> None:
        self.reference: Json = {"kind": "DicomNode", "name": "pacs"}
        self._kept = folder / "kept"
        self._kept.mkdir(parents=True)
        self.port = free_port()
        command = [
            str(BENCH / "peers" / ("storescp-nodelay" if no_delay else "storescp-default")),
            str(self.port),
            str(self._kept),
        ]
        self._authority = Authority(folder / "authority") if tls else None
        authority = ""
        if self._authority:
            certificate, key = self._authority.issue("127.0.0.1")
            command += ["+tls", str(key), str(certificate), "-ic"]
            authority = str(self._authority.file)
        self._process = Process(command, folder / "log")
        self._process.wait_until(lambda: associates(self.port, authority), "storescp accepts no association")

    @property
    def manifests(self) -> Sequence[Json]:
        spec = {"aeTitle": "STORESCP", "host": "127.0.0.1", "port": self.port, "allowedSources": ["127.0.0.0/8"]}
        metadata = {"name": self.reference["name"]}
        if not self._authority:
            return [{**node(**spec), "metadata": metadata}]
        authority, bundle = ca_bundle("pacs-ca", self._authority.pem)
        return [{**node(**spec, tls={"caBundleRef": bundle}), "metadata": metadata}, authority]

    def arrived(self) -> Arrived:
        files = [one.stat() for one in os.scandir(self._kept)]
        last = time.monotonic() - time.time() + max((one.st_mtime for one in files), default=0.0)
        size, used = sum(one.st_size for one in files), machine.cpu_seconds([self._process.pid])
        return Arrived(len(files), size, len(files), last, used)

    def close(self) -> None:
        self._process.stop()


def associates(port: int, authority: str = "") -> bool:
    """Return whether something accepts associations on a port; it speaks TLS where an authority is given."""
    try:
        Association(port, CT, IMPLICIT_VR, authority=authority).release()
    except (OSError, SendError):
        return False
    return True


def lacks_authority() -> str:
    """Return why this gateway cannot deliver to a server whose certificate a site has made itself, "" if it can."""
    fields = _spec("CloudTarget").get("tls", {}).get("properties", {})
    return "" if "caBundleRef" in fields else "CloudTarget has no field spec.tls.caBundleRef yet"


def lacks_store_scu() -> str:
    """Return why this gateway cannot deliver by C-STORE, "" if it can."""
    rule = _spec("DicomRoute")["rules"]["items"]["properties"]
    kinds = rule["destinations"]["items"]["properties"]["kind"]["enum"]
    return "" if "DicomNode" in kinds else "DicomRoute takes no destination of the kind DicomNode yet"


def _spec(kind: str) -> dict[str, Any]:
    model = KINDS[kind].model
    return dict(open_api_schema(model)["properties"]["spec"]["properties"])
