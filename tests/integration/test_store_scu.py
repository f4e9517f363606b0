"""Storing at real peers, and at peers that do what the standard forbids: each failure has a reason, and none hangs."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pydicom
import pytest
from corpus import FILES, data_set_bytes, make_corpus, uid_of
from orthanc import Orthanc
from pdus import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    COMMAND,
    CT,
    EXPLICIT,
    IMPLICIT,
    LAST,
    MR,
    P_DATA_TF,
    RELEASE_RP,
    RELEASE_RQ,
    abort,
    p_data,
    pdu,
    pdv,
    release,
    us,
)
from ports import free_port
from processes import wait_until
from scripted_scp import Acceptor, ScriptedSCP
from storescp import StoreSCP

from dicomroute_gateway.dimse.failures import ContextRefusal, ContextRefused, RequestorFailure
from dicomroute_gateway.dimse.propose import VERIFYING, Syntaxes, group_contexts
from dicomroute_gateway.dimse.requestor import Called, Requestor, StoreInstance, Timeouts
from dicomroute_gateway.dimse.source import FileSource
from dicomroute_gateway.dimse.transmit import await_answer
from dicomroute_gateway.dimse.wire import PeerStalled, Piece, Wire

SECONDS = 0.5
TIMEOUTS = Timeouts(connect=SECONDS, acse=SECONDS, stall=SECONDS, response=SECONDS, release=SECONDS)
PATIENT = Timeouts(acse=20, stall=20, response=20)
SLACK = 4.0
"""What a busy machine may add to a time-out, and the second that a peer has to read an A-ABORT."""
CT_EXPLICIT = Syntaxes(CT, EXPLICIT)


def instance_of(file: Path) -> StoreInstance:
    """Return the instance in a file."""
    content = file.read_bytes()
    meta = pydicom.dcmread(file, stop_before_pixels=True).file_meta
    length = len(data_set_bytes(content))
    return StoreInstance(
        str(meta.MediaStorageSOPClassUID),
        str(meta.MediaStorageSOPInstanceUID),
        str(meta.TransferSyntaxUID),
        FileSource(file, len(content) - length, length),
    )


def open_association(
    port: int, *wanted: Syntaxes, timeouts: Timeouts = TIMEOUTS, called: str = "PACS", host: str = "127.0.0.1"
) -> Requestor:
    contexts = group_contexts([*wanted] or [CT_EXPLICIT, VERIFYING])[0]
    return Requestor.open(Called(host, port, called, "CTGATE"), contexts, timeouts)


def store_all(port: int, files: Sequence[Path], called: str = "PACS") -> list[int]:
    """Store files in one association and release it; return the statuses."""
    instances = [instance_of(file) for file in files]
    association = open_association(port, *(one.syntaxes for one in instances), timeouts=PATIENT, called=called)
    statuses = [association.store(one).status for one in instances]
    assert association.release()
    return statuses


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start DCMTK's storescp, which keeps what it gets in the folder `kept`; return its port."""
    started: list[StoreSCP] = []

    def start(*options: str, environment: dict[str, str] | None = None) -> int:
        started.append(StoreSCP(tmp_path / "kept", *options, environment=environment))
        return started[-1].port

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def scripted() -> Iterator[Callable[[Callable[[Acceptor], object]], int]]:
    """Start an acceptor with a script; return its port."""
    started: list[ScriptedSCP] = []

    def start(script: Callable[[Acceptor], object]) -> int:
        started.append(ScriptedSCP(script))
        return started[-1].port

    yield start
    for one in started:
        one.close()


Scripted = Callable[[Callable[[Acceptor], object]], int]


@pytest.fixture
def small() -> StoreInstance:
    return instance_of(FILES / "CT_small.dcm")


@pytest.fixture
def large(tmp_path: Path) -> StoreInstance:
    """An instance that no socket buffer holds."""
    file = tmp_path / "large"
    with file.open("wb") as hole:
        hole.truncate(32 << 20)
    return StoreInstance(CT, "1.2.3", EXPLICIT, FileSource(file, 0, 32 << 20))


