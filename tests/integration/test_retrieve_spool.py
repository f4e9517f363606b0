"""C-MOVE and C-GET of what the spool holds: byte for byte, counted, in a form that the receiver takes."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from corpus import data_set_bytes, make_corpus
from gateways import LoneGateway
from manifests import ca_bundle, changed, tls_secret
from orthanc import Orthanc
from ports import free_port
from pydicom import dcmread
from retrieving import CT, EXPLICIT, GET, IMPLICIT, MOVE, MR, Answers, Client, Receiver, dcmtk, identifier, moving_route
from routes import pacs
from running import Running, dcmsend
from storescp import StoreSCP
from studies import instance, instance_uid, series_uid, study_uid

SUCCESS, CANCEL, PENDING, UNKNOWN = 0x0000, 0xFE00, 0xFF00, 0xA801
WARNED, CANNOT, INVALID, NOT_AUTHORIZED = 0xB000, 0xA702, 0xA900, 0x0124
BOTH = {CT: [EXPLICIT, IMPLICIT], MR: [EXPLICIT, IMPLICIT]}
STUDIES, NUMBERS = (1, 2, 3), (1, 2, 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return three studies of three instances of CT and three of MR, by SOP Instance UID."""
    return {
        instance_uid(a, b, c): instance(a, b, c, sop_class=CT if b == 1 else MR, pixel_bytes=8192)
        for a in STUDIES
        for b in (1, 2)
        for c in NUMBERS
    }


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], receiver: Receiver
) -> Iterator[LoneGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    one = LoneGateway(folder, moving_route(port=receiver.port))
    paths = [folder / f"{uid}.dcm" for uid in files]
    for path, file in zip(paths, files.values(), strict=True):
        path.write_bytes(file)
    assert dcmsend(one.port, paths) == 0
    yield one
    one.kill()


@pytest.fixture
def client(gateway: LoneGateway, receiver: Receiver) -> Iterator[Client]:
    receiver.received.clear()
    receiver.originators.clear()
    one = Client(gateway.port, storage=BOTH)
    yield one
    one.release()


def of(study: int, series: tuple[int, ...] = (1, 2), numbers: tuple[int, ...] = NUMBERS) -> list[str]:
    return sorted(instance_uid(study, a, b) for a in series for b in numbers)


SCOPES = [
    (identifier("STUDY", StudyInstanceUID=study_uid(1)), "S", of(1)),
    (identifier("STUDY", StudyInstanceUID=[study_uid(1), study_uid(3)]), "S", [*of(1), *of(3)]),
    (identifier("SERIES", StudyInstanceUID=study_uid(2), SeriesInstanceUID=series_uid(2, 2)), "S", of(2, (2,))),
    (
        identifier(
            "IMAGE",
            StudyInstanceUID=study_uid(2),
            SeriesInstanceUID=series_uid(2, 1),
            SOPInstanceUID=[instance_uid(2, 1, 1), instance_uid(2, 1, 3)],
        ),
        "S",
        of(2, (1,), (1, 3)),
    ),
    (
        identifier(
            "IMAGE",
            StudyInstanceUID=[study_uid(1), study_uid(2)],
            SeriesInstanceUID=[series_uid(1, 1), series_uid(2, 2)],
            SOPInstanceUID=[instance_uid(1, 1, 1), instance_uid(2, 2, 3)],
        ),
        "S",
        sorted((instance_uid(1, 1, 1), instance_uid(2, 2, 3))),
    ),
    (identifier("PATIENT", PatientID="AB-0002"), "P", of(2)),
    (identifier("STUDY", PatientID="AB-0003", StudyInstanceUID=study_uid(3)), "P", of(3)),
    (identifier("STUDY", PatientID="AB-0001", StudyInstanceUID=study_uid(3)), "P", []),
    (identifier("SERIES", StudyInstanceUID=study_uid(1), SeriesInstanceUID=series_uid(2, 2)), "S", []),
    (identifier("STUDY", StudyInstanceUID="1.2.3"), "S", []),
]


@pytest.mark.parametrize("wanted, model, uids", SCOPES)
@pytest.mark.parametrize("verb", ["move", "get"])
def test_every_level_is_retrieved_whole_and_byte_for_byte(
    client: Client, receiver: Receiver, files: dict[str, bytes], verb: str, wanted: Any, model: str, uids: list[str]
) -> None:
    answers = client.move(wanted, model=model) if verb == "move" else client.get(wanted, model=model)
    assert answers.final == (SUCCESS, (None, len(uids), 0, 0))
    assert set(answers.statuses[:-1]) <= {PENDING}
    assert answers.failed == []
    to = receiver if verb == "move" else client
    assert to.uids() == sorted(uids)
    for (_, data), uid in zip(sorted(to.received, key=lambda one: dcmread_uid(one[1])), sorted(uids), strict=True):
        assert data == data_set_bytes(files[uid])


def dcmread_uid(data: bytes) -> str:
    return str(dcmread(BytesIO(data), force=True).SOPInstanceUID)


def test_the_destination_learns_who_asked_and_in_which_message(client: Client, receiver: Receiver) -> None:
    client.move(identifier("STUDY", StudyInstanceUID=study_uid(1)), msg_id=4711)
    assert receiver.originators == {("CT1", 4711)}
    client.get(identifier("STUDY", StudyInstanceUID=study_uid(1)))
    assert len(client.received) == 6


def test_the_counts_go_down_and_up(gateway: LoneGateway, client: Client, receiver: Receiver) -> None:
    receiver.pause_seconds = 0.5
    answers = client.move(identifier("STUDY", StudyInstanceUID=study_uid(1)))
    receiver.pause_seconds = 0.0
    assert answers.final == (SUCCESS, (None, 6, 0, 0))
    pending = [counts for status, counts in zip(answers.statuses, answers.counts, strict=True) if status == PENDING]
    assert len(pending) >= 3
    assert all(remaining and remaining > 0 for remaining, *_ in pending)
    assert [counts[1] for counts in pending] == sorted(counts[1] or 0 for counts in pending)
    assert answers.times[1] - answers.times[0] < 2
    assert answers.longest_pause < 2


@pytest.mark.parametrize(
    "wanted, model",
    [
        (identifier("STUDY"), "S"),
        (identifier("STUDY", StudyInstanceUID=""), "S"),
        (identifier("PATIENT", PatientID="AB-00*"), "P"),
        (identifier("SERIES", SeriesInstanceUID=series_uid(1, 1)), "S"),
        (identifier("STUDY", StudyInstanceUID=study_uid(1)), "P"),
        (identifier("STUDY", StudyInstanceUID=study_uid(1), SOPInstanceUID=instance_uid(1, 1, 1)), "S"),
        (identifier("PATIENT", PatientID="AB-0001"), "S"),
        (identifier("PATIENT", PatientID=["AB-0001", "AB-0002"]), "P"),
        (identifier("FRAME", StudyInstanceUID=study_uid(1)), "S"),
        (identifier("", StudyInstanceUID=study_uid(1)), "S"),
    ],
)
def test_an_identifier_that_does_not_fit_is_refused_with_the_reason(client: Client, wanted: Any, model: str) -> None:
    for answers in (client.move(wanted, model=model), client.get(wanted, model=model)):
        assert answers.statuses == [INVALID]
        assert answers.comment
    assert client.move(identifier("STUDY", StudyInstanceUID="1.2.3")).statuses[-1] == SUCCESS  # it goes on


def test_a_title_that_is_no_move_destination_is_unknown(client: Client) -> None:
    for title in ("ELSEWHERE", "CT1", "CTGATE", ""):
        answers = client.move(identifier("STUDY", StudyInstanceUID=study_uid(1)), title or "X")
        assert answers.statuses == [UNKNOWN]
    assert client.move(identifier("STUDY", StudyInstanceUID=study_uid(1)), "PACS ").statuses[-1] == SUCCESS


def test_what_fails_and_what_warns_is_told_apart(gateway: LoneGateway, client: Client, receiver: Receiver) -> None:
    statuses = {instance_uid(1, 1, 1): 0xA700, instance_uid(1, 1, 2): 0xB000}
    failed = [instance_uid(1, 1, 1)]
    wanted = identifier("STUDY", StudyInstanceUID=study_uid(1))
    receiver._status = lambda data_set: statuses.get(str(data_set.SOPInstanceUID), 0)
    client.status = receiver._status
    for answers in (client.move(wanted), client.get(wanted)):
        assert answers.final == (WARNED, (None, 4, 1, 1))
        assert answers.failed == failed
    receiver._status = client.status = lambda _: 0xC000
    for answers in (client.move(wanted), client.get(wanted)):
        assert answers.final == (CANNOT, (None, 0, 6, 0))
        assert sorted(answers.failed) == of(1)
    receiver._status = client.status = lambda _: 0


def test_who_is_no_client_may_not_retrieve(tmp_path: Path, lone: Callable[..., LoneGateway]) -> None:
    documents = moving_route(port=free_port())
    documents[0] = changed(documents[0], "spec.callingAETitles", ["CT2"])
    documents[-1] = changed(documents[-1], "spec.listeners.0.sources", {"policy": "Any"})
    gateway = lone(tmp_path, documents)
    client = Client(gateway.port, storage=BOTH)
    for answers in (client.move(identifier("STUDY", StudyInstanceUID="1.2")), client.get(identifier("STUDY"))):
        assert answers.statuses == [NOT_AUTHORIZED]
    client.release()
    record = gateway.wait_for_events("audit", 2)[-1]
    assert (record["action"], record["who"], record["calling_ae_title"]) == ("Get", "", "CT1")


@pytest.mark.parametrize("strict", ["pacs", "ct-1"])
def test_a_node_for_deidentified_data_is_moved_nothing_and_gets_nothing(
    tmp_path: Path, lone: Callable[..., LoneGateway], receiver: Receiver, strict: str
) -> None:
    documents = [
        changed(one, "spec.accepts", "DeidentifiedOnly") if one["metadata"]["name"] == strict else one
        for one in moving_route(port=receiver.port)
    ]
    gateway = lone(tmp_path, documents)
    (tmp_path / "one.dcm").write_bytes(instance(1))
    assert dcmsend(gateway.port, [tmp_path / "one.dcm"]) == 0
    receiver.received.clear()
    client = Client(gateway.port, storage=BOTH)
    moved = client.move(identifier("STUDY", StudyInstanceUID=study_uid(1)))
    got = client.get(identifier("STUDY", StudyInstanceUID=study_uid(1)))
    client.release()
    assert moved.statuses[-1] == NOT_AUTHORIZED
    assert "de-identified" in moved.comment
    assert not receiver.received
    assert (got.statuses[-1] == NOT_AUTHORIZED) is (strict == "ct-1")
    assert bool(client.received) is (strict != "ct-1")


def test_a_destination_that_is_not_there_ends_it_and_not_the_gateway(
    tmp_path: Path, lone: Callable[..., LoneGateway]
) -> None:
    gateway = lone(tmp_path, moving_route(port=free_port()))
    (tmp_path / "one.dcm").write_bytes(instance(1))
    assert dcmsend(gateway.port, [tmp_path / "one.dcm"]) == 0
    client = Client(gateway.port)
    answers = client.move(identifier("STUDY", StudyInstanceUID=study_uid(1)))
    assert answers.final == (CANNOT, (None, 0, 1, 0))
    assert "cannot be reached" in answers.comment
    assert answers.failed == [instance_uid(1, 1, 1)]
    assert answers.longest_pause < 2
    client.release()


def test_a_destination_that_is_the_gateway_itself_is_refused(tmp_path: Path, lone: Callable[..., LoneGateway]) -> None:
    gateway = lone(tmp_path, moving_route(port=free_port()))
    itself = changed(pacs(gateway.port), "spec.aeTitle", "CTGATE")
    documents = [itself if one["metadata"]["name"] == "pacs" else one for one in moving_route(port=1)]
    gateway.reconfigure(documents)
    client = Client(gateway.port)
    assert client.move(identifier("STUDY", StudyInstanceUID="1.2"), "CTGATE").statuses == [UNKNOWN]
    client.release()


def test_without_move_destinations_the_contexts_of_a_move_are_refused(
    tmp_path: Path, lone: Callable[..., LoneGateway]
) -> None:
    documents = moving_route(port=1)
    query = {k: v for k, v in documents[-1]["spec"]["queryRetrieve"].items() if k != "moveDestinations"}
    gateway = lone(tmp_path, [*documents[:-1], changed(documents[-1], "spec.queryRetrieve", query)])
    client = Client(gateway.port)
    assert {one.abstract_syntax for one in client.association.accepted_contexts} == set(GET.values())
    client.release()


def test_a_cancel_ends_it_after_the_instance_in_hand(client: Client, receiver: Receiver) -> None:
    receiver.pause_seconds = 1.0
    receiver.has_begun.clear()
    wanted = identifier("STUDY", StudyInstanceUID=study_uid(1))
    (context,) = [one for one in client.association.accepted_contexts if one.abstract_syntax == MOVE["S"]]
    threading.Thread(
        target=lambda: (receiver.has_begun.wait(30), client.association.send_c_cancel(7, context.context_id))
    ).start()
    begun = time.monotonic()
    answers = client.move(wanted, msg_id=7)
    receiver.pause_seconds = 0.0
    status, (remaining, completed, failed, warning) = answers.final
    assert status == CANCEL
    assert (remaining or 0) >= 4
    assert (completed, failed, warning) in ((1, 0, 0), (2, 0, 0))
    assert time.monotonic() - begun < 4


def test_a_cancelled_get_says_how_much_is_left(client: Client) -> None:
    (context,) = [one for one in client.association.accepted_contexts if one.abstract_syntax == GET["S"]]

    def cancel(_: Any) -> int:
        client.association.send_c_cancel(8, context.context_id)
        return 0

    client.status = cancel
    answers = client.get(identifier("STUDY", StudyInstanceUID=study_uid(1)), msg_id=8)
    status, (remaining, completed, *_) = answers.final
    assert status == CANCEL
    assert (completed or 0) + (remaining or 0) == 6
    assert (completed or 0) < 6
    client.status = lambda _: 0
    assert client.get(identifier("STUDY", StudyInstanceUID=study_uid(1))).statuses[-1] == SUCCESS


@pytest.mark.parametrize("how", ["abort", "release", "vanish"])
def test_a_client_that_goes_ends_its_retrieval(gateway: LoneGateway, receiver: Receiver, how: str) -> None:
    receiver.received.clear()
    receiver.has_begun.clear()
    receiver.pause_seconds = 0.3
    one = Client(gateway.port)
    thread = threading.Thread(
        target=lambda: one.move(identifier("STUDY", StudyInstanceUID=[study_uid(a) for a in STUDIES])), daemon=True
    )
    thread.start()
    assert receiver.has_begun.wait(30)
    if how == "vanish":
        one.association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
    else:
        getattr(one.association, how)()
    time.sleep(1.5)
    count = len(receiver.received)
    assert count < 8
    time.sleep(1)
    receiver.pause_seconds = 0.0
    assert len(receiver.received) == count
    assert not list((gateway.folder / "spool" / "fetched").glob("*"))


def test_movescu_and_getscu_of_dcmtk_retrieve(
    gateway: LoneGateway, files: dict[str, bytes], receiver: Receiver, tmp_path: Path
) -> None:
    keys = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study_uid(2)}"]
    receiver.received.clear()
    code, said = dcmtk("movescu", gateway.port, "-aem", "PACS", keys=keys)
    assert code == 0, said
    assert "Received Final Move Response (Success)" in said
    assert receiver.uids() == of(2)
    (tmp_path / "got").mkdir()
    code, said = dcmtk("getscu", gateway.port, "-B", "-od", str(tmp_path / "got"), keys=keys)
    assert code == 0, said
    got = {
        str(dcmread(file).SOPInstanceUID): data_set_bytes(file.read_bytes()) for file in (tmp_path / "got").iterdir()
    }
    assert got == {uid: data_set_bytes(files[uid]) for uid in of(2)}


