"""An operator that is told to stop stops: the next one waits for it, and routes have none meanwhile."""

import json
import os
import sys
import time
from pathlib import Path

from control_plane import ControlPlane
from manifests import changed, node
from ports import free_port
from processes import Process

KOPF_SECONDS = 5
"""How long kopf waits for tasks that began after it, when it is told to stop."""


def test_it_stops_at_once_and_gives_its_lease_back(control_plane: ControlPlane, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(os.urandom(24).hex().encode())
    command = [
        sys.executable, "-W", "ignore", "-m", "dicomroute_operator", "--gateway-image=gateway:1",
        f"--admin-key-file={key}", "--namespace=default", "--watch-namespace=default", "--lease=stops",
        f"--health-port={free_port()}",
    ]  # fmt: skip
    operator = Process(command, tmp_path / "operator.log", env={**os.environ, **control_plane.environment()})
    try:
        operator.wait_until(lambda: '"event": "synced"' in operator.tail(), "the operator does not start")
        assert control_plane.apply(changed(node(), "metadata.name", "stops"), "dicomnodes", dry_run=False).code == 201
        path = "/apis/dicomroute.dev/v1alpha1/namespaces/default/dicomnodes/stops"
        operator.wait_until(lambda: "status" in control_plane.request("GET", path).body, "it hears of no node")
        begin = time.monotonic()
        assert operator.stop() == 0
        assert time.monotonic() - begin < KOPF_SECONDS
    finally:
        operator.kill()
        control_plane.kubectl("delete", "dicomnode", "stops", "-n", "default", "--ignore-not-found")
    lease = control_plane.kubectl("get", "lease", "stops", "-n", "default", "-o", "json")
    assert json.loads(lease)["spec"].get("holderIdentity", "") == ""
