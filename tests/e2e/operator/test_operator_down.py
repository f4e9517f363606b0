"""Without its operator a route goes on: it receives, delivers, and can be deleted."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json
from modality import send
from orthanc import Orthanc

from cluster import OPERATOR_NAMESPACE, Cluster, Namespace


def test_gateways_go_on_without_their_operator(
    cluster: Cluster,
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    namespace.apply(ct, archive_target, small_route())
    namespace.wait_ready()
    scale(cluster, 0)
    try:
        files = make_corpus(tmp_path / "study", 5, ("CT_small.dcm",))
        assert [one["status"] for one in send(namespace.endpoint(), files)] == [0] * 5
        namespace.wait(lambda: archive.count() == 5, "what was received is not delivered")
        namespace.kubectl("delete", "dicomroute", "ct-to-cloud", "--timeout=30s")
        for kind, name in (
            ("pod", "ct-to-cloud-gw-0"),
            ("service", "ct-to-cloud-dicom"),
            ("configmap", "ct-to-cloud-gw-v1"),
        ):
            namespace.wait(lambda: namespace.get(kind, name) is None, f"{kind} {name} stays")  # noqa: B023
        assert namespace.get("pvc", "spool-ct-to-cloud-gw-0") is not None
    finally:
        scale(cluster, 1)


def scale(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl("scale", "deployment/dicomroute", "-n", OPERATOR_NAMESPACE, f"--replicas={replicas}")
    if replicas:
        cluster.kubectl("rollout", "status", "deployment/dicomroute", "-n", OPERATOR_NAMESPACE, "--timeout=90s")
    else:
        cluster.kubectl(
            "wait", "pod", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=dicomroute-operator",
            "--for=delete", "--timeout=60s",
        )  # fmt: skip
