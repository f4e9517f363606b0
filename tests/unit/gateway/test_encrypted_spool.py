"""An encrypted spool: what it keeps over restarts, turning on and off, rotation, and keys that are not there."""

import json
import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from processes import wait_until

from dicomroute_gateway.spool import upkeep
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.spool.errors import SpoolError, SpoolLocked
from dicomroute_gateway.spool.keys import NO_KEYS, Key, KeyProblem, Keys, key_of, load_keys
from dicomroute_gateway.spool.records import (
    DeliveryRecord,
    DeliveryState,
    Received,
    Sender,
    decode_record,
    encode_record,
)
from dicomroute_gateway.spool.sealed import CHUNK_BYTES
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Owed

OLD, NEW = key_of(bytes(32)), key_of(bytes(range(32)))
NAME = b"Quixlebury^Zebedee"
SIZES = (0, 1, 1000, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 5)


CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


def received(identifier: int, key: str = "") -> Received:
    sender = Sender("a-1", "dicom", "CT1", "GATE", "192.0.2.1")
    return Received(
        identifier, 1000.0, CT, "1.2.3", "1.2.4", "1.2.5", EXPLICIT, 100, "blake3:0", sender, 1, ("CloudTarget/a",),
        key=key,
    )  # fmt: skip


def delivered(identifier: int) -> DeliveryRecord:
    return DeliveryRecord(identifier, "CloudTarget/a", DeliveryState.DELIVERED, attempts=1)


def keys(*known: Key, encrypts: bool = True) -> Keys:
    return Keys({key.id: key for key in known}, known[0] if encrypts else None)


def open_spool(folder: Path, with_keys: Keys = NO_KEYS) -> Spool:
    return Spool(folder / "spool", 1 << 30, 90, keys=with_keys)


def take(spool: Spool, data: bytes, pieces: int = 1 << 16) -> Received:
    """Store an instance as an association would, and look at its beginning and end before it is complete."""
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    for start in range(0, len(data), pieces):
        incoming.write(memoryview(bytearray(data[start : start + pieces])))
        if start % (5 * pieces) == 0:
            incoming.flush()
    assert incoming.read(0, 20) == data[:20]
    assert incoming.read(max(0, len(data) - 20), 50) == data[-20:]
    incoming.end()
    record = replace(received(incoming.id, incoming.key), length=len(data), digest=incoming.digest)
    spool.receive(incoming, record)
    return record


def content(spool: Spool, record: Received) -> bytes:
    with spool.stored(record).open() as file:
        return file.read_at(0, file.length)


def data_set(spool: Spool, record: Received) -> bytes:
    return content(spool, record)[record.content_length - record.length :]


@pytest.mark.parametrize("size", SIZES)
def test_an_encrypted_instance_is_read_as_it_would_be_in_clear(tmp_path: Path, size: int) -> None:
    data = (NAME * (size // len(NAME) + 1))[:size]
    clear, encrypted = open_spool(tmp_path / "clear"), open_spool(tmp_path / "encrypted", keys(NEW))
    one, two = take(clear, data), take(encrypted, data)
    assert content(clear, one) == content(encrypted, two) == clear.file(one.id).read_bytes()
    assert one.digest == two.digest
    on_disk = encrypted.file(two.id).read_bytes()
    assert (len(on_disk), one.key, two.key) == (two.file_length, "", NEW.id)
    assert NAME not in on_disk
    assert on_disk[128:132] != b"DICM"
    assert encrypted.level().used == two.file_length
    clear.close()
    encrypted.close()


def test_an_instance_that_fits_into_the_buffer_is_written_by_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path, keys(NEW))
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    calls: list[int] = []
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, views: calls.append(len(views)) or writev(descriptor, views))
    for _ in range(32):
        incoming.write(memoryview(bytes(1 << 14)))
    incoming.end()
    incoming.sync()
    assert len(calls) == 1
    spool.close()


def test_encrypted_ones_are_owed_after_a_restart(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, keys(NEW))
    first, second = take(spool, NAME), take(spool, NAME * 2)
    spool.settle([delivered(second.id)])
    spool.close()
    again = open_spool(tmp_path, keys(NEW))
    assert again.take_fresh() == [Owed(first.id, "CloudTarget/a")]
    assert data_set(again, first) == NAME
    assert again.snapshot().instances_by_key == {NEW.id: 1}
    assert again.snapshot().instances.received == 2
    again.close()


def test_an_encrypted_file_that_was_cut_off_is_corruption(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, keys(NEW))
    path = spool.file(take(spool, NAME).id)
    spool.close()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SpoolError, match="was accepted, but is missing"):
        open_spool(tmp_path, keys(NEW))


