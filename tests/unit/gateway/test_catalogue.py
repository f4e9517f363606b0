"""The catalogue has what the spool holds, loses nothing when it is lost, and keeps no name longer than its instance."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from processes import wait_until
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from spools import CT, EXPLICIT, delivered, open_spool, received

from dicomroute_gateway.catalogue import feed, keys
from dicomroute_gateway.catalogue.feed import FILE, Catalogue
from dicomroute_gateway.catalogue.index import Damaged
from dicomroute_gateway.decoded import Element, Level
from dicomroute_gateway.query.archive import IndexIncomplete, Scope
from dicomroute_gateway.query.spool_archive import SpoolArchive
from dicomroute_gateway.spool.keys import Keys, key_of

DESTINATION = "CloudTarget/a"


class Held:
    """A spool and its catalogue."""

    def __init__(self, folder: Path, *, key: bytes | None = None) -> None:
        self.folder = folder
        self.wanted = True
        self.is_closed = False
        self.spool = open_spool(folder)
        if key is not None:
            self.spool.use_keys(Keys({key_of(key).id: key_of(key)}, key_of(key)))
        self.catalogue = Catalogue(self.spool, lambda: self.wanted)
        self.catalogue.start()

    def store(self, name: str, study: int = 1, series: int = 1, instance: int = 1, **values: str) -> int:
        """Receive an instance; return its number."""
        data_set = Dataset()
        data_set.SpecificCharacterSet = "ISO_IR 192"
        data_set.SOPClassUID, data_set.SOPInstanceUID = CT, f"1.2.{study}.{series}.{instance}"
        data_set.Modality, data_set.PatientName, data_set.PatientID = "CT", name, f"P{study}"
        data_set.StudyInstanceUID, data_set.SeriesInstanceUID = f"1.2.{study}", f"1.2.{study}.{series}"
        for keyword, value in values.items():
            setattr(data_set, keyword, value)
        file = DicomBytesIO()
        file.is_little_endian, file.is_implicit_VR = True, False
        write_dataset(file, data_set)
        content = file.getvalue()
        incoming = self.spool.begin(CT, data_set.SOPInstanceUID, EXPLICIT)
        incoming.write(memoryview(content))
        incoming.flush()
        incoming.end()
        record = replace(
            received(incoming.id, (DESTINATION,)),
            sop_instance_uid=data_set.SOPInstanceUID,
            series_instance_uid=data_set.SeriesInstanceUID,
            study_instance_uid=data_set.StudyInstanceUID,
            length=len(content),
            digest=incoming.digest,
            key=incoming.key,
        )
        self.spool.receive(incoming, record)
        return incoming.id

    def names(self, level: Level = Level.STUDY) -> list[str]:
        """Return the patients' names of all entities of a level, once the catalogue has everything."""
        assert self.catalogue.settle(20)
        index = self.catalogue.index
        assert index is not None
        try:
            return [entity[0x00100010].text for _, entity in index.candidates(level, {}, 10_000, -1)]
        except Damaged as error:
            self.catalogue.damaged(error)
            return []

    def deliver(self, *identifiers: int) -> None:
        """Deliver instances, after which their bytes go."""
        self.spool.settle([delivered(one) for one in identifiers])
        wait_until(lambda: not self.spool.finished(), "the bytes are still there")

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.catalogue.close()
            self.spool.close()

    def kept_bytes(self) -> bytes:
        """Return everything that is kept on the volume of the catalogue."""
        return b"".join(file.read_bytes() for file in sorted((self.folder / "spool").glob(f"{FILE}*")))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Callable[..., Held]]:
    opened: list[Held] = []

    def begin(**options: bytes) -> Held:
        opened.append(Held(tmp_path, **options))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def test_what_is_committed_is_found_at_once(held: Callable[..., Held]) -> None:
    one = held()
    one.store("Alder^Anna")
    assert one.names() == ["Alder^Anna"]
    one.store("Müller^Jürgen", study=2)
    one.store("Müller^Jürgen", study=2, instance=2)
    assert one.names() == ["Alder^Anna", "Müller^Jürgen"]
    index = one.catalogue.index
    assert index is not None
    assert index.counts(Level.STUDY, "1.2.2") == (1, 1, 2)
    assert [found.sop_instance_uid for found in index.locate({}, 10, -1)] == ["1.2.1.1.1", "1.2.2.1.1", "1.2.2.1.2"]
    named = {keys.STUDY_INSTANCE_UID: Element("UI", ("1.2.2",))}
    assert [found.id for found in index.locate(named, 10, 2)] == [3]


