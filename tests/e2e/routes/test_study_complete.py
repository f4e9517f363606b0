"""A study is released to a destination when it is complete, as the status of the route says meanwhile."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, changed, target
from modality import start_sending
from orthanc import Orthanc

from cluster import NODE_ADDRESS, Namespace


def test_a_study_goes_out_once_it_is_complete(
    namespace: Namespace, archive: Orthanc, ct: Json, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    url = f"http://{NODE_ADDRESS}:{archive.port}/dicom-web"
    rule = {
        "name": "whole",
        "trigger": "StudyComplete",
        "destinations": [{"kind": "CloudTarget", "name": "archive"}],
    }
    route = changed(small_route(rules=[rule]), "spec.studies", {"idleSeconds": 60})
    namespace.apply(ct, target(url=url), route)
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 12, ("CT_small.dcm",))
    sending = start_sending(namespace.endpoint(), files, pause=0.2)
    assert [one.get("status") for one in sending.answers()] == [0] * len(files)

    def waits() -> bool:
        status = namespace.route()["status"]
        return (
            status.get("deliveries", {}).get("waiting") == len(files) and status.get("studies", {}).get("open", 0) > 0
        )

    namespace.wait(waits, "the status does not say what waits")
    assert archive.count() == 0, "nothing goes out before its study is complete"
    namespace.wait_instances(owed=0, deliveredTotal=len(files), deadLettered=0)
    assert archive.count() == len(files)
    namespace.wait(lambda: namespace.route()["status"]["studies"]["open"] == 0, "a complete study counts as open")