def test_storescp_of_dcmtk_and_orthanc_are_moved_to(
    tmp_path: Path, lone: Callable[..., LoneGateway], files: dict[str, bytes]
) -> None:
    scp = StoreSCP(tmp_path / "kept", "+B")
    orthanc = Orthanc(tmp_path / "orthanc", dicom_port=free_port(), further={"DicomCheckCalledAet": False})
    other = changed(changed(pacs(orthanc.dicom_port or 0), "metadata.name", "orthanc"), "spec.aeTitle", "ORTHANC")
    nodes = {"nodes": [{"name": "pacs"}, {"name": "orthanc"}]}
    gateway = lone(tmp_path / "gateway", moving_route(other, port=scp.port, moveDestinations=nodes))
    paths = make_corpus(tmp_path / "corpus", 1)
    assert dcmsend(gateway.port, paths) == 0
    studies = sorted({str(dcmread(path, stop_before_pixels=True).StudyInstanceUID) for path in paths})
    client = Client(gateway.port)
    wanted = identifier("STUDY", StudyInstanceUID=studies)
    answers = client.move(wanted)
    assert answers.final == (SUCCESS, (None, len(paths), 0, 0)), answers.comment
    assert len(scp.data_sets()) == len(paths)
    answers = client.move(wanted, "ORTHANC")
    assert answers.final[0] == SUCCESS
    assert orthanc.count() == len(paths)
    client.release()
    scp.stop()
    orthanc.stop()


