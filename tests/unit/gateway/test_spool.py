"""The spool: what it keeps over restarts, torn ends and broken bytes, and how it counts."""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import wait_until
from spools import CT, EXPLICIT, counts, delivered, journal, open_spool, received, store

from dicomroute_gateway.configuration.recipe import Recipe, Transcode
from dicomroute_gateway.spool import decisions, upkeep
from dicomroute_gateway.spool import spool as module
from dicomroute_gateway.spool.books import Books
from dicomroute_gateway.spool.entries import InstanceCounts
from dicomroute_gateway.spool.errors import SpoolError, SpoolFailed, SpoolFull, SpoolUncertain
from dicomroute_gateway.spool.files import Files
from dicomroute_gateway.spool.formats import LATEST
from dicomroute_gateway.spool.history import History
from dicomroute_gateway.spool.incoming import file_of
from dicomroute_gateway.spool.journal import Journal, JournalFailed
from dicomroute_gateway.spool.ledger import Ledger
from dicomroute_gateway.spool.records import (
    AgainRecord,
    BadRecord,
    DeliveryRecord,
    DeliveryState,
    DiscardedRecord,
    DroppedRecord,
    FinishedRecord,
    GroupRecord,
    HoldRecord,
    Received,
    Record,
    decode_record,
    encode_record,
)
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Drop, Owed, Rerouting


