"""What became of instances whose bytes are gone: kept for days, in a form that a crash does not spoil."""

import errno
import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.spool.files import Files
from dicomroute_gateway.spool.history import History
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, FinishedRecord, Received, Sender

TODAY = date(2026, 3, 10)
ALL = [TODAY - timedelta(days=number) for number in range(100)]


def finished(identifier: int, days_ago: int = 0, uid: str = "1.2") -> FinishedRecord:
    seconds = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC).timestamp() - days_ago * 86_400
    sender = Sender("a", "dicom", "CT1", "GATE", "127.0.0.1")
    received = Received(identifier, seconds, "1.1", uid, "1.3", "1.4", "1.5", 10, "blake3:00", sender, 1, ("x/a",))
    return FinishedRecord(received, (DeliveryRecord(identifier, "x/a", DeliveryState.DELIVERED),), seconds + 1)


def ids(history: History) -> list[int]:
    return sorted(record.received.id for record in history.find(ALL, lambda _: True))


def test_what_was_written_down_is_found_after_a_restart(tmp_path: Path) -> None:
    History(Files(tmp_path)).add([finished(1), finished(2, days_ago=3)])
    history = History(Files(tmp_path))
    history.add([finished(3)])
    assert ids(history) == [1, 2, 3]
    assert [day.date for day in history.days()] == [TODAY - timedelta(days=3), TODAY]
    (found,) = history.find([TODAY], lambda record: record.received.id == 3)
    assert found == finished(3)


def test_an_instance_that_was_written_twice_counts_once(tmp_path: Path) -> None:
    history = History(Files(tmp_path))
    history.add([finished(1)])
    history.add([finished(1), finished(2)])
    assert ids(history) == [1, 2]


@given(cut=st.integers(1, 400))
def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("history")
    History(Files(folder)).add([finished(1), finished(2)])
    (file,) = (folder / "ledger").iterdir()
    content = file.read_bytes()
    file.write_bytes(content[: max(0, len(content) - cut)])
    history = History(Files(folder))
    history.add([finished(3)])
    assert 3 in ids(history)
    assert set(ids(history)) <= {1, 2, 3}


def test_days_that_are_over_are_packed_and_those_that_are_too_old_forgotten(tmp_path: Path) -> None:
    history = History(Files(tmp_path))
    history.add(finished(number, days_ago=number % 6) for number in range(600))
    before = sum(day.length for day in history.days())
    history.tidy(TODAY, keep_days=4, most_bytes=1 << 30)
    names = sorted(path.name for path in (tmp_path / "ledger").iterdir())
    assert [name.endswith(".gz") for name in names] == [True, True, True, False, False]
    assert sum(day.length for day in history.days()) < before / 2
    assert ids(history) == [number for number in range(600) if number % 6 <= 4]


def test_what_is_finished_after_its_day_was_packed_is_found_and_packed_too(tmp_path: Path) -> None:
    history = History(Files(tmp_path))
    history.add([finished(1, days_ago=5)])
    history.tidy(TODAY, 30, 1 << 30)
    history.add([finished(2, days_ago=5)])
    assert ids(history) == [1, 2]
    history.tidy(TODAY, 30, 1 << 30)
    assert ids(history) == [1, 2]
    assert [path.suffix for path in (tmp_path / "ledger").iterdir()] == [".gz"]


def test_a_crash_between_packing_and_removing_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(Files(tmp_path))
    history.add([finished(1, days_ago=5)])
    with monkeypatch.context() as patch:
        patch.setattr(Files, "remove", lambda *_: None)
        history.tidy(TODAY, 30, 1 << 30)
    assert len(list((tmp_path / "ledger").iterdir())) == 2
    assert ids(history) == [1]
    history.tidy(TODAY, 30, 1 << 30)
    assert ids(history) == [1]


def test_the_oldest_days_go_when_there_is_too_much_but_never_today(tmp_path: Path) -> None:
    history = History(Files(tmp_path))
    history.add(finished(number, days_ago=number) for number in range(10))
    one = history.days()[0].length
    history.tidy(TODAY, 30, most_bytes=3 * one)
    assert ids(history) == [0, 1, 2]
    history.tidy(TODAY, 30, most_bytes=0)
    assert ids(history) == [0]


def test_a_broken_day_says_nothing_and_the_others_do(tmp_path: Path) -> None:
    history = History(Files(tmp_path))
    history.add([finished(1, days_ago=5), finished(2)])
    history.tidy(TODAY, 30, 1 << 30)
    (packed,) = (tmp_path / "ledger").glob("*.gz")
    packed.write_bytes(packed.read_bytes()[:-9])
    assert ids(history) in ([2], [1, 2])
    packed.write_bytes(b"nothing like it")
    assert ids(history) == [2]


