"""The archive is down for a while: what is owed grows and drains, and nothing that it acknowledged is sent again."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from corpus import make_corpus
from manifests import Json, target
from modality import start_sending
from orthanc import Orthanc
from ports import free_port
from recorder import Recorder

from cluster import NODE_ADDRESS, Namespace


@pytest.fixture
def recorder(archive: Orthanc) -> Iterator[Recorder]:
    one = Recorder(NODE_ADDRESS, free_port(), f"http://{NODE_ADDRESS}:{archive.port}")
    yield one
    one.close()


def test_an_archive_that_is_down_for_a_while(
    namespace: Namespace,
    archive: Orthanc,
    recorder: Recorder,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    url = f"http://archive.hospital.example:{recorder.port}/dicom-web"
    namespace.apply(ct, target(url=url), small_route())
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 90, ("CT_small.dcm",))
    sending = start_sending(namespace.endpoint(), files, pause=0.4)
    namespace.wait(lambda: archive.count() >= 5, "nothing is delivered")
    archive.stop()
    stopped = time.monotonic()
    owed = []
    while time.monotonic() - stopped < 25:  # ten times as long as the longest pause between attempts
        owed.append(namespace.instances().get("owed", 0))
        time.sleep(5)
    assert owed[-1] > owed[2] > 0, owed
    assert namespace.condition("Ready")["status"] == "True"
    destination = namespace.route()["status"]["destinations"][0]
    assert destination["lastError"]["status"] == 503
    archive.start()
    assert [one.get("status") for one in sending.answers()] == [0] * len(files)
    namespace.wait_instances(owed=0, deliveredTotal=len(files), deadLettered=0)
    assert archive.count() == len(files)
    assert recorder.sent_again == []
    assert len(recorder.acknowledged) == len(files)
