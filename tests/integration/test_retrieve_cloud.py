"""C-MOVE and C-GET of what an archive has behind DICOMweb, whatever that archive does meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_server import ArchiveServer, Play
from corpus import data_set_bytes
from gateways import LoneGateway
from manifests import changed
from orthanc import Orthanc
from processes import wait_until
from retrieving import CT, EXPLICIT, GET, IMPLICIT, MOVE, MR, Client, Receiver, cloud_route, identifier
from routes import to
from running import dcmsend
from studies import instance, instance_uid, study_uid

SUCCESS, CANCEL, PENDING = 0x0000, 0xFE00, 0xFF00
WARNED, CANNOT, NOT_KNOWN = 0xB000, 0xA702, 0xA701
STUDY = identifier("STUDY", StudyInstanceUID=study_uid(1))
BOTH = {CT: [EXPLICIT, IMPLICIT], MR: [EXPLICIT, IMPLICIT]}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., ArchiveServer]]:
    """Start origin servers with six instances of a study."""
    started: list[ArchiveServer] = []

    def start(numbers: range = range(1, 7), **play: Any) -> ArchiveServer:
        server = ArchiveServer(Play(**play))
        server.keep(*(instance(1, 1 + number % 2, number, pixel_bytes=8192) for number in numbers))
        started.append(server)
        return server

    yield start
    for one in started:
        one.close()


def uids(*numbers: int) -> list[str]:
    return sorted(instance_uid(1, 1 + number % 2, number) for number in numbers)


def send(gateway: LoneGateway, folder: Path, *files: bytes) -> None:
    paths = [folder / f"sent-{number}.dcm" for number in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file)
    assert dcmsend(gateway.port, paths) == 0


def fetched(gateway: LoneGateway) -> list[Path]:
    return list((gateway.folder / "spool" / "fetched").rglob("*"))


@pytest.mark.parametrize("provider", ["Generic", "Azure", "Google", "AWS"])
def test_a_study_is_moved_and_got_from_every_provider(
    tmp_path: Path, lone: Callable[..., LoneGateway], serve: Callable[..., ArchiveServer], receiver: Receiver,
    provider: str,
) -> None:  # fmt: skip
    server = serve(provider=provider)
    gateway = lone(tmp_path, cloud_route(server.url, port=receiver.port, provider=provider))
    client = Client(gateway.port, storage=BOTH)
    for answers, to_whom in ((client.move(STUDY), receiver), (client.get(STUDY), client)):
        assert answers.final == (SUCCESS, (None, 6, 0, 0)), answers.comment
        assert to_whom.uids() == uids(*range(1, 7))
        assert {data for _, data in to_whom.received} == {data_set_bytes(file) for file in server.files.values()}
    client.release()
    assert fetched(gateway) == []


def test_what_the_spool_and_archives_have_is_united(
    tmp_path: Path, lone: Callable[..., LoneGateway], serve: Callable[..., ArchiveServer], receiver: Receiver
) -> None:
    near, far = serve(range(2, 5)), serve(range(4, 7))
    documents = cloud_route(near.url, port=receiver.port)
    archives = [{"kind": "CloudTarget", "name": name} for name in ("cloud", "far")]
    documents[-1] = changed(documents[-1], "spec.queryRetrieve.archives", archives)
    gateway = lone(tmp_path, [changed(to(far.url), "metadata.name", "far"), *documents])
    of_spool = instance(1, 2, 1, pixel_bytes=8192), instance(1, 1, 2, pixel_bytes=8192)
    send(gateway, tmp_path, *of_spool)
    client = Client(gateway.port)
    assert client.move(STUDY).final == (SUCCESS, (None, 6, 0, 0))
    assert receiver.uids() == uids(*range(1, 7))
    paths = [path for path in near.paths + far.paths if "?" not in path]
    assert not [path for path in paths if uids(2)[0] in path], "what the spool has is not fetched"
    client.release()


@pytest.mark.parametrize("required, status", [(True, NOT_KNOWN), (False, WARNED)])
def test_a_list_that_cannot_be_read_ends_in_no_success_and_the_rest_is_moved(
    tmp_path: Path, lone: Callable[..., LoneGateway], serve: Callable[..., ArchiveServer], receiver: Receiver,
    required: bool, status: int,
) -> None:  # fmt: skip
    server = serve(statuses=[500] * 20)
    documents = cloud_route(server.url, port=receiver.port)
    documents[-1] = changed(documents[-1], "spec.queryRetrieve.archives.0.required", required)
    gateway = lone(tmp_path, documents)
    send(gateway, tmp_path, instance(1, 2, 1))
    client = Client(gateway.port)
    answers = client.move(STUDY)
    assert answers.final == (status, (None, 1, 0, 0))
    assert receiver.uids() == uids(1)
    server.play.statuses.clear()
    assert client.move(STUDY).final == (SUCCESS, (None, 6, 0, 0)), "it comes back by itself"
    client.release()
    assert 'archive="CloudTarget/cloud",reason="ServerError"' in gateway.metrics()


@pytest.mark.parametrize(
    "play, completed, failed",
    [
        ({"cut_after": 4}, 4, 2),
        ({"without": frozenset(uids(3))}, 5, 1),
        ({"strangers": [instance(9)]}, 6, 0),
        ({"content_type": "text/html"}, 6, 0),
        ({"refuses_as_stored": True}, 6, 0),
    ],
)
def test_what_an_archive_does_not_give_is_failed_and_named(
    tmp_path: Path, lone: Callable[..., LoneGateway], serve: Callable[..., ArchiveServer], receiver: Receiver,
    play: dict[str, Any], completed: int, failed: int,
) -> None:  # fmt: skip
    server = serve(**play)
    gateway = lone(tmp_path, cloud_route(server.url, port=receiver.port))
    client = Client(gateway.port)
    answers = client.move(STUDY)
    assert answers.final == (WARNED if failed else SUCCESS, (None, completed, failed, 0))
    assert len(answers.failed) == failed
    assert not set(answers.failed) & set(receiver.uids())
    assert sorted([*answers.failed, *receiver.uids()]) == uids(*range(1, 7))
    client.release()


@pytest.mark.parametrize("play", [{"stall_after": 20_000}, {"is_slow": True}, {"delay_seconds": 30}])
def test_an_archive_that_stalls_is_given_up_and_the_client_hears_of_it_all_the_time(
    tmp_path: Path, lone: Callable[..., LoneGateway], serve: Callable[..., ArchiveServer], receiver: Receiver,
    play: dict[str, Any],
) -> None:  # fmt: skip
    server = serve(**play)
    gateway = lone(tmp_path, cloud_route(server.url, port=receiver.port, archiveTimeoutSeconds=7))
    client = Client(gateway.port)
    answers = client.move(STUDY)
    assert answers.statuses[-1] in (WARNED, CANNOT, NOT_KNOWN)
    assert answers.times[1] - answers.times[0] < 2
    assert answers.longest_pause < 5.5
    assert answers.times[-1] - answers.times[0] < 16
    remaining = [
        counts[0] for status, counts in zip(answers.statuses, answers.counts, strict=True) if status == PENDING
    ]
    assert len(remaining) > 4
    assert all(one and one > 0 for one in remaining)
    client.release()
    assert fetched(gateway) == []


def test_a_cancel_is_heard_while_an_archive_is_slow(
    tmp_path: Path, lone: Callable[..., LoneGateway], serve: Callable[..., ArchiveServer], receiver: Receiver
) -> None:
    server = serve(delay_seconds=30)
    gateway = lone(tmp_path, cloud_route(server.url, port=receiver.port, archiveTimeoutSeconds=60))
    client = Client(gateway.port, storage=BOTH)
    for model, verb in ((MOVE["S"], client.move), (GET["S"], client.get)):
        (context,) = [one for one in client.association.accepted_contexts if one.abstract_syntax == model]
        send_cancel = client.association.send_c_cancel
        timer = threading.Timer(1, send_cancel, (5, context.context_id))
        timer.start()
        begun = time.monotonic()
        answers = verb(STUDY, msg_id=5)
        assert answers.statuses[-1] == CANCEL
        assert time.monotonic() - begun < 3
    client.release()


def test_a_kill_in_the_midst_leaves_nothing_behind_after_the_restart(
    tmp_path: Path, lone: Callable[..., LoneGateway], serve: Callable[..., ArchiveServer], receiver: Receiver
) -> None:
    server = serve()
    documents = cloud_route(server.url, port=receiver.port)
    gateway = lone(tmp_path, documents)
    send(gateway, tmp_path, instance(1, 2, 1), instance(7))
    receiver.pause_seconds = 2.0
    client = Client(gateway.port)
    threading.Thread(target=lambda: client.move(STUDY), daemon=True).start()
    assert receiver.has_begun.wait(30)
    wait_until(lambda: len(fetched(gateway)) > 1, "nothing is fetched")
    gateway.kill()
    assert fetched(gateway)
    client.association.abort()
    receiver.pause_seconds = 0.0
    receiver.received.clear()
    again = lone(tmp_path, documents)
    assert fetched(again) == []
    counts = again.status()["instances"]
    assert (counts["owed"], counts["receivedTotal"]) == (2, 2)
    other = Client(again.port)
    assert other.move(STUDY).final == (SUCCESS, (None, 6, 0, 0))
    other.release()


def test_where_the_spool_encrypts_what_is_fetched_is_encrypted_too(
    tmp_path: Path, lone: Callable[..., LoneGateway], serve: Callable[..., ArchiveServer], receiver: Receiver
) -> None:
    server = serve()
    documents = cloud_route(server.url, port=receiver.port)
    section = {"keySecretRef": {"name": "spool-key", "key": "keys"}}
    documents[-1] = changed(documents[-1], "spec.gateway.spool.encryption", section)
    keys = tmp_path / "secrets" / "spool-key" / "keys"
    keys.parent.mkdir(parents=True)
    keys.write_text("A" * 43 + "=\n")
    gateway = lone(tmp_path, documents)
    send(gateway, tmp_path, instance(1, 2, 1))
    receiver.pause_seconds = 0.5
    client = Client(gateway.port)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(client.move(STUDY).statuses[-1]))
    thread.start()
    wait_until(
        lambda: any(one.is_file() and one.stat().st_size > 8192 for one in fetched(gateway)), "nothing is fetched"
    )
    contents = [one.read_bytes() for one in fetched(gateway) if one.is_file()]
    assert contents
    assert not [one for one in contents if b"Alder" in one or b"DICM" in one]
    thread.join()
    assert results == [SUCCESS]
    assert receiver.uids() == uids(*range(1, 7))
    assert b"Alder" in receiver.received[-1][1]
    client.release()


def test_what_is_large_is_moved_in_little_memory(
    tmp_path: Path, lone: Callable[..., LoneGateway], serve: Callable[..., ArchiveServer], receiver: Receiver
) -> None:
    server = serve()
    file, large = instance(7, pixel_bytes=0), 256 << 20
    server.keep(file)
    head = file[:-8]

    def generated() -> Iterator[bytes]:
        yield head + b"OW\0\0" + large.to_bytes(4, "little")
        for _ in range(large >> 20):
            yield bytes(1 << 20)

    server.generated[instance_uid(7, 1, 1)] = generated
    gateway = lone(tmp_path, cloud_route(server.url, port=receiver.port))
    client = Client(gateway.port)
    assert client.move(STUDY).statuses[-1] == SUCCESS
    before = peak_kib(gateway)
    receiver.received.clear()
    assert client.move(identifier("STUDY", StudyInstanceUID=study_uid(7))).final == (SUCCESS, (None, 1, 0, 0))
    assert len(receiver.received[0][1]) > large
    assert peak_kib(gateway) - before < 64 << 10
    client.release()


def peak_kib(gateway: LoneGateway) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def test_orthanc_gives_what_a_workstation_of_dimse_moves(
    tmp_path: Path, lone: Callable[..., LoneGateway], orthanc: Orthanc, receiver: Receiver
) -> None:
    for number in range(1, 7):
        orthanc.post("/instances", instance(1, 1 + number % 2, number, PatientName="Müller^Jörg"))
    gateway = lone(tmp_path, cloud_route(orthanc.url, port=receiver.port, provider="Orthanc"))
    client = Client(gateway.port, storage=BOTH)
    stored = {data_set_bytes(file) for file in orthanc.files().values()}
    assert client.move(STUDY).final == (SUCCESS, (None, 6, 0, 0))
    assert client.get(STUDY).final == (SUCCESS, (None, 6, 0, 0))
    assert {data for _, data in receiver.received} == {data for _, data in client.received} == stored
    patient = identifier("PATIENT", PatientID="AB-0001")
    assert client.move(patient, model="P").final == (SUCCESS, (None, 6, 0, 0))
    client.release()
