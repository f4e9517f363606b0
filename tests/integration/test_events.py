"""What happens is told in a feed: each type of event from its real cause, in pages, long polls and streams."""

import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import origin_plays
import pydicom
import pytest
from corpus import FILES, make_corpus, uid_of
from feeds import Reader, Stream
from gateways import LoneGateway
from manifests import Json, changed
from origin_server import OriginServer
from ports import free_port
from pydantic import TypeAdapter
from routes import local_node, local_route, to
from running import storescu
from sink import Sink

from dicomroute_client.documents.events import EVENT_TYPES

CT, MR = FILES / "CT_small.dcm", FILES / "MR_small.dcm"
ONLY_CT = [
    {"name": "ct", "when": 'instance.Modality == "CT"', "destinations": [{"kind": "CloudTarget", "name": "archive"}]}
]
QUIET = {"studyQuietSeconds": 1}

Begin = Callable[..., LoneGateway]


@pytest.fixture
def archive() -> Iterator[Sink]:
    one = Sink()
    yield one
    one.close()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start a gateway; it is ended at the end."""
    started: list[LoneGateway] = []

    def start(*documents: Json, folder: Path = tmp_path, **options: object) -> LoneGateway:
        started.append(LoneGateway(folder, documents, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        one.kill()


def study_of(file: Path) -> str:
    return str(pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID)


def wait_for(gateway: LoneGateway, reader: Reader, name: str, count: int = 1) -> list[Json]:
    """Read on until so many events of a type are there; return their data."""

    def there() -> bool:
        reader.read()
        return len(reader.named(name)) >= count

    gateway.process.wait_until(there, lambda: f"no {count} of {name} in {[one['type'] for one in reader.events]}")
    return reader.data(name)


def test_a_study_is_told_when_it_comes_and_when_it_has_arrived(archive: Sink, begin: Begin) -> None:
    gateway = begin(local_node(), to(archive.url), local_route(events=QUIET))
    reader = Reader(gateway.admin)
    assert storescu(gateway.port, [CT, MR]) == 0
    received = wait_for(gateway, reader, "study.received", 2)
    assert {one["studyInstanceUID"] for one in received} == {study_of(CT), study_of(MR)}
    assert {one["callingAETitle"] for one in received} == {"CT1"}
    delivered = wait_for(gateway, reader, "study.delivered", 2)
    assert {one["studyInstanceUID"] for one in delivered} == {study_of(CT), study_of(MR)}
    assert {one["destination"] for one in delivered} == {"CloudTarget/archive"}
    assert {(one["instances"], one["skipped"]) for one in delivered} == {(1, 0)}
    for event in reader.events:
        assert event["specversion"] == "1.0"
        assert event["source"].startswith("/namespaces/default/dicomroutes/ct-to-cloud/gateways/")
        assert datetime.fromisoformat(event["time"])
        (kind,) = (one for one in EVENT_TYPES if one.full_name == event["type"])
        TypeAdapter(kind.data).validate_python(event["data"])
    assert storescu(gateway.port, [CT]) == 0
    time.sleep(2)
    reader.read()
    assert len(reader.named("study.received")) == 2, "the study was received before"
    ids = [one["id"] for one in reader.events]
    assert len(ids) == len(set(ids))


def test_what_is_held_and_what_is_refused_is_told(server: OriginServer, begin: Begin) -> None:
    gateway = begin(local_node(), to(server.url), local_route(rules=ONLY_CT, events=QUIET))
    server.always = origin_plays.refuse(0xA900)
    reader = Reader(gateway.admin)
    assert storescu(gateway.port, [CT, MR]) == 0
    (held,) = wait_for(gateway, reader, "delivery.held")
    assert (held["sopInstanceUID"], held["destination"], held["reason"]) == (uid_of(MR), "", "Unmatched")
    (refused,) = wait_for(gateway, reader, "delivery.deadlettered")
    assert (refused["sopInstanceUID"], refused["destination"]) == (uid_of(CT), "CloudTarget/archive")
    assert (refused["status"], refused["attempts"]) == (0xA900, 2)
    assert reader.named("study.delivered") == []


def test_a_destination_that_stalls_and_recovers_is_told_in_a_pair(begin: Begin) -> None:
    port = free_port()
    gateway = begin(local_node(), to(f"http://127.0.0.1:{port}/dicom-web"), local_route(events=QUIET))
    reader = Reader(gateway.admin)
    assert storescu(gateway.port, [CT]) == 0
    (stalled,) = wait_for(gateway, reader, "destination.stalled")
    assert (stalled["destination"], stalled["reason"]) == ("CloudTarget/archive", "ConnectionFailed")
    (tested,) = wait_for(gateway, reader, "destination.tested")
    assert tested["ready"] == "False"
    assert tested["reason"]
    gateway.kill()  # whatever becomes of the process: what has begun ends
    archive = Sink(port)
    try:
        again = begin(local_node(), to(f"http://127.0.0.1:{port}/dicom-web"), local_route(events=QUIET))
        reader.admin = again.admin
        (recovered,) = wait_for(again, reader, "destination.recovered")
        assert recovered["since"] == stalled["since"]
        assert recovered["because"] == "Taken"
        assert recovered["seconds"] >= 10
        assert len(reader.named("destination.stalled")) == 1
        wait_for(again, reader, "study.delivered")
    finally:
        archive.close()


def test_what_happens_beside_the_ledger_is_told(archive: Sink, begin: Begin) -> None:
    route = local_route(
        events=QUIET, gateway={"spool": {"size": "8Mi", "highWatermarkPercent": 50}}, mode="HoldDeliveries"
    )
    documents = [local_node(), to(archive.url), route]
    gateway = begin(*documents)
    reader = Reader(gateway.admin)
    (started,) = wait_for(gateway, reader, "health")
    assert (started["ready"], started["reasons"]) == (True, [])
    # Strangers, some with titles that are none.
    assert storescu(gateway.port, [CT], calling="STRANGER") != 0
    (refused,) = wait_for(gateway, reader, "caller.refused")
    assert (refused["callingAETitle"], refused["address"], refused["count"]) == ("STRANGER", "127.0.0.1", 1)
    for number in range(30):
        storescu(gateway.port, [CT], calling=f"STRANGER{number}")
    wait_for(gateway, reader, "caller.refused", 21)
    assert len(reader.named("caller.refused")) == 21, "twenty one by one, and others as one"
    # The spool.
    sent = list(make_corpus(gateway.folder / "corpus", 120, sources=("CT_small.dcm",)))
    storescu(gateway.port, sent)
    (begun,) = wait_for(gateway, reader, "spool.pressure.begun")
    assert begun["usedBytes"] >= begun["watermarkBytes"]
    # The configuration.
    text = (gateway.folder / "configuration.json").read_text()
    (gateway.folder / "configuration.json").write_text("{")
    (rejected,) = wait_for(gateway, reader, "configuration.rejected")
    assert rejected == {"reasons": ["ConfigurationInvalid"], "sections": ["configuration"]}
    (gateway.folder / "configuration.json").write_text(text.replace('"HoldDeliveries"', '"Running"'))
    (new,) = wait_for(gateway, reader, "configuration.changed")
    assert new["hash"] == gateway.status()["configuration"]["hash"]
    (ended,) = wait_for(gateway, reader, "spool.pressure.ended")
    assert ended["since"] == begun["since"]
    assert gateway.stop() == 0
    again = begin(*documents)
    reader.admin = again.admin
    told = wait_for(again, reader, "health", 3)
    assert [(one["ready"], one["reasons"]) for one in told] == [(True, []), (False, ["Draining"]), (True, [])]


def test_a_long_poll_returns_at_once_when_something_happens(archive: Sink, begin: Begin) -> None:
    gateway = begin(local_node(), to(archive.url), local_route())
    reader = Reader(gateway.admin)
    wait_for(gateway, reader, "destination.tested")
    begun = time.monotonic()
    assert reader.page(wait=2)["events"] == []
    assert 1.9 < time.monotonic() - begun < 10
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.page, wait=60)
        time.sleep(0.5)
        assert storescu(gateway.port, [CT]) == 0
        sent = time.monotonic()
        assert waiting.result(60)["events"]
        assert time.monotonic() - sent < 5
    assert len(reader.named("study.received")) == 1
    assert reader.page(type="health")["events"] == []
    for query in ("after=nonsense", "wait=61", "limit=0", "type=study.eaten"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            gateway.get(f"/api/v1/events?{query}")
        assert refused.value.code == 400


def test_a_stream_goes_on_where_it_was_broken_off(archive: Sink, begin: Begin) -> None:
    gateway = begin(local_node(), to(archive.url), local_route(events=QUIET))
    reader = Reader(gateway.admin)
    wait_for(gateway, reader, "destination.tested")
    stream = Stream(gateway.admin, query="?after=latest")
    messages = stream.messages()
    assert storescu(gateway.port, [CT]) == 0
    assert next(messages)["type"] == "dev.dicomroute.study.received.v1"
    stream.close()
    wait_for(gateway, reader, "study.delivered")
    again = Stream(gateway.admin, last_event_id=stream.last_event_id)
    rest = again.messages()
    told = next(rest)["type"]  # what deliveries say of the target may come first
    assert "dev.dicomroute.study.delivered.v1" in (told, next(rest)["type"] if "tested" in told else "")
    again.close()


def test_a_cursor_that_is_too_old_is_told_what_to_do(archive: Sink, begin: Begin) -> None:
    gateway = begin(local_node(), to(archive.url), local_route(events=QUIET))
    reader = Reader(gateway.admin)
    wait_for(gateway, reader, "health")
    assert storescu(gateway.port, [CT]) == 0
    wait_for(gateway, reader, "study.delivered")
    ids = {one["id"] for one in reader.events if one["type"].startswith("dev.dicomroute.study.")}
    gateway.kill()
    for file in (gateway.folder / "spool").glob("events.sqlite*"):
        file.unlink()
    again = begin(local_node(), to(archive.url), local_route(events=QUIET))
    with pytest.raises(urllib.error.HTTPError) as refused:
        wait_for(again, Reader(again.admin, reader.cursor), "health")
    assert refused.value.code == 410
    assert "without `after`" in refused.value.read().decode()
    stream = Stream(again.admin, last_event_id=reader.cursor)
    assert stream.open() == 410
    again.process.wait_until(
        lambda: "dicomroute_events_too_old_total 2.0" in again.metrics(), "the metrics do not count who came too late"
    )
    anew = Reader(again.admin)
    wait_for(again, anew, "study.delivered")
    assert {one["id"] for one in anew.events if one["type"].startswith("dev.dicomroute.study.")} == ids


def test_slow_readers_cost_bounded_memory_and_no_receiving(archive: Sink, begin: Begin) -> None:
    route = changed(local_route(rules=ONLY_CT, events=QUIET), "spec.listeners.0.sources", {"policy": "Any"})
    gateway = begin(to(archive.url), route)
    files = make_corpus(gateway.folder / "corpus", 600, sources=("MR_small.dcm",))
    begun = time.monotonic()
    assert storescu(gateway.port, files[:300]) == 0
    alone = time.monotonic() - begun
    wait_for(gateway, Reader(gateway.admin), "delivery.held", 300)
    before = resident_bytes(gateway)
    slow = [Stream(gateway.admin, receive_buffer=2048) for _ in range(100)]
    assert {one.open() for one in slow} == {200}
    begun = time.monotonic()
    assert storescu(gateway.port, files[300:]) == 0
    beside = time.monotonic() - begun
    reader = Reader(gateway.admin)
    wait_for(gateway, reader, "delivery.held", 600)
    grown = resident_bytes(gateway) - before
    print(f"300 instances in {alone:.2f} s, beside 100 slow readers in {beside:.2f} s; {grown >> 20} MiB more")
    assert grown < 64 << 20
    assert beside < 3 * alone + 2
    for one in slow:
        one.close()


def resident_bytes(gateway: LoneGateway) -> int:
    text = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def test_nothing_that_a_peer_chose_is_told_but_titles_and_uids(archive: Sink, begin: Begin) -> None:
    route = changed(local_route(rules=ONLY_CT, events=QUIET), "spec.listeners.0.sources", {"policy": "Any"})
    gateway = begin(to(archive.url), route)
    file = gateway.folder / "planted.dcm"
    found = pydicom.dcmread(MR)
    found.PatientName, found.PatientID, found.StudyDescription = "PLANTED^NAME", "PLANTED-ID", "PLANTED-DESCRIPTION"
    found.save_as(file)
    assert storescu(gateway.port, [file, CT]) == 0
    reader = Reader(gateway.admin)
    wait_for(gateway, reader, "delivery.held")
    wait_for(gateway, reader, "study.delivered")
    assert "PLANTED" not in str(reader.events).upper()
