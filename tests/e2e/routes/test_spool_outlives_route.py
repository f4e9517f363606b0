"""A spool outlives its route: deleting what still owes is refused, and a namesake takes it over only when told to."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from corpus import make_corpus
from manifests import Json, changed
from modality import send
from orthanc import Orthanc

from cluster import STATE, Cluster, CommandError, Namespace


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

    with pytest.raises(
        CommandError, match=r"still owes 3 instances: wait until they are delivered, or give them up with"
    ):
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


@pytest.fixture
def other_namespace(cluster: Cluster, namespace: Namespace) -> Iterator[Namespace]:
    """Where a route is restored to."""
    one = Namespace(cluster, f"{namespace.name[:40]}-restored")
    yield one
    one.delete()


def test_a_route_is_restored_from_a_copy_of_its_claim(
    cluster: Cluster,
    namespace: Namespace,
    other_namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    """As docs/backup.md says; the copy is what a snapshot of the volume would be."""
    namespace.apply(ct, archive_target, small_route(mode="HoldDeliveries"))
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 2, ("CT_small.dcm",))
    assert [one["status"] for one in send(namespace.endpoint(), files)] == [0] * 2
    namespace.wait_instances(owed=2)
    volume = f"restored-{namespace.name}"[:60].strip("-")
    folder = STATE / "volumes" / volume
    folder.mkdir()
    _copy(STATE / "volumes" / f"{_volume(namespace)}.img", folder)
    try:
        cluster.kubectl("apply", "-f", "-", stdin=str(yaml.safe_dump(_restored(volume, folder, other_namespace.name))))
        other_namespace.apply(_claim(volume))
        other_namespace.apply(ct, archive_target, changed(small_route(), "spec.gateway.spool.adopt", True))
        other_namespace.wait_ready()
        other_namespace.wait_instances(owed=0, deliveredTotal=2, receivedTotal=2)
        assert archive.count() == 2
    finally:
        other_namespace.kubectl("delete", "dicomroute", "--all", check=False)
        other_namespace.wait(lambda: other_namespace.get("pod", "ct-to-cloud-gw-0") is None, "the pod stays")
        cluster.kubectl("delete", "pv", volume, "--wait=false")
        subprocess.run(["umount", folder], check=True)


def _volume(namespace: Namespace) -> str:
    return str((namespace.get("pvc", "spool-ct-to-cloud-gw-0") or {})["spec"]["volumeName"])


def _copy(image: Path, folder: Path) -> None:
    """Copy a file system as it is at one moment, and mount the copy."""
    frozen = image.parent / image.stem
    copy = folder.with_suffix(".img")
    subprocess.run(["fsfreeze", "--freeze", frozen], check=True)
    try:
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", frozen], check=True)
    subprocess.run(["mount", "-o", "loop", copy, folder], check=True)


def _restored(name: str, folder: Path, namespace: str) -> Json:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "64Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "local",
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "claimRef": {"namespace": namespace, "name": "spool-ct-to-cloud-gw-0"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        },
    }


def _claim(volume: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "spool-ct-to-cloud-gw-0"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "64Mi"}},
            "storageClassName": "local",
            "volumeName": volume,
        },
    }
