"""Which archives do not answer, and since when: known from what is asked of them, and asked again until they do."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import structlog

from dicomroute_gateway.catalogue.keys import STUDY_INSTANCE_UID
from dicomroute_gateway.decoded import Attributes, Element, Level
from dicomroute_gateway.reasons import Reason

from .archive import (
    Archive,
    ArchiveFailed,
    ArchiveIncapable,
    Check,
    Fetched,
    InstanceReference,
    NotFetched,
    OutOfTime,
    Query,
    Scope,
    TooManyCandidates,
)

_AGAIN_SECONDS: Final = 15.0
_TIMEOUT_SECONDS: Final = 10.0

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Failing:
    """An archive (KIND/NAME) that did not answer when it was asked last; `since` is in seconds since 1970."""

    archive: str
    reason: Reason
    message: str
    since: float


@dataclass
class ArchiveHealth:
    """What is known of archives. Safe to use from several threads."""

    _failing: dict[str, Failing] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, archive: str) -> None:
        """Note that an archive answered."""
        with self._lock:
            was = self._failing.pop(archive, None)
        if was is not None:
            log.info("archive.answers", archive=archive, seconds=round(time.time() - was.since, 3))

    def failed(self, archive: str, error: ArchiveFailed) -> None:
        """Note that an archive did not answer."""
        with self._lock:
            known = self._failing.get(archive)
            since = known.since if known is not None else time.time()
            self._failing[archive] = Failing(archive, error.reason, str(error), since)
        if known is None:
            log.warning("archive.fails", archive=archive, reason=error.reason, why=str(error))

    def failing(self, archives: Sequence[str]) -> list[Failing]:
        """Return those of these archives that do not answer; the others that did not are forgotten."""
        with self._lock:
            self._failing = {name: one for name, one in self._failing.items() if name in archives}
            return sorted(self._failing.values(), key=lambda one: one.archive)


class WatchedArchive:
    """An archive of which it is noted whether it answers."""

    def __init__(self, archive: Archive, health: ArchiveHealth) -> None:
        self.name = archive.name
        self.required = archive.required
        self._archive = archive
        self._health = health

    def known_keys(self, level: Level) -> frozenset[int] | None:
        """See Archive.known_keys."""
        return self._archive.known_keys(level)

    def find(self, query: Query) -> Iterator[Sequence[Attributes]]:
        """See Archive.find."""
        yield from self._noted(self._archive.find(query))

    def instances(self, scope: Scope, check: Check, timeout_seconds: float) -> Iterator[Sequence[InstanceReference]]:
        """See Archive.instances."""
        yield from self._noted(self._archive.instances(scope, check, timeout_seconds))

    def fetch(
        self, references: Sequence[InstanceReference], folder: Path, check: Check, timeout_seconds: float
    ) -> Iterator[Fetched | NotFetched]:
        """See Archive.fetch: one instance that does not come says nothing of the archive."""
        yield from self._archive.fetch(references, folder, check, timeout_seconds)

    def _noted(self, pages: Iterator[Sequence[T]]) -> Iterator[Sequence[T]]:
        try:
            for page in pages:
                self._health.answered(self.name)
                yield page
        except (ArchiveIncapable, TooManyCandidates):
            self._health.answered(self.name)
            raise
        except ArchiveFailed as error:
            self._health.failed(self.name, error)
            raise
        self._health.answered(self.name)


class ArchiveWatch:
    """Asks archives that did not answer again, so that it is known when they do, whoever asks meanwhile."""

    def __init__(self, archives: Callable[[], Sequence[Archive]], health: ArchiveHealth) -> None:
        self._archives = archives
        self._health = health
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="archive-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Return when nothing is asked any more."""
        self._closing.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(_AGAIN_SECONDS):
            archives = {one.name: one for one in self._archives()}
            for failing in self._health.failing(list(archives)):
                try:
                    self._ask(archives[failing.archive])
                except (ArchiveFailed, OutOfTime):
                    pass
                except Exception:
                    log.exception("archive.watch_failed", archive=failing.archive)

    def _ask(self, archive: Archive) -> None:
        """Put the smallest query: the first page of all studies. Raises ArchiveFailed, OutOfTime."""
        keys = {STUDY_INSTANCE_UID: Element("UI")}
        query = Query(Level.STUDY, keys, 1, _TIMEOUT_SECONDS, self._check)
        next(archive.find(query), None)

    def _check(self) -> None:
        if self._closing.is_set():
            raise OutOfTime
