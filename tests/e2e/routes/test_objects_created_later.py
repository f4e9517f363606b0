"""A route may come before what it names: it says what it waits for, and goes on by itself when that is there."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, node, target
from modality import send
from orthanc import Orthanc
from ports import free_port
from routes import secret, with_password

from cluster import NODE_ADDRESS, Namespace

PASSWORD = "an-example-of-a-password"


def test_node_secret_and_target_after_the_route(
    namespace: Namespace, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    archive = Orthanc(tmp_path / "orthanc", host=NODE_ADDRESS, port=free_port(), password=PASSWORD)
    try:
        namespace.apply(small_route())
        assert "ct-1" in namespace.wait_condition("ResolvedRefs", "False", "NodeNotFound")["message"]
        namespace.wait_ready()  # what is missing stops no pod

        namespace.apply(node(aeTitle="CT1", allowedSources=["192.0.2.130/32"]))
        namespace.wait_condition("ResolvedRefs", "False", "TargetNotFound")
        namespace.wait_ready()
        files = make_corpus(tmp_path / "study", 5, ("CT_small.dcm",))
        assert [one["status"] for one in send(namespace.endpoint(), files, seconds=30)][-5:] == [0] * 5
        namespace.wait_instances(owed=5)
        namespace.wait_condition("Held", "True")

        namespace.apply(with_password(target(url=f"http://archive.hospital.example:{archive.port}/dicom-web")))
        found = namespace.wait_condition("ResolvedRefs", "False", "SecretNotFound")
        assert "Secret archive" in found["message"]
        assert "password" in found["message"]

        namespace.apply(secret(PASSWORD))
        namespace.wait_condition("ResolvedRefs", "True")
        namespace.wait_instances(owed=0, deliveredTotal=5)
        assert archive.count() == 5
        assert namespace.condition("Held") == {}
    finally:
        archive.stop()