def test_clear_and_encrypted_ones_live_together_and_are_counted_by_key(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    clear = take(spool, b"clear")
    spool.use_keys(keys(OLD))
    old = take(spool, b"old")
    spool.use_keys(keys(NEW, OLD))
    new = take(spool, b"new")
    spool.use_keys(keys(NEW, OLD, encrypts=False))
    again_clear = take(spool, b"again clear")
    assert [one.key for one in (clear, old, new, again_clear)] == ["", OLD.id, NEW.id, ""]
    assert spool.snapshot().instances_by_key == {"": 2, OLD.id: 1, NEW.id: 1}
    spool.settle([delivered(old.id), delivered(clear.id)])
    assert spool.snapshot().instances_by_key == {"": 1, NEW.id: 1}, "the old key may go"
    spool.close()
    spool = open_spool(tmp_path, keys(NEW))
    assert spool.snapshot().instances_by_key == {"": 1, NEW.id: 1}
    assert (data_set(spool, new), data_set(spool, again_clear)) == (b"new", b"again clear")
    spool.close()


def test_counts_by_key_outlive_compaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_COMPACT_BYTES", 1)
    spool = open_spool(tmp_path, keys(NEW))
    first = take(spool, NAME)
    (segment,) = (tmp_path / "spool" / "journal").glob("*.jsonl")
    wait_until(lambda: not segment.exists(), "no new segment was begun")
    spool.close()
    again = open_spool(tmp_path, keys(NEW))
    assert again.snapshot().instances_by_key == {NEW.id: 1}
    assert data_set(again, first) == NAME
    again.close()


def test_without_its_key_nothing_is_taken_and_what_is_in_clear_stays_readable(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    clear = take(spool, NAME)
    spool.use_keys(keys(OLD))
    encrypted = take(spool, NAME * 2)
    spool.use_keys(Keys(problem=KeyProblem("SpoolKeyMissing", "create it")))
    with pytest.raises(SpoolLocked, match="create it"):
        spool.begin(CT, "1.2.3", EXPLICIT)
    assert data_set(spool, clear) == NAME
    fault = spool.stored(encrypted).fault()
    assert fault is not None
    assert (fault.reason, OLD.id in str(fault)) == ("SpoolKeyMissing", True)
    with pytest.raises(Unreadable) as raised:
        content(spool, encrypted)
    assert raised.value.reason == "SpoolKeyMissing"
    assert spool.stored(clear).fault() is None
    spool.use_keys(keys(OLD))
    assert data_set(spool, encrypted) == NAME * 2
    assert spool.stored(encrypted).fault() is None
    take(spool, NAME)
    spool.close()


def test_an_instance_that_comes_again_after_its_key_was_lost_is_kept_anew(tmp_path: Path) -> None:
    """To say that it is there already would lose it: its first bytes may never be read again."""
    spool = open_spool(tmp_path, keys(OLD))
    first = take(spool, NAME)
    assert spool.repeat(replace(first, id=99))
    spool.use_keys(keys(NEW))
    assert not spool.repeat(replace(first, id=99))
    second = take(spool, NAME)
    assert data_set(spool, second) == NAME
    spool.close()


@pytest.mark.parametrize("position", [0, 7, 10, 40, 60, -1])
def test_bytes_that_have_changed_are_not_given_out(tmp_path: Path, position: int) -> None:
    spool = open_spool(tmp_path, keys(NEW))
    record = take(spool, NAME)
    path = spool.file(record.id)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(Unreadable):
        content(spool, record)
    spool.close()


def test_a_volume_that_changes_what_is_just_being_received_is_not_believed(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, keys(NEW))
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(bytes(2 * CHUNK_BYTES)))
    incoming.flush()
    with spool.file(incoming.id).open("r+b") as file:
        file.seek(1000)
        file.write(b"other")
    with pytest.raises(OSError, match="has changed since it was written"):
        incoming.read(0, 20)
    incoming.discard()
    spool.close()


def test_a_file_in_the_place_of_another_is_not_given_out(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, keys(NEW))
    one, two = take(spool, b"1" * 50), take(spool, b"2" * 50)
    spool.file(one.id).write_bytes(spool.file(two.id).read_bytes())
    with pytest.raises(Unreadable):
        content(spool, one)
    spool.close()


def test_a_gateway_of_before_refuses_the_spool(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    take(spool, NAME)
    spool.close()
    assert json.loads((tmp_path / "spool" / "format").read_text())["format"] == 3


def test_records_of_before_speak_of_instances_in_clear(tmp_path: Path) -> None:
    line = encode_record(received(1))[9:-1]
    old = line.replace(b'"key":"",', b"")
    assert old != line
    record = decode_record(b"%08x %b" % (zlib.crc32(old), old))
    assert record == received(1)


@pytest.mark.parametrize(
    "value, encrypts, ids, current, reason",
    [
        (f"{'A' * 43}=\n", True, 1, True, None),
        (f"{'A' * 43}=\n", False, 1, False, None),
        (None, True, 0, False, "SpoolKeyMissing"),
        (None, False, 0, False, None),
        ("", True, 0, False, "SpoolKeyInvalid"),
        (f"{'A' * 43}=\nhello\n", True, 1, False, "SpoolKeyInvalid"),
        (f"{'A' * 43}=\nhello\n", False, 1, False, None),
    ],
)
def test_what_a_mounted_secret_makes_possible(
    tmp_path: Path, value: str | None, encrypts: bool, ids: int, current: bool, reason: str | None
) -> None:
    if value is not None:
        (tmp_path / "spool-key").mkdir()
        (tmp_path / "spool-key" / "keys").write_text(value)
    found = load_keys(tmp_path, "spool-key/keys", encrypts=encrypts)
    assert (len(found.by_id), found.current is not None) == (ids, current)
    assert (found.problem and found.problem.reason) == reason
    if found.problem:
        assert "hello" not in found.problem.message
        assert "spool-key" in found.problem.message
