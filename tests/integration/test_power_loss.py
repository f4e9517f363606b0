"""Power is lost at any moment of a loaded run: whatever the volume may hold then, what was acknowledged is there.

The file operations of a real gateway are recorded, the states that a file system may leave are built from them, and the
spool is opened on each. strace of the same process says that the recorder misses nothing.
"""

import pickle
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
import recorded_gateway
from gateways import LoneGateway
from manifests import Json
from persistent import Sender
from power import Fact, Recording, Weather, weathers
from routes import local_node, local_route, to
from sink import Sink

from dicomroute_gateway.spool import incoming, ready_files, upkeep
from dicomroute_gateway.spool.entries import Entry
from dicomroute_gateway.spool.errors import SpoolError
from dicomroute_gateway.spool.files import Files
from dicomroute_gateway.spool.formats import STUDIES
from dicomroute_gateway.spool.records import StudyState
from dicomroute_gateway.spool.spool import Spool

SECONDS = 1.0
STUDY_MOMENTS = 150
SYNCS = (
    ("sync", "instances/"),
    ("sync_folder", "instances/"),
    ("sync_folder", "instances"),
    ("sync_folder", "."),
    ("sync", "journal/0"),
    ("sync", "journal/new"),
    ("sync_folder", "journal"),
    ("sync", "format.new"),
    ("sync", "ledger/"),
    ("sync_folder", "ledger"),
)


