"""De-identifying in a process of its own: a bomb of a file takes nothing but itself, and nothing is left behind."""

import base64
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from delivering import Start
from origin_server import OriginServer
from planted.encoding import EXPLICIT, data_set
from treated_ct import KEY, RESEARCH, ct, step

from dicomroute_gateway.configuration.recipe import Change, ChangeKind, Deidentify, Recipe, Transform
from dicomroute_gateway.prepare import deidentifiers
from dicomroute_gateway.prepare.deidentify.pseudonyms import Pseudonyms
from dicomroute_gateway.spool.records import DeliveryState

DEFLATED = "1.2.840.10008.1.2.1.99"
RENAMED = Transform(changes=(Change(kind=ChangeKind.REPLACE, attribute="PatientID", value="'CHANGED'"),))


@pytest.fixture
def server() -> Iterator[OriginServer]:
    one = OriginServer()
    yield one
    one.close()


@pytest.fixture(autouse=True)
def key(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "research" / "key"
    file.parent.mkdir(parents=True)
    file.write_bytes(base64.b64encode(KEY))


def children() -> set[int]:
    """Return the processes that de-identify for this one."""
    found = set()
    for one in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (one / "stat").read_text(), (one / "cmdline").read_bytes()
        except OSError:
            continue
        if b"prepare.deidentifier" in command and int(stat.rpartition(")")[2].split()[1]) == os.getpid():
            found.add(int(one.name))
    return found


def bomb() -> bytes:
    """Return a deflated data set of a few hundred kilobytes that becomes gigabytes of text."""
    head = data_set(
        [
            (0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2"),
            (0x00080018, "UI", b"1.2.3.1"),
        ],
        EXPLICIT,
    )
    long = 700 << 20
    element = b"\x08\x00\x60\x00UT\0\0" + long.to_bytes(4, "little")
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    parts = [packer.compress(head + element)]
    block = b"A" * (1 << 20)
    parts += [packer.compress(block) for _ in range(long >> 20)]
    return b"".join([*parts, packer.flush()])


def test_a_bomb_quarantines_itself_and_this_process_does_not_grow(server: OriginServer, start: Start) -> None:
    gateway = start()
    data = bomb()
    before = _resident()
    bad = gateway.receive(data + b"\0" * (len(data) % 2), "1.2.3.1", recipe=step(), transfer_syntax_uid=DEFLATED)
    good = gateway.receive(ct(2), "1.2.3.2", recipe=step())
    seconds = list[float]()

    def done() -> bool:
        if not seconds or (len(seconds) < 10 and gateway.is_pending(bad)):
            begun = time.monotonic()
            number = 10 + len(seconds)
            gateway.receive(ct(number), f"1.2.3.{number}")  # what comes meanwhile is taken at once
            seconds.append(time.monotonic() - begun)
        delivery = gateway.delivery(bad)
        return delivery is not None and delivery.state is DeliveryState.HELD and gateway.delivery(good) is None

    gateway.run(done)
    delivery = gateway.delivery(bad)
    assert delivery is not None
    assert delivery.reason in ("CannotBeRead", "TakesTooMuch")
    assert _resident() - before < 200 << 20
    assert max(seconds) < 5
    assert Pseudonyms(KEY).uid("1.2.3.2") in server.files
    assert not list((gateway.spool.folder / "derived").glob("*.new"))


def test_what_takes_too_long_is_quarantined_and_its_process_ended(
    server: OriginServer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deidentifiers, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(deidentifiers, "_BYTES_A_SECOND", 1 << 40)
    gateway, before = start(), children()
    slow = gateway.receive(ct(1), "1.2.3.1", recipe=step())

    def held() -> bool:
        delivery = gateway.delivery(slow)
        return delivery is not None and delivery.state is DeliveryState.HELD

    gateway.run(held)
    delivery = gateway.delivery(slow)
    assert delivery is not None
    assert delivery.reason == "TakesTooMuch"
    assert children() <= before
    assert not server.files


def test_a_process_that_is_killed_is_replaced_and_what_it_made_is_thrown_away(
    server: OriginServer, start: Start
) -> None:
    gateway, before = start(), children()
    gateway.receive(ct(1), "1.2.3.1", recipe=step())
    gateway.run(gateway.is_settled)
    (process,) = children() - before
    os.kill(process, 9)
    gateway.receive(ct(2), "1.2.3.2", recipe=step())
    gateway.run(gateway.is_settled)
    assert set(server.files) == {Pseudonyms(KEY).uid(f"1.2.3.{number}") for number in (1, 2)}


def test_what_stands_between_two_steps_goes_with_the_second(server: OriginServer, start: Start) -> None:
    both = Recipe((RENAMED, Deidentify(profile=RESEARCH, key_file="research/key")))
    gateway = start()
    received = gateway.receive(ct(1), "1.2.3.1", recipe=both)
    parcel = gateway.preparing.treated(received, both.id)
    again = gateway.preparing.treated(received, both.id)
    assert parcel == again
    files = sorted(one.name for one in (gateway.spool.folder / "derived").iterdir())
    assert files == [f"{received.id:012d}-{both.id}.dcm"]
    gateway.run(gateway.is_settled)
    assert list(server.files) == [Pseudonyms(KEY).uid("1.2.3.1")]
    gateway.close()
    assert not list((gateway.spool.folder / "derived").iterdir())


def _resident() -> int:
    """Return how much memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
