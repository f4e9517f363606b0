"""`dicomroute salvage` on what is left of a spool: what is whole is told from what is not."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from pdus import data_set
from peer import Answered, Peer, new_uid
from processes import wait_until
from routes import local_node, local_route, to
from running import Running, cli

from dicomroute_cli.commands.salvage import _folder_of

SUCCESS = Answered(0)
FROM = "from-CT1"


@pytest.fixture
def sent() -> dict[str, bytes]:
    """The data sets of a spool, by their UIDs, in the order in which they came."""
    return {}


@pytest.fixture
def spool(run: Callable[..., Running], tmp_path: Path, sent: dict[str, bytes]) -> Path:
    """Return a copy of a spool with four instances, after others that are not owed any more."""
    running = run(local_node(), to("http://127.0.0.1:9/dicom-web"), local_route(mode="HoldDeliveries"))
    peer = Peer(running.port).associated()
    for _ in range(2):
        assert peer.store(data_set(uid := new_uid()), uid) == SUCCESS
    admin = ("--admin", running.admin, "--state", running.state)
    assert "2 dropped" in cli("queue", "drop", "--all", "--in", "Held", *admin).stdout
    folder = running.state / running.route / "spool"
    wait_until(lambda: not files_of(folder), "files of dropped instances are still there")
    for _ in range(4):
        uid = new_uid()
        sent[uid] = data_set(uid)
        assert peer.store(sent[uid], uid) == SUCCESS
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def files_of(spool: Path) -> list[Path]:
    found = []
    for file in sorted(spool.glob("instances/*/*.dcm")):
        with suppress(FileNotFoundError):  # the gateway removes, and uses again, what is done
            if file.stat().st_size:
                found.append(file)
    return found


def test_each_file_is_compared_with_its_record(spool: Path, sent: dict[str, bytes], tmp_path: Path) -> None:
    first, second, third, fourth = files_of(spool)
    result = cli("salvage", spool, "--to", tmp_path / "all")
    assert (result.returncode, result.stdout) == (0, "4 complete, 0 unverified, 0 missing\n"), result.stderr
    for file, data in zip((first, second, third, fourth), sent.values(), strict=True):
        assert (tmp_path / "all" / FROM / file.name).read_bytes().endswith(data)
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in (tmp_path / "all", *(tmp_path / "all").rglob("*"))}
    assert modes == {True: 0o700, False: 0o600}

    first.write_bytes(second.read_bytes())  # another instance under this number
    third.write_bytes(third.read_bytes()[:-2])
    stranger = fourth.with_name("000000009999.dcm")
    shutil.copy(fourth, stranger)
    (journal,) = spool.glob("journal/*.jsonl")
    journal.write_bytes(b"broken\n" + journal.read_bytes())
    result = cli("salvage", spool, "--to", tmp_path / "some")
    assert (result.returncode, result.stdout) == (1, "2 complete, 3 unverified, 0 missing\n"), result.stderr
    assert {file.name for file in (tmp_path / "some" / FROM).glob("*.dcm")} == {second.name, fourth.name}
    for file, why in (
        (first, "the content differs from the digest in its record"),
        (third, "ends 2 bytes early"),
        (stranger, "there is no record of this file"),
    ):
        (line,) = (line for line in result.stderr.splitlines() if file.name in line)
        assert why in line
    assert {file.name for file in (tmp_path / "some" / "unverified").iterdir()} == {
        first.name,
        third.name,
        stranger.name,
    }


def test_what_is_owed_and_not_there_is_named(spool: Path, sent: dict[str, bytes], tmp_path: Path) -> None:
    first, second, *_ = files_of(spool)
    first.unlink()
    second.write_bytes(b"")
    result = cli("salvage", spool, "--to", tmp_path / "to")
    assert (result.returncode, result.stdout) == (1, "2 complete, 0 unverified, 2 missing\n"), result.stderr
    for file, uid in zip((first, second), sent, strict=False):
        (line,) = (line for line in result.stderr.splitlines() if line.startswith(file.name))
        assert f"instance {uid}, received from CT1 at 2" in line
    assert "ask their senders to send them again" in result.stderr


@pytest.mark.parametrize(
    ("title", "name"), [("CT1", "from-CT1"), ("..", "from-%2E%2E"), ("A/B C", "from-A%2FB%20C"), ("", "from-")]
)
def test_a_calling_title_names_a_folder_and_nothing_else(title: str, name: str) -> None:
    assert _folder_of(title) == name


def test_a_folder_that_has_something_is_left_alone(spool: Path, tmp_path: Path) -> None:
    target = tmp_path / "to"
    assert cli("salvage", spool, "--to", target).returncode == 0
    before = {file: file.read_bytes() for file in target.rglob("*.dcm")}
    result = cli("salvage", spool, "--to", target)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert f"{target} is not empty: choose another folder" in " ".join(result.stderr.split())
    assert {file: file.read_bytes() for file in target.rglob("*.dcm")} == before


def test_what_is_no_spool_is_said(tmp_path: Path) -> None:
    result = cli("salvage", tmp_path, "--to", tmp_path / "to")
    assert result.returncode == 2
    assert "has no folder instances: give a copy of the folder spool/" in result.stderr
