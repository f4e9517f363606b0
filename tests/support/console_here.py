"""A `dicomroute run --console` that owes a CT image to a target that is down, and holds an MR image."""

import json
from pathlib import Path
from typing import Any

from console import Answer, ask
from corpus import FILES
from manifests import Json
from routes import PACS, local_node, local_route, pacs, to
from running import Running, echoscu, storescu

NOWHERE = "http://127.0.0.1:9/dicom-web"
CT, MR = FILES / "CT_small.dcm", FILES / "MR_small.dcm"
STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
ONLY_CT = [
    {"name": "ct", "when": 'instance.Modality == "CT"', "destinations": [{"kind": "CloudTarget", "name": "archive"}]},
    {"name": "us", "when": 'instance.Modality == "US"', "destinations": [PACS]},
]


class Here:
    """A `dicomroute run --console` that owes a CT image to a target that is down, and holds an MR image."""

    def __init__(self, folder: Path) -> None:
        retry = {"initialBackoffSeconds": 60, "maxBackoffSeconds": 60}
        documents = [local_node(), pacs(9), to(NOWHERE), local_route(rules=ONLY_CT, retry=retry)]
        self.running = Running(folder, documents, options=["--console", "--console-port", "0"])
        said = json.loads((folder / "ready.json").read_text())["console"]
        self.url, self.token_file = said["url"], Path(said["tokenFile"])
        self.token = self.token_file.read_text().strip()
        assert storescu(self.running.port, [CT, MR]) == 0
        echoscu(self.running.port, calling="<script>1")
        self.running.wait_for(receivedTotal=2, owed=2)
        self.running.process.wait_until(lambda: "ConnectionFailed" in str(self.queue()), "no attempt was made")

    def queue(self) -> list[Json]:
        return list(self.running.get("/api/v1/queue")["items"])

    def ask(self, path: str, **options: Any) -> Answer:
        return ask(self.url, path, **options)

    def signed_in(self) -> str:
        """Return the cookie of a new session."""
        answer = self.ask("/sign-in", form={"token": self.token}, Origin=self.url.rstrip("/"))
        assert answer.code == 303
        return answer.headers["set-cookie"].partition(";")[0]
