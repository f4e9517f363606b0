"""An instance of which the destination has the UID already: ours, the same, another; and later versions of one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import origin_plays as plays
import pytest
from delivering import Delivering, Start, file_of, starting
from origin_server import OriginServer, Play, Reply, retrieved

from dicomroute_gateway.spool.records import DeliveryState, Received

OURS, OTHERS = b"\x08\0\x16\0UI\2\0001\0", b"\x08\0\x16\0UI\2\0002\0"
EXISTS: dict[str, Play] = {
    "Azure": plays.unless_it_exists(45070),
    "Google": plays.google(),
    "Google, unsaid": plays.google(knows_it=False),
    "Generic": plays.unless_it_exists(0x0111),
}


@pytest.fixture
def start(tmp_path: Path, server: OriginServer) -> Iterator[Start]:
    with starting(tmp_path, server) as begin:
        yield lambda provider="Generic", **target: begin(provider=provider.partition(",")[0], **target)


def at_the_server(gateway: Delivering, data_set: bytes) -> Received:
    """Take an instance in of which the server has the UID already, with this data set."""
    received = gateway.receive(OURS)
    gateway.server.files[received.sop_instance_uid] = file_of(received, data_set)
    return received


def end(gateway: Delivering, received: Received) -> str:
    delivery = gateway.delivery(received)
    return "delivered" if delivery is None else f"{delivery.state} {delivery.reason}"


@pytest.mark.parametrize("exists", EXISTS)
@pytest.mark.parametrize(
    "policy, there, ends, kept",
    [
        ("AcceptIdentical", OURS, "delivered", OURS),
        ("AcceptIdentical", OTHERS, "DeadLettered DuplicateDiffers", OTHERS),
        ("Accept", OTHERS, "delivered", OTHERS),
        ("Fail", OTHERS, "DeadLettered DuplicateInstance", OTHERS),
        ("Overwrite", OTHERS, "delivered", OURS),
    ],
)
def test_every_policy(
    server: OriginServer, start: Start, exists: str, policy: str, there: bytes, ends: str, kept: bytes
) -> None:
    server.always = EXISTS[exists]
    gateway = start(exists, onDuplicate=policy)
    received = at_the_server(gateway, there)
    gateway.run(gateway.is_settled)
    assert end(gateway, received) == ends
    assert server.has(received.sop_instance_uid, kept)
    methods = set(server.methods())
    upserts = exists != "Generic"
    assert methods & {"PUT", "DELETE"} == ({"PUT" if upserts else "DELETE"} if policy == "Overwrite" else set())


def test_google_says_conflict_of_what_it_does_not_have_too(server: OriginServer, start: Start) -> None:
    server.always = plays.status(409, b'[{"error": {"code": 409}}]', "application/json")
    gateway = start("Google")
    received = gateway.receive(OURS)
    gateway.run(gateway.is_settled)
    assert end(gateway, received) == "DeadLettered Conflict"


def test_a_strangers_object_behind_a_throttled_attempt_is_not_ours(server: OriginServer, start: Start) -> None:
    server.plays.append(plays.status(429))
    server.always = EXISTS["Azure"]
    gateway = start("Azure")
    received = at_the_server(gateway, OTHERS)
    gateway.run(gateway.is_settled)
    assert end(gateway, received) == "DeadLettered DuplicateDiffers"


CANNOT: dict[str, Callable[[bytes], Reply]] = {
    "not found": lambda _: Reply(404),
    "forbidden": lambda _: Reply(403),
    "broken": lambda _: Reply(500),
    "reset": lambda _: Reply(is_reset=True),
    "HTML": lambda _: Reply(200, b"<html>", "text/html"),
    "no boundary": lambda file: retrieved(file, "multipart/related"),
    "another boundary": lambda file: retrieved(file, "multipart/related; boundary=y"),
    "cut off": lambda file: Reply(body=retrieved(file).body[:-20], content_type="multipart/related; boundary=x"),
    "ends early": lambda file: Reply(
        body=retrieved(file).body[:-20], content_type="multipart/related; boundary=x", announced_bytes=1 << 20
    ),
    "no DICOM": lambda _: retrieved(b"hello"),
    "another transfer syntax": lambda file: retrieved(file.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_compared_is_neither_delivered_nor_given_up(
    server: OriginServer, start: Start, name: str
) -> None:
    server.always = EXISTS["Azure"]
    server.retrievals.extend([CANNOT[name]] * 3)
    gateway = start("Azure")
    received = at_the_server(gateway, OTHERS)
    other = gateway.receive(OURS)
    gateway.run(lambda: not server.retrievals)
    assert not gateway.is_pending(other), "nothing else waits for it"
    gateway.run(gateway.is_settled)
    assert end(gateway, received) == "DeadLettered DuplicateDiffers"


@pytest.mark.parametrize("form", ["multipart", "single"])
@pytest.mark.parametrize("length", [0, 1, 70_000, 3 << 20])
def test_large_and_small_ones_are_compared_whole(server: OriginServer, start: Start, form: str, length: int) -> None:
    """To the last byte, also across the blocks in which an answer comes; the file's head is none of the data set."""
    server.always = EXISTS["Azure"]
    gateway = start("Azure")
    data_set = OURS + bytes(length)
    same, shorter, longer, last = (gateway.receive(data_set) for _ in range(4))
    for received, there in (
        (same, data_set),
        (shorter, data_set[:-1]),
        (longer, data_set + b"\0"),
        (last, data_set[:-1] + b"\1"),
    ):
        file = bytearray(file_of(received, there))
        file[:128] = b"x" * 128
        server.files[received.sop_instance_uid] = bytes(file)
    if form == "single":
        server.retrievals.extend([lambda file: Reply(body=file, content_type="application/dicom")] * 20)
    gateway.run(gateway.is_settled)
    assert [end(gateway, one) for one in (same, shorter, longer, last)] == [
        "delivered",
        *["DeadLettered DuplicateDiffers"] * 3,
    ]


