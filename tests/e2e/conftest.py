"""The operator on a real Kubernetes. `make e2e` starts the cluster and runs these inside its network."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from manifests import Json, node, route, target
from orthanc import Orthanc
from ports import free_port

from cluster import CLUSTER_NETWORK, CONTEXT, NODE_ADDRESS, Cluster, Namespace


def pytest_configure() -> None:
    """Refuse to run anywhere but in the network of the cluster that the tests have made, or in one that was named."""
    if CONTEXT:
        return
    inside = CLUSTER_NETWORK.exists() and CLUSTER_NETWORK.stat().st_ino == Path("/proc/self/ns/net").stat().st_ino
    if not inside and os.environ.get("PYTEST_XDIST_WORKER") is None:
        pytest.exit("these tests run in the network of the embedded cluster: `make e2e` does that", returncode=2)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace named after the test."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:50].strip("-")
    one = Namespace(cluster, name)
    yield one
    one.delete()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    """A real archive outside of the cluster's pods, reachable from them."""
    one = Orthanc(tmp_path / "orthanc", host=NODE_ADDRESS, port=free_port())
    yield one
    one.stop()


@pytest.fixture
def archive_target(archive: Orthanc) -> Json:
    return target(url=f"http://archive.hospital.example:{archive.port}/dicom-web")


@pytest.fixture
def ct() -> Json:
    """The node that the simulated modality is."""
    return node(aeTitle="CT1", allowedSources=["192.0.2.130/32"])


@pytest.fixture(scope="session")
def small_route() -> Callable[..., Json]:
    """Return a route with a small spool, short waits and a load balancer's address."""

    def make(**spec: object) -> Json:
        gateway = {
            "service": {"type": "LoadBalancer", "ports": [{"listener": "dicom", "port": 104}]},
            "spool": {"size": "64Mi"},
        }
        retry = {"initialBackoffSeconds": 1, "maxBackoffSeconds": 2}
        return route(**{"gateway": gateway, "retry": retry, **spec})

    return make
