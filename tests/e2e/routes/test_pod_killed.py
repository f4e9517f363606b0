"""A gateway's pod is killed in the middle of a study: everything that was acknowledged arrives."""

from collections.abc import Callable
from pathlib import Path

from corpus import data_set_bytes, make_corpus, uid_of
from manifests import Json
from modality import start_sending
from orthanc import Orthanc

from cluster import Namespace


def test_acknowledged_instances_outlive_their_pod(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    namespace.apply(ct, archive_target, small_route())
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 100, ("CT_small.dcm",))
    sending = start_sending(namespace.endpoint(), files, seconds=120, pause=0.05)
    for _ in range(2):
        before = namespace.pod()["metadata"]["uid"]
        received = namespace.instances().get("receivedTotal", 0)
        namespace.wait(lambda: namespace.instances().get("receivedTotal", 0) > received, "nothing is received")  # noqa: B023
        namespace.kubectl("delete", "pod", "ct-to-cloud-gw-0", "--grace-period=0", "--force")
        namespace.wait(lambda: _is_back(namespace, before), "the pod is not back")  # noqa: B023
    acknowledged = sending.acknowledged()
    assert acknowledged == {uid_of(file) for file in files}
    namespace.wait(lambda: archive.count() == len(files), "the archive does not have all")
    namespace.wait_instances(owed=0, deadLettered=0)
    stored = archive.files()
    assert acknowledged <= stored.keys()
    for file in files:
        assert data_set_bytes(stored[uid_of(file)]) == data_set_bytes(file.read_bytes())


def _is_back(namespace: Namespace, before: str) -> bool:
    pod = namespace.get("pod", "ct-to-cloud-gw-0")
    if pod is None or pod["metadata"]["uid"] == before:
        return False
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
