"""A PACS that cannot be reached shows before anything is owed to it, comes back by itself, and may move."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, changed, node
from modality import send
from ports import free_port
from routes import PACS
from storescp import StoreSCP

from cluster import NODE_ADDRESS, Namespace

INTERVAL_SECONDS = 5
SEEN_SECONDS = 2 * INTERVAL_SECONDS + 12
"""Two intervals, and until the operator has asked the gateway and written it down."""


def pacs(port: int) -> Json:
    one = node(aeTitle="PACS", host=NODE_ADDRESS, port=port, connectionTestSeconds=INTERVAL_SECONDS)
    return changed(one, "metadata", {"name": "pacs"})


def wait(namespace: Namespace, status: str, reason: str, seconds: float = SEEN_SECONDS) -> str:
    """Wait until the node's condition is this; return its message."""

    def reached() -> bool:
        one = namespace.condition("Reachable", "pacs", "dicomnode")
        return (one.get("status"), one.get("reason")) == (status, reason)

    namespace.wait(reached, f"Reachable is not {status}/{reason}", seconds)
    return str(namespace.condition("Reachable", "pacs", "dicomnode")["message"])


def test_a_pacs_that_goes_comes_back_and_moves(
    namespace: Namespace, ct: Json, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    port, other = free_port(), free_port()
    namespace.apply(ct, pacs(port), small_route(rules=[{"name": "everything", "destinations": [PACS]}]))
    namespace.wait_ready()
    before = namespace.pod()
    assert "route ct-to-cloud" in wait(namespace, "False", "ConnectionRefused")
    # Without names: nobody on the node's network answers questions for them, and storescp asks before it accepts.
    peer = StoreSCP(tmp_path / "kept", "--fork", "--disable-host-lookup", port=port)
    try:
        assert "answers a C-ECHO within" in wait(namespace, "True", "Reachable")
        assert "the gateway of route ct-to-cloud" in namespace.cluster.dicomroute(
            "test", "node", "pacs", "-n", namespace.name
        )
        table = namespace.kubectl("get", "dicomnode", "pacs", "-o", "wide")
        assert "True" in table
        peer.stop()
        wait(namespace, "False", "ConnectionRefused")
        peer.port = other
        peer.start("--fork", "--disable-host-lookup")
        namespace.apply(pacs(other))
        wait(namespace, "True", "Reachable")
        files = make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))
        assert [one.get("status") for one in send(namespace.endpoint(), files)] == [0]
        namespace.wait_instances(owed=0, deliveredTotal=1)
        after = namespace.pod()
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    finally:
        peer.stop()
