"""Files that are used again: with nothing of the instance before, never under somebody's eyes, and not for long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import wait_until

from dicomroute_gateway.spool import ready_files, upkeep
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, Received, Sender
from dicomroute_gateway.spool.spool import Spool

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
ARCHIVE = "CloudTarget/archive"


def store(spool: Spool, byte: int, size: int) -> Received:
    """Store an instance that is made of one byte."""
    incoming = spool.begin(CT, f"1.2.{byte}", EXPLICIT)
    incoming.write(memoryview(bytes([byte]) * size))
    incoming.flush()
    record = Received(
        id=incoming.id,
        time=time.time(),
        sop_class_uid=CT,
        sop_instance_uid=f"1.2.{byte}",
        series_instance_uid="1.2.3",
        study_instance_uid="1.2.4",
        transfer_syntax_uid=EXPLICIT,
        length=size,
        digest=incoming.digest,
        sender=Sender("a-1", "dicom", "CT1", "GATE", "192.0.2.1"),
        generation=1,
        destinations=(ARCHIVE,),
    )
    spool.receive(incoming, record)
    return record


def content(spool: Spool, record: Received) -> bytes:
    with spool.stored(record).open() as file:
        return file.read_at(file.length - record.length, record.length)


def inode(spool: Spool, record: Received) -> int:
    return spool.file(record.id).stat().st_ino


@contextmanager
def opened(folder: Path, size: int = 1 << 30) -> Iterator[Spool]:
    spool = Spool(folder / "spool", size, 90)
    yield spool
    spool.close()
    assert list((folder / "spool").rglob("*.dcm")) == []


def finish(spool: Spool, *records: Received) -> None:
    spool.settle([DeliveryRecord(record.id, ARCHIVE, DeliveryState.DELIVERED, attempts=1) for record in records])
    spool._upkeep.reap()


def store_until_used_again(spool: Spool, inodes: set[int], size: int) -> Received:
    """Store and finish until an instance has come into one of these files."""
    for byte in range(1, 200):
        record = store(spool, byte, size)
        if inode(spool, record) in inodes:
            return record
        finish(spool, record)
    pytest.fail("no file was used again")


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is removed but when the test says so."""
    monkeypatch.setattr(upkeep, "_REAP_SECONDS", 1e6)


@pytest.mark.parametrize("size", [10, 5000, 9000])
def test_what_was_in_the_file_is_not_in_it_any_more(tmp_path: Path, size: int) -> None:
    with opened(tmp_path) as spool:
        old = [store(spool, 255, 5000) for _ in range(3)]
        inodes = {inode(spool, record) for record in old}
        finish(spool, *old)
        record = store_until_used_again(spool, inodes, size)
        assert content(spool, record) == spool.file(record.id).read_bytes()[-size:]
        assert spool.file(record.id).stat().st_size == record.file_length
        assert b"\xff" * 3 not in spool.file(record.id).read_bytes()
        finish(spool, record)


def test_what_is_behind_the_end_is_not_read(tmp_path: Path) -> None:
    """What routing reads ends where the data set ends, also when that is written already, over a longer one."""
    with opened(tmp_path) as spool:
        old = store(spool, 255, 3 << 20)
        finish(spool, old)
        for byte in range(1, 200):
            incoming = spool.begin(CT, "1.2.3", EXPLICIT)
            incoming.write(memoryview(bytes([byte]) * 5000))
            incoming.flush()
            before = spool.file(incoming.id).stat().st_size
            assert incoming.read(4000, 1 << 16) == bytes([byte]) * 1000
            assert incoming.read(5000, 1) == b""
            incoming.discard()
            if before > 1 << 20:
                return
        pytest.fail("no file was used again")


def test_a_file_that_is_read_gets_no_other_bytes(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        old = store(spool, 255, 5000)
        kept = inode(spool, old)
        with spool.stored(old).open() as file:
            finish(spool, old)
            for byte in range(1, 200):
                record = store(spool, byte, 5000)
                assert inode(spool, record) != kept
                finish(spool, record)
            assert file.read_at(file.length - 5000, 5000) == b"\xff" * 5000
        with pytest.raises(Unreadable):
            spool.stored(old).open()


def test_what_is_done_does_not_lie_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready_files, "_USED_SECONDS", -60.0)  # whatever is done was so long ago
    with opened(tmp_path) as spool:
        old = [store(spool, 255, 5000) for _ in range(40)]
        finish(spool, *old)

        def nothing_is_left() -> bool:
            spool._upkeep.reap()
            return not any(file.stat().st_size for file in (tmp_path / "spool").rglob("*.dcm"))

        wait_until(nothing_is_left, "something is left", 5)


def test_a_small_spool_keeps_little(tmp_path: Path) -> None:
    with opened(tmp_path, size=1 << 20) as spool:
        old = [store(spool, 255, 5000) for _ in range(40)]
        finish(spool, *old)
        assert spool._ready._used_bytes <= 1 << 14