def test_a_day_is_searched_line_by_line_and_not_held(tmp_path: Path) -> None:
    import tracemalloc

    history = History(Files(tmp_path))
    for start in range(0, 20_000, 5_000):
        history.add(finished(start + number, uid=f"1.2.{number}") for number in range(5_000))
    tracemalloc.start()
    begun = time.monotonic()
    found = list(history.find([TODAY], lambda record: record.received.id == 17))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 1
    assert peak < 4 << 20
    assert time.monotonic() - begun < 20


def test_a_clock_that_jumps_erases_nothing(tmp_path: Path) -> None:
    history = History(Files(tmp_path))
    history.add([finished(1, days_ago=20), finished(2)])
    history.tidy(TODAY, 30, 1 << 30)
    leapt = TODAY + timedelta(days=4000)
    history.add([finished(3, days_ago=-4000)])  # received by the clock that is wrong
    history.tidy(leapt, 30, 1 << 30)
    assert len(history.days()) == 3
    history.tidy(TODAY + timedelta(days=1), 30, 1 << 30)
    assert len(history.days()) == 3
    history.tidy(TODAY + timedelta(days=3), 21, 1 << 30)
    assert len(history.days()) == 2, "it goes on from day to day as ever"


def test_a_clock_that_has_jumped_before_the_start_erases_nothing(tmp_path: Path) -> None:
    History(Files(tmp_path)).add([finished(1, days_ago=20), finished(2)])
    history = History(Files(tmp_path))
    for days in range(2):
        history.tidy(TODAY + timedelta(days=4000 + days), 30, 1 << 30)
        assert ids(history) == [1, 2]
    history.tidy(TODAY + timedelta(days=4002), 30, 1 << 30)
    assert ids(history) == [], "what stays so for days was no jump"


def test_what_came_before_the_clock_was_set_is_kept_as_long_as_the_rest(tmp_path: Path) -> None:
    history = History(Files(tmp_path))
    since_1970 = (TODAY - date(1970, 1, 1)).days
    history.add([finished(1, days_ago=since_1970), finished(2)])
    for day in range(6):
        history.tidy(TODAY + timedelta(days=day), 5, 1 << 30)
        assert date(1970, 1, 1) in [one.date for one in history.days()]
    history.tidy(TODAY + timedelta(days=6), 5, 1 << 30)
    assert history.days() == []


def test_the_name_of_a_day_is_safe_whoever_made_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    History(Files(tmp_path)).add([finished(1)])  # and died before the name was synced
    synced: list[str] = []
    monkeypatch.setattr(Files, "sync_folder", lambda _, name: synced.append(name))
    history = History(Files(tmp_path))
    history.add([finished(2)])
    assert synced.count("ledger") == 1
    history.add([finished(3)])
    assert synced.count("ledger") == 1
    history.tidy(TODAY + timedelta(days=2), 30, 1 << 30)
    synced.clear()
    history.add([finished(4)])
    assert synced.count("ledger") == 1, "it is another file since that one was packed"


def test_what_finds_no_room_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(Files(tmp_path))
    history.add([finished(1)])
    before = {path.name: path.read_bytes() for path in (tmp_path / "ledger").iterdir()}

    def full(_: Files, descriptor: int, pieces: list[bytes]) -> None:
        os.write(descriptor, pieces[0][:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Files, "write", full)
        for days_ago in (0, 1):
            with pytest.raises(OSError, match="No space left"):
                history.add([finished(2, days_ago)])
        with pytest.raises(OSError, match="No space left"):
            history.tidy(TODAY + timedelta(days=2), 30, 1 << 30)
    assert {path.name: path.read_bytes() for path in (tmp_path / "ledger").iterdir()} == before
    history.add([finished(2)])
    assert ids(history) == [1, 2]


def test_days_of_a_clock_that_had_jumped_do_not_make_it_right(tmp_path: Path) -> None:
    """An instance that came meanwhile has made a day of its own; the next process finds it."""
    files = Files(tmp_path)
    before = History(files)
    jumped = TODAY + timedelta(days=400)
    before.add(finished(number, number) for number in range(4))
    before.tidy(TODAY, 30, 1 << 30)
    before.add([finished(5, -400)])
    for today in (jumped, jumped + timedelta(days=1), TODAY, jumped):
        after = History(files)
        after.tidy(today, 30, 1 << 30)
        assert len([day for day in after.days() if day.date <= TODAY]) == 4
