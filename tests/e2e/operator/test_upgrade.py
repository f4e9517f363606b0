"""An upgrade from the version before, chart and images, with a queue in flight: nothing acknowledged is lost."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from corpus import data_set_bytes, make_corpus, uid_of
from manifests import Json
from modality import start_sending
from orthanc import Orthanc

from cluster import ROOT, Cluster, Namespace, built_images, install


def test_an_upgrade_with_a_queue_in_flight(
    cluster: Cluster,
    namespace: Namespace,
    version_before: Path,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    older, archives = built_images(version_before)
    subprocess.run([ROOT / "tests" / "cluster" / "up", *archives], check=True)
    newer, _ = built_images()
    try:
        install(older, chart=version_before / "charts" / "dicomroute")
        namespace.apply(ct, archive_target, small_route())
        namespace.wait_ready()
        archive.stop()
        files = make_corpus(tmp_path / "study", 150, ("CT_small.dcm",))
        sending = start_sending(namespace.endpoint(), files, seconds=180, pause=0.3)
        namespace.wait(lambda: namespace.instances().get("owed", 0) >= 20, "nothing is owed")
    finally:
        install(newer)
    archive.start()
    acknowledged = sending.acknowledged()
    assert acknowledged == {uid_of(file) for file in files}
    namespace.wait_ready()
    namespace.wait(lambda: archive.count() == len(files), "the archive does not have all")
    namespace.wait_instances(owed=0, deadLettered=0)
    stored = archive.files()
    for file in files:
        assert data_set_bytes(stored[uid_of(file)]) == data_set_bytes(file.read_bytes())
    stateful_set = namespace.get("statefulset", "ct-to-cloud-gw")
    assert stateful_set is not None
    assert stateful_set["spec"]["template"]["spec"]["containers"][0]["image"] == newer["gateway"]
