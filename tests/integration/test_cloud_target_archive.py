"""A CloudTarget as an archive: what it finds, lists and fetches, provider by provider."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_server import ArchiveServer, Play
from origin import destination
from orthanc import Orthanc
from pydicom.datadict import dictionary_VR, tag_for_keyword
from studies import CT, MR, instance, instance_uid, series_uid, study_uid

from dicomroute_gateway.decoded import Attributes, Element, Level
from dicomroute_gateway.query.archive import (
    ArchiveIncapable,
    ArchiveRefused,
    ArchiveUnreachable,
    Cancelled,
    Fetched,
    InstanceReference,
    Query,
    Scope,
    TooManyCandidates,
)
from dicomroute_gateway.query.cloud_target import CloudTargetArchive
from dicomroute_gateway.query.fetching import LANES
from dicomroute_gateway.query.loop import QueryLoop
from dicomroute_gateway.spool.fetched import FetchedFiles

PROVIDERS = ("Generic", "Azure", "Google", "AWS")
STUDIES = 6
Open = Callable[..., tuple[CloudTargetArchive, ArchiveServer]]


def go_on() -> None:
    """Check nothing."""


def files() -> Iterator[bytes]:
    """Yield six studies of three patients: two series of three, the second one of another modality."""
    for study in range(1, STUDIES + 1):
        for series, sop_class in ((1, CT), (2, MR)):
            for number in (1, 2, 3):
                patient = f"P{study % 3}"
                yield instance(
                    study, series, number, sop_class=sop_class, PatientID=patient, PatientName=f"{patient}^A"
                )


@pytest.fixture
def loop() -> Iterator[QueryLoop]:
    loop = QueryLoop()
    yield loop
    loop.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "fetched"
    folder.mkdir()
    return folder


def archive(loop: QueryLoop, secrets: Path, url: str, provider: str) -> CloudTargetArchive:
    target = destination(url, {"type": "None"}, provider=provider)
    kept = FetchedFiles(lambda: False, lambda: True)
    return CloudTargetArchive("CloudTarget/archive", target, secrets, loop, kept)


@pytest.fixture
def opened(loop: QueryLoop, tmp_path: Path) -> Iterator[Open]:
    """Open archives of servers that play a provider."""
    started: list[tuple[CloudTargetArchive, ArchiveServer]] = []

    def start(provider: str = "Generic", **play: Any) -> tuple[CloudTargetArchive, ArchiveServer]:
        server = ArchiveServer(Play(provider=provider, **play))
        server.keep(*files())
        started.append((archive(loop, tmp_path, server.url, provider), server))
        return started[-1]

    yield start
    for one, server in started:
        loop.run(one.close(), go_on)
        server.close()


def tag(keyword: str) -> int:
    found = tag_for_keyword(keyword)
    assert found is not None
    return found


def keys(**values: str) -> Attributes:
    return {tag(one): Element(dictionary_VR(one), tuple(v.split("\\")) if v else ()) for one, v in values.items()}


def found(one: CloudTargetArchive, level: Level, wanted: Attributes, *, most: int = 1000) -> list[Attributes]:
    query = Query(level, wanted, most, 5, go_on)
    return [match for page in one.find(query) for match in page]


def texts(matches: list[Attributes], keyword: str) -> list[str]:
    return sorted(match[tag(keyword)].text for match in matches)


def listed(one: CloudTargetArchive, scope: Scope) -> list[InstanceReference]:
    return [reference for page in one.instances(scope, go_on, 5) for reference in page]


def uids(references: list[InstanceReference]) -> set[str]:
    return {one.sop_instance_uid for one in references}


def of(studies: tuple[int, ...], series: tuple[int, ...] = (1, 2), numbers: tuple[int, ...] = (1, 2, 3)) -> set[str]:
    return {instance_uid(a, b, c) for a in studies for b in series for c in numbers}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_entities_of_every_level_are_found(opened: Open, provider: str) -> None:
    one, _ = opened(provider)
    study, series = study_uid(2), series_uid(2, 1)
    patients = found(one, Level.PATIENT, keys(PatientID="", PatientName="", NumberOfPatientRelatedInstances=""))
    assert texts(patients, "PatientID") == ["P0", "P1", "P2"]
    assert texts(patients, "NumberOfPatientRelatedInstances") == ["12"] * 3
    wanted = keys(StudyInstanceUID="", ModalitiesInStudy="", NumberOfStudyRelatedInstances="", AccessionNumber="ACC2")
    (only,) = found(one, Level.STUDY, wanted)
    assert only[tag("ModalitiesInStudy")].values == ("CT", "MR")
    assert only[tag("StudyInstanceUID")].text == study
    matches = found(one, Level.SERIES, keys(StudyInstanceUID=study, SeriesInstanceUID="", Modality="MR"))
    assert texts(matches, "SeriesInstanceUID") == [series_uid(2, 2)]
    wanted = keys(StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID="", Rows="")
    matches = found(one, Level.IMAGE, wanted)
    assert texts(matches, "SOPInstanceUID") == sorted(of((2,), (1,)))
    assert texts(matches, "Rows") == ["16"] * 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_relational_query_is_answered_by_servers_that_search_within_studies_alone(
    opened: Open, provider: str
) -> None:
    one, _ = opened(provider)
    matches = found(one, Level.SERIES, keys(PatientID="P1", SeriesInstanceUID="", Modality="CT"))
    assert {series_uid(1, 1), series_uid(4, 1)} <= set(texts(matches, "SeriesInstanceUID"))
    matches = found(one, Level.IMAGE, keys(SeriesInstanceUID=series_uid(3, 2), SOPInstanceUID=""))
    assert set(texts(matches, "SOPInstanceUID")) >= of((3,), (2,))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_lists_of_uids_and_of_modalities_mean_any(opened: Open, provider: str) -> None:
    one, server = opened(provider)
    server.keep(instance(9, Modality="US"))
    wanted = keys(StudyInstanceUID=f"{study_uid(1)}\\{study_uid(9)}")
    assert texts(found(one, Level.STUDY, wanted), "StudyInstanceUID") == [study_uid(1), study_uid(9)]
    matches = found(one, Level.STUDY, keys(StudyInstanceUID="", ModalitiesInStudy="CT\\US"))
    assert len(matches) == STUDIES + 1
    many = "\\".join(study_uid(study) for study in range(1, 60))
    assert len(found(one, Level.STUDY, keys(StudyInstanceUID=many))) == STUDIES + 1


def test_too_many_candidates_end_the_query_after_as_many_as_may_be(opened: Open) -> None:
    one, _ = opened(most=2)
    pages = one.find(Query(Level.STUDY, keys(StudyInstanceUID=""), 3, 5, go_on))
    matches = [*next(pages), *next(pages)]
    with pytest.raises(TooManyCandidates):
        next(pages)
    assert len(matches) == 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_scope_of_every_level_is_listed(opened: Open, provider: str) -> None:
    one, _ = opened(provider)
    study, series = (study_uid(2),), (series_uid(2, 1),)
    assert uids(listed(one, Scope(Level.PATIENT, "P2"))) == of((2, 5))
    assert uids(listed(one, Scope(Level.STUDY, "", (study_uid(1), study_uid(3))))) == of((1, 3))
    assert uids(listed(one, Scope(Level.SERIES, "", study, series))) == of((2,), (1,))
    named = (instance_uid(2, 1, 1), instance_uid(2, 1, 3))
    assert uids(listed(one, Scope(Level.IMAGE, "", study, series, named))) == set(named)
    references = listed(one, Scope(Level.STUDY, "", study))
    assert {(one.study_instance_uid, one.sop_class_uid) for one in references} == {(study[0], CT), (study[0], MR)}
    assert listed(one, Scope(Level.STUDY, "", ("1.2.3",))) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_everything_that_a_scope_names_holds_at_once(opened: Open, provider: str) -> None:
    one, _ = opened(provider)
    assert listed(one, Scope(Level.SERIES, "", (study_uid(1),), (series_uid(2, 1),))) == []
    assert listed(one, Scope(Level.STUDY, "P0", (study_uid(1),))) == []
    assert uids(listed(one, Scope(Level.STUDY, "P1", (study_uid(1),)))) == of((1,))
    image = Scope(Level.IMAGE, "", (study_uid(1),), (series_uid(1, 1),), (instance_uid(2, 1, 1),))
    assert listed(one, image) == []


@pytest.mark.parametrize("provider", ["Generic", "Azure", "Google"])
def test_instances_of_several_studies_are_listed_by_their_uids_alone(opened: Open, provider: str) -> None:
    one, _ = opened(provider)
    named = (instance_uid(1, 1, 1), instance_uid(2, 2, 3), instance_uid(6, 1, 2))
    assert uids(listed(one, Scope(Level.IMAGE, "", (), (), named))) == set(named)
    assert uids(listed(one, Scope(Level.SERIES, "", (), (series_uid(1, 1), series_uid(4, 2))))) == (
        of((1,), (1,)) | of((4,), (2,))
    )


def test_where_only_studies_are_searched_within_a_request_without_one_is_refused(opened: Open) -> None:
    one, server = opened("AWS")
    with pytest.raises(ArchiveIncapable):
        listed(one, Scope(Level.IMAGE, "", (), (), (instance_uid(1, 1, 1),)))
    assert server.paths == []


def fetched(
    one: CloudTargetArchive, folder: Path, references: list[InstanceReference], timeout_seconds: float = 5
) -> tuple[dict[str, Fetched], dict[str, str]]:
    """Return what came by SOP Instance UID, and why the others did not; each reference is there once."""
    came, failed = dict[str, Fetched](), dict[str, str]()
    for result in one.fetch(references, folder, go_on, timeout_seconds):
        uid = result.reference.sop_instance_uid
        assert uid not in came.keys() | failed.keys()
        if isinstance(result, Fetched):
            came[uid] = result
        else:
            failed[uid] = result.reason
    assert came.keys() | failed.keys() == {one.sop_instance_uid for one in references}
    return came, failed


@pytest.mark.parametrize("provider, requests", [("Generic", 1), ("AWS", 6)])
def test_a_whole_study_is_one_request_where_the_server_has_studies(
    opened: Open, folder: Path, provider: str, requests: int
) -> None:
    one, server = opened(provider)
    references = listed(one, Scope(Level.STUDY, "", (study_uid(2),)))
    before = len(server.paths)
    came, failed = fetched(one, folder, references)
    assert failed == {}
    assert len(server.paths) - before == requests
    for uid, result in came.items():
        with result.file.open() as content:
            assert content.read_at(0, content.length) == server.files[uid]


def test_a_series_is_one_request_and_some_instances_one_each(opened: Open, folder: Path) -> None:
    one, server = opened()
    references = listed(one, Scope(Level.STUDY, "", (study_uid(2),)))
    before = len(server.paths)
    some = [one for one in references if one.series_instance_uid == series_uid(2, 1)]
    some += [one for one in references if one.sop_instance_uid == instance_uid(2, 2, 1)]
    came, failed = fetched(one, folder, some)
    assert (len(came), failed) == (4, {})
    assert len(server.paths) - before == 2


@pytest.mark.parametrize("status", [404, 405, 413, 500])
def test_a_server_that_gives_no_whole_study_is_asked_for_each_instance(opened: Open, folder: Path, status: int) -> None:
    one, server = opened()
    references = listed(one, Scope(Level.STUDY, "", (study_uid(2),)))
    server.play.statuses = [status]
    came, failed = fetched(one, folder, references)
    assert (len(came), failed) == (6, {})


def test_what_did_not_come_is_said_instance_by_instance(opened: Open, folder: Path) -> None:
    one, server = opened()
    references = listed(one, Scope(Level.STUDY, "", (study_uid(2),)))
    missing = instance_uid(2, 1, 2)
    server.play.without = frozenset((missing,))
    assert fetched(one, folder, references)[1] == {missing: "Missing"}
    server.play.without = frozenset()
    server.play.cut_after = 4
    came, failed = fetched(one, folder, references)
    assert (len(came), set(failed.values())) == (4, {"AnswerCutOff"})
    server.play.cut_after = None
    server.play.strangers = [instance(5)]
    came, failed = fetched(one, folder, references)
    assert (len(came), failed) == (6, {})  # the stranger is nobody's failure
    others = [InstanceReference(one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid, "1.2.3")
              for one in references]  # fmt: skip
    server.play.strangers = []
    assert set(fetched(one, folder, others)[1].values()) == {"OtherSOPClass"}


def test_an_archive_that_is_not_there_fails_in_time(
    loop: QueryLoop, opened: Open, tmp_path: Path, folder: Path
) -> None:
    one, server = opened()
    references = listed(one, Scope(Level.STUDY, "", (study_uid(2),)))
    server.play.stall_after = 3000
    begun = time.monotonic()
    came, failed = fetched(one, folder, references, timeout_seconds=1)
    assert set(failed.values()) == {"TimedOut"}
    assert len(came) == 2
    server.play.stall_after = 100
    with pytest.raises(ArchiveUnreachable):
        list(one.find(Query(Level.STUDY, keys(PatientID=""), 10, 1, go_on)))
    assert time.monotonic() - begun < 5
    nobody = archive(loop, tmp_path, "http://127.0.0.1:9", "Generic")
    with pytest.raises(ArchiveUnreachable):
        list(nobody.instances(Scope(Level.STUDY, "", ("1.2",)), go_on, 5))
    assert set(fetched(nobody, folder, references)[1].values()) == {"ConnectionFailed"}
    loop.run(nobody.close(), go_on)


@pytest.mark.parametrize(
    "status, error", [(401, ArchiveRefused), (400, ArchiveRefused), (500, ArchiveUnreachable), (413, TooManyCandidates)]
)
def test_a_refusal_of_a_search_is_told_apart(opened: Open, status: int, error: type[Exception]) -> None:
    one, server = opened()
    server.play.statuses = [status] * 2
    with pytest.raises(error):
        list(one.find(Query(Level.STUDY, keys(PatientID=""), 10, 5, go_on)))


def test_who_cancels_is_heard_at_once_and_nothing_is_left(opened: Open, folder: Path) -> None:
    one, server = opened()
    references = listed(one, Scope(Level.STUDY, "", (study_uid(2),)))
    server.play.delay_seconds = 30
    begun = time.monotonic()

    def check() -> None:
        if time.monotonic() - begun > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(one.fetch(references, folder, check, 60))
    with pytest.raises(Cancelled):
        list(one.find(Query(Level.STUDY, keys(PatientID=""), 10, 60, check)))
    assert time.monotonic() - begun < 3
    assert list(folder.iterdir()) == []


def test_only_so_much_is_fetched_ahead_of_who_takes_it(opened: Open, folder: Path) -> None:
    one, server = opened("AWS")
    server.keep(*(instance(7, number=number) for number in range(200)))
    references = listed(one, Scope(Level.STUDY, "", (study_uid(7),)))
    results = one.fetch(references, folder, go_on, 5)
    next(results)
    time.sleep(1)
    assert len(list(folder.iterdir())) < 40
    results.close()  # type: ignore[attr-defined]
    assert len(list(folder.iterdir())) == 1  # the one that was taken
    assert server.most_busy <= LANES


def test_single_instances_come_side_by_side(opened: Open, folder: Path) -> None:
    one, server = opened("AWS")
    server.keep(*(instance(7, number=number) for number in range(120)))
    references = listed(one, Scope(Level.STUDY, "", (study_uid(7),)))
    server.play.delay_seconds = 0.1
    came, failed = fetched(one, folder, references)
    assert (len(came), failed) == (120, {})
    assert server.most_busy == LANES


def test_orthanc_is_an_archive(loop: QueryLoop, tmp_path: Path, folder: Path, orthanc: Orthanc) -> None:
    for file in files():
        orthanc.post("/instances", file)
    one = archive(loop, tmp_path, orthanc.url, "Orthanc")
    assert texts(found(one, Level.PATIENT, keys(PatientID="P1")), "PatientID") == ["P1"]
    assert len(found(one, Level.STUDY, keys(ModalitiesInStudy="MR\\US"))) == STUDIES
    assert uids(listed(one, Scope(Level.PATIENT, "P2"))) == of((2, 5))
    named = (instance_uid(1, 1, 1), instance_uid(2, 2, 3))
    assert uids(listed(one, Scope(Level.IMAGE, "", (), (), named))) == set(named)
    references = listed(one, Scope(Level.STUDY, "", (study_uid(1), study_uid(3))))
    came, failed = fetched(one, folder, references)
    assert (came.keys(), failed) == (of((1, 3)), {})
    loop.run(one.close(), go_on)


def test_a_uid_that_cannot_be_part_of_a_path_fails_alone(opened: Open, folder: Path) -> None:
    one, _ = opened()
    odd = InstanceReference(study_uid(1), series_uid(1, 1), "../../x", CT)
    (good, *_) = listed(one, Scope(Level.STUDY, "", (study_uid(1),)))
    came, failed = fetched(one, folder, [odd, good])
    assert (len(came), failed) == (1, {"../../x": "UIDInvalid"})
