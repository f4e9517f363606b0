"""What is sent of a search, provider by provider."""

from urllib.parse import unquote

import pytest

from dicomroute_gateway.configuration.destinations import Provider
from dicomroute_gateway.dicomweb.searchable import SEARCHING, Resource, Search, parameters, path

P = Provider


def sent(provider: Provider, resource: Resource = Resource.STUDIES, **keys: str) -> list[str]:
    return parameters(Search(resource, keys=keys), SEARCHING[provider], included=False)


@pytest.mark.parametrize(
    "provider, keyword, value, wanted",
    [
        (P.GENERIC, "PatientID", "AB 16", ["PatientID=AB%2016"]),
        (P.GENERIC, "PatientID", "AB*1?", ["PatientID=AB*1?"]),
        (P.GENERIC, "PatientID", "ä&b=c", ["PatientID=%C3%A4%26b%3Dc"]),
        (P.GENERIC, "PatientID", "*", []),
        (P.GENERIC, "PatientID", "a\\b", []),
        (P.GENERIC, "PatientName", "alder*", ["PatientName=*alder*"]),
        (P.GENERIC, "PatientName", "*^ann=山田*", ["PatientName=*ann*"]),
        (P.GENERIC, "PatientName", "*", []),
        (P.GENERIC, "StudyDate", "20240101-", ["StudyDate=20240101-"]),
        (P.GENERIC, "StudyDate", "-", []),
        (P.GENERIC, "StudyTime", "10-12", []),
        (P.GENERIC, "StudyInstanceUID", "1.2\\1.3", ["StudyInstanceUID=1.2,1.3"]),
        (P.GENERIC, "StudyInstanceUID", "1.2*", []),
        (P.GENERIC, "StudyInstanceUID", "\\".join(["1.2"] * 21), []),
        (P.GENERIC, "PatientSex", "F", []),
        (P.ORTHANC, "PatientID", "AB 16", []),
        (P.ORTHANC, "PatientID", "AB-00*", ["PatientID=AB-00*"]),
        (P.ORTHANC, "PatientName", "Cedar^Carl*", ["PatientName=*Cedar*"]),
        (P.ORTHANC, "PatientName", "Müller*", []),
        (P.ORTHANC, "PatientName", "山田^Tarou", ["PatientName=*Tarou*"]),
        (P.AZURE, "PatientID", "AB*", []),
        (P.AZURE, "PatientName", "Alder^A*", ["PatientName=Alder", "fuzzymatching=true"]),
        (P.AZURE, "PatientName", "*lder", []),
        (P.AZURE, "StudyID", "1", []),
        (P.AZURE, "PatientBirthDate", "19400101-19491231", ["PatientBirthDate=19400101-19491231"]),
        (P.AZURE, "StudyInstanceUID", "1.2\\1.3", []),
        (P.GOOGLE, "StudyDate", "-20240101", ["StudyDate=18000101-20240101"]),
        (P.GOOGLE, "ModalitiesInStudy", "CT", []),
        (P.AWS, "PatientName", "Alder", []),
    ],
)
def test_a_key_is_sent_where_the_server_matches_it(
    provider: Provider, keyword: str, value: str, wanted: list[str]
) -> None:
    assert sent(provider, **{keyword: value}) == wanted


@pytest.mark.parametrize("provider", list(Provider))
def test_an_empty_key_is_never_sent(provider: Provider) -> None:
    for resource in Resource:
        keys = dict.fromkeys(SEARCHING[provider].keys[resource], "")
        assert sent(provider, resource, **keys) == []


def test_google_is_not_asked_for_what_it_refuses_everything_for() -> None:
    search = Search(Resource.INSTANCES, keys={"SOPClassUID": "1.2"}, included=["AvailableTransferSyntaxUID", "Rows"])
    assert parameters(search, SEARCHING[P.GOOGLE]) == ["includefield=00280010", "includefield=00080016"]
    assert "includefield=00083002" in parameters(search, SEARCHING[P.GENERIC])


def test_orthanc_gets_nothing_that_needs_a_percent_sign() -> None:
    for value in ("AB-1", "A B", "Müller", "50%", "a+b", "a&b", "x~y_z.1"):
        for one in sent(P.ORTHANC, PatientID=value, PatientName=value, AccessionNumber=value):
            assert unquote(one) == one


def test_paths_name_the_study_and_the_series_that_a_search_is_within() -> None:
    assert path(Search(Resource.STUDIES), "/studies") == "/studies"
    assert path(Search(Resource.SERIES), "/partitions/p/studies") == "/partitions/p/series"
    assert path(Search(Resource.SERIES, "1.2"), "/studies") == "/studies/1.2/series"
    assert path(Search(Resource.INSTANCES, "1.2"), "/studies") == "/studies/1.2/instances"
    assert path(Search(Resource.INSTANCES, "1.2", "1.3"), "/studies") == "/studies/1.2/series/1.3/instances"
