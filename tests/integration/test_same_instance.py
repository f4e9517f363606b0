"""The same instance again: equal bytes are kept and delivered once, different ones as versions, in order, apart."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from corpus import make_corpus, uid_of
from orthanc import Orthanc
from recorder import Recorder
from routes import local_node, local_route, to
from running import Running, dcmsend


@pytest.fixture
def recorder(orthanc: Orthanc) -> Iterator[Recorder]:
    one = Recorder("127.0.0.1", 0, f"http://127.0.0.1:{orthanc.port}")
    yield one
    one.close()


def version_of(file: Path, text: str) -> Path:
    """Write another version of an instance: the same UID, other content."""
    data_set = pydicom.dcmread(file)
    data_set.ImageComments = text
    changed = file.with_name(f"{text}.dcm")
    data_set.save_as(changed)
    return changed


def comment(file: bytes) -> str | None:
    return pydicom.dcmread(io.BytesIO(file)).get("ImageComments")


def test_equal_ones_are_one_and_different_ones_are_versions(
    tmp_path: Path, recorder: Recorder, run: Callable[..., Running]
) -> None:
    url = f"http://127.0.0.1:{recorder.port}/dicom-web"
    archive = to(url)
    archive["spec"] |= {"provider": "Orthanc", "onDuplicate": "Accept"}
    running = run(local_node(), archive, local_route(mode="HoldDeliveries"))
    (first,) = make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))
    versions = [first, version_of(first, "second"), version_of(first, "third")]
    assert dcmsend(running.port, [first]) == dcmsend(running.port, [first]) == 0
    running.wait_for(owed=1, receivedTotal=1)
    used = running.status()["spool"]["usedBytes"]
    assert dcmsend(running.port, [first]) == 0
    assert running.status()["spool"]["usedBytes"] == used, "an equal one takes no room"
    for version in versions[1:]:
        assert dcmsend(running.port, [version]) == 0
    running.wait_for(owed=3, receivedTotal=3)
    running.kill_gateway()
    assert dcmsend(running.port, [versions[-1]]) == 0
    running.wait_for(owed=3, receivedTotal=3)

    before = running.hash()
    running.write([local_route()])
    running.wait_reloaded(before)
    running.wait_for(owed=0, deliveredTotal=3)
    first_comment = comment(first.read_bytes())
    delivered = [[comment(file) for file in request] for request in recorder.requests]
    assert delivered == [[first_comment], ["second"], ["third"]]
    assert dcmsend(running.port, [first]) == 0
    running.wait_for(owed=0, deliveredTotal=4)
    assert recorder.sent == [uid_of(first)] * 4, "what was delivered and comes again is delivered again"


def test_a_later_version_that_orthanc_does_not_take_is_a_dead_letter(
    tmp_path: Path, any_orthanc: Callable[..., Orthanc], run: Callable[..., Running]
) -> None:
    """Orthanc keeps the first and answers with success; it is retrieved and compared, byte for byte."""
    orthanc = any_orthanc()
    archive = to(orthanc.url)
    archive["spec"] |= {"provider": "Orthanc"}
    running = run(local_node(), archive, local_route(mode="HoldDeliveries"))
    (first,) = make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))
    for version in (first, version_of(first, "second")):
        assert dcmsend(running.port, [version]) == 0
    running.wait_for(owed=2)
    before = running.hash()
    running.write([local_route()])
    running.wait_reloaded(before)
    running.wait_for(owed=0, deliveredTotal=1, deadLettered=1)
    assert running.status()["destinations"][0]["lastError"]["reason"] == "DuplicateDiffers"


def test_a_later_version_that_orthanc_replaces_the_first_with_is_delivered(
    tmp_path: Path, any_orthanc: Callable[..., Orthanc], run: Callable[..., Running]
) -> None:
    overwriting_orthanc = any_orthanc(overwrites=True)
    archive = to(overwriting_orthanc.url)
    archive["spec"] |= {"provider": "Orthanc", "onDuplicate": "AcceptIdentical"}
    running = run(local_node(), archive, local_route(mode="HoldDeliveries"))
    (first,) = make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))
    for version in (first, version_of(first, "second")):
        assert dcmsend(running.port, [version]) == 0
    running.wait_for(owed=2)
    before = running.hash()
    running.write([local_route()])
    running.wait_reloaded(before)
    running.wait_for(owed=0, deliveredTotal=2)
    assert comment(overwriting_orthanc.files()[uid_of(first)]) == "second"


def test_one_that_comes_again_is_delivered_again_only_where_it_was_delivered(
    tmp_path: Path, recorder: Recorder, run: Callable[..., Running]
) -> None:
    """One destination has it and one is down: the second still gets it once."""
    url = f"http://127.0.0.1:{recorder.port}/dicom-web"
    nowhere = to("http://127.0.0.1:9/dicom-web")
    nowhere["metadata"]["name"] = "nowhere"
    both = [{"kind": "CloudTarget", "name": name} for name in ("archive", "nowhere")]
    running = run(
        local_node(), to(url), nowhere, local_route(rules=[{"name": "both", "when": "true", "destinations": both}])
    )
    (file,) = make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))
    for times in (1, 2):
        assert dcmsend(running.port, [file]) == 0
        running.wait_for(owed=1, receivedTotal=1, deliveredTotal=0)
        wait_delivered(running, times)
    assert recorder.sent == [uid_of(file)] * 2
    destinations = {one["name"]: one for one in running.status()["destinations"]}
    assert destinations["nowhere"]["pending"] + destinations["nowhere"]["inFlight"] == 1


def test_one_that_was_held_and_comes_again_goes_where_the_rules_of_now_say(
    tmp_path: Path, recorder: Recorder, run: Callable[..., Running]
) -> None:
    """Also when a restart lies between; nothing of the first stays behind."""
    archive = to(f"http://127.0.0.1:{recorder.port}/dicom-web")
    name = [{"kind": "CloudTarget", "name": "archive"}]
    rules = [{"name": "mr", "when": "instance.Modality == 'MR'", "destinations": name}]
    running = run(local_node(), archive, local_route(rules=rules))
    (file,) = make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))
    assert dcmsend(running.port, [file]) == 0
    running.wait_for(owed=1, receivedTotal=1)
    running.kill_gateway()
    before = running.hash()
    running.write([local_route()])
    running.wait_reloaded(before)
    assert dcmsend(running.port, [file]) == 0
    running.wait_for(owed=0, receivedTotal=1, deliveredTotal=1)
    assert running.status()["deliveries"]["held"] == 0
    assert recorder.sent == [uid_of(file)]


def wait_delivered(running: Running, count: int) -> None:
    running.process.wait_until(
        lambda: {one["name"]: one["deliveredTotal"] for one in running.status()["destinations"]}["archive"] == count,
        f"not delivered {count} times",
    )
