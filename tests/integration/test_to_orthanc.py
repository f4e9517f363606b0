"""The main job on real input: from DCMTK's clients through the gateway into a real Orthanc, byte for byte."""

import threading
from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus, uid_of
from orthanc import Orthanc, assert_archive_has
from processes import wait_until
from routes import local_node, local_route, secret, to, with_password
from running import Running, dcmsend, storescu
from tap import Tap


def test_two_hundred_instances_arrive_byte_for_byte(
    tmp_path: Path, any_orthanc: Callable[..., Orthanc], run: Callable[..., Running], tap: Callable[[int], Tap]
) -> None:
    orthanc = any_orthanc()
    files = make_corpus(tmp_path / "corpus", 15)
    assert len(files) >= 200
    running = run(local_node(), to(orthanc.url), local_route())
    wire = tap(running.port)
    assert dcmsend(wire.port, files) == 0
    assert storescu(wire.port, make_corpus(tmp_path / "more", 5, ("CT_small.dcm", "rtplan.dcm"))) == 0
    assert wire.witness.acknowledged >= {uid_of(file) for file in files}
    count = len(wire.witness.acknowledged)
    running.wait_for(owed=0, deliveredTotal=count, receivedTotal=count)
    assert_archive_has(orthanc, wire.witness, wire.witness.acknowledged)
    assert not list((running.state / "default/ct-to-cloud/spool/instances").glob("*/*.dcm")) or _drains(running)


def _drains(running: Running) -> bool:
    wait_until(lambda: running.status()["spool"]["usedBytes"] == 0, "the spool keeps what is delivered")
    return True


def test_while_the_archive_is_down_the_queue_grows_and_then_drains(
    tmp_path: Path, orthanc: Orthanc, run: Callable[..., Running], tap: Callable[[int], Tap]
) -> None:
    running = run(local_node(), to(orthanc.url), local_route())
    wire = tap(running.port)
    orthanc.stop()
    files = make_corpus(tmp_path / "corpus", 3)
    assert dcmsend(wire.port, files) == 0
    running.wait_for(owed=len(files), deliveredTotal=0)
    (destination,) = running.status()["destinations"]
    wait_until(lambda: running.status()["destinations"][0]["lastError"] is not None, "no error is shown")
    destination = running.status()["destinations"][0]
    assert destination["lastError"]["reason"] == "ConnectionFailed"
    assert running.status()["oldestOwedTime"]
    assert running.status()["ready"], "a gateway that receives is ready, whatever its targets do"
    orthanc.start()
    running.wait_for(owed=0, deliveredTotal=len(files), deadLettered=0)
    assert_archive_has(orthanc, wire.witness, wire.witness.acknowledged)


def test_a_gateway_killed_in_the_midst_of_a_study_loses_nothing_acknowledged(
    tmp_path: Path, orthanc: Orthanc, run: Callable[..., Running], tap: Callable[[int], Tap]
) -> None:
    running = run(local_node(), to(orthanc.url), local_route())
    wire = tap(running.port)
    for attempt in range(5):
        files = make_corpus(tmp_path / f"corpus-{attempt}", 10, ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm"))
        before = len(wire.witness.acknowledged)
        sender = threading.Thread(target=dcmsend, args=(wire.port, files))
        sender.start()
        wait_until(
            lambda: len(wire.witness.acknowledged) >= before + 3 + 5 * attempt,  # noqa: B023
            "nothing is acknowledged",
        )
        running.kill_gateway()
        sender.join()
        wire.redirect(running.port)
    acknowledged = set(wire.witness.acknowledged)
    assert len(acknowledged) > 15
    running.wait_for(owed=0, deadLettered=0)
    assert_archive_has(orthanc, wire.witness, acknowledged)


def test_a_password_from_a_secret(
    tmp_path: Path, any_orthanc: Callable[..., Orthanc], run: Callable[..., Running]
) -> None:
    archive = any_orthanc(password="first")
    patient = {"initialBackoffSeconds": 300, "maxBackoffSeconds": 300}  # a new password must not wait for it
    running = run(local_node(), with_password(to(archive.url)), secret("wrong"), local_route(retry=patient))
    files = make_corpus(tmp_path / "corpus", 2, ("CT_small.dcm",))
    assert storescu(running.port, files) == 0
    wait_until(lambda: running.status()["destinations"][0]["lastError"] is not None, "no error is shown")
    assert running.status()["destinations"][0]["lastError"]["reason"] == "Unauthorized"
    assert running.counts()["deadLettered"] == 0
    running.write([secret("first")])
    running.wait_for(owed=0, deliveredTotal=2, seconds=10)
    assert "first" not in running.process.tail()
    assert "wrong" not in running.process.tail()
