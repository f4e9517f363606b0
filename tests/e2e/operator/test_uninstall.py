"""The chart is uninstalled: the custom resources, the gateways and their spools stay; a new release takes them over."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json
from modality import send
from orthanc import Orthanc

from cluster import OPERATOR_NAMESPACE, Cluster, Namespace, built_images, install
from dicomroute_operator.kinds.listed import KINDS


def test_uninstall_and_install_again(
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
    pod = namespace.pod()["metadata"]["uid"]
    cluster.helm("test", "dicomroute", "-n", OPERATOR_NAMESPACE)
    cluster.helm("uninstall", "dicomroute", "-n", OPERATOR_NAMESPACE, "--wait")
    try:
        assert len(cluster.kubectl("get", "crds", "-o", "name").split()) == len(KINDS)
        files = make_corpus(tmp_path / "study", 3, ("CT_small.dcm",))
        assert [one["status"] for one in send(namespace.endpoint(), files)] == [0] * 3
        namespace.wait(lambda: archive.count() == 3, "what was received is not delivered")
    finally:
        install(built_images()[0])
    namespace.wait_instances(receivedTotal=3, deliveredTotal=3, owed=0)
    assert namespace.pod()["metadata"]["uid"] == pod