def test_what_cannot_be_deleted_is_not_overwritten_and_waits(server: OriginServer, start: Start) -> None:
    server.always = EXISTS["Generic"]
    server.deletes = False
    gateway = start(onDuplicate="Overwrite")
    received = at_the_server(gateway, OTHERS)
    gateway.run(lambda: server.methods().count("DELETE") >= 3)
    delivery = gateway.delivery(received)
    assert delivery is not None
    assert (delivery.state, delivery.reason, delivery.status) == (DeliveryState.PENDING, "OverwriteFailed", 405)
    server.deletes = True
    gateway.run(gateway.is_settled)
    assert server.has(received.sop_instance_uid, OURS)


@pytest.mark.parametrize("policy", ["AcceptIdentical", "Overwrite", "Accept", "Fail"])
def test_nothing_is_compared_or_deleted_that_nobody_calls_a_duplicate(
    server: OriginServer, start: Start, policy: str
) -> None:
    gateway = start(onDuplicate=policy)
    gateway.receive(OURS)
    gateway.run(gateway.is_settled)
    assert server.methods() == ["POST"]


@pytest.mark.parametrize(
    "policy, ends, kept",
    [
        ("AcceptIdentical", "DeadLettered DuplicateDiffers", OURS),
        ("Fail", "DeadLettered DuplicateDiffers", OURS),
        ("Overwrite", "delivered", OTHERS),
        ("Accept", "delivered", OURS),
    ],
)
def test_a_later_version_at_a_server_that_silently_keeps_the_first(
    server: OriginServer, start: Start, policy: str, ends: str, kept: bytes
) -> None:
    server.keeps_first = True
    gateway = start("Orthanc", onDuplicate=policy)
    first = gateway.receive(OURS)
    second = gateway.receive(OTHERS, first.sop_instance_uid)
    gateway.run(gateway.is_settled)
    assert end(gateway, first) == "delivered"
    assert end(gateway, second) == ends
    assert server.has(first.sop_instance_uid, kept)


def test_a_later_version_at_a_server_that_replaces(server: OriginServer, start: Start) -> None:
    gateway = start("Dcm4chee")
    first = gateway.receive(OURS)
    second = gateway.receive(OTHERS, first.sop_instance_uid)
    gateway.run(gateway.is_settled)
    assert end(gateway, second) == "delivered"
    assert server.methods() == ["POST", "POST", "GET"]


def test_a_later_version_whose_answer_was_lost_is_not_taken_for_the_earlier_one(
    server: OriginServer, start: Start
) -> None:
    """Azure has the first; the second breaks off, and "exists" is true of the first alone."""
    server.plays.extend([plays.unless_it_exists(45070), lambda *_: Reply(is_reset=True)])
    server.always = EXISTS["Azure"]
    gateway = start("Azure")
    first = gateway.receive(OURS)
    second = gateway.receive(OTHERS, first.sop_instance_uid)
    gateway.run(gateway.is_settled)
    assert end(gateway, second) == "DeadLettered DuplicateDiffers"


def test_a_later_version_is_known_as_one_after_a_restart(server: OriginServer, start: Start) -> None:
    server.keeps_first = True
    gateway = start("Orthanc")
    first = gateway.receive(OURS)
    second = gateway.receive(OTHERS, first.sop_instance_uid)
    gateway.run(lambda: not gateway.is_pending(first))
    gateway.close()
    again = start("Orthanc")
    again.run(again.is_settled)
    assert end(again, second) == "DeadLettered DuplicateDiffers"


def test_a_uid_that_is_no_path_is_never_part_of_one(server: OriginServer, start: Start) -> None:
    server.always = plays.refuse(0x0111)
    gateway = start(onDuplicate="Overwrite")
    received = gateway.receive(OURS, "../../admin")
    gateway.run(lambda: len(server.requests) >= 3)
    assert set(server.methods()) == {"POST"}
    assert gateway.is_pending(received)
