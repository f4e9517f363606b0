"""The feed on the volume: bounded in bytes and age, read by cursors, and each event once."""

import sqlite3
from pathlib import Path

import pytest

from dicomroute_client.documents.events import STUDY_RECEIVED, StudyReceived
from dicomroute_gateway.events.store import Cursor, FeedNotWritable, Store, StoreDamaged, TooOld
from dicomroute_gateway.events.told import Teller, Told

TELLER = Teller("/namespaces/n/dicomroutes/r/gateways/g")
WEEK = 7 * 86400


def told(number: int, time: float = 0.0) -> Told:
    study = f"1.2.{number}"
    data = StudyReceived(study_instance_uid=study, calling_ae_title="CT1", listener="dicom")
    return TELLER.tell(STUDY_RECEIVED, data, study, time, study)


def numbers(store: Store, after: Cursor) -> list[int]:
    return [one.cursor.number for one in store.page(after, 1000).events]


def test_pages_follow_each_other_and_what_is_told_again_is_there_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "events.sqlite", 1 << 20)
    start = store.first()
    assert store.write([told(one) for one in range(5)], 1.0) == 5
    assert store.write([told(one) for one in range(7)], 2.0) == 2
    page = store.page(start, 3)
    assert (len(page.events), page.more) == (3, True)
    rest = store.page(page.cursor, 10)
    assert (len(rest.events), rest.more) == (4, False)
    assert rest.cursor == store.last()
    assert store.page(rest.cursor, 10).events == []
    other = store.page(start, 10, ("health",))
    assert (other.events, other.cursor) == ([], store.last()), "a reader of others does not look at these again"
    store.close()
    again = Store(tmp_path / "events.sqlite", 1 << 20)
    assert again.feed == store.feed
    assert len(numbers(again, start)) == 7


def test_what_is_older_than_it_may_goes_and_its_cursors_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "events.sqlite", 1 << 20)
    start = store.first()
    store.write([told(one) for one in range(10)], 100.0)
    middle = store.last()
    store.write([told(one) for one in range(10, 20)], 200.0)
    store.tidy(150.0)
    with pytest.raises(TooOld):
        store.page(start, 10)
    assert len(numbers(store, middle)) == 10
    assert len(numbers(store, store.first())) == 10
    for other in (Cursor("0a", middle.number), Cursor(store.feed, store.last().number + 1)):
        with pytest.raises(TooOld):
            store.page(other, 10)
    store.tidy(1000.0)
    assert store.page(store.last(), 10).events == []


def test_a_week_of_a_busy_site_stays_within_its_bound(tmp_path: Path) -> None:
    most = 4 << 20
    store = Store(tmp_path / "events.sqlite", most)
    for hour in range(7 * 24):
        now = hour * 3600.0
        store.write([told(hour * 1000 + one, now) for one in range(200)], now)
        store.tidy(now - WEEK)
        size = sum(file.stat().st_size for file in tmp_path.iterdir())
        assert size <= most + (9 << 20), "the database, and a log of SQLite beside it"
        assert store.used_bytes <= most
    assert store.last().number == 7 * 24 * 200
    kept = store.last().number - store.first().number
    assert kept > 4000, "a kilobyte an event, about"
    assert len(numbers(store, store.first())) == 1000
    print(f"{store.last().number} events told, {kept} kept in {store.used_bytes} bytes")


def test_too_much_at_once_is_refused_and_the_oldest_make_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "events.sqlite", 1 << 20)
    with pytest.raises(FeedNotWritable):
        store.write([told(one) for one in range(10_000)], 1.0)
    assert numbers(store, store.first()) == [], "all of a batch or nothing"
    store.write([told(one) for one in range(100)], 1.0)
    assert len(numbers(store, store.first())) == 100


def test_a_file_that_is_none_is_made_anew_and_one_that_is_gone_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    path.write_bytes(b"no database" * 1000)
    store = Store(path, 1 << 20)
    assert store.is_new
    store.check()
    path.unlink()
    with pytest.raises(StoreDamaged):
        store.check()
    store.close()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE about (version INTEGER)")
    other.execute("INSERT INTO about VALUES (99)")
    other.commit()
    other.close()
    assert Store(path, 1 << 20).is_new, "one of a later release"
