"""A spool outlives its route: deleting what still owes is refused, and a namesake takes it over only when told to."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from corpus import make_corpus
from manifests import Json, changed
from modality import send
from orthanc import Orthanc

from cluster import CommandError, Namespace


def test_deletion_and_adoption(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    namespace.apply(ct, small_route())  # without its target everything is held
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 3, ("CT_small.dcm",))
    assert [one["status"] for one in send(namespace.endpoint(), files)] == [0] * 3
    namespace.wait_instances(owed=3)
    gateway = ("--route", "ct-to-cloud", "-n", namespace.name, "--context", "dicomroute-embedded")
    queue = json.loads(namespace.cluster.dicomroute("queue", "list", *gateway, "-o", "json"))
    assert [(one["state"], one["reason"]) for one in queue["items"]] == [("Held", "NoSuchDestination")] * 3

    with pytest.raises(CommandError, match=r"still owes 3 instances: wait until they are delivered, or say that"):
        namespace.kubectl("delete", "dicomroute", "ct-to-cloud")
    namespace.kubectl("annotate", "dicomroute", "ct-to-cloud", "dicomroute.dev/abandon-spool=true")
    namespace.kubectl("delete", "dicomroute", "ct-to-cloud")
    namespace.wait(lambda: namespace.get("pod", "ct-to-cloud-gw-0") is None, "the pod outlives its route")
    assert namespace.get("pvc", "spool-ct-to-cloud-gw-0") is not None

    namespace.apply(archive_target, small_route())
    message = namespace.wait_condition("Accepted", "False", "SpoolOfAnotherRoute")["message"]
    assert "spool-ct-to-cloud-gw-0" in message
    assert "spool.adopt: true" in message
    assert namespace.get("statefulset", "ct-to-cloud-gw") is None

    namespace.apply(changed(small_route(), "spec.gateway.spool.adopt", True))
    namespace.wait_ready()
    namespace.wait_instances(owed=0, deliveredTotal=3)
    assert archive.count() == 3
    claim = namespace.get("pvc", "spool-ct-to-cloud-gw-0")
    assert claim is not None
    assert claim["metadata"]["labels"]["dicomroute.dev/route-uid"] == namespace.route()["metadata"]["uid"]


def test_a_spool_grows(namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]) -> None:
    namespace.apply(ct, archive_target, small_route())
    namespace.wait_ready()
    # This cluster's volumes grow while nobody has them, as some clouds' do.
    larger = changed(changed(small_route(), "spec.gateway.spool.size", "128Mi"), "spec.gateway.replicas", 0)
    namespace.apply(larger)
    namespace.wait_condition("Ready", "False", "ScaledToZero")

    def grown() -> bool:
        claim = namespace.get("pvc", "spool-ct-to-cloud-gw-0")
        return claim is not None and claim["status"]["capacity"]["storage"] == "128Mi"

    namespace.wait(grown, "the claim has not grown")
    namespace.apply(changed(larger, "spec.gateway.replicas", 1))
    namespace.wait_ready()
    size = namespace.kubectl(
        "exec", "ct-to-cloud-gw-0", "--", "/opt/dicomroute/bin/python", "-c",
        "import shutil; print(shutil.disk_usage('/var/lib/dicomroute').total)",
    )  # fmt: skip
    assert int(size) > 100 * 1024 * 1024
