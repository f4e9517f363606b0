"""A changed Secret is used within two minutes, without a restart and without a dropped association."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, target
from modality import start_sending
from orthanc import Orthanc
from ports import free_port
from routes import secret, with_password

from cluster import NODE_ADDRESS, Namespace

OLD, NEW = "an-example-of-a-password", "another-example-of-a-password"


def test_a_changed_secret_is_used(
    namespace: Namespace, ct: Json, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    archive = Orthanc(tmp_path / "orthanc", host=NODE_ADDRESS, port=free_port(), password=OLD)
    try:
        url = f"http://archive.hospital.example:{archive.port}/dicom-web"
        namespace.apply(ct, with_password(target(url=url)), secret(OLD), small_route())
        namespace.wait_ready()
        before = namespace.pod()
        files = make_corpus(tmp_path / "study", 60, ("CT_small.dcm",))
        sending = start_sending(namespace.endpoint(), files, pause=1)  # one association for a minute
        namespace.wait(lambda: namespace.instances().get("deliveredTotal", 0) > 0, "nothing is delivered")
        archive.stop()
        archive.start(NEW)
        namespace.apply(secret(NEW))
        answers = sending.answers()
        assert [one.get("status") for one in answers] == [0] * len(files)
        namespace.wait_instances(owed=0, deliveredTotal=len(files), seconds=120)
        assert archive.count() == len(files)
        after = namespace.pod()
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    finally:
        archive.stop()
