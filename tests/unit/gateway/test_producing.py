"""What a retrieval is of, listed and fetched: from whom, in which order, and what an error of ours leaves."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dicomroute_gateway.decoded import Attributes, Level
from dicomroute_gateway.query.archive import (
    ArchiveUnreachable,
    Check,
    Fetched,
    InstanceReference,
    NotFetched,
    Query,
    Scope,
)
from dicomroute_gateway.query.gathering import Gathering
from dicomroute_gateway.query.producing import Producing
from dicomroute_gateway.query.tally import Listed, Tally
from dicomroute_gateway.spool.content import StoredFile

SCOPE = Scope(Level.STUDY, "", ("1",))


def go_on() -> None:
    """Check nothing."""


@dataclass
class Made:
    """An archive that has what it is told to have, gives some of it, and may break."""

    name: str
    has: Sequence[str]
    gives: Sequence[str] | None = None
    required: bool = True
    breaks: Exception | None = None
    """While it lists, after what it has."""
    breaks_after: int | None = None
    """While it fetches, by an error of ours."""
    asked: list[str] = field(default_factory=list)

    def known_keys(self, level: Level) -> frozenset[int] | None:
        return None

    def find(self, query: Query) -> Iterator[Sequence[Attributes]]:
        yield []

    def instances(self, scope: Scope, check: Check, timeout_seconds: float) -> Iterator[Sequence[InstanceReference]]:
        yield [InstanceReference("1", "1.1", uid, "1.2") for uid in self.has]
        if self.breaks is not None:
            raise self.breaks

    def fetch(
        self, references: Sequence[InstanceReference], folder: Path, check: Check, timeout_seconds: float
    ) -> Iterator[Fetched | NotFetched]:
        for number, one in enumerate(references):
            check()
            if number == self.breaks_after:
                raise RuntimeError("an error of ours")
            self.asked.append(one.sop_instance_uid)
            if self.gives is None or one.sop_instance_uid in self.gives:
                yield Fetched(one, "1.2.840.10008.1.2.1", 0, StoredFile(folder / one.sop_instance_uid, 0))
            else:
                yield NotFetched(one, "Missing")


def produced(folder: Path, *archives: Made) -> tuple[list[str], list[str], Gathering, Producing, Tally]:
    """Return what was fetched and what was not, by UID."""
    gathering, tally = Gathering(archives, SCOPE, go_on, 1), Tally()
    producing = Producing(gathering, tally, folder, lambda one: one, threading.Event())
    producing.start()
    results = list(producing.all())
    assert producing.join(5)
    fetched = [one.reference.sop_instance_uid for one in results if isinstance(one, Fetched)]
    missing = [one.reference.sop_instance_uid for one in results if isinstance(one, NotFetched)]
    return fetched, missing, gathering, producing, tally


def test_each_instance_comes_from_the_first_that_gives_it(tmp_path: Path) -> None:
    spool, near, far = Made("Spool", "ab", gives="a"), Made("near", "bcd", gives="bc"), Made("far", "cde")
    fetched, missing, gathering, _, tally = produced(tmp_path, spool, near, far)
    assert fetched == ["a", "b", "c", "d", "e"]
    assert missing == []
    assert (spool.asked, near.asked, far.asked) == (["a", "b"], ["b", "c", "d"], ["d", "e"])
    assert gathering.listed is Listed.ALL
    assert tally.pending().remaining == 5


def test_what_nobody_gives_is_told_once(tmp_path: Path) -> None:
    fetched, missing, *_ = produced(tmp_path, Made("Spool", "ab", gives=""), Made("near", "ab", gives="b"))
    assert (fetched, missing) == (["b"], ["a"])


@pytest.mark.parametrize("required, listed", [(True, Listed.NOT_KNOWN), (False, Listed.SOME)])
def test_what_was_listed_before_a_list_broke_off_is_fetched(tmp_path: Path, required: bool, listed: Listed) -> None:
    breaking = Made("near", "bc", required=required, breaks=ArchiveUnreachable("TimedOut", "no page"))
    fetched, _, gathering, *_ = produced(tmp_path, Made("Spool", "a"), breaking)
    assert fetched == ["a", "b", "c"]
    assert gathering.listed is listed
    assert [one.archive for one in gathering.failures] == ["near"]


def test_an_error_of_ours_passes_nothing_over(tmp_path: Path) -> None:
    fetched, _, _, producing, tally = produced(tmp_path, Made("Spool", "abc", breaks_after=1))
    assert fetched == ["a"]
    assert producing.has_failed
    tally.stored("a", 0)
    tally.fail_the_rest()
    assert tally.failed_uids == ("b", "c")


def test_more_than_can_be_counted_is_not_begun(tmp_path: Path) -> None:
    many = [f"1.{number}" for number in range(65_536)]
    fetched, missing, _, producing, _ = produced(tmp_path, Made("Spool", many))
    assert (fetched, missing) == ([], [])
    assert producing.too_many is not None
