"""Every answer that servers are known to give, by a real server to a real worker: what becomes of the instances."""

import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import origin_plays as plays
import pytest
from delivering import Delivering, Start
from origin_server import OriginServer, Play, Reply, result, stored, uid_of

from dicomroute_gateway.dicomweb import resources
from dicomroute_gateway.spool.part10 import file_head
from dicomroute_gateway.spool.records import DeliveryState, Received

PROVIDERS = ("Azure", "Google", "AWS", "Orthanc", "Dcm4chee", "Generic")


@pytest.fixture
def server() -> Iterator[OriginServer]:
    one = OriginServer(root="/v2")
    yield one
    one.close()


def take(gateway: Delivering, count: int) -> dict[str, Received]:
    found = [gateway.receive(bytes([number]) * 100) for number in range(count)]
    return {one.sop_instance_uid: one for one in found}


def peak_kibibytes() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def dead_letters(gateway: Delivering) -> dict[str, str]:
    return {
        entry.received.sop_instance_uid: delivery.reason
        for entry in gateway.spool.entries(lambda _: True)
        for delivery in entry.deliveries.values()
        if delivery.state is DeliveryState.DEAD_LETTERED
    }


LOST_AND_FOUND: dict[str, list[Play]] = {
    "reset after the upload": [plays.reset_after_upload],
    "an answer cut off": [plays.cut_off],
    "truncated JSON": [plays.truncated_json],
    "HTML with 200": [plays.status(200, b"<html>welcome</html>", "text/html")],
    "an empty answer": [plays.status(200)],
    "a list of nothing": [plays.status(200, b"{}", "application/dicom+json")],
    "204": [plays.status(204)],
    "202 without a body": [plays.status(202)],
    "a gzip bomb": [plays.gzip_bomb(64)],
    "429": [plays.status(429), plays.status(429, Retry_After="0")],
    "503": [plays.status(503), plays.status(503, Retry_After=formatdate(0, usegmt=True))],
    "500": [plays.status(500, b"java.lang.NullPointerException", "text/plain")],
    "502, 504": [plays.status(502), plays.status(504)],
    "408, 425": [plays.status(408), plays.status(425)],
    "A700": [plays.refuse(0xA700)],
    "A700 as text": [plays.refuse("A700", 200)],
    "being created": [plays.refuse(45071)],
    "not authorized for this one": [plays.refuse(0x0124)],
    "400 once": [plays.status(400)],
    "0110 once": [plays.refuse(272)],
    "0110 as text once": [plays.refuse("0110", 200)],
    "Azure: 503 midway": [plays.parts_until(2, 503)],
    "dcm4chee: 500 midway": [plays.parts_until(2, 500, "text/plain")],
}


@pytest.mark.parametrize("name", LOST_AND_FOUND)
def test_what_passes_is_sent_again_until_it_is_there(server: OriginServer, start: Start, name: str) -> None:
    gateway = start()
    uids = take(gateway, 5)
    server.plays.extend(LOST_AND_FOUND[name])
    gateway.run(gateway.is_settled)
    assert server.files.keys() == uids.keys()
    assert dead_letters(gateway) == {}
    assert gateway.spool.snapshot().instances.delivered == 5
    assert not server.plays


@pytest.mark.parametrize("name", ["Azure: 503 midway", "reset after the upload", "truncated JSON"])
def test_what_arrived_though_its_answer_was_lost_exists_by_us(server: OriginServer, start: Start, name: str) -> None:
    gateway = start(provider="Azure", onDuplicate="Fail")
    uids = take(gateway, 5)
    server.plays.extend(LOST_AND_FOUND[name])
    server.always = plays.unless_it_exists(45070)
    gateway.run(gateway.is_settled)
    assert server.files.keys() == uids.keys()
    assert dead_letters(gateway) == {}
    assert "GET" not in server.methods()


