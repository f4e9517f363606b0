"""The journal is read behind those who write it: each record once, in its order, whatever is compacted meanwhile."""

from pathlib import Path

from spools import delivered, open_spool, store

from dicomroute_gateway.spool.records import DeliveryRecord, Received, Record, TotalsRecord
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.trail import JournalPlace, Trail


def read_all(trail: Trail, place: JournalPlace) -> tuple[list[Record], JournalPlace]:
    found: list[Record] = []
    while True:
        records, behind = trail.read(place)
        found += records
        if behind == place:
            return found, place
        place = behind


def ids(records: list[Record]) -> list[int]:
    return [one.id for one in records if isinstance(one, Received | DeliveryRecord)]


def compact(spool: Spool) -> None:
    with spool._books.mutex:
        spool._books.journal.replace(spool._books.ledger.records())


def test_each_record_is_read_once_over_segments_that_are_replaced(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, has_trail=True)
    trail = spool.trail()
    numbers = [store(spool) for _ in range(3)]
    found, place = read_all(trail, JournalPlace(1, 0))
    assert ids(found) == numbers
    numbers.append(store(spool))
    spool.settle([delivered(numbers[0])])  # not synced: it is on its way while the segment is replaced
    compact(spool)
    numbers += [store(spool), store(spool)]
    assert list((spool.folder / "journal").glob("*.past"))
    more, place = read_all(trail, place)
    assert ids(more) == [numbers[3], numbers[0], *numbers[4:]]
    assert place == trail.end
    trail.forget_before(place.segment)
    assert not list((spool.folder / "journal").glob("*.past"))
    spool.close()


def test_a_segment_that_a_crash_left_is_read_to_its_end(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, has_trail=True)
    numbers = [store(spool) for _ in range(3)]
    old = (spool.folder / "journal" / "00000001.jsonl").read_bytes()
    compact(spool)
    spool.close()
    for past in (spool.folder / "journal").glob("*.past"):
        past.unlink()
    (spool.folder / "journal" / "00000001.jsonl").write_bytes(old)  # as a crash right before its new name leaves it
    spool = open_spool(tmp_path, has_trail=True)
    trail = spool.trail()
    assert trail.has(JournalPlace(1, 0))
    found, place = read_all(trail, JournalPlace(1, 0))
    assert ids(found) == numbers
    assert place.segment == 2
    assert not trail.has(JournalPlace(3, 0))
    trail.forget_before(2)
    assert not trail.has(JournalPlace(1, 0)), "it is gone: who is behind it begins anew"
    spool.close()


def test_without_a_reader_nothing_is_kept_for_one(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    store(spool)
    compact(spool)
    assert not list((spool.folder / "journal").glob("*.past"))
    found, _ = read_all(spool.trail(), JournalPlace(2, 0))
    assert isinstance(found[0], TotalsRecord)
    spool.close()