def test_of_versions_of_an_instance_the_newest_is_told_and_of_its_study_the_oldest(held: Callable[..., Held]) -> None:
    one = held()
    one.store("Alder^Anna", InstanceNumber="1")
    newer = one.store("Alder^Anne", InstanceNumber="2")
    assert one.names() == ["Alder^Anna"]
    index = one.catalogue.index
    assert index is not None
    ((_, instance),) = index.candidates(Level.IMAGE, {}, 10, -1)
    assert instance[0x00200013].text == "2"
    assert [found.id for found in index.locate({}, 10, -1)] == [newer]
    assert index.counts(Level.STUDY, "1.2.1") == (1, 1, 1), "two versions are one instance"


def test_a_name_goes_with_the_last_bytes_that_said_it(held: Callable[..., Held]) -> None:
    one = held()
    first = one.store("Quixlebury^Anna")
    second = one.store("Alder^Anna", instance=2)
    other = one.store("Quixlebury^Anna", instance=3)
    assert one.names() == ["Quixlebury^Anna"]
    assert b"uixlebury" in one.kept_bytes()
    one.deliver(first)
    assert one.names() == ["Quixlebury^Anna"], "another instance still says it"
    one.deliver(other)
    wait_until(lambda: one.names() == ["Alder^Anna"], "what it said is still told")
    wait_until(lambda: b"uixlebury" not in one.kept_bytes(), "the name is still on the volume")
    one.deliver(second)
    wait_until(lambda: one.names() == [], "something is still told")
    wait_until(lambda: b"Alder" not in one.kept_bytes(), "the name is still on the volume")