PAUSING = {
    **{str(code): (plays.status(code, b"no", "text/plain"), code) for code in (401, 402, 403, 404, 405, 406, 407, 415)},
    "424": (plays.status(424), 424),
    "a redirect": (plays.status(307, Location="http://127.0.0.2:9/v2/studies"), 307),
}


@pytest.mark.parametrize("name", PAUSING)
def test_a_destination_that_takes_nothing_is_paused_and_asked_by_one(
    server: OriginServer, start: Start, name: str
) -> None:
    play, status = PAUSING[name]
    gateway = start()
    take(gateway, 4)
    server.always = play
    gateway.run(lambda: len(server.requests) >= 3, hurry=False)
    assert gateway.worker.paused is not None
    assert gateway.worker.last_error is not None
    assert gateway.worker.last_error.status == status
    assert gateway.spool.snapshot().deliveries["CloudTarget/archive"][DeliveryState.PENDING] == 4
    assert {len(one.uids) for one in server.requests[1:]} == {1}
    assert {one.path for one in server.requests} == {"/v2/studies"}


def test_a_pause_ends_with_the_first_instance_that_is_taken(server: OriginServer, start: Start) -> None:
    gateway = start()
    take(gateway, 4)
    server.plays.extend([plays.status(403)] * 2)
    gateway.run(gateway.is_settled)
    assert gateway.worker.paused is None
    assert len(server.files) == 4


DEFINITE = {"43264": 43264, "C000": 0xC000, "0122": 0x0122, "C122": 0xC122, "as text": "C000"}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", DEFINITE)
def test_a_definite_refusal_stops_only_what_it_names(
    server: OriginServer, start: Start, provider: str, name: str
) -> None:
    gateway = start(provider=provider)
    uids = take(gateway, 5)
    bad = list(uids)[2]
    server.always = plays.refuse_some(lambda uid: uid == bad, DEFINITE[name])
    gateway.run(gateway.is_settled)
    assert server.files.keys() == uids.keys() - {bad}
    assert dead_letters(gateway).keys() == {bad}
    assert [len(one.uids) for one in server.requests if bad in one.uids][-2:] == [1, 1]
    assert all(len(server.methods(uid)) == 1 for uid in uids.keys() - {bad})


def test_an_ambiguous_refusal_is_one_after_the_attempts_of_the_route(server: OriginServer, start: Start) -> None:
    gateway = start(content_attempts=4)
    uids = take(gateway, 3)
    bad = next(iter(uids))
    server.always = plays.refuse_some(lambda uid: uid == bad, 0x0110)
    gateway.run(gateway.is_settled)
    assert dead_letters(gateway) == {bad: "ProcessingFailure"}
    assert len([one for one in server.requests if one.uids == (bad,)]) == 4


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_a_status_alone_is_bisected_until_it_says_whom_it_means(
    server: OriginServer, start: Start, status: int
) -> None:
    gateway = start()
    uids = take(gateway, 10)
    bad = list(uids)[6]

    def play(server: OriginServer, files: list[bytes]) -> Reply:
        return Reply(status, b"no", "text/plain") if bad in map(uid_of, files) else stored(server, files)

    server.always = play
    gateway.run(gateway.is_settled)
    assert server.files.keys() == uids.keys() - {bad}
    assert dead_letters(gateway).keys() == {bad}
    assert len(server.requests) <= 12


def test_parts_that_a_server_cannot_parse_have_no_name(server: OriginServer, start: Start) -> None:
    gateway = start(provider="Azure")
    uids = take(gateway, 6)
    bad = list(uids)[1]

    def play(server: OriginServer, files: list[bytes]) -> Reply:
        kept = [server.keep(file) for file in files if uid_of(file) != bad]
        lost = [43264] * (len(files) - len(kept))
        return Reply(202 if kept else 409, result(kept, nameless=lost))

    server.always = play
    gateway.run(gateway.is_settled)
    assert server.files.keys() == uids.keys() - {bad}
    assert dead_letters(gateway) == {bad: "ValidationFailed"}