def test_what_is_owed_is_owed_after_a_restart(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first, second = store(spool, ("CloudTarget/a", "CloudTarget/b")), store(spool)
    spool.settle([delivered(first, "CloudTarget/b"), delivered(second)])
    spool.close()
    again = open_spool(tmp_path)
    assert again.take_fresh() == [Owed(first, "CloudTarget/a")]
    assert counts(again) == InstanceCounts(owed=1, dead_lettered=0, skipped=0, delivered=1, discarded=0)
    assert again.file(first).stat().st_size > 100
    assert not again.file(second).exists()
    again.close()


def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = store(spool)
    spool.settle([delivered(first)])
    spool.close()
    again = open_spool(tmp_path)
    assert store(again) > first
    again.close()


def test_a_file_without_a_record_was_never_acknowledged(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(b"half"))
    incoming.flush()
    path = spool.file(incoming.id)
    spool.close()
    assert path.exists()
    again = open_spool(tmp_path)
    assert not path.exists()
    assert counts(again).received == 0
    again.close()


def test_a_record_that_was_not_written_whole_is_cut_off(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = store(spool)
    spool.close()
    whole = journal(tmp_path).read_bytes()
    for cut in range(1, len(encode_record(received(2)))):
        journal(tmp_path).write_bytes(whole + encode_record(received(2))[:cut])
        again = open_spool(tmp_path)
        assert counts(again).owed == 1
        assert again.take_fresh() == [Owed(first, "CloudTarget/a")]
        again.close()
    assert journal(tmp_path).read_bytes() == whole


def test_a_broken_record_with_whole_ones_behind_it_is_corruption(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    store(spool)
    store(spool)
    spool.close()
    data = bytearray(journal(tmp_path).read_bytes())
    middle = data.index(b'"id":1')
    data[middle + 5] ^= 1
    journal(tmp_path).write_bytes(data)
    with pytest.raises(SpoolError) as caught:
        open_spool(tmp_path)
    assert caught.value.reason == "SpoolCorrupt"
    assert journal(tmp_path).read_bytes() == data, "nothing was touched"


def test_a_group_that_the_power_cut_tore_is_no_corruption(tmp_path: Path) -> None:
    """Pages of an unsynced group reach the volume in any order: what was not synced was not acknowledged."""
    spool = open_spool(tmp_path)
    kept = store(spool)
    spool.close()
    data = journal(tmp_path).read_bytes()
    lost = encode_record(GroupRecord(len(data))) + encode_record(received(kept + 1)) + encode_record(received(kept + 2))
    torn = bytearray(data + lost)
    torn[len(data) + 40 : len(data) + 60] = bytes(20)
    journal(tmp_path).write_bytes(torn)
    again = open_spool(tmp_path)
    assert again.take_fresh() == [Owed(kept, "CloudTarget/a")]
    again.close()


def test_an_emptied_journal_does_not_cost_the_instances(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    identifier = store(spool)
    path = spool.file(identifier)
    spool.close()
    for empty in (lambda: journal(tmp_path).write_bytes(b""), lambda: journal(tmp_path).unlink()):
        empty()
        with pytest.raises(SpoolError, match="restore the journal"):
            open_spool(tmp_path)
        assert path.exists()


def test_an_instance_whose_record_may_be_on_the_volume_keeps_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    incoming = spool.begin(CT, "1.2.1", EXPLICIT)
    incoming.write(memoryview(bytes(100)))
    record = replace(received(incoming.id), length=100, digest=incoming.digest)
    calls = []

    def fail_second(_: Files, descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        os.fdatasync(descriptor)

    monkeypatch.setattr(Files, "sync", fail_second)
    with pytest.raises(SpoolUncertain):
        spool.receive(incoming, record)
    monkeypatch.undo()
    spool.close()
    again = open_spool(tmp_path)
    assert again.take_fresh() == [Owed(incoming.id, "CloudTarget/a")]
    again.close()


def test_what_a_person_dropped_during_an_attempt_stays_dropped(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    both = store(spool, ("CloudTarget/a", "CloudTarget/b"))
    spool.decisions.drop([Drop(both, ["CloudTarget/a"])])
    spool.settle([DeliveryRecord(both, "CloudTarget/a", DeliveryState.PENDING, attempts=1)])
    assert spool.pending(Owed(both, "CloudTarget/a")) is None
    spool.close()


def test_a_closed_spool_takes_nothing_more(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    spool.close()
    with pytest.raises(SpoolFailed):
        spool.receive(incoming, received(incoming.id))


def test_foreign_files_and_an_interrupted_first_start_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "format.new").write_text("{")
    spool = open_spool(tmp_path)
    store(spool)
    spool.close()
    (next((tmp_path / "spool" / "instances").iterdir()) / ".nfs0001").write_text("")
    open_spool(tmp_path).close()


def test_bytes_that_went_missing_are_corruption(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    identifier = store(spool)
    path = spool.file(identifier)
    spool.close()
    path.unlink()
    with pytest.raises(SpoolError, match="missing"):
        open_spool(tmp_path)


def test_two_gateways_do_not_share_a_spool(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    with pytest.raises(SpoolError) as caught:
        open_spool(tmp_path)
    assert caught.value.reason == "SpoolInUse"
    spool.close()
    open_spool(tmp_path).close()


@pytest.mark.parametrize(
    ("operation", "answer", "why"),
    [
        ("file_system_type", "tmpfs", "it is in memory"),
        ("lock", 1_000_000, "two gateways could write"),
        ("read", b"", "other bytes than were written"),
    ],
)
def test_a_volume_that_keeps_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, answer: object, why: str
) -> None:
    open_spool(tmp_path).close()
    monkeypatch.setattr(Files, operation, lambda *_: answer)
    monkeypatch.setattr(Files, "close", lambda *_: None)
    with pytest.raises(SpoolError, match=why) as raised:
        open_spool(tmp_path)
    assert raised.value.reason == "SpoolVolumeUnsafe"


def test_an_older_gateway_refuses_the_spool_of_a_newer_one(tmp_path: Path) -> None:
    open_spool(tmp_path).close()
    (tmp_path / "spool" / "format").write_text(f'{{"format": {LATEST + 1}}}')
    with pytest.raises(SpoolError, match="run the gateway that wrote the spool"):
        open_spool(tmp_path)


def test_a_spool_of_an_older_gateway_is_taken_over(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = store(spool)
    spool.close()
    (tmp_path / "spool" / "format").write_text('{"format": 1}')
    again = open_spool(tmp_path)
    assert again.take_fresh() == [Owed(first, "CloudTarget/a")]
    assert (tmp_path / "spool" / "format").read_text() == '{"format": 3}'
    again.close()


def test_above_the_watermark_nothing_more_is_taken_until_something_has_gone(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, size=10_000, percent=50)
    first = store(spool, size=6_000)
    with pytest.raises(SpoolFull):
        spool.begin(CT, "1.2.3", EXPLICIT)
    spool.settle([delivered(first)])
    deadline = threading.Event()
    while spool.level().used and not deadline.wait(0.05):
        pass
    store(spool)
    spool.close()


def test_after_a_failed_sync_the_volume_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool(tmp_path)
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(b"x" * 100))

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Files, "sync", fail)
    with pytest.raises(OSError, match="Input/output error") as raised:
        spool.receive(incoming, received(incoming.id))
    spool.distrust(raised.value)
    monkeypatch.undo()
    with pytest.raises(SpoolFailed):
        spool.begin(CT, "1.2.4", EXPLICIT)
    assert "Input/output error" in spool.failure
    spool.close()


def test_records_find_room_on_a_full_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool(tmp_path)
    first = store(spool)
    write = Files.write

    def fill(files: Files, descriptor: int, pieces: list[bytes]) -> None:
        monkeypatch.setattr(Files, "write", write)
        os.write(descriptor, pieces[0][:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Files, "write", fill)
    spool.settle([delivered(first)])
    assert not spool.failure
    second = store(spool)
    spool.close()
    again = open_spool(tmp_path)
    assert again.take_fresh() == [Owed(second, "CloudTarget/a")]
    assert counts(again).delivered == 1
    again.close()


def test_want_of_room_is_no_failure_of_the_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool(tmp_path)
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(b"x" * 100))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Files, "sync", fail)
    with pytest.raises(OSError, match="No space left") as raised:
        spool.receive(incoming, received(incoming.id))
    spool.distrust(raised.value)
    monkeypatch.undo()
    incoming.discard()
    assert spool.failure == ""
    assert store(spool) > incoming.id
    spool.close()


def test_a_long_journal_is_read_while_instances_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool(tmp_path)
    first, second = store(spool, hold="Unmatched"), store(spool)
    spool.settle([delivered(second)])
    spool.close()
    monkeypatch.setattr(module, "_READ_AT_ONCE_BYTES", 0)
    begun, go_on = threading.Event(), threading.Event()
    check = upkeep.check_file

    def slowly(files: Files, record: Received) -> None:
        begun.set()
        assert go_on.wait(10)
        check(files, record)

    monkeypatch.setattr(upkeep, "check_file", slowly)
    again = open_spool(tmp_path)
    assert begun.wait(10)
    third = store(again)
    assert third > second
    assert not again.is_loaded
    assert again.take_fresh() == []
    with pytest.raises(SpoolFailed, match="retry in a moment"):
        again.decisions.drop([Drop(first)])
    go_on.set()
    wait_until(lambda: again.is_loaded, "the journal is not read")
    assert again.take_fresh() == [Owed(first, "CloudTarget/a"), Owed(third, "CloudTarget/a")]
    assert counts(again) == InstanceCounts(owed=2, dead_lettered=0, skipped=0, delivered=1, discarded=0)
    again.close()


def test_a_gateway_that_ends_while_it_reads_a_long_journal_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    done = [store(spool) for _ in range(20)]
    spool.settle([delivered(one) for one in done])
    owed = store(spool)
    spool.close()
    monkeypatch.setattr(module, "_READ_AT_ONCE_BYTES", 0)
    monkeypatch.setattr(upkeep, "_RECORDS_A_TURN", 1)
    apply = Ledger.apply
    for turns in (1, 5, 30):
        opened: list[Spool] = []
        go_on = threading.Event()
        left = iter(range(turns))

        def apply_some(ledger: Ledger, record: Record, opened=opened, go_on=go_on, left=left) -> None:
            if threading.current_thread().name == "spool-upkeep":
                assert go_on.wait(10)
                if next(left, None) is None:
                    opened[0]._upkeep._closing.set()
            apply(ledger, record)

        monkeypatch.setattr(Ledger, "apply", apply_some)
        opened.append(open_spool(tmp_path))
        go_on.set()
        opened[0].close()
        assert opened[0].file(owed).exists(), f"after {turns} records"


def test_an_equal_instance_is_kept_while_a_long_journal_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is owed of the first is not known yet: it may have been delivered, and its bytes be gone."""
    spool = open_spool(tmp_path)
    first = store(spool)
    record = next(iter(spool.entries(lambda _: True))).received
    assert spool.repeat(record)
    monkeypatch.setattr(spool._books, "is_loaded", False)
    assert not spool.repeat(record)
    monkeypatch.undo()
    assert spool.take_fresh() == [Owed(first, "CloudTarget/a")]
    spool.close()


def test_numbers_of_a_gateway_that_did_not_write_down_the_next_one_are_not_given_again(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    last = [store(spool) for _ in range(3)][-1]
    spool.settle([delivered(one) for one in range(1, last + 1)])
    spool.close()
    lines = journal(tmp_path).read_bytes().splitlines()
    records = [decode_record(line) for line in lines]
    old = [replace(one, next_id=0) if isinstance(one, GroupRecord) else one for one in records]
    assert old != records
    journal(tmp_path).write_bytes(b"".join(map(encode_record, old)))
    again = open_spool(tmp_path)
    assert store(again) > last
    again.close()


def test_a_full_volume_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool(tmp_path)
    first = store(spool)
    spool.close()
    write = Files.write

    def fill(files: Files, descriptor: int, pieces: list[bytes]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Files, "write", fill)
    again = open_spool(tmp_path)
    monkeypatch.setattr(Files, "write", write)
    assert again.take_fresh() == [Owed(first, "CloudTarget/a")]
    again.close()


def test_what_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    path = spool.file(store(spool))
    spool.close()
    path.unlink()
    for _ in range(2):
        with pytest.raises(SpoolError):
            open_spool(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SpoolError):
        open_spool(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_bytes_that_are_missed_while_a_long_journal_is_read_stop_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    first = store(spool)
    path = spool.file(first)
    spool.close()
    path.unlink()
    monkeypatch.setattr(module, "_READ_AT_ONCE_BYTES", 0)
    again = open_spool(tmp_path)
    wait_until(lambda: bool(again.failure), "nothing is missed")
    assert again.failure_reason == "SpoolCorrupt"
    with pytest.raises(SpoolFailed):
        again.begin(CT, "1.2.4", EXPLICIT)
    again.close()


def test_many_threads_at_once_lose_nothing(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.extend(store(spool) for _ in range(25))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.close()
    again = open_spool(tmp_path)
    assert sorted(owed.id for owed in again.take_fresh()) == sorted(found)
    assert len(set(found)) == 200
    again.close()


def test_compaction_forgets_what_is_done_and_nothing_else(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    keep, hold, gone = store(spool, ("CloudTarget/a", "CloudTarget/b")), store(spool, (), "Unmatched"), store(spool)
    spool.settle([delivered(keep), delivered(gone)])
    before = spool.snapshot()
    spool._upkeep.compact()
    store(spool)
    spool.close()
    assert len(list((tmp_path / "spool" / "journal").glob("*.jsonl"))) == 1
    again = open_spool(tmp_path)
    after = again.snapshot()
    assert (after.instances.received, after.held_instances) == (before.instances.received + 1, 1)
    assert after.deliveries["CloudTarget/a"][DeliveryState.DELIVERED] == 2
    assert Owed(keep, "CloudTarget/b") in again.take_fresh()
    assert again.file(hold).exists()
    again.close()


def test_what_came_again_is_taken_for_ours_only_where_it_was_delivered() -> None:
    ledger = Ledger()
    ledger.apply(replace(received(1, ("a", "b", "c")), skipped=("d",)))
    ledger.apply(delivered(1, "a"))
    ledger.apply(DeliveryRecord(1, "b", DeliveryState.SKIPPED, may_have_arrived=True))
    ledger.apply(AgainRecord(1, ("a", "b", "d")))
    found = {name: one.may_have_arrived for name, one in ledger.entries[1].deliveries.items()}
    assert found == {"a": True, "b": True, "c": False, "d": False}


def history(spool: Spool) -> list[tuple[int, list[DeliveryState]]]:
    found = spool.history.find([day.date for day in spool.history.days()], lambda _: True)
    return sorted((one.received.id, [d.state for d in one.deliveries]) for one in found)


def test_what_became_of_instances_outlives_their_bytes(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, history_seconds=86_400)
    there, skipped, owed, held = store(spool), store(spool), store(spool), store(spool, (), "Unmatched")
    spool.settle([delivered(there)])
    spool.decisions.drop([Drop(skipped)])
    spool.decisions.drop([Drop(held)])
    spool.count_discarded(received(owed + 1_000_000))
    wait_until(lambda: len(history(spool)) == 4, "it is not written down")
    expected = [
        (there, [DeliveryState.DELIVERED]),
        (skipped, [DeliveryState.SKIPPED]),
        (held, []),
        (owed + 1_000_000, []),
    ]
    assert history(spool) == expected
    spool.close()
    again = open_spool(tmp_path, history_seconds=86_400)
    again._upkeep.compact()
    again.close()
    assert history(again) == expected


def test_an_instance_that_is_finished_in_the_moment_of_a_compaction_is_in_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_REAP_SECONDS", 1e6)
    spool = open_spool(tmp_path, history_seconds=86_400)
    first = store(spool)
    spool.settle([delivered(first)])
    spool._upkeep.compact()
    assert history(spool) == [(first, [DeliveryState.DELIVERED])]
    spool.close()


def test_a_full_volume_drains_and_the_history_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool(tmp_path, history_seconds=86_400)
    monkeypatch.setattr(upkeep, "_NO_ROOM_SECONDS", 0.5)
    first = store(spool)
    make_folder = Files.make_folder

    def full(files: Files, name: str) -> None:
        if name == "ledger":
            raise OSError(errno.ENOSPC, "no space left on device")
        make_folder(files, name)

    with monkeypatch.context() as patch:
        patch.setattr(Files, "make_folder", full)
        spool.settle([delivered(first)])
        wait_until(lambda: not spool.file(first).exists(), "the file is still there")
        spool._upkeep.compact()
        assert history(spool) == []
    wait_until(lambda: history(spool) == [(first, [DeliveryState.DELIVERED])], "it is forgotten")
    spool.close()


def test_a_volume_that_stays_full_is_left_alone_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_REAP_SECONDS", 1e6)
    monkeypatch.setattr(upkeep, "_ARCHIVED_AT_ONCE", 2)
    spool = open_spool(tmp_path, history_seconds=86_400)
    spool.settle([delivered(store(spool)) for _ in range(5)])
    add, tries = History.add, []

    def full(one: History, records: Iterable[FinishedRecord]) -> None:
        some = list(records)
        tries.append(len(some))
        if len(tries) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(one, some)

    with monkeypatch.context() as patch:
        patch.setattr(History, "add", full)
        for _ in range(3):
            spool._upkeep.reap()
            spool._upkeep.compact()
    assert tries == [2, 2], "in slices, and once"
    assert len(history(spool)) == 2
    spool._upkeep._room_at = 0.0
    spool._upkeep.compact()
    assert len(history(spool)) == 5
    spool.close()


def test_a_segment_that_finds_no_room_takes_up_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_REAP_SECONDS", 1e6)
    spool = open_spool(tmp_path)
    store(spool)
    tries = []

    def full(*_: object) -> None:
        tries.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Files, "write", full)
        with pytest.raises(JournalFailed):
            spool._upkeep.compact()
        spool._upkeep.compact()
    assert len(tries) == 1
    assert not (tmp_path / "spool" / "journal" / "new").exists()
    assert not spool.failure
    spool.close()


def test_records_for_which_there_is_no_room_at_all_leave_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    first = store(spool)
    before = journal(tmp_path).read_bytes()

    def full(_: Files, descriptor: int, pieces: list[bytes]) -> None:
        os.write(descriptor, pieces[0][:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Files, "write", full)
        with pytest.raises(SpoolFailed):
            spool.settle([delivered(first)])
    assert journal(tmp_path).read_bytes() == before
    spool.close()


def test_where_nothing_is_to_be_kept_nothing_is(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = store(spool)
    spool.settle([delivered(first)])
    wait_until(lambda: not spool.file(first).exists(), "the file is still there")
    spool.close()
    assert not (tmp_path / "spool" / "ledger").exists()


def test_what_a_person_decides_is_counted(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    refused, unmatched, owed = (
        store(spool),
        store(spool, (), "Unmatched"),
        store(spool, ("CloudTarget/a", "CloudTarget/b")),
    )
    spool.settle([DeliveryRecord(refused, "CloudTarget/a", DeliveryState.DEAD_LETTERED, refusals=2, reason="Conflict")])
    assert counts(spool).dead_lettered == 1
    assert spool.decisions.retry([Owed(refused, "CloudTarget/a")]).count == 1
    assert counts(spool) == InstanceCounts(owed=3, dead_lettered=0, skipped=0, delivered=0, discarded=0)
    assert spool.decisions.reroute([Rerouting(unmatched, ["CloudTarget/b"], "")])
    assert not spool.decisions.reroute([Rerouting(unmatched, ["CloudTarget/b"], "")])
    assert spool.decisions.drop([Drop(owed, ["CloudTarget/a"])]) == [1]
    spool.settle([delivered(owed, "CloudTarget/b"), delivered(refused), delivered(unmatched, "CloudTarget/b")])
    assert counts(spool) == InstanceCounts(owed=0, dead_lettered=0, skipped=1, delivered=2, discarded=0)
    held = store(spool, (), "Unmatched")
    assert spool.decisions.drop([Drop(held)]) == [1]
    assert counts(spool).discarded == 1
    assert counts(spool).received == 4
    spool.close()
    again = open_spool(tmp_path)
    assert counts(again) == InstanceCounts(owed=0, dead_lettered=0, skipped=1, delivered=2, discarded=1)
    again.close()


def test_many_decisions_are_made_safe_together_and_others_get_at_the_books_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    held = [store(spool, (), "Unmatched") for _ in range(100)]
    monkeypatch.setattr(decisions, "_CHANGED_AT_ONCE", 10)
    syncs, seen, sync = list[Books](), list[int](), Books.sync

    def counted(books: Books) -> None:
        syncs.append(books)
        sync(books)

    def named() -> Iterator[Drop]:
        for number in held:
            look = threading.Thread(target=lambda: seen.append(spool.snapshot().held_instances), daemon=True)
            look.start()
            look.join(5)
            yield Drop(number)

    monkeypatch.setattr(Books, "sync", counted)
    assert spool.decisions.drop(named()) == [1] * 100
    assert len(syncs) == 1
    assert seen == [100 - number // 10 * 10 for number in range(100)]
    spool.close()
    again = open_spool(tmp_path)
    assert counts(again).discarded == 100
    again.close()


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_line_is_a_record_or_refused(junk: bytes, position: int) -> None:
    line = encode_record(received(1))[:-1]
    changed = line[: position % len(line)] + junk + line[position % len(line) :]
    for candidate in (junk, changed):
        try:
            record = decode_record(candidate)
        except BadRecord:
            continue
        assert record == received(1)
        assert candidate == line


DESTINATIONS = ("CloudTarget/a", "CloudTarget/b")
RECIPES = ("", "0123456789abcdef", "fedcba9876543210")
RECORDS = st.one_of(
    st.builds(
        DeliveryRecord,
        id=st.integers(1, 4),
        destination=st.sampled_from(DESTINATIONS),
        state=st.sampled_from(DeliveryState),
        attempts=st.integers(0, 3),
        recipe=st.sampled_from(RECIPES),
    ),
    st.builds(
        AgainRecord,
        id=st.integers(1, 4),
        destinations=st.sampled_from([(), DESTINATIONS[:1], DESTINATIONS]),
        recipes=st.dictionaries(st.sampled_from(DESTINATIONS), st.sampled_from(RECIPES[1:])),
    ),
    st.builds(HoldRecord, id=st.integers(1, 4), reason=st.sampled_from(["", "Unmatched"])),
    st.builds(DiscardedRecord),
    st.builds(DroppedRecord, id=st.integers(1, 4)),
)


@given(st.lists(RECORDS, max_size=30), st.integers(0, 30))
def test_a_ledger_read_back_from_its_records_is_the_same(records: list[Record], at: int) -> None:
    """Compaction at any moment changes nothing of what is owed, held and counted."""
    starts: list[Record] = [
        received(1),
        replace(received(2, DESTINATIONS), recipes={DESTINATIONS[1]: RECIPES[1]}),
        received(3, (), "Unmatched"),
        received(4, hold="RuleError"),
    ]
    straight, compacted = Ledger(), Ledger()
    treated: set[tuple[int, str]] = set()
    for number, record in enumerate([*starts, *records]):
        if number == len(starts) + at:
            again = Ledger()
            for one in compacted.records():
                again.apply(one)
            compacted = again
        for ledger in (straight, compacted):
            ledger.apply(record)
        now = {(i, d) for i, e in straight.entries.items() for d, one in e.deliveries.items() if one.recipe}
        present = {(i, d) for i, e in straight.entries.items() for d in e.deliveries}
        assert treated & present <= now, "a treatment is replaced by another one, and never taken back"
        treated = now
        assert straight.counts().received == min(number + 1, 4) + sum(
            isinstance(r, DiscardedRecord) for r in records[: max(0, number - 3)]
        )
    assert compacted.counts() == straight.counts()
    assert compacted.held == straight.held
    assert {i: (e.hold, e.deliveries) for i, e in compacted.entries.items()} == {
        i: (e.hold, e.deliveries) for i, e in straight.entries.items()
    }
    for destination in DESTINATIONS:
        for state in (DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.DEAD_LETTERED):
            assert compacted.delivery_count(destination, state) == straight.delivery_count(destination, state)


def test_a_file_is_what_part_10_describes(tmp_path: Path) -> None:
    import pydicom

    spool = open_spool(tmp_path)
    identifier = store(spool, size=0)
    data = spool.file(identifier).read_bytes()
    meta = pydicom.filereader.read_file_meta_info(spool.file(identifier))
    spool.close()
    assert data[:132] == bytes(128) + b"DICM"
    assert meta.MediaStorageSOPClassUID == CT
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.FileMetaInformationGroupLength == len(data) - 144
    assert file_of(identifier).endswith(f"{identifier:012d}.dcm")


def test_what_was_given_up_to_make_room_is_enough_however_long_its_files_take_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep.Upkeep, "reap", lambda _: None)
    spool = open_spool(tmp_path)
    optional = frozenset(("CloudTarget/a",))
    ids = [store(spool, size=1000) for _ in range(10)]
    used = spool.level().used
    assert spool.decisions.skip(optional, used) == 0
    assert spool.decisions.skip(optional, used - used // 10 * 3) == 3
    assert [spool.decisions.skip(optional, used - used // 10 * 3) for _ in range(3)] == [0, 0, 0], "it is done already"
    assert spool.decisions.skip(optional, used - used // 10 * 5) == 2
    assert [entry.received.id for entry in spool.entries(lambda _: True)] == ids[5:], "the oldest went"
    monkeypatch.undo()
    spool.close()


def test_nothing_is_given_up_that_somebody_else_is_to_get(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    optional = frozenset(("CloudTarget/a",))
    both = store(spool, ("CloudTarget/a", "CloudTarget/b"))
    held, dead = store(spool, hold="RuleError"), store(spool, ("CloudTarget/a", "CloudTarget/b"))
    spool.settle([DeliveryRecord(dead, "CloudTarget/b", DeliveryState.DEAD_LETTERED)])
    alone = store(spool)
    assert spool.decisions.skip(frozenset(), 0) == 0
    assert spool.decisions.skip(optional, 0) == 1
    assert {entry.received.id for entry in spool.entries(lambda _: True)} == {both, held, dead}
    assert spool.pending(Owed(alone, "CloudTarget/a")) is None
    spool.settle([delivered(both, "CloudTarget/b")])
    assert spool.decisions.skip(optional, 0) == 1, "now it is for the optional one alone"
    spool.close()


def test_making_room_looks_at_a_part_of_the_spool_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_EXAMINED_A_TURN", 4)
    spool = open_spool(tmp_path)
    optional = frozenset(("CloudTarget/a",))
    for _ in range(6):
        store(spool, ("CloudTarget/b",))
    flushed = []
    monkeypatch.setattr(Journal, "flush", lambda _: flushed.append(1))
    monkeypatch.setattr(Spool, "level", lambda _: pytest.fail("it looked, although nothing is owed"))
    assert spool.decisions.skip(optional, 0) == 0
    monkeypatch.undo()
    monkeypatch.setattr(decisions, "_EXAMINED_A_TURN", 4)
    monkeypatch.setattr(Journal, "flush", lambda _: flushed.append(1))
    last = store(spool)
    assert (spool.decisions.skip(optional, 0), flushed) == (0, [])
    assert (spool.decisions.skip(optional, 0), flushed) == (1, [1]), "it goes on where it stopped"
    assert spool.pending(Owed(last, "CloudTarget/a")) is None
    monkeypatch.undo()
    spool.close()


def test_what_is_made_of_an_instance_that_goes_meanwhile_goes_too(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = store(spool)
    (entry,) = spool.entries(lambda _: True)

    def make() -> Iterator[bytes]:
        spool.decisions.drop([Drop(first)])
        wait_until(lambda: not spool.file(first).exists(), "it is still there")
        yield b"made too late"

    with pytest.raises(FileNotFoundError):
        spool.derived(entry.received, Recipe((Transcode(transfer_syntax_uid="1.2.840.10008.1.2.1"),)), make)
    assert list((tmp_path / "spool" / "derived").iterdir()) == []
    assert spool.level().used == 0
    spool.close()


def test_what_is_being_made_safe_counts_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool(tmp_path)
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(bytes(100_000)))
    incoming.end()
    written = spool.level().used
    used: list[int] = []

    def watched(kind: type[Files] | type[Journal] | type[Ledger], name: str) -> None:
        do = getattr(kind, name)

        def watch(*arguments: object) -> object:
            used.append(spool.level().used)
            done = do(*arguments)
            used.append(spool.level().used)
            return done

        monkeypatch.setattr(kind, name, watch)

    for kind, name in ((Files, "sync"), (Files, "close"), (Ledger, "apply"), (Journal, "append"), (Journal, "sync")):
        watched(kind, name)
    record = replace(received(incoming.id), sop_instance_uid="1.2.3", length=100_000, digest=incoming.digest)
    spool.receive(incoming, record)
    monkeypatch.undo()
    assert written >= 100_000
    assert min(used) >= written
    assert spool.level().used == written, "it counts once"
    spool.close()


def test_what_is_discarded_late_counts_no_longer(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(bytes(100_000)))
    incoming.sync()
    assert spool.level().used >= 100_000
    incoming.discard()
    incoming.discard()
    assert spool.level().used == 0
    spool.close()