def test_the_receiver_gets_what_it_takes_and_nothing_is_compressed(
    tmp_path: Path, lone: Callable[..., LoneGateway]
) -> None:
    """A receiver of Implicit VR alone gets everything in that, whatever it came in; what has no such form fails."""
    paths = make_corpus(tmp_path / "corpus", 1)
    heads = [dcmread(path, stop_before_pixels=True) for path in paths]
    storage = {str(head.SOPClassUID): [IMPLICIT] for head in heads}
    receiver = Receiver(storage)
    gateway = lone(tmp_path / "gateway", moving_route(port=receiver.port))
    assert dcmsend(gateway.port, paths) == 0
    client = Client(gateway.port, storage=storage)
    wanted = identifier("STUDY", StudyInstanceUID=sorted({str(head.StudyInstanceUID) for head in heads}))
    moved, got = client.move(wanted), client.get(wanted)
    assert moved.final == got.final == (SUCCESS, (None, len(paths), 0, 0))
    assert {syntax for syntax, _ in receiver.received} == {syntax for syntax, _ in client.received} == {IMPLICIT}
    assert receiver.uids() == client.uids() == sorted(str(head.SOPInstanceUID) for head in heads)
    assert not list((gateway.folder / "spool" / "fetched").glob("*"))
    client.release()
    only_ct = Client(gateway.port, storage={CT: [IMPLICIT]})
    answers = only_ct.get(wanted)
    assert answers.statuses[-1] == WARNED
    others = {str(head.SOPInstanceUID) for head in heads if head.SOPClassUID != CT}
    assert set(answers.failed) == others
    only_ct.release()
    receiver.close()


