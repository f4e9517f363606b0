"""Ports are open to IPv6 and IPv4 alike, and who may call is said in the addresses of either."""

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from corpus import FILES
from gateways import LoneGateway
from manifests import changed, node
from pydicom import dcmread
from pynetdicom import AE
from routes import local_route, to

CT = dcmread(FILES / "CT_small.dcm")
NOWHERE = "http://127.0.0.1:9/dicom-web"


@pytest.fixture
def everywhere(tmp_path: Path) -> Iterator[LoneGateway]:
    """A gateway as the pods start it; one node may call by IPv6, another by IPv4."""
    six = changed(node(aeTitle="SIX", allowedSources=["::1/128"]), "metadata.name", "six")
    four = changed(node(aeTitle="FOUR", allowedSources=["127.0.0.0/8"]), "metadata.name", "four")
    sources = {"nodes": [{"name": "six"}, {"name": "four"}]}
    route = changed(local_route(), "spec.listeners.0.sources", sources)
    gateway = LoneGateway(tmp_path, [six, four, to(NOWHERE), route], further=["--bind="])
    yield gateway
    gateway.kill()


def store(gateway: LoneGateway, address: str, title: str) -> int | None:
    """Send one instance; return the status of its answer, None where the association was rejected."""
    entity = AE(title)
    entity.add_requested_context(CT.SOPClassUID, CT.file_meta.TransferSyntaxUID)
    association = entity.associate(address, gateway.port, ae_title="CTGATE")
    if not association.is_established:
        return None
    status: int = association.send_c_store(CT).Status
    association.release()
    return status


@pytest.mark.parametrize(
    ("address", "title", "expected"), [("::1", "SIX", 0), ("127.0.0.1", "FOUR", 0), ("::1", "FOUR", None)]
)
def test_who_may_call_is_known_by_either_address(
    everywhere: LoneGateway, address: str, title: str, expected: int | None
) -> None:
    assert store(everywhere, address, title) == expected


def test_an_ipv4_caller_is_not_taken_for_one_of_ipv6(everywhere: LoneGateway) -> None:
    assert store(everywhere, "127.0.0.1", "SIX") is None


def test_health_is_told_over_both(everywhere: LoneGateway) -> None:
    port = everywhere.admin.rpartition(":")[2]
    for host in ("[::1]", "127.0.0.1"):
        with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=10) as response:
            assert response.status == 200


def test_a_machine_without_ipv6_is_served_all_the_same(tmp_path: Path) -> None:
    """In a network of its own, in which the kernel was told to have none."""
    four = changed(node(aeTitle="FOUR", allowedSources=["127.0.0.0/8"]), "metadata.name", "ct-1")
    setup = 'sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && ip link set lo up && exec "$@"'
    gateway = LoneGateway(
        tmp_path,
        [four, to(NOWHERE), local_route()],
        prefix=["unshare", "--net", "sh", "-c", setup, "sh"],
        further=["--bind="],
        wait=False,
    )
    try:
        inside = ["nsenter", f"--net=/proc/{gateway.process.pid}/ns/net"]
        gateway.process.wait_until(lambda: _answers(inside, gateway.admin), "the gateway is not ready")
    finally:
        gateway.kill()


def _answers(inside: list[str], admin: str) -> bool:
    command = [*inside, "curl", "--silent", "--fail", f"http://{admin}/readyz"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