def test_an_instance_that_the_answer_omits_is_sent_again_alone(server: OriginServer, start: Start) -> None:
    gateway = start(provider="Orthanc")
    uids = take(gateway, 5)
    lost = list(uids)[3]
    server.plays.append(plays.omit(lambda uid: uid == lost))
    gateway.run(gateway.is_settled)
    assert server.files.keys() == uids.keys()
    assert {uid: len(server.methods(uid)) for uid in uids} == {uid: 1 + (uid == lost) for uid in uids}


@pytest.mark.parametrize("play", [plays.as_xml, plays.with_parameters, plays.compressed, plays.late(0.3)])
def test_answers_in_other_forms_are_read_the_first_time(server: OriginServer, start: Start, play: Play) -> None:
    gateway = start(provider="Dcm4chee")
    uids = take(gateway, 5)
    server.always = play
    gateway.run(gateway.is_settled)
    assert server.files.keys() == uids.keys()
    assert all(len(server.methods(uid)) == 1 for uid in uids)
    assert {one.headers["Accept"] for one in server.requests} == {"application/dicom+json"}


@pytest.mark.parametrize("reason", [45063, 1, "B006"])
def test_what_is_stored_with_a_warning_is_delivered_and_counted(
    server: OriginServer, start: Start, reason: Any
) -> None:
    gateway = start(provider="Azure")
    take(gateway, 5)
    server.always = plays.warn(reason)
    gateway.run(gateway.is_settled)
    assert gateway.spool.snapshot().instances.delivered == 5
    assert gateway.worker.warnings == 5


def test_a_gzip_bomb_takes_no_memory(server: OriginServer, start: Start) -> None:
    gateway = start()
    take(gateway, 1)
    server.plays.append(plays.gzip_bomb(512))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (proc(5))
    before = peak_kibibytes()
    gateway.run(gateway.is_settled)
    grown = peak_kibibytes() - before
    assert grown < 64 << 10, f"{grown} KiB more"
    assert len(server.files) == 1


@pytest.mark.parametrize("value", [lambda: "2", lambda: formatdate(time.time() + 3, usegmt=True)])
def test_a_server_that_throttles_is_left_alone_for_as_long_as_it_asks(
    server: OriginServer, start: Start, value: Callable[[], str]
) -> None:
    gateway = start()
    take(gateway, 1)
    server.plays.append(plays.status(429, Retry_After=value()))
    gateway.run(gateway.is_settled, hurry=False)
    first, second = (one.time for one in server.requests)
    assert second - first >= 1.5


def test_codes_of_the_manifest_count(server: OriginServer, start: Start) -> None:
    gateway = start(answers={"permanentReasons": [0x7777], "transientReasons": [0xC000], "duplicateReasons": [0x0120]})
    uids = take(gateway, 3)
    never, later, there = uids
    server.files[there] = b""
    server.plays.append(lambda _, files: Reply(409, result([], {never: 0x7777, later: 0xC000, there: 0x0120})))
    server.plays.extend([plays.refuse_some(lambda uid: uid == never, 0x7777)] * 9)
    gateway.run(gateway.is_settled)
    assert dead_letters(gateway) == {never: "Refused"}
    assert later in server.files