def record(
    folder: Path, prefix: tuple[str, ...] = (), *, seconds: float = SECONDS, senders: int = 3, **spec: Json
) -> Recording:
    """Run a gateway under load for some seconds; return what it did."""
    sink = Sink()
    gateway = LoneGateway(
        folder,
        [local_node(), to(sink.url, onDuplicate="Accept"), local_route(**spec)],
        prefix=prefix,
        program=(recorded_gateway.__file__,),
        env={"RECORDING": str(folder / "recording")},
    )
    sending = [
        Sender(gateway.port, number, most_bytes=3_000, pause=0.01 * senders, own_studies="studies" in spec)
        for number in range(senders)
    ]
    time.sleep(seconds)
    for sender in sending:
        sender.stop()
    assert all(sender.acknowledged for sender in sending)
    assert gateway.stop() == 0
    sink.close()
    recording: Recording = pickle.loads((folder / "recording").read_bytes())
    return recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def with_studies(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    rule: Json = {
        "name": "whole",
        "trigger": "StudyComplete",
        "destinations": [{"kind": "CloudTarget", "name": "archive"}],
    }
    folder = tmp_path_factory.mktemp("with-studies")
    return record(folder, seconds=3, senders=1, studies={"idleSeconds": 1}, rules=[rule])


def lost(recording: Recording, moment: int, weather: Weather, folder: Path) -> list[str]:
    """Return what is wrong with the spool after a crash; the folder is gone afterwards."""
    folder.mkdir()
    try:
        return _lost(recording, moment, weather, folder)
    finally:
        shutil.rmtree(folder)


def _lost(recording: Recording, moment: int, weather: Weather, folder: Path) -> list[str]:
    recording.state(moment, weather, folder)
    has_studies = any(b'"modality":' in file.read_bytes() for file in (folder / "journal").glob("*"))
    has_format = f'"format": {STUDIES}' in ((folder / "format").read_text() if (folder / "format").exists() else "")
    past = [fact for fact in recording.facts if fact.time <= moment]
    delivered = {(fact.uid, fact.digest) for fact in past if fact.what == "delivered"}
    acknowledged = {(fact.uid, fact.digest) for fact in past if fact.what == "acknowledged"}
    try:
        spool = Spool(folder, 1 << 40, 100, history_seconds=86_400)
    except SpoolError as error:
        return [str(error)]
    whole, broken = [], []
    for entry in spool.entries(lambda _: True):
        (whole if _is_whole(spool, entry) else broken).append(entry)
    owed = {(entry.received.sop_instance_uid, entry.received.digest) for entry in whole}
    forgotten = [fact for fact in past if fact.what == "completed" and not _knows(spool, fact)]
    spool.close()
    finished = spool.history.find([day.date for day in spool.history.days()], lambda _: True)
    told = {(one.received.sop_instance_uid, one.received.digest) for one in finished}
    return [
        *(f"nobody can say any more that {uid} was delivered" for uid, _ in acknowledged & delivered - owed - told),
        *(f"{uid} was acknowledged and is neither owed nor delivered" for uid, _ in acknowledged - delivered - owed),
        *(f"instance {entry.received.id} is not what it was" for entry in broken),
        *(f"study {fact.uid} would be completed again in revision {fact.digest}" for fact in forgotten),
        *([] if has_format or not has_studies else ["a gateway that does not know studies would open the spool"]),
    ]


def _knows(spool: Spool, fact: Fact) -> bool:
    """Return whether a study is known to have been completed in a revision."""
    study = spool.studies.get(fact.uid)
    if study is None:
        return False
    return study.revision > int(fact.digest) or (
        study.revision == int(fact.digest) and study.state is StudyState.COMPLETE
    )


def _is_whole(spool: Spool, entry: Entry) -> bool:
    content = spool.file(entry.received.id).read_bytes()
    head = entry.received.file_length - entry.received.length
    return entry.is_owed and entry.received.digest == digest_of(content[head:])


def digest_of(data_set: bytes) -> str:
    from blake3 import blake3

    return f"blake3:{blake3(data_set).hexdigest()}"


@pytest.fixture
def without_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open spools without syncing them: the volume is thrown away, and there are thousands."""
    for module in (incoming, ready_files, upkeep):
        monkeypatch.setattr(module, "IDS_PER_FOLDER", recorded_gateway.IDS_PER_FOLDER)
    monkeypatch.setattr(Files, "sync", lambda *_: None)
    monkeypatch.setattr(Files, "sync_folder", lambda *_: None)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("without_syncs")
def test_at_every_moment_all_that_was_acknowledged_is_there(recording: Recording, tmp_path: Path) -> None:
    states = 0
    for moment in recording.moments():
        least, *others = weathers(moment)
        for weather in (least, others[moment % len(others)]):
            wrong = lost(recording, moment, weather, tmp_path / "crashed")
            assert wrong == [], f"at moment {moment}, {weather.name}"
            states += 1
    acknowledged = sum(fact.what == "acknowledged" for fact in recording.facts)
    print(f"{states} states of {len(recording.operations)} operations, {acknowledged} acknowledged")
    assert acknowledged > 40
    renamed = [one.name for one in recording.operations if one.kind == "rename"]
    assert "journal/new" in renamed, "no compaction"
    assert any(name.startswith("instances/") for name in renamed), "no file was used again"
    folders = {(one.name[:18], one.data.decode()[:18]) for one in recording.operations if one.kind == "rename"}
    assert any(old != new and new.startswith("instances/") for old, new in folders), "none of another folder"


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("without_syncs")
def test_a_study_that_was_completed_is_not_completed_again(with_studies: Recording, tmp_path: Path) -> None:
    completed = [fact for fact in with_studies.facts if fact.what == "completed"]
    assert len(completed) > 5
    renamed = [one.name for one in with_studies.operations if one.kind == "rename"]
    assert "journal/new" in renamed, "no compaction"
    moments = list(with_studies.moments())
    # Those right behind a completion, and others from all over the run.
    chosen = {fact.time for fact in completed} | set(moments[:: max(1, len(moments) // STUDY_MOMENTS)])
    for moment in sorted(chosen):
        least, *others = weathers(moment)
        for weather in (least, others[moment % len(others)]):
            wrong = lost(with_studies, moment, weather, tmp_path / "crashed")
            assert wrong == [], f"at moment {moment}, {weather.name}"
    print(f"{2 * len(chosen)} states, {len(completed)} completions")


@pytest.mark.usefixtures("without_syncs")
@pytest.mark.parametrize(("start", "sentence"), [("journal/0", "completed again"), ("format.new", "format")])
def test_no_sync_of_studies_may_be_left_out(with_studies: Recording, tmp_path: Path, start: str, sentence: str) -> None:
    poorer = with_studies.without("sync", start)
    for moment in sorted({fact.time for fact in with_studies.facts}):
        for weather in weathers(moment):
            if any(sentence in one for one in lost(poorer, moment, weather, tmp_path / "crashed")):
                return
    pytest.fail(f"no study is lost without the sync of {start}")


@pytest.mark.usefixtures("without_syncs")
@pytest.mark.parametrize(("kind", "start"), SYNCS)
def test_no_sync_may_be_left_out(recording: Recording, tmp_path: Path, kind: str, start: str) -> None:
    """A model that finds nothing proves nothing: without any one of the syncs it has to find a loss."""
    assert any(one.kind == kind and one.name.startswith(start) for one in recording.operations)
    poorer = recording.without(kind, start)
    renamed = {one.end for one in recording.operations if one.kind == "rename"}  # until then something was older
    for moment in sorted({fact.time for fact in recording.facts} | renamed):
        if any(lost(poorer, moment, weather, tmp_path / "crashed") for weather in weathers(moment)):
            return
    pytest.fail(f"nothing is lost without the {kind} of {start}")


_CALLS = {
    "write": re.compile(r"^(?:write|writev|pwrite64)\(\d+<(?P<path>[^>]+)>.* = (?P<count>\d+)$"),
    "sync": re.compile(r"^(?:fsync|fdatasync)\(\d+<(?P<path>[^>]+)>\) += 0"),
    "create": re.compile(r'^openat\(AT_FDCWD[^,]*, "(?P<path>[^"]+)", [^)]*O_CREAT[^)]*\) += \d+'),
    "rename": re.compile(r'^rename(?:at2?)?\((?:AT_FDCWD[^,]*, )?"(?P<path>[^"]+)".* = 0$'),
    "remove": re.compile(r'^unlink(?:at)?\((?:AT_FDCWD[^,]*, )?"(?P<path>[^"]+)".* = 0$'),
    "mkdir": re.compile(r'^mkdir(?:at)?\((?:AT_FDCWD[^,]*, )?"(?P<path>[^"]+)".* = 0$'),
    "rmdir": re.compile(r'^rmdir\("(?P<path>[^"]+)".* = 0$'),
    "truncate": re.compile(r"^f?truncate\(\d+<(?P<path>[^>]+)>.* = 0$"),
}
_NOT_OF_THE_JOURNAL = ("lock", "configuration.", "events.")
"""The lock, the last good configuration, and the feed of events: losing them loses no instance."""


def test_the_recorder_misses_nothing(tmp_path: Path) -> None:
    """What strace sees of the process is what the recorder has written down, operation by operation."""
    trace = "trace=write,writev,pwrite64,fsync,fdatasync,openat,rename,renameat,renameat2,unlink,unlinkat,mkdir,rmdir"
    strace = (
        "strace",
        "-ff",
        "-y",
        "-qq",
        "-s",
        "0",
        "-e",
        f"{trace},ftruncate,truncate",
        "-o",
        str(tmp_path / "call"),
    )
    recording = record(tmp_path, strace)
    spool = tmp_path / "spool"
    seen: Counter[tuple[str, str]] = Counter()
    written: Counter[str] = Counter()
    for file in tmp_path.glob("call.*"):
        before = ""
        for line in file.read_text(errors="replace").splitlines():
            for kind, pattern in _CALLS.items():
                if (found := pattern.match(line)) and Path(found["path"]).is_relative_to(spool):
                    name = str(Path(found["path"]).relative_to(spool))
                    if (kind, name) == ("sync", ".") and before.startswith("events."):
                        continue  # SQLite's own, in one thread with its files
                    before = name
                    seen[kind, name] += 1
                    written[name] += int(found["count"]) if kind == "write" else 0
    known: Counter[tuple[str, str]] = Counter()
    for one in recording.operations:
        known[{"sync_folder": "sync", "cut": "truncate"}.get(one.kind, one.kind), one.name] += 1
    for counter in (seen, known):
        for kind, name in list(counter):
            if name.startswith(_NOT_OF_THE_JOURNAL) or kind == "create" or (kind, name) == ("mkdir", "."):
                del counter[kind, name]
    assert {key: n for key, n in seen.items() if key[0] != "write"} == {
        key: n for key, n in known.items() if key[0] != "write"
    }
    for name in {one.name for one in recording.operations if one.kind == "write"}:
        length = sum(len(one.data) for one in recording.operations if one.kind == "write" and one.name == name)
        assert written[name] == length, name
    assert {name for kind, name in seen if kind == "write"} == {name for kind, name in known if kind == "write"}
