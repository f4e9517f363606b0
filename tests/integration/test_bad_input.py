"""Whatever a peer sends is answered as the standard says, and costs nobody else anything.

The table is in tests/support/bad_input/. Each row is played against a gateway beside a healthy client.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from archive import Archive
from bad_input.encrypted import Encrypted
from bad_input.row import Expected, Held, Port, Row, Stored
from bad_input.table import ROWS
from healthy import HealthyClient
from manifests import changed
from peer import Instance
from processes import wait_until
from routes import local_node, local_route, to
from running import Running
from watch import Watch, log_faults

_RULES = [
    {"name": "everything", "destinations": [{"kind": "CloudTarget", "name": "archive"}]},
    {
        "name": "reads",
        "when": "instance.PatientName == 'nobody' || instance.PatientID == 'nobody' || "
        "instance.StudyDescription == 'none' || instance.Rows == 7 || instance.NumberOfFrames == 7 || "
        "instance.SliceThickness == 7.0",
        "destinations": [{"kind": "CloudTarget", "name": "archive"}],
    },
]
_TIMEOUTS = {"acseTimeoutSeconds": 2, "stallTimeoutSeconds": 2, "idleTimeoutSeconds": 2}


@dataclass(frozen=True)
class Gateway:
    running: Running
    archive: Archive
    port: int
    watch: Watch
    encrypted: Encrypted
    instances: list[Instance] = field(default_factory=list)
    """All that was sent whole."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all rows, whose archive keeps what it is sent."""
    archive = Archive()
    route = local_route(rules=_RULES)
    for name, seconds in _TIMEOUTS.items():
        route = changed(route, f"spec.listeners.0.{name}", seconds)
    encrypted = Encrypted(tmp_path_factory.mktemp("certificates"))
    route = changed(route, "spec.listeners.1", encrypted.listener())
    documents = (local_node(), to(archive.url), *encrypted.manifests(), route)
    running = Running(tmp_path_factory.mktemp("bad-input"), documents)
    encrypted.port = next(one["port"] for one in running.status()["listeners"] if one["name"] == "dicom-tls")
    yield Gateway(running, archive, running.port, Watch(running), encrypted)
    running.stop()
    archive.close()
    assert log_faults(running.process.output.read_bytes()) == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # it is what an old device speaks
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_peer_is_answered_as_the_standard_says_and_disturbs_nobody(row: Row, gateway: Gateway) -> None:
    port, healthy, answer = play(row, gateway)
    if healthy.waits and not healthy.faults:
        # Others use this machine too; what the row has caused, it causes again.
        port, healthy, answer = play(row, gateway)
    assert healthy.faults == [], "a healthy client was not served"
    assert healthy.waits == [], "a healthy client was not served within a second"
    assert row.is_met_by(answer), f"{answer} in place of {row.expected}: {row.standard}"
    assert gateway.watch.faults() == []
    stored = [one for one in port.instances if one.status == 0]
    assert stored or not isinstance(row.expected, Stored | Held)
    if isinstance(row.expected, Held):
        assert_held(gateway, stored)
    else:
        assert_delivered(gateway, stored)


def play(row: Row, gateway: Gateway) -> tuple[Port, HealthyClient, Expected]:
    """Play a row beside a healthy client."""
    port = Port(gateway.port, lambda: gateway.running.status()["associations"]["open"], gateway.encrypted)
    healthy = HealthyClient(gateway.port)
    gateway.watch.begin()
    try:
        with healthy:
            try:
                return port, healthy, row.play(port)
            finally:
                port.close()
    finally:
        gateway.instances.extend([*port.instances, *healthy.instances])


def assert_delivered(gateway: Gateway, instances: list[Instance]) -> None:
    """The archive gets every byte as it was sent."""
    for one in instances:
        wait_until(lambda: gateway.archive.has(one), f"{one.sop_instance_uid} is not in the archive as it was sent")  # noqa: B023


def assert_held(gateway: Gateway, instances: list[Instance]) -> None:
    """They are kept, and held because a rule has no answer."""
    items = gateway.running.get("/api/v1/queue?state=Held&limit=1000")["items"]
    reasons = {item["sopInstanceUID"]: item["reason"] for item in items}
    assert [reasons.get(one.sop_instance_uid) for one in instances] == ["RuleError"] * len(instances)


def test_after_all_of_it_only_what_was_acknowledged_is_there(gateway: Gateway) -> None:
    """Runs behind the rows."""
    acknowledged = [one for one in gateway.instances if one.status == 0]
    unanswered = [one for one in gateway.instances if one.status is None]
    received = gateway.running.counts()["receivedTotal"]
    different = {(one.sop_instance_uid, one.data_set) for one in acknowledged}
    assert len(different) <= received <= len(acknowledged) + len(unanswered)
    allowed = {one.data_set for one in (*acknowledged, *unanswered)}
    assert {data_set for kept in gateway.archive.data_sets.values() for data_set in kept} <= allowed
    assert gateway.archive.strange == [], "a file that begins with something else than zeros"
    assert [path for path in gateway.running.folder.parent.rglob("*") if "forged" in path.name] == []
    assert not Path("/tmp/forged").exists(), "a name that a peer sent became a file"
