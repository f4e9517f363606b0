"""What a start makes of a journal: what was synced is told from what a crash tore, and made safe before it counts."""

import errno
import shutil
from pathlib import Path

import pytest
from spools import counts, delivered, journal, open_spool, store

from dicomroute_gateway.spool.errors import SpoolError, SpoolFailed
from dicomroute_gateway.spool.files import Files
from dicomroute_gateway.spool.journal import JournalFailed
from dicomroute_gateway.spool.records import GroupRecord, decode_record, encode_record
from dicomroute_gateway.spool.views import Owed


def state_of(folder: Path) -> dict[str, bytes]:
    """Return every byte of a spool, apart from what a start tries the volume with."""
    spool = folder / "spool"
    return {str(path.relative_to(spool)): path.read_bytes() for path in spool.rglob("*") if path.is_file()}


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A spool with instances of which all was synced before its gateway stopped."""
    spool = open_spool(tmp_path)
    for _ in range(3):
        store(spool)
    spool.close()
    return tmp_path


@pytest.fixture
def compacted(tmp_path: Path) -> Path:
    """A spool whose gateway ended without a word right behind a compaction."""
    spool = open_spool(tmp_path / "running")
    for _ in range(3):
        store(spool)
    spool._upkeep.compact()
    shutil.copytree(tmp_path / "running" / "spool", tmp_path / "spool")
    spool.close()
    return tmp_path


@pytest.mark.parametrize("how", ["stopped", "compacted"])
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_changed_byte_of_what_was_synced_is_corruption(how: str, where: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(how)
    data = bytearray(journal(folder).read_bytes())
    middle = data.index(b'"id":1') if where == "first" else data.rindex(b'"id":3')
    data[middle + 5] ^= 1
    journal(folder).write_bytes(data)
    before = state_of(folder)
    with pytest.raises(SpoolError, match="has changed") as caught:
        open_spool(folder)
    assert caught.value.reason == "SpoolCorrupt"
    assert state_of(folder) == before, "something was touched"


def test_a_journal_that_is_broken_from_its_first_line_on_is_left_as_it_is(stopped: Path) -> None:
    data = journal(stopped).read_bytes().splitlines(keepends=True)
    journal(stopped).write_bytes(b"0" + data[0])
    before = state_of(stopped)
    with pytest.raises(SpoolError, match="Nothing was changed"):
        open_spool(stopped)
    assert state_of(stopped) == before


def test_starts_and_stops_without_anything_new_leave_the_journal_as_it_is(stopped: Path) -> None:
    before = journal(stopped).read_bytes()
    for _ in range(3):
        open_spool(stopped).close()
    assert journal(stopped).read_bytes() == before


class Calls:
    """The file operations of a spool, in their order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, str]] = []
        self._names: dict[int, str] = {}
        for name in ("open_at", "open_append", "write", "sync", "sync_folder", "remove", "rename"):
            monkeypatch.setattr(Files, name, self._watched(name))

    def _watched(self, name: str):  # type: ignore[no-untyped-def]
        original = getattr(Files, name)

        def watched(files: Files, what: str | int, *rest: object) -> object:
            self.seen.append((name, self._names.get(what, "") if isinstance(what, int) else what))
            result = original(files, what, *rest)
            if name.startswith("open"):
                self._names[result] = str(what)
            return result

        return watched

    def index(self, name: str, start: str) -> int:
        return next(index for index, (one, what) in enumerate(self.seen) if one == name and what.startswith(start))


def test_the_name_of_a_new_segment_is_safe_before_the_old_one_goes(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that ended between the two may have acknowledged nothing into it yet; this one will."""
    old = journal(stopped)
    shutil.copy(old, old.with_name("00000002.jsonl"))
    calls = Calls(monkeypatch)
    open_spool(stopped).close()
    assert calls.index("sync_folder", "journal") < calls.index("remove", "journal/00000001")


def test_what_nobody_knows_to_be_safe_is_written_again_after_a_sync_that_failed(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a sync is told once: the next start finds nothing to write unless it writes."""
    group = encode_record(GroupRecord(len(journal(stopped).read_bytes())))
    tail = group + encode_record(delivered(1))
    journal(stopped).write_bytes(journal(stopped).read_bytes() + tail)
    failures = iter([OSError(errno.EIO, "Input/output error")])
    sync = Files.sync

    def fail_once(files: Files, descriptor: int) -> None:
        for error in failures:
            raise error
        sync(files, descriptor)

    monkeypatch.setattr("dicomroute_gateway.spool.recovery.defect", lambda _: "")
    monkeypatch.setattr(Files, "sync", fail_once)
    with pytest.raises(OSError, match="Input/output"):
        open_spool(stopped)
    calls = Calls(monkeypatch)
    again = open_spool(stopped)
    name = f"journal/{journal(stopped).name}"
    assert calls.index("write", name) < calls.index("sync", name)
    assert [owed.id for owed in again.take_fresh()] == [2, 3]
    again.close()


def fail_once(monkeypatch: pytest.MonkeyPatch, name: str, wanted: str | int, error: Exception) -> None:
    """Let the next operation of this name on that file fail."""
    original, errors = getattr(Files, name), iter([error])

    def watched(files: Files, what: str | int, *rest: object) -> object:
        for one in errors if what == wanted else ():
            raise one
        return original(files, what, *rest)

    monkeypatch.setattr(Files, name, watched)


def test_an_error_of_ours_while_the_journal_is_written_lets_nobody_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    store(spool)
    fail_once(monkeypatch, "write", spool._books.journal._descriptor, MemoryError())
    with pytest.raises(SpoolFailed, match="MemoryError"):
        store(spool)
    with pytest.raises(SpoolFailed):
        store(spool)
    assert "MemoryError" in spool.failure
    spool.close()


def test_an_error_of_ours_while_the_journal_is_made_shorter_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    store(spool)
    fail_once(monkeypatch, "create", "journal/new", MemoryError())
    with pytest.raises(JournalFailed, match="MemoryError"):
        spool._upkeep.compact()
    second = store(spool)
    spool._upkeep.compact()
    spool.close()
    again = open_spool(tmp_path)
    assert counts(again).owed == 2
    assert Owed(second, "CloudTarget/a") in again.take_fresh()
    again.close()


def test_a_segment_says_at_its_end_that_it_is_safe(compacted: Path) -> None:
    data = journal(compacted).read_bytes()
    last = data.splitlines(keepends=True)[-1]
    record = decode_record(last.rstrip(b"\n"))
    assert isinstance(record, GroupRecord)
    assert (record.synced, record.next_id) == (len(data) - len(last), 4)