def test_a_node_that_encrypts_is_moved_to(tmp_path: Path, run: Callable[..., Running]) -> None:
    servers, clients = Authority(tmp_path / "servers", "servers"), Authority(tmp_path / "clients", "clients")
    certificate, key = servers.issue("127.0.0.1")
    options = ("+B", "+tls", str(key), str(certificate), "+cf", str(clients.file))
    scp = StoreSCP(tmp_path / "kept", *options)
    bundle, reference = ca_bundle("pacs-authorities", servers.pem)
    shown = tls_secret("gateway-client", *clients.issue("gateway"))
    documents = moving_route(bundle, shown, port=scp.port)
    tls = {"caBundleRef": reference, "clientCertificateRef": {"name": "gateway-client"}}
    documents = [changed(one, "spec.tls", tls) if one["metadata"]["name"] == "pacs" else one for one in documents]
    running = run(*documents)
    file = instance(1)
    (tmp_path / "one.dcm").write_bytes(file)
    assert dcmsend(running.port, [tmp_path / "one.dcm"]) == 0
    client = Client(running.port)
    assert client.move(identifier("STUDY", StudyInstanceUID=study_uid(1))).final == (SUCCESS, (None, 1, 0, 0))
    assert scp.data_sets() == {instance_uid(1, 1, 1): data_set_bytes(file)}
    client.release()
    scp.stop()