def fails(action: Callable[[], object]) -> RequestorFailure:
    """Return how an action fails, which it does in time."""
    began = time.monotonic()
    with pytest.raises(RequestorFailure) as failure:
        action()
    assert time.monotonic() - began < SECONDS + SLACK, "it took longer than its time-out"
    return failure.value


# Real peers


def test_instances_of_every_kind_arrive_at_storescp_byte_for_byte(tmp_path: Path, storescp: Callable[..., int]) -> None:
    port = storescp("+B", "+xa")
    files = make_corpus(tmp_path / "corpus", 3)
    assert set(store_all(port, files)) == {0}
    kept = {uid_of(file): data_set_bytes(file.read_bytes()) for file in (tmp_path / "kept").iterdir()}
    assert kept == {uid_of(file): data_set_bytes(file.read_bytes()) for file in files}


def test_an_instance_of_many_blocks_arrives_at_storescp_byte_for_byte(
    tmp_path: Path, storescp: Callable[..., int]
) -> None:
    dataset = pydicom.dcmread(FILES / "CT_small.dcm")
    dataset.Rows, dataset.Columns = 1500, 1501
    dataset.PixelData = bytes(range(251)) * (1500 * 1501 * 2 // 251 + 1)
    dataset.PixelData = dataset.PixelData[: 1500 * 1501 * 2]
    dataset.save_as(tmp_path / "big.dcm")
    assert store_all(storescp("+B", "-pdu", "4096"), [tmp_path / "big.dcm"]) == [0]
    (kept,) = (tmp_path / "kept").iterdir()
    assert data_set_bytes(kept.read_bytes()) == data_set_bytes((tmp_path / "big.dcm").read_bytes())


def test_what_storescp_does_not_take_is_refused_by_its_context_and_the_others_go(
    tmp_path: Path, storescp: Callable[..., int]
) -> None:
    port = storescp()
    plain, compressed = (instance_of(FILES / name) for name in ("CT_small.dcm", "JPEG2000.dcm"))
    private = replace(plain, sop_class_uid="1.2.826.0.1.3680043.10.99")
    association = open_association(port, *(one.syntaxes for one in (compressed, private, plain)), timeouts=PATIENT)
    assert association.refusal(compressed.syntaxes) is ContextRefusal.TRANSFER_SYNTAXES_NOT_SUPPORTED
    assert association.refusal(private.syntaxes) is ContextRefusal.ABSTRACT_SYNTAX_NOT_SUPPORTED
    assert association.refusal(plain.syntaxes) is None
    with pytest.raises(ContextRefused, match=r"does not accept SOP class .* in transfer syntax"):
        association.store(compressed)
    assert association.store(plain).status == 0
    assert association.release()
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_stock_storescp_does_not_wait_for_our_acknowledgements(tmp_path: Path, storescp: Callable[..., int]) -> None:
    """Nagle's algorithm, which it leaves on, holds the second segment of each response back until then."""
    files = make_corpus(tmp_path / "corpus", 100, ("rtplan.dcm",))

    def seconds(port: int) -> float:
        began = time.monotonic()
        assert set(store_all(port, files)) == {0}
        return time.monotonic() - began

    without_nagle = seconds(storescp(environment={"TCP_NODELAY": "1"}))
    assert seconds(storescp()) < without_nagle + 2, "100 responses held back for 40 ms each are four seconds"


def test_storescp_that_refuses_or_aborts_is_told_apart(storescp: Callable[..., int], small: StoreInstance) -> None:
    assert fails(lambda: open_association(storescp("--refuse"))).reason == "AssociationRejected"
    for option in ("--abort-after", "--abort-during"):
        association = open_association(storescp(option), timeouts=PATIENT)
        assert fails(lambda a=association: a.store(small)).reason == "AbortedByPeerAfterRequest"
        assert not association.is_open


def test_a_storescp_that_is_verified_and_then_ends_is_lost(tmp_path: Path, small: StoreInstance) -> None:
    peer = StoreSCP(tmp_path / "kept")
    association = open_association(peer.port, timeouts=PATIENT)
    assert association.peer.startswith("OFFIS_DCMTK")
    assert association.echo() == 0
    peer.kill()
    assert fails(lambda: association.store(small)).reason == "ConnectionLost"
    assert fails(lambda: open_association(peer.port)).reason == "ConnectionRefused"


def test_instances_arrive_at_orthanc(tmp_path: Path) -> None:
    orthanc = Orthanc(tmp_path / "orthanc", dicom_port=free_port())
    assert orthanc.dicom_port is not None
    try:
        files = make_corpus(tmp_path / "corpus", 2, ("CT_small.dcm", "rtplan.dcm", "MR_small.dcm"))
        assert set(store_all(orthanc.dicom_port, files, called="ORTHANC")) == {0}
        (tmp_path / "got").mkdir()
        for uid, content in orthanc.files().items():
            (tmp_path / "got" / uid).write_bytes(content)
        for file in files:
            assert pydicom.dcmread(tmp_path / "got" / uid_of(file)) == pydicom.dcmread(file)
        rejected = fails(lambda: open_association(orthanc.dicom_port or 0, called="OTHER"))
        assert rejected.reason == "CalledAETitleNotRecognized"
    finally:
        orthanc.stop()


# The way to an association


def test_a_port_that_nobody_listens_on_refuses() -> None:
    failure = fails(lambda: open_association(free_port()))
    assert failure.reason == "ConnectionRefused"
    assert "the port is closed" in str(failure)


def test_a_name_that_does_not_resolve_says_so() -> None:
    with pytest.raises(RequestorFailure, match=r"pacs\.invalid") as failure:
        open_association(104, host="pacs.invalid")
    assert failure.value.reason == "DNSFailed"


def test_an_address_that_does_not_answer_times_out() -> None:
    with closing(socket.socket()) as full, closing(socket.socket()) as first, closing(socket.socket()) as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert fails(lambda: open_association(full.getsockname()[1])).reason == "ConnectTimedOut"


@pytest.mark.parametrize(
    "answer, reason",
    [
        (pdu(ASSOCIATE_RJ, bytes((0, 1, 1, 3))), "CallingAETitleNotRecognized"),
        (pdu(ASSOCIATE_RJ, bytes((0, 2, 3, 2))), "LocalLimitExceeded"),
        (pdu(ASSOCIATE_RJ, bytes((0, 1))), "ProtocolViolation"),
        (abort(2, 1), "AbortedByPeer"),
        (release(), "ReleasedByPeer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "ProtocolViolation"),
        (pdu(ASSOCIATE_AC, bytes(68), 1 << 30), "ProtocolViolation"),
        (pdu(ASSOCIATE_AC, bytes(10)), "ProtocolViolation"),
        (pdu(ASSOCIATE_AC, bytes(68) + b"\x21\0\xff\xff"), "ProtocolViolation"),
        (pdu(P_DATA_TF, bytes(6)), "ProtocolViolation"),
        (pdu(ASSOCIATE_AC, bytes(70), 1000), "AssociationTimedOut"),
        (pdu(ASSOCIATE_AC, bytes(68), 100)[:3], "AssociationTimedOut"),
        (b"", "AssociationTimedOut"),
    ],
    ids=lambda value: value[:6].hex() if isinstance(value, bytes) else value,
)
def test_what_is_no_acceptance_has_a_reason(scripted: Scripted, answer: bytes, reason: str) -> None:
    def script(peer: Acceptor) -> None:
        peer.read_request()
        peer.send(answer).wait_gone()

    port = scripted(script)
    assert fails(lambda: open_association(port)).reason == reason


def test_a_peer_that_closes_or_resets_in_place_of_an_answer_is_lost(scripted: Scripted) -> None:
    for end in (Acceptor.close, Acceptor.reset):

        def script(peer: Acceptor, end: Callable[[Acceptor], None] = end) -> None:
            peer.read_request()
            end(peer)

        port = scripted(script)
        assert fails(lambda p=port: open_association(p)).reason == "ConnectionLost"


def test_a_peer_that_violates_the_protocol_gets_an_abort_of_the_provider(scripted: Scripted) -> None:
    got: list[bytes] = []

    def script(peer: Acceptor) -> None:
        peer.read_request()
        got.append(peer.send(pdu(RELEASE_RP, bytes(4))).wait_gone())

    port = scripted(script)
    assert fails(lambda: open_association(port)).reason == "ProtocolViolation"
    wait_until(lambda: bool(got), "the connection is not closed")
    assert got == [pdu(ABORT, bytes((0, 0, 2, 2)))]


def test_only_what_was_accepted_as_it_was_proposed_is_sent(scripted: Scripted, small: StoreInstance) -> None:
    mr, implicit = replace(small, sop_class_uid=MR), replace(small, transfer_syntax_uid=IMPLICIT)

    def script(peer: Acceptor) -> None:
        peer.accept(results={1: 4, 3: 3}, without=[7]).serve()

    unanswered = replace(small, sop_class_uid="1.2.3")
    contexts = [one.syntaxes for one in (small, mr, implicit, unanswered)]
    association = open_association(scripted(script), *contexts)
    assert [association.refusal(one) for one in contexts] == [
        ContextRefusal.TRANSFER_SYNTAXES_NOT_SUPPORTED,
        ContextRefusal.ABSTRACT_SYNTAX_NOT_SUPPORTED,
        None,
        ContextRefusal.NOT_ANSWERED,
    ]
    for refused in (small, mr, unanswered, replace(small, sop_class_uid="9.9")):
        with pytest.raises(ContextRefused):
            association.store(refused)
    assert association.store(implicit).status == 0
    assert association.release()


def test_a_transfer_syntax_that_was_not_proposed_is_not_sent_in(scripted: Scripted, small: StoreInstance) -> None:
    association = open_association(scripted(lambda peer: peer.accept(instead=IMPLICIT).serve()))
    assert fails(lambda: association.store(small)).reason == "OtherTransferSyntax"
    assert association.release()


# Messages


@pytest.mark.parametrize("maximum", [8, 9, 128, 16382, 1 << 20, 2**32 - 1, 0])
def test_no_pdu_is_longer_than_the_peer_takes(scripted: Scripted, small: StoreInstance, maximum: int) -> None:
    messages = []

    def script(peer: Acceptor) -> None:
        peer.accept(maximum=maximum)
        messages.append(peer.message())
        peer.respond(messages[-1]).serve()

    association = open_association(scripted(script), timeouts=PATIENT)
    assert association.store(small).status == 0
    assert association.release()
    (message,) = messages
    assert message.data == data_set_bytes((FILES / "CT_small.dcm").read_bytes())
    assert max(message.pdu_lengths) <= (maximum or 1 << 20)
    if not maximum or maximum > 1 << 16:
        assert len(message.pdu_lengths) == 2, "a command set and one fragment"


def test_a_maximum_length_that_carries_nothing_is_a_violation(scripted: Scripted) -> None:
    port = scripted(lambda peer: peer.accept(maximum=7).wait_gone())
    assert fails(lambda: open_association(port)).reason == "ProtocolViolation"


def test_a_large_instance_arrives_whole_at_a_peer_without_limit(
    scripted: Scripted, tmp_path: Path, large: StoreInstance
) -> None:
    messages = []

    def script(peer: Acceptor) -> None:
        peer.accept(maximum=0)
        messages.append(peer.message())
        peer.respond(messages[-1]).serve()

    association = open_association(scripted(script), timeouts=PATIENT)
    assert association.store(large).status == 0
    assert association.release()
    assert len(messages[0].data) == large.source.length
    assert max(messages[0].pdu_lengths) <= 1 << 20


class Counting(Wire):
    """A wire that counts what is written at a time."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self.writes: list[int] = []

    def send(self, pieces: Sequence[Piece]) -> int:
        self.writes.append(super().send(pieces))
        return self.writes[-1]


def test_a_small_instance_is_one_write(scripted: Scripted, small: StoreInstance) -> None:
    wires: list[Counting] = []

    def counting(host: str, port: int, seconds: float) -> Wire:
        wires.append(Counting(socket.create_connection((host, port), seconds)))
        return wires[-1]

    port = scripted(lambda peer: peer.accept().serve())
    contexts = group_contexts([CT_EXPLICIT])[0]
    association = Requestor.open(Called("127.0.0.1", port, "PACS", "CTGATE"), contexts, TIMEOUTS, counting)
    for _ in range(3):
        association.store(small)
    assert association.release()
    _, *stored, _ = wires[0].writes
    assert len(stored) == 3
    assert min(stored) > small.source.length


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB007, 0xA700, 0xC000, 0x0111, 0xFF00])
def test_a_status_comes_back_as_it_is_and_the_association_goes_on(
    scripted: Scripted, small: StoreInstance, status: int
) -> None:
    association = open_association(scripted(lambda peer: peer.accept().serve(status)))
    assert [association.store(small).status for _ in range(3)] == [status] * 3
    assert association.echo() == status
    assert association.release()


def test_a_refusal_may_say_why(scripted: Scripted, small: StoreInstance) -> None:
    why = {0x0901: struct.pack("<HH", 0x0028, 0x0010), 0x0902: b"rows? "}

    def script(peer: Acceptor) -> None:
        peer.accept()
        peer.respond(peer.message(), 0xC123, why).serve()

    response = open_association(scripted(script)).store(small)
    assert (response.status, response.error_comment, response.offending_elements) == (0xC123, "rows?", (0x00280010,))


def test_a_response_in_single_bytes_and_many_fragments_is_read(scripted: Scripted, small: StoreInstance) -> None:
    def script(peer: Acceptor) -> None:
        peer.accept()
        kept: list[bytes] = []
        message = peer.message()
        send, peer.send = peer.send, lambda data: kept.append(data) or peer  # type: ignore[method-assign,assignment,func-returns-value]
        peer.respond(message)
        peer.send = send  # type: ignore[method-assign]
        command = kept[0][12:]
        pieces = [command[start : start + 10] for start in range(0, len(command), 10)]
        flags = [COMMAND] * (len(pieces) - 1) + [COMMAND | LAST]
        for byte in b"".join(p_data(pdv(1, one, piece)) for one, piece in zip(flags, pieces, strict=True)):
            peer.send(bytes((byte,)))
        peer.serve()

    association = open_association(scripted(script), timeouts=PATIENT)
    assert association.store(small).status == 0
    assert association.release()


def test_a_response_that_announces_a_data_set_counts_and_ends_the_association(
    scripted: Scripted, small: StoreInstance
) -> None:
    def script(peer: Acceptor) -> None:
        peer.accept()
        peer.respond(peer.message(), 0, {0x0800: us(1)}).wait_gone()

    association = open_association(scripted(script))
    assert association.store(small).status == 0
    assert not association.is_open


def respond_to(peer: Acceptor, **changes: int) -> Acceptor:
    """Answer with a success to another message, or to another command."""
    elements = {{"field": 0x0100, "message_id": 0x0120}[name]: us(value) for name, value in changes.items()}
    return peer.respond(peer.message(), 0, elements)


AFTER_A_REQUEST: dict[str, tuple[Callable[[Acceptor], object], str]] = {
    "aborts": (lambda peer: peer.message() and peer.send(abort()), "AbortedByPeerAfterRequest"),
    "closes": (lambda peer: peer.message(), "ConnectionLostAfterRequest"),
    "resets": (lambda peer: peer.message() and peer.reset(), "ConnectionLostAfterRequest"),
    "releases": (lambda peer: peer.message() and peer.send(release()).wait_gone(), "ReleasedByPeerAfterRequest"),
    "is silent": (lambda peer: peer.message() and peer.wait_gone(), "ResponseTimedOut"),
    "half a header": (lambda peer: peer.message() and peer.send(b"\4\0\0").wait_gone(), "ResponseTimedOut"),
    "half a response": (
        lambda peer: peer.message() and peer.send(p_data(pdv(1, 3, bytes(80)))[:40]).wait_gone(),
        "ResponseTimedOut",
    ),
    "garbage": (
        lambda peer: peer.message() and peer.send(b"no DICOM at all, but text").wait_gone(),
        "ProtocolViolationAfterRequest",
    ),
    "a PDU too long": (
        lambda peer: peer.message() and peer.send(pdu(P_DATA_TF, b"", 1 << 31)).wait_gone(),
        "ProtocolViolationAfterRequest",
    ),
    "a PDV too long": (
        lambda peer: peer.message() and peer.send(p_data(pdv(1, 3, bytes(8), 100))).wait_gone(),
        "ProtocolViolationAfterRequest",
    ),
    "no PDV": (
        lambda peer: peer.message() and peer.send(p_data()).wait_gone(),
        "ProtocolViolationAfterRequest",
    ),
    "no command set": (
        lambda peer: peer.message() and peer.send(p_data(pdv(1, 3, bytes(13)))).wait_gone(),
        "ProtocolViolationAfterRequest",
    ),
    "a data set": (
        lambda peer: peer.message() and peer.send(p_data(pdv(1, LAST, bytes(8)))).wait_gone(),
        "ProtocolViolationAfterRequest",
    ),
    "another message": (lambda peer: respond_to(peer, message_id=9).wait_gone(), "UnexpectedResponseAfterRequest"),
    "another command": (lambda peer: respond_to(peer, field=0x8030).wait_gone(), "UnexpectedResponseAfterRequest"),
    "an acceptance": (
        lambda peer: peer.message() and peer.send(pdu(ASSOCIATE_AC, bytes(68))).wait_gone(),
        "ProtocolViolationAfterRequest",
    ),
}


@pytest.mark.parametrize("what", AFTER_A_REQUEST)
def test_what_is_no_response_has_a_reason(scripted: Scripted, small: StoreInstance, what: str) -> None:
    act, reason = AFTER_A_REQUEST[what]
    association = open_association(scripted(lambda peer: (peer.accept(), act(peer))))
    failure = fails(lambda: association.store(small))
    assert failure.reason == reason, str(failure)
    assert not association.is_open


def test_a_response_that_trickles_has_as_long_as_any_other(scripted: Scripted, small: StoreInstance) -> None:
    def script(peer: Acceptor) -> None:
        peer.accept().message()
        gap = threading.Event()
        for byte in p_data(pdv(1, 3, bytes(400))):
            peer.send(bytes((byte,)))
            gap.wait(SECONDS / 5)

    association = open_association(scripted(script))
    assert fails(lambda: association.store(small)).reason == "ResponseTimedOut"


WHILE_SENDING: dict[str, tuple[Callable[[Acceptor], object], str]] = {
    "aborts": (lambda peer: peer.send(abort(0, 0)).wait_gone(), "AbortedByPeer"),
    "closes": (lambda peer: None, "ConnectionLost"),
    "resets": (Acceptor.reset, "ConnectionLost"),
    "releases": (lambda peer: peer.send(release()).wait_gone(), "ReleasedByPeer"),
    "garbage": (lambda peer: peer.send(b"no DICOM at all, but text").wait_gone(), "ProtocolViolation"),
}


@pytest.mark.parametrize("what", WHILE_SENDING)
def test_what_ends_a_request_half_sent_has_a_reason(scripted: Scripted, large: StoreInstance, what: str) -> None:
    act, reason = WHILE_SENDING[what]
    association = open_association(scripted(lambda peer: (peer.accept(), peer.exactly(100_000), act(peer))))
    failure = fails(lambda: association.store(large))
    assert failure.reason == reason, str(failure)
    assert not association.is_open


def test_a_peer_that_reads_nothing_stalls(scripted: Scripted, large: StoreInstance) -> None:
    done = threading.Event()
    association = open_association(scripted(lambda peer: (peer.accept(), done.wait(20))))
    try:
        assert fails(lambda: association.store(large)).reason == "SendStalled"
    finally:
        done.set()


def test_a_peer_that_reads_slowly_does_not_stall(scripted: Scripted, large: StoreInstance) -> None:
    """What counts is the time in which not one byte goes out, not that of the whole."""

    def script(peer: Acceptor) -> None:
        peer.accept(maximum=0)
        pause, message_bytes = threading.Event(), 0
        while message_bytes < large.source.length:
            message_bytes += len(peer.exactly(1 << 20))
            pause.wait(SECONDS / 12)
        peer.send(abort())

    association = open_association(scripted(script), timeouts=replace(TIMEOUTS, response=20))
    began = time.monotonic()
    with pytest.raises(RequestorFailure) as failure:
        association.store(large)
    assert failure.value.reason.startswith("AbortedByPeer"), "it was aborted when it had all, not given up before"
    assert time.monotonic() - began > 2 * SECONDS


def test_the_time_for_a_response_begins_when_all_has_gone_out() -> None:
    with closing(socket.socket()) as listener, closing(socket.socket()) as connection:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        connection.connect(listener.getsockname())
        peer, _ = listener.accept()
        wire = Wire(connection)
        written = connection.send(bytes(4 << 20))
        pause = threading.Event()

        def read_slowly() -> None:
            remaining = written
            while remaining:
                remaining -= len(peer.recv(min(remaining, written // 30)))
                pause.wait(SECONDS / 60)
            peer.send(b"!")

        reader = threading.Thread(target=read_slowly)
        with closing(peer):
            began = time.monotonic()
            with pytest.raises(PeerStalled):
                await_answer(wire, SECONDS)
            assert time.monotonic() - began < SECONDS + SLACK
            reader.start()
            began = time.monotonic()
            await_answer(wire, SECONDS)
            assert time.monotonic() - began > SECONDS
            assert connection.recv(1) == b"!"
            reader.join()


def answer_early(peer: Acceptor, status: int) -> None:
    """Answer the first message when its command set is there, and part of its data set."""
    peer.accept()
    _, command = peer.read_pdu()
    peer.exactly(100_000)
    (message_id,) = struct.unpack_from("<H", command, command.index(b"\0\0\x10\x01\2\0\0\0") + 8)
    elements = [(0x0100, 0x8001), (0x0120, message_id), (0x0800, 0x0101), (0x0900, status)]
    body = b"".join(struct.pack("<HHIH", 0, number, 2, value) for number, value in elements)
    peer.send(p_data(pdv(1, COMMAND | LAST, struct.pack("<HHII", 0, 0, 4, len(body)) + body))).wait_gone()


def test_a_refusal_before_the_whole_data_set_counts_and_the_rest_is_not_sent(
    scripted: Scripted, large: StoreInstance
) -> None:
    association = open_association(scripted(lambda peer: answer_early(peer, 0xA700)))
    assert association.store(large).status == 0xA700
    assert not association.is_open


def test_a_success_before_the_whole_data_set_does_not_count(scripted: Scripted, large: StoreInstance) -> None:
    for status in (0x0000, 0xB000):
        association = open_association(scripted(lambda peer, s=status: answer_early(peer, s)))
        failure = fails(lambda a=association: a.store(large))
        assert failure.reason == "ProtocolViolation"
        assert "before it had the whole data set" in str(failure)


@pytest.mark.parametrize(
    "end, reason",
    [
        (release(), "ReleasedByPeer"),
        (abort(), "AbortedByPeer"),
        (b"", "ConnectionLost"),
        (b"junk!!", "ProtocolViolation"),
    ],
    ids=lambda value: value[:6].hex() if isinstance(value, bytes) else value,
)
def test_an_end_between_messages_is_heard_before_the_next(
    scripted: Scripted, small: StoreInstance, end: bytes, reason: str
) -> None:
    got: list[bytes] = []
    said = threading.Event()

    def script(peer: Acceptor) -> None:
        peer.accept()
        peer.respond(peer.message()).send(end)
        if not end:
            peer.close()
        said.set()
        if end:
            got.append(peer.wait_gone())

    association = open_association(scripted(script))
    association.store(small)
    assert said.wait(20)
    assert fails(lambda: association.store(small)).reason == reason
    if end == release():
        wait_until(lambda: bool(got), "the release is not answered")
        assert got == [pdu(RELEASE_RP, bytes(4))]


def test_another_thread_can_end_what_waits(scripted: Scripted, small: StoreInstance) -> None:
    has_request = threading.Event()

    def script(peer: Acceptor) -> None:
        peer.accept().message()
        has_request.set()
        peer.wait_gone()

    association = open_association(scripted(script), timeouts=PATIENT)
    other = threading.Thread(target=lambda: (has_request.wait(20), association.interrupt()))
    other.start()
    assert fails(lambda: association.store(small)).reason == "InterruptedAfterRequest"
    other.join()


def test_a_file_that_is_not_there_leaves_the_association_as_it_is(
    scripted: Scripted, tmp_path: Path, small: StoreInstance
) -> None:
    association = open_association(scripted(lambda peer: peer.accept().serve()))
    missing = replace(small, source=FileSource(tmp_path / "gone", 0, 100))
    assert fails(lambda: association.store(missing)).reason == "SpoolUnreadable"
    assert association.is_open
    assert association.store(small).status == 0
    assert association.release()


def test_a_file_that_ends_early_never_becomes_a_whole_message(scripted: Scripted, large: StoreInstance) -> None:
    whole: list[object] = []
    port = scripted(lambda peer: whole.append(peer.accept().message()))
    association = open_association(port, timeouts=PATIENT)
    source = large.source
    assert isinstance(source, FileSource)
    longer = replace(large, source=replace(source, length=source.length + 2))
    assert fails(lambda: association.store(longer)).reason == "SpoolUnreadable"
    assert not association.is_open
    assert whole == []


# The end of an association


def test_a_release_that_nobody_answers_ends_in_time(scripted: Scripted) -> None:
    association = open_association(scripted(lambda peer: peer.accept().wait_gone()))
    began = time.monotonic()
    assert not association.release()
    assert time.monotonic() - began < SECONDS + SLACK
    assert not association.is_open


@pytest.mark.parametrize(
    "answers, agreed",
    [
        ([pdu(RELEASE_RP, bytes(4))], True),
        ([p_data(pdv(1, 2, b"late")), pdu(RELEASE_RP, bytes(4))], True),
        ([abort()], False),
        ([pdu(ASSOCIATE_AC, bytes(68))], False),
        ([], False),
    ],
)
def test_a_release_ends_however_it_is_answered(scripted: Scripted, answers: list[bytes], agreed: bool) -> None:
    def script(peer: Acceptor) -> None:
        peer.accept().read_pdu()
        peer.send(b"".join(answers))

    association = open_association(scripted(script))
    assert association.release() is agreed
    assert not association.is_open


def test_both_sides_may_release_at_once(scripted: Scripted) -> None:
    got: list[int] = []

    def script(peer: Acceptor) -> None:
        peer.accept()
        got.append(peer.read_pdu()[0])
        peer.send(release())
        got.append(peer.read_pdu()[0])
        peer.send(pdu(RELEASE_RP, bytes(4)))

    assert open_association(scripted(script)).release()
    assert got == [RELEASE_RQ, RELEASE_RP]


def test_an_abort_is_one_of_the_user(scripted: Scripted) -> None:
    got: list[bytes] = []
    association = open_association(scripted(lambda peer: got.append(peer.accept().wait_gone())))
    association.abort()
    wait_until(lambda: bool(got), "the connection is not closed")
    assert got == [abort(0, 0)]
    assert not association.release()


def test_more_pairs_than_an_association_has_contexts_go_on_two(storescp: Callable[..., int]) -> None:
    pairs = [Syntaxes(f"1.2.826.0.1.3680043.10.99.{number}", EXPLICIT) for number in range(130)]
    port = storescp("-pm")
    for contexts in group_contexts(chain(pairs, pairs)):
        association = Requestor.open(Called("127.0.0.1", port, "PACS", "CTGATE"), contexts, PATIENT)
        usable = [Syntaxes(one.abstract_syntax, one.transfer_syntaxes[0]) for one in contexts]
        assert {association.refusal(one) for one in usable} == {None}
        assert association.release()
