"""A real Orthanc with its DICOMweb plugin, as an archive."""

import base64
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from corpus import data_set_bytes
from ports import free_port
from processes import Process
from tap import Witness

USER, PASSWORD = "dicomroute", "an-example-of-a-password"


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
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._host = host
        self._overwrites = overwrites
        self.port = port or free_port()
        self.dicom_port = dicom_port
        self._password = password
        self._process: Process | None = None
        self.start()

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
            "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        file = self._folder / "orthanc.json"
        file.write_text(json.dumps(configuration))
        self._process = Process(["Orthanc", file], self._folder / "orthanc.log")
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

    def _answers(self) -> bool:
        try:
            self._get("/system")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> Any:
        return json.loads(self._read(path))

    def _read(self, path: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
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
