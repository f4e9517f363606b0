"""Sends a new study as the quickstart's scanner, and compares what its archive has with what was sent."""

import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from corpus import data_set_bytes, make_corpus, uid_of
from modality import send

from cluster import Cluster

ARCHIVE = "http://192.0.2.1:8042"
SOURCES = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "rtplan.dcm")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        files = make_corpus(Path(folder), 5, SOURCES)
        status = Cluster().get("dicomroute", "ct-to-archive", "radiology")["status"]
        endpoint = status["endpoints"][0]
        before = status["instances"]["receivedTotal"]
        began = time.monotonic()
        answers = send((endpoint["address"], endpoint["port"]), files, seconds=30)
        sent = [one for one in answers if one.get("status") == 0]
        print(f"{len(sent)} of {len(files)} instances acknowledged in {time.monotonic() - began:.1f} s")
        wanted = {uid_of(file): data_set_bytes(file.read_bytes()) for file in files}
        while (missing := [uid for uid in wanted if not _stored(uid)]) and time.monotonic() - began < 60:
            time.sleep(0.2)
        different = [uid for uid in wanted if uid not in missing and data_set_bytes(_stored(uid)) != wanted[uid]]
        print(f"the archive has {len(wanted) - len(missing)} of them, {len(different)} different from what was sent")
        while _received() < before + len(files) and time.monotonic() - began < 90:
            time.sleep(0.5)
        return 1 if missing or different or len(sent) < len(files) else 0


def _received() -> int:
    route = Cluster().get("dicomroute", "ct-to-archive", "radiology")
    instances = route["status"]["instances"]
    return instances["receivedTotal"] - instances["owed"]


def _stored(uid: str) -> bytes:
    query = json.dumps({"Level": "Instance", "Query": {"SOPInstanceUID": uid}}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{ARCHIVE}/tools/find", query), timeout=30) as response:
        found = json.loads(response.read())
    if not found:
        return b""
    with urllib.request.urlopen(f"{ARCHIVE}/instances/{found[0]}/file", timeout=30) as response:
        return bytes(response.read())


if __name__ == "__main__":
    sys.exit(main())
