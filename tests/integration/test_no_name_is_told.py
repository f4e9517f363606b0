"""After de-identification and quarantine no planted name stands in a log, metric, status, queue, ledger or file."""

import base64
import time
from collections.abc import Callable
from pathlib import Path

from gateways import LoneGateway
from manifests import Json, profile
from origin_server import OriginServer
from planted.encoding import Element
from routes import local_node, local_route, references, targets
from running import dcmsend
from treated_ct import KEY, ct

from dicomroute_gateway.spool.part10 import file_head

CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
PLANTED = (b"qzxmiller", b"pid1234", b"wxqcomment")
COMMENT: Element = (0x00104000, "LT", b"Wxqcomment")


def secret(name: str, key: str, value: bytes) -> Json:
    text = base64.b64encode(value).decode()
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: text}}


def test_no_name_is_told(tmp_path: Path, lone: Callable[..., LoneGateway], server: OriginServer) -> None:
    encryption = {"keySecretRef": {"name": "spool-key", "key": "keys"}}
    rules: list[Json] = [
        {"name": "research", "destinations": references("archive"), "deidentify": {"name": "research"}},
        {"name": "broken", "when": "int(instance.PatientID) > 3", "destinations": references("archive")},
    ]
    rules[1]["deidentify"] = {"name": "research"}
    served = {"listeners": ["dicom"], "clients": {"nodes": [{"name": "ct-1"}]}, "archives": []}
    spec = {"gateway": {"spool": {"size": "8Gi", "encryption": encryption}}, "queryRetrieve": served}
    documents = [
        local_node(),
        secret("research", "key", KEY),
        secret("spool-key", "keys", bytes(32)),
        profile(),
        *targets(archive=server.url),
        local_route(rules=rules, **spec),
    ]
    gateway = lone(tmp_path / "gateway", documents, log_level="debug")
    files = []
    for number, more in ((1, ()), (2, ((0x00280301, "CS", b"YES"),)), (3, (COMMENT,))):
        file = tmp_path / f"{number}.dcm"
        head = file_head(CT_IMAGE_STORAGE, f"1.2.3.{number}", EXPLICIT_VR_LITTLE_ENDIAN)
        file.write_bytes(head + ct(number, *more))
        files.append(file)
    assert dcmsend(gateway.port, files) == 0

    def is_done() -> bool:
        found = gateway.get("/api/v1/queue?state=Held")["items"]
        return len(server.files) == 2 and "MayShowNames" in {one["reason"] for one in found}

    gateway.process.wait_until(is_done, "not delivered, or not in quarantine")
    told = {
        path: gateway.text(path).encode()
        for path in ("/api/v1/status", "/api/v1/queue", "/api/v1/ledger?studyInstanceUID=1.2.3.4", "/api/v1/report")
    }
    told["/metrics"] = gateway.metrics().encode()
    time.sleep(1)  # the catalogue follows the spool
    told |= {str(one): one.read_bytes() for one in (tmp_path / "gateway" / "spool").rglob("*") if one.is_file()}
    told["log"] = (tmp_path / "gateway" / "gateway.log").read_bytes()
    told |= {f"sent {uid}": file for uid, file in server.files.items()}
    assert any(name.endswith(".dcm") for name in told), "nothing is on the spool"
    for where, content in told.items():
        for name in PLANTED:
            assert name not in content.lower(), f"{name!r} in {where}"
    assert all(name in b"".join(one.read_bytes() for one in files).lower() for name in PLANTED)