@pytest.mark.parametrize("provider", ["Azure", "AWS"])
def test_what_is_larger_than_its_provider_takes_is_not_sent(
    server: OriginServer, start: Start, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(resources.MOST_REQUEST_BYTES, provider, 10_000)  # type: ignore[arg-type]
    gateway = start(provider=provider)
    large = gateway.receive(bytes(20_000))
    small = [gateway.receive(bytes(4_000)) for _ in range(5)]
    gateway.run(gateway.is_settled)
    assert dead_letters(gateway) == {large.sop_instance_uid: "TooLarge"}
    assert server.files.keys() == {one.sop_instance_uid for one in small}
    assert server.methods(large.sop_instance_uid) == []


def test_a_partition_is_part_of_every_path(server: OriginServer, start: Start) -> None:
    gateway = start(provider="Azure", partition="site-1")
    one = gateway.receive(b"1234")
    server.files[one.sop_instance_uid] = b""
    server.retrievals.append(lambda _: Reply(503))
    server.plays.append(plays.unless_it_exists(45070))
    gateway.run(gateway.is_settled)
    uid = one.sop_instance_uid
    assert {request.path for request in server.requests} == {
        "/v2/partitions/site-1/studies",
        f"/v2/partitions/site-1/studies/{uid}.2/series/{uid}.1/instances/{uid}",
    }


IMPLICIT = "1.2.840.10008.1.2"
IMPLICIT_CT = b"\x08\0\x60\0\2\0\0\0CT" + b"\xe0\x7f\x10\0\4\0\0\0" + b"\1\2\3\4"
EXPLICIT_CT = b"\x08\0\x60\0CS\2\0CT" + b"\xe0\x7f\x10\0OW\0\0\4\0\0\0" + b"\1\2\3\4"


def test_azure_gets_explicit_vr_and_the_same_file_in_every_attempt(
    server: OriginServer, start: Start, tmp_path: Path
) -> None:
    gateway = start(provider="Azure")
    received = gateway.receive(IMPLICIT_CT, transfer_syntax_uid=IMPLICIT)
    sent: list[bytes] = []

    def busy(_: OriginServer, files: list[bytes]) -> Reply:
        sent.extend(files)
        return Reply(503)

    server.always = busy
    gateway.run(lambda: len(sent) >= 2)
    (derived,) = (tmp_path / "spool" / "derived").iterdir()
    assert set(sent) == {derived.read_bytes()}
    made = derived.stat().st_mtime_ns, derived.stat().st_ino
    gateway.close()

    again = start(provider="Azure")
    again.run(lambda: len(sent) >= 4)
    assert len(set(sent)) == 1
    assert (derived.stat().st_mtime_ns, derived.stat().st_ino) == made, "a restart finds it"
    server.always = None
    again.run(lambda: again.is_settled() and not derived.exists())
    assert server.has(received.sop_instance_uid, EXPLICIT_CT)


@pytest.mark.parametrize("provider", ["Google", "AWS", "Orthanc", "Dcm4chee", "Generic"])
def test_others_get_what_came(server: OriginServer, start: Start, provider: str) -> None:
    gateway = start(provider=provider)
    received = gateway.receive(IMPLICIT_CT, transfer_syntax_uid=IMPLICIT)
    gateway.run(gateway.is_settled)
    assert server.has(received.sop_instance_uid, IMPLICIT_CT)


def test_a_duplicate_at_azure_is_compared_with_what_was_sent(server: OriginServer, start: Start) -> None:
    gateway = start(provider="Azure")
    received = gateway.receive(IMPLICIT_CT, transfer_syntax_uid=IMPLICIT)
    head = file_head(received.sop_class_uid, received.sop_instance_uid, "1.2.840.10008.1.2.1")
    server.files[received.sop_instance_uid] = head + EXPLICIT_CT
    server.always = plays.unless_it_exists(45070)
    gateway.run(gateway.is_settled)
    assert dead_letters(gateway) == {}
    assert "GET" in server.methods()


def test_what_cannot_be_transcoded_stops_only_itself(server: OriginServer, start: Start) -> None:
    gateway = start(provider="Azure")
    good = [gateway.receive(IMPLICIT_CT, transfer_syntax_uid=IMPLICIT) for _ in range(4)]
    bad = gateway.receive(IMPLICIT_CT[:-1], transfer_syntax_uid=IMPLICIT)
    gateway.run(gateway.is_settled)
    assert dead_letters(gateway) == {bad.sop_instance_uid: "TranscodingFailed"}
    assert server.files.keys() == {one.sop_instance_uid for one in good}