def test_who_asks_for_one_study_has_the_others_not_read(
    held: Callable[..., Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading them takes the processor from who sends them."""
    one = held()
    assert one.names() == []
    monkeypatch.setattr(feed, "_QUIET_SECONDS", 3600.0)
    monkeypatch.setattr(feed, "_MOST_WAIT_SECONDS", 3600.0)
    for number in range(60):
        one.store("Alder^Anna", study=number)
    archive = SpoolArchive(one.spool, one.catalogue)
    asked = Scope(Level.STUDY, study_instance_uids=("1.2.7",))
    assert [len(page) for page in archive.instances(asked, lambda: None, 20)] == [1]
    index = one.catalogue.index
    assert index is not None
    assert [found.study_instance_uid for found in index.locate({}, 100, -1)] == ["1.2.7"]
    of_patient = Scope(Level.PATIENT, patient_id="P9")
    assert [len(page) for page in archive.instances(of_patient, lambda: None, 20)] == [1], "no UID says whose it is"
    assert len(index.locate({}, 100, -1)) == 60


def test_who_names_instances_that_are_found_needs_no_whole_index(
    held: Callable[..., Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = held()
    one.store("Alder^Anna")
    assert one.names() == ["Alder^Anna"]
    may_go_on = threading.Event()
    monkeypatch.setattr(Catalogue, "_rest", lambda *_: may_go_on.wait(60))
    for number in range(2, 100):  # more than are read at once
        one.store("Alder^Anna", instance=number)
    one.catalogue.damaged(Damaged("it is made anew"))
    archive = SpoolArchive(one.spool, one.catalogue)
    wait_until(lambda: one.catalogue.index is not None, "there is no index")
    try:
        named = Scope(Level.IMAGE, sop_instance_uids=("1.2.1.1.1",))
        assert [len(page) for page in archive.instances(named, lambda: None, 20)] == [1]
        for other in (Scope(Level.IMAGE, sop_instance_uids=("1.2.1.1.1", "1.2.1.1.99")), Scope(Level.STUDY)):
            with pytest.raises(IndexIncomplete):
                list(archive.instances(other, lambda: None, 20))
    finally:
        may_go_on.set()
    assert one.names() == ["Alder^Anna"]


def test_what_is_delivered_at_once_is_never_read(held: Callable[..., Held]) -> None:
    one = held()
    assert one.names() == []
    for number in range(20):
        one.deliver(one.store("Quixlebury^Anna", instance=number))
    assert one.names() == []
    assert b"uixlebury" not in one.kept_bytes()


def test_a_catalogue_that_is_deleted_or_damaged_is_made_again(held: Callable[..., Held]) -> None:
    one = held()
    for number in range(120):
        one.store("Alder^Anna", study=number)
    assert len(one.names()) == 120
    (one.folder / "spool" / FILE).unlink()
    wait_until((one.folder / "spool" / FILE).exists, "it is not made again")
    assert len(one.names()) == 120
    index = one.catalogue.index
    assert index is not None
    index.remove([10_000])  # what is in the log goes into the file
    with (one.folder / "spool" / FILE).open("r+b") as file:
        file.write(os.urandom(1 << 16))
    one.store("Bertram^Bo", study=200)
    wait_until(lambda: len(one.names()) == 121, "it is not made again")
    assert one.spool.failure == "", "the spool does not mind"
    assert one.spool.snapshot().instances.received == 121


def test_a_start_reads_what_is_missing_alone(held: Callable[..., Held], tmp_path: Path) -> None:
    one = held()
    numbers = [one.store("Alder^Anna", study=number) for number in range(5)]
    assert len(one.names()) == 5
    one.catalogue.close()
    one.deliver(numbers[0])
    one.store("Bertram^Bo", study=9)
    one.close()
    again = held()
    assert sorted(again.names()) == ["Alder^Anna"] * 4 + ["Bertram^Bo"]
    again.close()
    (tmp_path / "spool" / FILE).write_bytes(b"no data base at all")
    third = held()
    assert len(third.names()) == 5


def test_one_of_another_boot_is_not_trusted(held: Callable[..., Held], tmp_path: Path) -> None:
    """Nothing of it is synced: after a loss of power it may be anything."""
    one = held()
    one.store("Alder^Anna")
    assert one.names() == ["Alder^Anna"]
    one.close()
    connection = sqlite3.connect(tmp_path / "spool" / FILE)
    connection.execute("UPDATE study SET document = replace(document, 'Alder', 'Wrong')")
    connection.commit()
    connection.execute("UPDATE about SET boot = 'another'")
    connection.commit()
    connection.close()
    assert held().names() == ["Alder^Anna"]


def test_beside_encrypted_instances_it_is_in_memory_alone(held: Callable[..., Held], tmp_path: Path) -> None:
    one = held()
    one.store("Quixlebury^Anna")
    assert one.names() == ["Quixlebury^Anna"]
    secret = os.urandom(32)
    one.spool.use_keys(Keys({key_of(secret).id: key_of(secret)}, key_of(secret)))
    one.store("Quixlebury^Anna", study=2)
    wait_until(lambda: not (tmp_path / "spool" / FILE).exists(), "it is still on the volume")
    assert one.names() == ["Quixlebury^Anna"] * 2
    assert one.kept_bytes() == b""
    one.close()
    again = held(key=secret)
    assert again.names() == ["Quixlebury^Anna"] * 2
    assert again.kept_bytes() == b""


def test_while_nobody_asks_there_is_none(held: Callable[..., Held], tmp_path: Path) -> None:
    one = held()
    one.store("Quixlebury^Anna")
    assert one.names() == ["Quixlebury^Anna"]
    one.wanted = False
    wait_until(lambda: one.kept_bytes() == b"", "names are still kept")
    one.store("Bertram^Bo", study=2)
    one.wanted = True
    wait_until(lambda: one.catalogue.is_complete, "it is not made again")
    assert sorted(one.names()) == ["Bertram^Bo", "Quixlebury^Anna"]
