"""Searches of origin servers: strict ones, those of providers, broken ones, and Debian's Orthanc."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_server import ArchiveServer, Play
from origin import destination, with_client
from orthanc import Orthanc
from pydicom.datadict import tag_for_keyword
from studies import MR, instance, instance_uid, series_uid, study_uid

from dicomroute_gateway.decoded import Attributes
from dicomroute_gateway.dicomweb.client import Client, TransportFailed
from dicomroute_gateway.dicomweb.qido import Pages, SearchFailed
from dicomroute_gateway.dicomweb.searchable import Resource, Search

NONE = {"type": "None"}
STUDIES = 23


@pytest.fixture
def serve() -> Iterator[Callable[..., ArchiveServer]]:
    """Start origin servers with two instances of each study."""
    started: list[ArchiveServer] = []

    def start(studies: int = STUDIES, **play: Any) -> ArchiveServer:
        server = ArchiveServer(Play(**play))
        server.keep(*(instance(study, number=number) for study in range(1, studies + 1) for number in (1, 2)))
        started.append(server)
        return server

    yield start
    for one in started:
        one.close()


def search(
    secrets: Path, url: str, wanted: Search, provider: str = "Generic", timeout_seconds: float = 10
) -> tuple[list[Attributes], list[int]]:
    """Return everything that a search finds, and how many were new on each page."""

    async def all_pages(client: Client) -> tuple[list[Attributes], list[int]]:
        pages = Pages(client, destination(url, NONE, provider=provider), wanted, timeout_seconds)
        found, counts = list[Attributes](), list[int]()
        while True:
            page = await pages.page()
            if page.is_last:
                return found, counts
            found += page.matches
            counts.append(len(page.matches))

    return with_client(secrets, all_pages)


def uids(found: list[Attributes]) -> list[str]:
    return sorted(texts(found, "StudyInstanceUID"))


def texts(found: list[Attributes], keyword: str) -> list[str]:
    return [one[tag_for_keyword(keyword) or 0].text for one in found]


ALL = sorted(study_uid(study) for study in range(1, STUDIES + 1))


@pytest.mark.parametrize(
    "play, counts",
    [
        ({}, [23]),
        ({"most": 10}, [10, 10, 3]),  # a cap that the server says nothing of
        ({"most": 10, "repeats_pages": True}, [10, 5, 5, 3]),
    ],
)
def test_pages_are_read_to_the_end_however_the_server_cuts_them(
    tmp_path: Path, serve: Callable[..., ArchiveServer], play: dict[str, Any], counts: list[int]
) -> None:
    found, new = search(tmp_path, serve(**play).url, Search(Resource.STUDIES))
    assert uids(found) == ALL
    assert sum(new) == len(ALL)
    assert new[0] == counts[0]


def test_a_server_that_ignores_the_offset_is_asked_twice_and_no_more(
    tmp_path: Path, serve: Callable[..., ArchiveServer]
) -> None:
    server = serve(most=10, ignores_offset=True)
    found, counts = search(tmp_path, server.url, Search(Resource.STUDIES))
    assert len(found) == sum(counts) == 10
    assert len(server.paths) == 2


@pytest.mark.parametrize("provider", ["Azure", "Google", "AWS"])
def test_each_provider_finds_by_what_it_matches_and_takes_the_rest_as_nothing_said(
    tmp_path: Path, serve: Callable[..., ArchiveServer], provider: str
) -> None:
    server = serve(provider=provider, most=200)
    keys = {"PatientID": "AB-0007", "PatientSex": "F", "StudyTime": "10-12", "AccessionNumber": "", "StudyID": ""}
    found, _ = search(tmp_path, server.url, Search(Resource.STUDIES, keys=keys), provider)
    assert uids(found) == [study_uid(7)]
    found, _ = search(tmp_path, server.url, Search(Resource.STUDIES, keys={"PatientID": "AB-000*"}), provider)
    assert uids(found) == ALL  # for whoever asks to match
    included = ["NumberOfStudyRelatedInstances", "ModalitiesInStudy", "AvailableTransferSyntaxUID"]
    found, _ = search(tmp_path, server.url, Search(Resource.STUDIES, included=included), provider)
    assert set(texts(found, "NumberOfStudyRelatedInstances")) == {"2"}
    found, _ = search(tmp_path, server.url, Search(Resource.SERIES, study_uid(3)), provider)
    assert texts(found, "SeriesInstanceUID") == [series_uid(3, 1)]
    within = Search(Resource.INSTANCES, study_uid(3), series_uid(3, 1), {"SOPClassUID": MR})
    found, _ = search(tmp_path, server.url, within, provider)
    assert texts(found, "SOPInstanceUID") == [instance_uid(3, 1, number) for number in (1, 2)]
    assert not [one for one in server.searches() if "=&" in one or one.endswith("=")]


def test_names_are_found_whatever_their_case_groups_and_alphabet(
    tmp_path: Path, serve: Callable[..., ArchiveServer]
) -> None:
    server = serve(0)
    names = ["Müller^Jörg", "Yamada^Tarou=山田^太郎=やまだ^たろう", "O'Brien^Ann", "Łęska^Ewa"]
    server.keep(*(instance(study, PatientName=name) for study, name in enumerate(names)))
    for study, key in enumerate(("müller*", "山田*", "o'brien^ann", "*ewa")):
        found, _ = search(tmp_path, server.url, Search(Resource.STUDIES, keys={"PatientName": key}))
        assert texts(found, "PatientName") == [names[study]]
        assert uids(found) == [study_uid(study)]


@pytest.mark.parametrize("status, reason", [(400, "SearchRefused"), (401, "NotAuthorized"), (403, "NotAuthorized"),
                                            (404, "SearchRefused"), (413, "TooBroad"), (500, "ServerError"),
                                            (503, "Throttled")])  # fmt: skip
def test_a_refusal_is_said_with_its_reason(
    tmp_path: Path, serve: Callable[..., ArchiveServer], status: int, reason: str
) -> None:
    server = serve(statuses=[status, status])
    with pytest.raises(SearchFailed) as raised:
        search(tmp_path, server.url, Search(Resource.STUDIES))
    assert (raised.value.reason, raised.value.status) == (reason, status)


def test_a_server_that_is_busy_is_asked_once_more_after_as_long_as_it_says(
    tmp_path: Path, serve: Callable[..., ArchiveServer]
) -> None:
    server = serve(statuses=[429], retry_after="1")
    begun = time.monotonic()
    assert uids(search(tmp_path, server.url, Search(Resource.STUDIES))[0]) == ALL
    assert time.monotonic() - begun > 1
    impatient = serve(statuses=[429], retry_after="3600")
    with pytest.raises(TransportFailed):
        search(tmp_path, impatient.url, Search(Resource.STUDIES), timeout_seconds=1)


def test_nothing_and_partial_content_are_answers(tmp_path: Path, serve: Callable[..., ArchiveServer]) -> None:
    server = serve(statuses=[204])
    assert search(tmp_path, server.url, Search(Resource.STUDIES))[0] == []
    server = serve(0)
    assert search(tmp_path, server.url, Search(Resource.STUDIES))[0] == []
    assert search(tmp_path, server.url, Search(Resource.SERIES, "1.2.3"))[0] == []


@pytest.mark.parametrize("play", [{"is_slow": True}, {"stall_after": 100}, {"delay_seconds": 30}])
def test_an_answer_that_does_not_come_in_time_is_given_up(
    tmp_path: Path, serve: Callable[..., ArchiveServer], play: dict[str, Any]
) -> None:
    begun = time.monotonic()
    with pytest.raises(TransportFailed) as raised:
        search(tmp_path, serve(**play).url, Search(Resource.STUDIES), timeout_seconds=1)
    assert raised.value.reason == "TimedOut"
    assert time.monotonic() - begun < 3


def test_what_is_no_answer_to_a_search_is_said_to_be_none(tmp_path: Path, serve: Callable[..., ArchiveServer]) -> None:
    for body in (b"<html>signed out</html>", b'{"a": '):
        with pytest.raises(SearchFailed) as raised:
            search(tmp_path, serve(answer=lambda _, body=body: body).url, Search(Resource.STUDIES))
        assert raised.value.reason == "AnswerUnreadable"


def test_an_answer_without_its_unique_key_is_dropped_and_counted(
    tmp_path: Path, serve: Callable[..., ArchiveServer]
) -> None:
    def forgetful(answers: list[dict[str, Any]]) -> bytes:
        for one in answers[:3]:
            del one["0020000D"]
        return json.dumps(answers).encode()

    server = serve(answer=forgetful)

    async def first_page(client: Client) -> tuple[int, int]:
        page = await Pages(client, destination(server.url, NONE), Search(Resource.STUDIES), 10).page()
        return len(page.matches), page.without_key

    assert with_client(tmp_path, first_page) == (STUDIES - 3, 3)


def test_a_search_that_is_no_longer_wanted_ends_at_once(tmp_path: Path, serve: Callable[..., ArchiveServer]) -> None:
    server = serve(delay_seconds=20)

    async def cancelled(client: Client) -> float:
        begun = time.monotonic()
        task = asyncio.create_task(Pages(client, destination(server.url, NONE), Search(Resource.STUDIES), 30).page())
        while not server.busy:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - begun

    assert with_client(tmp_path, cancelled) < 5


def test_orthanc_is_asked_what_it_understands(tmp_path: Path, any_orthanc: Callable[..., Orthanc]) -> None:
    orthanc = any_orthanc()
    for study, name in enumerate(("Cedar^Carl", "Müller^Jörg", "Alder^Anna")):
        attributes = {"PatientName": name, "PatientID": f"AB 0{study}", "AccessionNumber": f"A-{study}"}
        for number in (1, 2, 3):
            orthanc.post("/instances", instance(study + 1, number=number, **attributes))

    def found(**keys: str) -> list[str]:
        wanted = Search(Resource.STUDIES, keys=keys, included=["NumberOfStudyRelatedInstances"])
        return uids(search(tmp_path, orthanc.url, wanted, "Orthanc")[0])

    everything = [study_uid(study) for study in (1, 2, 3)]
    assert found(AccessionNumber="A-1") == [study_uid(2)]
    assert found(AccessionNumber="A-*") == everything
    assert found(PatientName="cedar^carl") == [study_uid(1)]
    assert found(PatientName="Müller*") == found(PatientID="AB 01") == everything  # for whoever asks to match
    assert found(StudyInstanceUID=f"{study_uid(1)}\\{study_uid(3)}") == [study_uid(1), study_uid(3)]
    assert found(AccessionNumber="none") == []
    within = Search(Resource.INSTANCES, study_uid(2), included=["SOPClassUID"])
    instances, _ = search(tmp_path, orthanc.url, within, "Orthanc")
    assert sorted(texts(instances, "SOPInstanceUID")) == [instance_uid(2, 1, number) for number in (1, 2, 3)]
    assert set(texts(instances, "SOPClassUID")) == {"1.2.840.10008.5.1.4.1.1.2"}
    named, _ = search(tmp_path, orthanc.url, Search(Resource.STUDIES, keys={"AccessionNumber": "A-1"}), "Orthanc")
    assert texts(named, "PatientName") == ["Müller^Jörg"]