def test_too_many_at_once_are_told_to_ask_again(
    tmp_path: Path, lone: Callable[..., LoneGateway], files: dict[str, bytes]
) -> None:
    receiver = Receiver(pause_seconds=5)
    gateway = lone(tmp_path, moving_route(port=receiver.port, maxConcurrent={"retrievals": 1}))
    (tmp_path / "one.dcm").write_bytes(instance(1))
    assert dcmsend(gateway.port, [tmp_path / "one.dcm"]) == 0
    wanted = identifier("STUDY", StudyInstanceUID=study_uid(1))
    first, second = Client(gateway.port), Client(gateway.port)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(first.move(wanted).statuses[-1]))
    thread.start()
    assert receiver.has_begun.wait(30)
    assert second.move(wanted).statuses == [CANNOT]
    thread.join()
    assert results == [SUCCESS]
    for one in (first, second):
        one.release()
    receiver.close()


def test_who_gets_without_a_storage_context_is_told_so(gateway: LoneGateway) -> None:
    one = Client(gateway.port)
    answers = one.get(identifier("STUDY", StudyInstanceUID=study_uid(1)))
    assert answers.statuses == [CANNOT]
    assert "SCP role" in answers.comment
    one.release()


def test_a_gateway_that_shuts_down_says_so_after_the_instance_in_hand(
    tmp_path: Path, lone: Callable[..., LoneGateway]
) -> None:
    receiver = Receiver(pause_seconds=1)
    gateway = lone(tmp_path, moving_route(port=receiver.port))
    paths = [tmp_path / f"{number}.dcm" for number in range(8)]
    for number, path in enumerate(paths):
        path.write_bytes(instance(1, number=number))
    assert dcmsend(gateway.port, paths) == 0
    client = Client(gateway.port)
    results: list[Answers] = []
    thread = threading.Thread(
        target=lambda: results.append(client.move(identifier("STUDY", StudyInstanceUID=study_uid(1))))
    )
    thread.start()
    assert receiver.has_begun.wait(30)
    begun = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - begun < 15
    thread.join()
    (answers,) = results
    status, (_, completed, failed, _) = answers.final
    assert status == WARNED
    assert (completed or 0) + (failed or 0) == len(paths)
    assert completed == len(receiver.received)
    assert "shuts down" in answers.comment
    receiver.close()


def test_each_retrieval_leaves_a_record_and_is_counted(tmp_path: Path, lone: Callable[..., LoneGateway]) -> None:
    receiver = Receiver()
    gateway = lone(tmp_path, moving_route(port=receiver.port))
    (tmp_path / "one.dcm").write_bytes(instance(1))
    assert dcmsend(gateway.port, [tmp_path / "one.dcm"]) == 0
    client = Client(gateway.port, storage=BOTH)
    client.move(identifier("STUDY", StudyInstanceUID=study_uid(1)))
    client.get(identifier("STUDY", StudyInstanceUID=study_uid(1)))
    client.release()
    moved, got = gateway.wait_for_events("audit", 2)
    assert (moved["action"], moved["who"], moved["destination"], moved["count"]) == ("Move", "ct-1", "pacs", 1)
    assert (got["action"], got["status"], got["query_level"], got["keys"]) == (
        "Get",
        "0000",
        "STUDY",
        ["StudyInstanceUID"],
    )
    metrics = gateway.metrics()
    assert 'dicomroute_retrievals_total{action="Move",listener="dicom",status="0000"} 1.0' in metrics
    assert 'dicomroute_retrieved_instances_total{listener="dicom",outcome="Completed"} 2.0' in metrics
    receiver.close()
