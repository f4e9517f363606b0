"""Retrievals from origin servers: whole instances on disk, one by one, whatever the server does."""

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from archive_server import ArchiveServer, Play
from origin import destination, with_client
from orthanc import Orthanc
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian
from studies import CT, instance, instance_uid, series_uid, study_uid

from dicomroute_gateway.dicomweb.client import Client, TransportFailed
from dicomroute_gateway.dicomweb.wado import Into, Part, Patience, RetrievalFailed, retrieve
from dicomroute_gateway.spool.fetched import FetchedFiles, NoRoom

NONE = {"type": "None"}
STUDY = "/studies/" + study_uid(1)
NUMBERS = (1, 2, 3, 4)
Fetched = tuple[list[Part], Exception | None]


@pytest.fixture
def serve() -> Iterator[Callable[..., ArchiveServer]]:
    """Start origin servers with four instances of a study."""
    started: list[ArchiveServer] = []

    def start(**play: Any) -> ArchiveServer:
        server = ArchiveServer(Play(**play))
        server.keep(*(instance(1, number=number, pixel_bytes=100_096) for number in NUMBERS))
        started.append(server)
        return server

    yield start
    for one in started:
        one.close()


PATIENT = Patience(10, 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "fetched"
    folder.mkdir()
    return folder


def fetch(
    folder: Path, url: str, path: str = STUDY, *, patience: Patience = PATIENT, sealed: bool = False,
    study: str = study_uid(1), has_room: Callable[[], bool] = lambda: True, most: int = 1000,
) -> Fetched:  # fmt: skip
    """Return what came of a retrieval, and how it failed, if it did."""
    into = Into(FetchedFiles(lambda: sealed, has_room), folder)

    async def all_parts(client: Client) -> Fetched:
        found: list[Part] = []
        try:
            async with aclosing(retrieve(client, destination(url, NONE), path, into, patience, study)) as parts:
                async for part in parts:
                    found.append(part)
                    if len(found) == most:
                        return found, None
        except (RetrievalFailed, TransportFailed, OSError) as error:
            return found, error
        return found, None

    return with_client(folder.parent, all_parts)


def content(part: Part) -> bytes:
    with part.file.open() as opened:
        return opened.read_at(0, part.file.length)


def uids(parts: list[Part]) -> list[str]:
    return [part.sop_instance_uid for part in parts]


def expected(*numbers: int) -> list[str]:
    return [instance_uid(1, 1, number) for number in numbers]


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("within", ["", "/series/" + series_uid(1, 1)])
def test_every_instance_comes_byte_for_byte(
    folder: Path, serve: Callable[..., ArchiveServer], within: str, sealed: bool
) -> None:
    server = serve()
    parts, failure = fetch(folder, server.url, STUDY + within, sealed=sealed)
    assert failure is None
    assert uids(parts) == expected(*NUMBERS)
    for part in parts:
        assert content(part) == server.files[part.sop_instance_uid]
        assert (part.study_instance_uid, part.sop_class_uid) == (study_uid(1), CT)
        on_disk = part.file.path.read_bytes()
        assert (b"Alder^Anna" in on_disk) is not sealed
        assert content(part)[-part.length :][:4] == b"\x08\0\5\0"
    assert {part.file.path for part in parts} == set(folder.iterdir())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_the_file_says_its_transfer_syntax_whatever_the_server_says(
    folder: Path, serve: Callable[..., ArchiveServer], syntax: str
) -> None:
    server = serve(content_type="text/html; transfer-syntax=1.2.840.10008.1.2.4.50")
    server.files.clear()
    server.heads.clear()
    server.keep(instance(1, transfer_syntax=syntax))
    parts, failure = fetch(folder, server.url)
    assert failure is None
    assert [part.transfer_syntax_uid for part in parts] == [syntax]


def test_one_instance_comes_as_a_part_or_alone(folder: Path, serve: Callable[..., ArchiveServer]) -> None:
    for single_part in (False, True):
        server = serve(single_part=single_part)
        path = f"{STUDY}/series/{series_uid(1, 1)}/instances/{instance_uid(1, 1, 2)}"
        (part,), failure = fetch(folder, server.url, path)
        assert failure is None
        assert content(part) == server.files[instance_uid(1, 1, 2)]
        part.file.path.unlink()


def test_a_part_of_another_study_is_refused_and_the_others_are_not(
    folder: Path, serve: Callable[..., ArchiveServer]
) -> None:
    server = serve(strangers=[instance(2), b"this is no DICOM file"])
    parts, failure = fetch(folder, server.url)
    assert uids(parts) == expected(*NUMBERS)
    assert isinstance(failure, RetrievalFailed)
    assert failure.reason == "NotDicom"
    assert len(list(folder.iterdir())) == len(NUMBERS)
    server.play.strangers.pop()
    for part in parts:
        part.file.path.unlink()
    _, failure = fetch(folder, server.url)
    assert isinstance(failure, RetrievalFailed)
    assert failure.reason == "OtherStudy"


def test_what_is_cut_off_keeps_its_whole_parts(folder: Path, serve: Callable[..., ArchiveServer]) -> None:
    server = serve(cut_after=2)
    parts, failure = fetch(folder, server.url)
    assert uids(parts) == expected(1, 2)
    assert isinstance(failure, RetrievalFailed)
    assert failure.reason == "AnswerCutOff"
    assert len(list(folder.iterdir())) == 2


def test_partial_content_gives_what_it_has(folder: Path, serve: Callable[..., ArchiveServer]) -> None:
    server = serve(without=frozenset(expected(3)))
    parts, failure = fetch(folder, server.url)
    assert failure is None
    assert uids(parts) == expected(1, 2, 4)


@pytest.mark.parametrize(
    "play, whole", [({"stall_after": 250_000}, 2), ({"is_slow": True}, 0), ({"delay_seconds": 9}, 0)]
)
def test_a_server_that_stalls_is_given_up_in_time(
    folder: Path, serve: Callable[..., ArchiveServer], play: dict[str, Any], whole: int
) -> None:
    begun = time.monotonic()
    parts, failure = fetch(folder, serve(**play).url, patience=Patience(1, 1))
    assert uids(parts) == expected(*NUMBERS[:whole])
    assert isinstance(failure, TransportFailed)
    assert failure.reason == "TimedOut"
    assert time.monotonic() - begun < 4
    assert len(list(folder.iterdir())) == whole


def test_time_that_the_reader_takes_is_not_the_servers(folder: Path, serve: Callable[..., ArchiveServer]) -> None:
    server = serve()
    into = Into(FetchedFiles(lambda: False, lambda: True), folder)

    async def slowly(client: Client) -> int:
        count = 0
        target = destination(server.url, NONE)
        async with aclosing(retrieve(client, target, STUDY, into, Patience(0.5, 1), study_uid(1))) as parts:
            async for _ in parts:
                count += 1
                time.sleep(0.7)  # noqa: ASYNC251  # nothing of the loop goes on meanwhile
        return count

    assert with_client(folder, slowly) == len(NUMBERS)


def test_a_server_that_knows_no_parameter_is_asked_without_it(
    folder: Path, serve: Callable[..., ArchiveServer]
) -> None:
    parts, failure = fetch(folder, serve(refuses_as_stored=True).url)
    assert failure is None
    assert uids(parts) == expected(*NUMBERS)


def test_a_busy_server_is_asked_again_as_long_as_there_is_patience(
    folder: Path, serve: Callable[..., ArchiveServer]
) -> None:
    parts, failure = fetch(folder, serve(statuses=[429, 503]).url)
    assert failure is None
    assert len(parts) == len(NUMBERS)
    _, failure = fetch(folder, serve(statuses=[429], retry_after="3600").url)
    assert isinstance(failure, RetrievalFailed)
    assert failure.reason == "Throttled"


@pytest.mark.parametrize("status, reason", [(404, "NotFound"), (410, "NotFound"), (401, "NotAuthorized"),
                                            (400, "RetrievalRefused"), (500, "ServerError")])  # fmt: skip
def test_a_refusal_is_said_with_its_reason(
    folder: Path, serve: Callable[..., ArchiveServer], status: int, reason: str
) -> None:
    parts, failure = fetch(folder, serve(statuses=[status]).url)
    assert parts == []
    assert isinstance(failure, RetrievalFailed)
    assert (failure.reason, failure.status) == (reason, status)


def test_who_has_enough_ends_it_and_nothing_is_left_behind(folder: Path, serve: Callable[..., ArchiveServer]) -> None:
    parts, _ = fetch(folder, serve().url, most=1)
    assert [part.file.path for part in parts] == list(folder.iterdir())


def test_without_room_nothing_is_written(folder: Path, serve: Callable[..., ArchiveServer]) -> None:
    parts, failure = fetch(folder, serve().url, has_room=lambda: False)
    assert parts == []
    assert isinstance(failure, NoRoom)
    assert list(folder.iterdir()) == []


def test_orthanc_gives_studies_series_and_instances(folder: Path, any_orthanc: Callable[..., Orthanc]) -> None:
    orthanc = any_orthanc()
    for number in NUMBERS:
        orthanc.post("/instances", instance(1, number=number, PatientName="Müller^Jörg"))
    stored = orthanc.files()
    series = f"{STUDY}/series/{series_uid(1, 1)}"
    for path, numbers in ((STUDY, NUMBERS), (series, NUMBERS), (f"{series}/instances/{instance_uid(1, 1, 3)}", (3,))):
        parts, failure = fetch(folder, orthanc.url, path)
        assert failure is None
        assert sorted(uids(parts)) == expected(*numbers)
        for part in parts:
            assert content(part) == stored[part.sop_instance_uid]
            part.file.path.unlink()
    parts, failure = fetch(folder, orthanc.url, "/studies/1.2.3")
    assert parts == []
    assert isinstance(failure, RetrievalFailed)


LARGE_MIB = 256


def test_a_large_instance_is_never_in_memory(folder: Path, serve: Callable[..., ArchiveServer]) -> None:
    server = serve()
    file = instance(7, pixel_bytes=0)
    head, large = file[:-8], LARGE_MIB << 20
    server.keep(file)

    def generated() -> Iterator[bytes]:
        yield head + b"OW\0\0" + large.to_bytes(4, "little")
        for _ in range(LARGE_MIB):
            yield bytes(1 << 20)

    server.generated[instance_uid(7, 1, 1)] = generated
    program = f"""
        import asyncio, json, resource
        from pathlib import Path
        from origin import destination
        from dicomroute_gateway.dicomweb.client import Client
        from dicomroute_gateway.dicomweb.wado import Into, Patience, retrieve
        from dicomroute_gateway.spool.fetched import FetchedFiles

        files = FetchedFiles(lambda: False, lambda: True)

        async def main(path, study):
            folder = Path({str(folder)!r})
            client = Client(folder)
            into = Into(files, folder)
            target = destination({server.url!r}, {{"type": "None"}})
            lengths = [part.file.length async for part in retrieve(client, target, path, into, Patience(30, 30), study)]
            await client.close()
            return lengths

        asyncio.run(main("/studies/{study_uid(1)}", "{study_uid(1)}"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        lengths = asyncio.run(main("/studies/{study_uid(7)}", "{study_uid(7)}"))
        print(json.dumps([lengths, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
    """
    support = Path(__file__).parents[1] / "support"
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=True, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(support)},
    ).stdout  # fmt: skip
    lengths, grown_kib = json.loads(output)
    assert lengths == [len(head) + 8 + large]
    assert grown_kib < 16 << 10, f"{grown_kib >> 10} MiB for an instance of {LARGE_MIB} MiB"
