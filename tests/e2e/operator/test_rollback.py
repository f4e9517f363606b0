"""`helm rollback` under load: what a newer gateway has written down, the older one opens, keeps and delivers."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from corpus import data_set_bytes, make_corpus, uid_of
from manifests import Json
from modality import start_sending
from orthanc import Orthanc

from cluster import OPERATOR_NAMESPACE, ROOT, Cluster, Namespace, VersionBefore, built_images, install


def test_a_rollback_under_load(
    cluster: Cluster,
    namespace: Namespace,
    version_before: VersionBefore,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    older, archives = version_before.images.result()
    subprocess.run([ROOT / "tests" / "cluster" / "up", *archives], check=True)
    newer, _ = built_images()

    def runs(images: dict[str, str]) -> bool:
        pod = namespace.get("pod", "ct-to-cloud-gw-0")
        if pod is None or pod["spec"]["containers"][0]["image"] != images["gateway"]:
            return False
        found = pod.get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in found)

    def received() -> int:
        return int(namespace.instances().get("receivedTotal", 0))

    try:
        install(older, chart=version_before.folder / "charts" / "dicomroute")
        namespace.apply(ct, archive_target, small_route())
        namespace.wait_ready()
        archive.stop()
        files = make_corpus(tmp_path / "study", 300, ("CT_small.dcm",))
        sending = start_sending(namespace.endpoint(), files, seconds=400, pause=0.3)
        namespace.wait(lambda: received() >= 20, "nothing is received by the older gateway")
        install(newer)
        namespace.wait(lambda: runs(newer), "the newer gateway does not run", 180)
        before = received()
        namespace.wait(lambda: received() >= before + 20, "nothing is received by the newer gateway")
        assert sending.is_running, "the load ended before the rollback"
        cluster.helm("rollback", "dicomroute", "--namespace", OPERATOR_NAMESPACE, "--wait", "--timeout", "120s")
        namespace.wait(lambda: runs(older), "the older gateway does not run again", 180)
        namespace.wait_ready()
        before = received()
        assert before >= 40, "the older gateway does not know what the newer one had written down"
        acknowledged = sending.acknowledged()
        assert acknowledged == {uid_of(file) for file in files}
        archive.start()
        namespace.wait(lambda: archive.count() == len(files), "the archive does not have all", 300)
        namespace.wait_instances(owed=0, deadLettered=0)
        stored = archive.files()
        for file in files:
            assert data_set_bytes(stored[uid_of(file)]) == data_set_bytes(file.read_bytes())
    finally:
        install(newer)
