"""A changed Secret is used when its node has mounted it, without a restart and without a dropped association."""

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
        files = make_corpus(tmp_path / "study", 45, ("CT_small.dcm",))
        sending = start_sending(namespace.endpoint(), files, pause=1)  # one association all the while
        namespace.wait(lambda: archive.count() > 0, "nothing is delivered")
        archive.stop()
        archive.start(NEW)
        before_it = archive.count()
        namespace.apply(secret(NEW))
        namespace.wait(lambda: archive.count() > before_it, "the new password is not used")
        assert sending.is_running, "the association was over before the new password was used"
        answers = sending.answers()
        assert [one.get("status") for one in answers] == [0] * len(files)
        namespace.wait_instances(owed=0, deliveredTotal=len(files), seconds=120)
        assert archive.count() == len(files)
        after = namespace.pod()
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    finally:
        archive.stop()
