"""A real Orthanc with its DICOMweb plugin, as an archive."""

import base64
import functools
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corpus import data_set_bytes
from ports import free_port
from processes import Process
from tap import Witness

USER, PASSWORD = "dicomroute", "an-example-of-a-password"
_NEWER: Final = Path(__file__).parents[1] / "newer-orthanc" / "build"


@dataclass(frozen=True)
class Installed:
    """Where an Orthanc and its plugin are."""

    program: Path | str
    plugin: Path | str


DEBIAN_12: Final = Installed("Orthanc", "/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
"""Orthanc 1.10.1 with DICOMweb 1.7, of this machine's packages."""


@functools.cache
def debian_13() -> Installed:
    """Return Orthanc 1.12.7 with DICOMweb 1.20, unpacked beside this machine's packages."""
    folder = Path(subprocess.run([_NEWER], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    return Installed(folder / "Orthanc", folder / "plugins" / "libOrthancDicomWeb.so")


class Orthanc:
    """An archive that keeps what it has over restarts."""

    def __init__(
        self,
        folder: Path,
        *,
        password: str | None = None,
        port: int | None = None,
        host: str = "127.0.0.1",
        dicom_port: int | None = None,
        overwrites: bool = False,
        installed: Installed = DEBIAN_12,
        further: Mapping[str, Any] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._installed = installed
        self._folder = folder
        self._host = host
        self._overwrites = overwrites
        self._further = further or {}
        self.port = port or free_port()
        self.dicom_port = dicom_port
        self._password = password
        self._process: Process | None = None
        self.start()

    @property
    def version(self) -> str:
        return str(self._get("/system")["Version"])

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}/dicom-web"

    def start(self, password: str | None = None) -> None:
        self._password = password or self._password
        configuration: dict[str, Any] = {
            "StorageDirectory": str(self._folder / "storage"),
            "IndexDirectory": str(self._folder / "storage"),
            "HttpPort": self.port,
            "DicomServerEnabled": self.dicom_port is not None,
            "DicomPort": self.dicom_port or 0,
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": True,
            "OverwriteInstances": self._overwrites,
            "RemoteAccessAllowed": self._host != "127.0.0.1",
            "AuthenticationEnabled": self._password is not None,
            "RegisteredUsers": {USER: self._password} if self._password else {},
            "Plugins": [str(self._installed.plugin)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            **self._further,
        }
        file = self._folder / "orthanc.json"
        file.write_text(json.dumps(configuration))
        self._process = Process([self._installed.program, file], self._folder / "orthanc.log")
        self._process.wait_until(self._answers, "Orthanc does not answer", 60)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def count(self) -> int:
        return int(self._get("/statistics")["CountInstances"])

    def files(self) -> dict[str, bytes]:
        """Return every stored file by SOP Instance UID, as it was received."""
        return {
            one["MainDicomTags"]["SOPInstanceUID"]: self._read(f"/instances/{one['ID']}/file")
            for one in self._get("/instances?expand&since=0&limit=100000")
        }

    def post(self, path: str, body: bytes) -> Any:
        """Return its answer to a request of its own API."""
        return json.loads(self._read(path, body))

    def _answers(self) -> bool:
        try:
            self._get("/system")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> Any:
        return json.loads(self._read(path))

    def _read(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body)
        if self._password:
            token = base64.b64encode(f"{USER}:{self._password}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.read())


def assert_archive_has(orthanc: Orthanc, witness: Witness, uids: set[str]) -> None:
    """Every data set that was acknowledged is in the archive as it crossed the wire."""
    stored = orthanc.files()
    missing = uids - stored.keys()
    assert not missing, f"{len(missing)} of {len(uids)} are missing"
    different = {uid for uid in uids if data_set_bytes(stored[uid]) != witness.sent[uid]}
    assert not different, f"{len(different)} of {len(uids)} differ"
