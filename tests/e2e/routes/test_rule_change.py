"""Rules change in the middle of an association: every instance goes by one of the two, and none is lost."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, changed
from modality import start_sending
from orthanc import Orthanc
from ports import free_port

from cluster import NODE_ADDRESS, Namespace


def test_rules_change_during_an_association(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    research = Orthanc(tmp_path / "research", host=NODE_ADDRESS, port=free_port())
    try:
        other = changed(archive_target, "metadata.name", "research")
        other["spec"]["url"] = f"http://research.hospital.example:{research.port}/dicom-web"
        namespace.apply(ct, archive_target, other, small_route())
        namespace.wait_ready()
        files = make_corpus(tmp_path / "study", 30, ("CT_small.dcm",))
        sending = start_sending(namespace.endpoint(), files, pause=0.5)
        namespace.wait(lambda: archive.count() > 0, "nothing has arrived by the first rules")
        told = _told(namespace)
        rules = [
            {"name": "research", "destinations": [{"kind": "CloudTarget", "name": "research"}]},
            # What is still owed to a target that no rule names any more would be held.
            {"name": "nothing", "when": "false", "destinations": [{"kind": "CloudTarget", "name": "archive"}]},
        ]
        namespace.apply(small_route(rules=rules))
        namespace.wait_condition("Programmed", "True", seconds=30)
        assert sending.is_running, "the rules took longer than the association"
        assert _told(namespace) != told, "the kubelet is not told to look at the pod at once"
        assert [one.get("status") for one in sending.answers()] == [0] * len(files)
        namespace.wait_instances(owed=0, deliveredTotal=len(files))
        assert archive.files().keys().isdisjoint(research.files())
        assert archive.count() + research.count() == len(files)
        assert research.count() > 0
    finally:
        research.stop()


def _told(namespace: Namespace) -> str:
    """Return the configuration that the pod's node was told of: that is why it mounts it at once."""
    return str(namespace.pod()["metadata"]["annotations"]["dicomroute.dev/configuration"])
