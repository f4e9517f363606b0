"""What can go wrong with a route's pods says so in the status, each with its own reason, and never as a crash loop."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, changed
from modality import send
from orthanc import Orthanc
from routes import secret, with_password

from cluster import Namespace


def test_an_unschedulable_pod(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    nowhere = changed(small_route(), "spec.gateway.podTemplate.spec.nodeSelector", {"example.com/none": "x"})
    namespace.apply(ct, archive_target, nowhere)
    message = namespace.wait_condition("Ready", "False", "Unschedulable")["message"]
    assert "ct-to-cloud-gw-0" in message
    assert "node" in message


def test_an_image_that_does_not_exist(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    namespace.apply(ct, archive_target, changed(small_route(), "spec.gateway.image", "localhost/none:1"))
    assert "localhost/none:1" in namespace.wait_condition("Ready", "False", "ImageUnavailable")["message"]


def test_a_deleted_credential(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    namespace.apply(ct, with_password(archive_target), secret("an-example"), small_route())
    namespace.wait_ready()
    namespace.wait_condition("ResolvedRefs", "True")
    namespace.kubectl("delete", "secret", "archive")
    namespace.wait_condition("ResolvedRefs", "False", "SecretNotFound")
    assert namespace.condition("Ready")["status"] == "True"


def test_a_full_volume(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    small = changed(small_route(mode="HoldDeliveries"), "spec.gateway.spool", {"size": "16Mi"})
    namespace.apply(ct, archive_target, small)
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 60, ("examples_overlay.dcm",))  # 19 MB
    statuses = [one.get("status") for one in send(namespace.endpoint(), files)]
    assert statuses == [0] * (len(statuses) - 1) + [0xA700]
    namespace.wait_condition("SpoolPressure", "True", "AboveWatermark")
    assert namespace.condition("Ready")["status"] == "True"
    received = len(statuses) - 1
    namespace.apply(changed(small, "spec.mode", "Running"))
    namespace.wait_instances(owed=0, deliveredTotal=received)
    assert namespace.condition("SpoolPressure") == {}
    assert archive.count() == received
