"""The pods roll under a sender that tries again: it is without an answer for less than fifteen seconds."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from corpus import make_corpus
from manifests import Json, changed
from modality import start_sending
from orthanc import Orthanc

from cluster import Namespace


def test_the_receive_gap_of_a_rolling_update(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    namespace.apply(ct, archive_target, small_route())
    namespace.wait_ready()
    before = namespace.pod()["metadata"]["uid"]
    files = make_corpus(tmp_path / "study", 80, ("CT_small.dcm",))
    sending = start_sending(namespace.endpoint(), files, seconds=120, pause=0.5)
    namespace.wait(lambda: namespace.instances().get("receivedTotal", 0) > 0, "nothing is received")
    namespace.apply(changed(small_route(), "spec.gateway.podTemplate.metadata.annotations", {"example.com/roll": "1"}))
    namespace.wait(lambda: (namespace.get("pod", "ct-to-cloud-gw-0") or _NONE)["metadata"]["uid"] != before, "no roll")
    namespace.wait_ready()
    assert sending.is_running, "the roll took longer than the study"
    answers = sending.answers()
    times = [one["time"] for one in answers if one.get("status") == 0]
    assert len(times) == len(files)
    assert max(later - earlier for earlier, later in pairwise(times)) < 15
    namespace.wait(lambda: archive.count() == len(files), "the archive does not have all")
    namespace.wait_instances(owed=0)


_NONE: Json = {"metadata": {"uid": ""}}
