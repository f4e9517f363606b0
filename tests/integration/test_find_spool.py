"""C-FIND over what the spool holds: every query finds what the oracle computes from the files, and tells it right."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import Authority
from find_oracle import QUERIES, ROOT, FindQuery, differences, expected, make_files, read
from gateways import LoneGateway
from manifests import tls_secret
from pydicom.dataset import Dataset
from querying import ask, associate, find, findscu, holding_route, keys, query_retrieve, without_queries
from routes import local_node
from running import Running, dcmsend

PENDING, PENDING_WARNING, SUCCESS, CANCEL = 0xFF00, 0xFF01, 0x0000, 0xFE00


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_files(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="module")
def stored(files: list[Path]) -> list[Dataset]:
    return read(files)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, files: list[Path]) -> Iterator[LoneGateway]:
    one = LoneGateway(tmp_path_factory.mktemp("gateway"), holding_route())
    assert dcmsend(one.port, files) == 0
    yield one
    one.kill()


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_finds_what_is_there_and_tells_it_right(
    gateway: LoneGateway, stored: list[Dataset], query: FindQuery
) -> None:
    extended = bytes((int(query.relational), int(query.combined)))
    association = associate(gateway.port, extended=extended if any(extended) else b"")
    statuses, answers, comment = ask(association, query)
    association.release()
    assert statuses[-1] == SUCCESS, comment
    assert set(statuses[:-1]) <= {PENDING}, "everything that was asked for is known of the spool"
    assert differences(query, answers, stored) == []


def test_the_queries_are_enough_of_them() -> None:
    assert len(QUERIES) >= 60
    assert {query.level for query in QUERIES} == {"PATIENT", "STUDY", "SERIES", "IMAGE"}


def test_the_oracle_sees_what_is_wrong(stored: list[Dataset], gateway: LoneGateway) -> None:
    """The runner fails on answers that are deliberately broken."""
    query = next(one for one in QUERIES if one.keys.get("PatientName") == "ALDER*")
    association = associate(gateway.port)
    _, answers, _ = ask(association, query)
    everything = ask(association, QUERIES[0])[1]
    association.release()
    assert len(answers) > 1
    assert differences(query, answers, stored) == []

    def broken(**changes: object) -> list[Dataset]:
        copy = Dataset(answers[0])
        for keyword, value in changes.items():
            if value is None:
                delattr(copy, keyword)
            else:
                setattr(copy, keyword, value)
        return [copy, *answers[1:]]

    assert differences(query, answers[1:], stored), "one is missing"
    assert differences(query, [*answers, answers[0]], stored), "one is told twice"
    assert differences(query, everything, stored), "others are told too"
    assert differences(query, broken(QueryRetrieveLevel=None), stored)
    assert differences(query, broken(RetrieveAETitle=None), stored)
    assert differences(query, broken(PatientName="Somebody^Else"), stored)
    assert differences(query, broken(StudyInstanceUID=None), stored)


def test_implicit_vr_says_the_same(gateway: LoneGateway, stored: list[Dataset]) -> None:
    association = associate(gateway.port, implicit=True)
    for query in QUERIES[:20]:
        assert differences(query, ask(association, query)[1], stored) == []
    association.release()


@pytest.mark.parametrize("model", ["-S", "-P"])
def test_findscu_of_dcmtk_finds_the_same(
    gateway: LoneGateway, stored: list[Dataset], tmp_path: Path, model: str
) -> None:
    patient = ["PatientID=ID_001"] if model == "-P" else ["PatientID"]
    answers, said = findscu(
        gateway.port, tmp_path, "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName=*", *patient,
        "ModalitiesInStudy", model=model,
    )  # fmt: skip
    wanted = expected(FindQuery("STUDY", {"PatientID": "ID_001"} if model == "-P" else {}), stored)
    assert "Received Final Find Response (Success)" in said
    assert {(str(one.StudyInstanceUID),) for one in answers} == set(wanted)
    names = {str(one.StudyInstanceUID): str(one.PatientName) for one in answers}
    right = {key[0]: entity.values["PatientName"][0].rstrip("=") for key, entity in wanted.items()}
    assert names == right, "DCMTK and pydicom read the names that were stored"


def test_an_answer_declares_its_own_character_set(gateway: LoneGateway) -> None:
    association = associate(gateway.port)

    def sets(identifier: Dataset) -> set[str]:
        return {str(one.get("SpecificCharacterSet", "")) for one in find(association, identifier)[1]}

    assert sets(keys("STUDY", PatientName="Alder*", StudyInstanceUID="")) == {""}, "ASCII needs none"
    asked = keys("STUDY", SpecificCharacterSet="ISO_IR 100", PatientName="Müller*", StudyInstanceUID="")
    assert sets(asked) == {"ISO_IR 100"}, "the one of the request has all of it"
    asked = keys("STUDY", SpecificCharacterSet="ISO_IR 100", PatientName="", StudyInstanceUID="")
    assert sets(asked) == {"", "ISO_IR 100", "ISO_IR 192"}, "what it does not have is told in UTF-8"
    asked = keys("STUDY", PatientName="", StudyInstanceUID="")
    assert sets(asked) == {"", "ISO_IR 192"}
    asked = keys("STUDY", SpecificCharacterSet="", PatientName="", StudyInstanceUID="")
    assert sets(asked) == {"", "ISO_IR 192"}, "an empty declaration is none"
    association.release()


def test_a_query_that_declares_no_character_set_is_read_as_its_node_writes(tmp_path: Path, files: list[Path]) -> None:
    documents = holding_route()
    documents[0]["spec"]["defaultCharacterSet"] = "ISO_IR 101"
    gateway = LoneGateway(tmp_path, documents)
    try:
        assert dcmsend(gateway.port, files) == 0
        raw = keys("STUDY", StudyInstanceUID="")
        raw.add_new("PatientName", "PN", b"")
        raw["PatientName"]._value = "Wałęska*".encode("iso8859_2")
        for name in ("Wałęska*".encode("iso8859_2"), "Wałęska*".encode()):
            answers, said = findscu(
                gateway.port, tmp_path / "answers", "QueryRetrieveLevel=STUDY", "StudyInstanceUID",
                b"PatientName=".decode() + name.decode("utf-8", "surrogateescape"),
            )  # fmt: skip
            assert answers, said
            assert {str(one.PatientName) for one in answers} == {"Wałęska^Łucja"}
            for file in (tmp_path / "answers").glob("*"):
                file.unlink()
    finally:
        gateway.kill()


def test_what_is_not_kept_is_asked_for_and_not_matched(gateway: LoneGateway, stored: list[Dataset]) -> None:
    association = associate(gateway.port)
    asked = keys(
        "STUDY",
        StudyInstanceUID=f"{ROOT}.2.3",
        AdmissionID="",
        SeriesDescription="",
        InstanceAvailability="",
        PatientComments="x",
    )
    statuses, (answer,), _ = find(association, asked)
    assert statuses == [PENDING_WARNING, SUCCESS], "an attribute is not supported (PS3.4 table C.4-1)"
    assert (answer.AdmissionID, answer.PatientComments, answer.InstanceAvailability) == ("", "", "ONLINE")
    assert answer.RetrieveAETitle == "CTGATE"
    private = keys("STUDY", StudyInstanceUID=f"{ROOT}.2.3", TimezoneOffsetFromUTC="+0500")
    private.add_new(0x00090010, "LO", "NOBODY")
    private.add_new(0x00091001, "LO", "anything")
    private.add_new(0x00080000, "UL", 1)
    statuses, (answer,), _ = find(association, private)
    assert statuses == [PENDING, SUCCESS]
    assert (0x0009, 0x1001) not in answer
    association.release()


REFUSED = {
    "no level": (keys("", StudyInstanceUID=""), "S", "QueryRetrieveLevel is missing"),
    "another level": (keys("WORKLIST", StudyInstanceUID=""), "S", "QueryRetrieveLevel is none of"),
    "not of the model": (keys("PATIENT", PatientID=""), "S", "the Study Root model has no level PATIENT"),
    "no study": (keys("SERIES", StudyInstanceUID="", SeriesInstanceUID=""), "S", "StudyInstanceUID is missing"),
    "no series": (keys("IMAGE", StudyInstanceUID="1.2", SOPInstanceUID=""), "S", "SeriesInstanceUID is missing"),
    "no patient": (keys("STUDY", StudyInstanceUID=""), "P", "PatientID is missing"),
    "two studies": (keys("SERIES", StudyInstanceUID=["1.2", "1.3"]), "S", "StudyInstanceUID has several values"),
    "a key below": (
        keys("STUDY", StudyInstanceUID="", SOPInstanceUID="1.2"),
        "S",
        "a unique key below the query level",
    ),
    "any patient": (keys("STUDY", StudyInstanceUID="", PatientID="*"), "P", "PatientID has wild cards"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_model_has_is_refused_with_its_reason(gateway: LoneGateway, case: str) -> None:
    identifier, model, sentence = REFUSED[case]
    association = associate(gateway.port)
    statuses, answers, comment = find(association, identifier, model)
    assert statuses == [0xA900]
    assert answers == []
    assert comment.startswith(sentence)
    assert find(association, keys("STUDY", StudyInstanceUID=f"{ROOT}.2.3"))[0][-1] == SUCCESS, "the association goes on"
    association.release()


def test_extended_negotiation_claims_what_is_done_and_nothing_else(gateway: LoneGateway) -> None:
    for proposed, agreed in (
        (b"\1\1\1\1\1\1\1", b"\1\1\0\0\0\0\0"),
        (b"\1\1\1", b"\1\1\0"),
        (b"\0\1", b"\0\1"),
        (b"\0", b"\0"),
    ):
        association = associate(gateway.port, extended=proposed)
        assert set(association.acceptor.sop_class_extended.values()) == {agreed}
        association.release()
    association = associate(gateway.port)
    assert association.acceptor.sop_class_extended == {}
    association.release()


def test_a_node_may_leave_out_levels_above_without_negotiation(tmp_path: Path, files: list[Path]) -> None:
    documents = holding_route()
    documents[0]["spec"]["relational"] = "Always"
    gateway = LoneGateway(tmp_path, documents)
    try:
        assert dcmsend(gateway.port, files[:20]) == 0
        association = associate(gateway.port)
        statuses, answers, _ = find(association, keys("SERIES", SeriesInstanceUID="", StudyInstanceUID=""))
        assert statuses[-1] == SUCCESS
        assert len(answers) == len({str(one.SeriesInstanceUID) for one in read(files[:20])})
        association.release()
    finally:
        gateway.kill()


def test_who_asked_is_written_down_without_what_was_asked(gateway: LoneGateway) -> None:
    association = associate(gateway.port)
    before = len(gateway.events("audit"))
    find(association, keys("STUDY", StudyInstanceUID="", PatientName="Quixlebury^*", PatientID=""))
    association.release()
    record = gateway.wait_for_events("audit", before + 1)[-1]
    assert record["action"] == "Query"
    assert (record["who"], record["calling_ae_title"], record["address"]) == ("ct-1", "CT1", "127.0.0.1")
    assert (record["query_level"], record["keys"]) == ("STUDY", ["PatientName"])
    assert (record["count"], record["status"], record["asked"]) == (0, "0000", ["Spool"])
    assert "uixlebury" not in (gateway.folder / "gateway.log").read_text()
    metrics = gateway.metrics()
    assert 'dicomroute_queries_total{listener="dicom",status="0000"}' in metrics
    assert "dicomroute_query_seconds_bucket" in metrics
    assert "uixlebury" not in metrics


def test_nobody_asks_who_is_no_client(tmp_path: Path, files: list[Path]) -> None:
    other = {
        **local_node(),
        "metadata": {"name": "viewer"},
        "spec": {"aeTitle": "VIEWER", "allowedSources": ["127.0.0.0/8"]},
    }
    documents = holding_route(other, query=query_retrieve(clients={"nodes": [{"name": "viewer"}]}))
    route = documents[-1]["spec"]
    route["listeners"][0]["sources"]["nodes"].append({"name": "viewer"})
    route["listeners"].append(
        {"name": "second", "port": 11113, "aeTitles": ["CTGATE"], "sources": route["listeners"][0]["sources"]}
    )
    gateway = LoneGateway(tmp_path, documents)
    try:
        association = associate(gateway.port)
        statuses, answers, comment = find(association, keys("STUDY", StudyInstanceUID=""))
        assert (statuses, answers, comment) == ([0x0124], [], "this node is not a client of queryRetrieve")
        association.release()
        association = associate(gateway.port, calling="VIEWER")
        assert find(association, keys("STUDY", StudyInstanceUID=""))[0] == [SUCCESS]
        association.release()
        record = gateway.wait_for_events("audit", 2)[0]
        assert (record["who"], record["status"], record["count"]) == ("", "0124", 0)
        second = next(one["port"] for one in gateway.status()["listeners"] if one["name"] == "second")
        refused = associate(second, calling="VIEWER")
        assert refused.rejected_contexts, "a listener that is not named serves no queries"
        assert [one.result for one in refused.rejected_contexts] == [3, 3]
        refused.abort()
        gateway.reconfigure(without_queries(documents))
        refused = associate(gateway.port, calling="VIEWER")
        assert [one.result for one in refused.rejected_contexts] == [3, 3], "absent means as before"
        refused.abort()
        gateway.process.wait_until(lambda: not (tmp_path / "spool" / "catalogue.sqlite").exists(), "names are kept")
        gateway.reconfigure(holding_route(query=query_retrieve(mode="Refuse")))
        refused = associate(gateway.port)
        assert [one.result for one in refused.rejected_contexts] == [3, 3]
        refused.abort()
    finally:
        gateway.kill()


def test_more_matches_than_are_told_end_in_a_refusal_after_them(
    lone: Callable[..., LoneGateway], tmp_path: Path, files: list[Path]
) -> None:
    gateway = lone(tmp_path, holding_route(query=query_retrieve(maxMatches=5)))
    assert dcmsend(gateway.port, files) == 0
    association = associate(gateway.port)
    statuses, answers, comment = find(association, keys("STUDY", StudyInstanceUID=""))
    assert statuses == [PENDING] * 5 + [0xA700]
    assert comment == "more than 5 matches: narrow the query"
    assert len({str(one.StudyInstanceUID) for one in answers}) == 5
    association.release()


def test_a_gateway_that_was_killed_finds_what_it_found(
    lone: Callable[..., LoneGateway], tmp_path: Path, files: list[Path], stored: list[Dataset]
) -> None:
    """Killed while its catalogue was being written, deleted while it runs: nothing that was acknowledged is missing."""
    first = lone(tmp_path, holding_route())
    assert dcmsend(first.port, files[:60]) == 0
    association = associate(first.port)
    assert find(association, keys("STUDY", StudyInstanceUID=""))[0][-1] == SUCCESS
    association.abort()
    assert dcmsend(first.port, files[60:]) == 0
    first.kill()
    second = lone(tmp_path, holding_route())
    association = associate(second.port)
    assert differences(QUERIES[0], ask(association, QUERIES[0])[1], stored) == []
    for file in (tmp_path / "spool").glob("catalogue.sqlite*"):
        file.unlink()

    def finds_all() -> bool:
        statuses, answers, comment = ask(association, QUERIES[0])
        if statuses[-1] != SUCCESS:
            assert (statuses[-1], comment[:22]) == (0xA700, "the index of the spool")
            return False
        return differences(QUERIES[0], answers, stored) == []

    second.process.wait_until(lambda: len(second.events("catalogue.lost")) == 1, "it is not missed")
    second.process.wait_until(finds_all, "it is not made again")
    association.release()
    second.wait_for(owed=len(files))


def test_a_listener_for_queries_that_speaks_tls(
    run: Callable[..., Running], tmp_path: Path, files: list[Path], stored: list[Dataset]
) -> None:
    """Matches and a C-CANCEL pass over TLS as they do without: findscu of DCMTK and pynetdicom ask."""
    servers = Authority(tmp_path / "servers", "servers")
    secret = tls_secret("gateway-tls", *servers.issue("127.0.0.1", "localhost"))
    tls = {"certificateRef": {"name": "gateway-tls"}, "clientCertificates": "Ignored"}
    sources = {"nodes": [{"name": "ct-1"}]}
    listeners = [
        {"name": "dicom", "port": 11112, "aeTitles": ["CTGATE"], "sources": sources},
        {"name": "query", "port": 11113, "aeTitles": ["CTGATE"], "sources": sources, "tls": tls},
    ]
    running = run(*holding_route(secret, query=query_retrieve(listeners=["query"]), listeners=listeners))
    ports = {one["name"]: int(one["port"]) for one in running.status()["listeners"]}
    assert dcmsend(ports["dicom"], files) == 0
    options = ["+tla", "+cf", str(servers.file)]
    answers, said = findscu(
        ports["query"], tmp_path / "answers", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName=ALDER*",
        options=options,
    )  # fmt: skip
    wanted = expected(FindQuery("STUDY", {"PatientName": "ALDER*"}), stored)
    assert {(str(one.StudyInstanceUID),) for one in answers} == set(wanted), said
    context = ssl.create_default_context(cafile=str(servers.file))
    association = associate(ports["query"], tls_args=(context, "127.0.0.1"))
    assert differences(QUERIES[0], ask(association, QUERIES[0])[1], stored) == []
    association.release()
