"""What is timed and counted where it happens, until somebody asks for the metrics.

Own accumulators: an observation takes half the time that one of prometheus_client takes (tests/bench/micro.py). Their
names come from the configuration and from closed sets: nothing that a peer chose becomes one.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dicomroute_gateway.destination import Destination

STORE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
COMMIT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)
QUERY_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
RETRIEVAL_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
INSTANCE_BYTES: Final = tuple(1 << power for power in range(10, 34, 2))
"""From 1 KiB to 4 GiB."""
ATTEMPT_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
DELIVERY_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 86400)

_REASONS: Final = 64
OTHER: Final = "Other"
"""Stands for every further reason of a destination: a bound, although reasons are words of the code."""


@dataclass(frozen=True, slots=True)
class HistogramSnapshot:
    """The observations of one moment: `cumulative` has those up to each of `bounds`, and at last all of them."""

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]
    sum: float


class Histogram:
    """Counts observations by size. Safe to use from several threads."""

    __slots__ = ("_bounds", "_counts", "_lock", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Take an observation; one that equals a bound is counted below it."""
        position = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[position] += 1
            self._sum += value

    def snapshot(self) -> HistogramSnapshot:
        """Return the observations so far."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        cumulative, seen = [], 0
        for count in counts:
            seen += count
            cumulative.append(seen)
        return HistogramSnapshot(self._bounds, tuple(cumulative), total)


class ListenerMeasures:
    """What came through one listener."""

    def __init__(self) -> None:
        self.store_seconds = Histogram(STORE_SECONDS)
        self.instance_bytes = Histogram(INSTANCE_BYTES)
        self._lock = threading.Lock()
        self._answers: Counter[int] = Counter()

    def answered(self, status: int, seconds: float) -> None:
        """Count a C-STORE that was answered, `seconds` after its first byte; `status` is one that the gateway gives."""
        self.store_seconds.observe(seconds)
        with self._lock:
            self._answers[status] += 1

    def answers(self) -> Mapping[int, int]:
        """Return how many were answered with each status (PS3.7 annex C)."""
        with self._lock:
            return dict(self._answers)


class QueryMeasures:
    """What was asked on one listener."""

    def __init__(self) -> None:
        self.query_seconds = Histogram(QUERY_SECONDS)
        self._lock = threading.Lock()
        self._answers: Counter[str] = Counter()
        self._matches = 0

    def answered(self, status: str, seconds: float, matches: int) -> None:
        """Count a query that ended with a status that the gateway gives, in hexadecimal, after telling of matches."""
        self.query_seconds.observe(seconds)
        with self._lock:
            self._answers[status] += 1
            self._matches += matches

    def answers(self) -> Mapping[str, int]:
        """Return how many queries ended with each status (PS3.4 table C.4-1)."""
        with self._lock:
            return dict(self._answers)

    @property
    def matches(self) -> int:
        """How many entities were told."""
        with self._lock:
            return self._matches


class CommitmentMeasures:
    """What was asked and reported by storage commitment."""

    def __init__(self) -> None:
        self.open = 0
        """How many transactions are open."""
        self._lock = threading.Lock()
        self._references: Counter[str] = Counter()
        # From 0 on: of a counter that begins with its first event, Prometheus sees no increase.
        self._reports: Counter[str] = Counter(dict.fromkeys(("Answered", "Failed", "GivenUp"), 0))

    def decided(self, committed: int, failed: Iterable[int]) -> None:
        """Count the instances of a transaction: those that are committed to, and the Failure Reason of each other."""
        with self._lock:
            self._references["Committed"] += committed
            self._references.update(f"{reason:04X}" for reason in failed)

    def reported(self, outcome: str) -> None:
        """Count a report: `Answered`, `Failed` and tried again, or `GivenUp`."""
        with self._lock:
            self._reports[outcome] += 1

    def references(self) -> Mapping[str, int]:
        """Return how many instances were decided on, by `Committed` or the Failure Reason (PS3.3 C.14.1.1)."""
        with self._lock:
            return dict(self._references)

    def reports(self) -> Mapping[str, int]:
        """Return how many reports there were, by their outcome."""
        with self._lock:
            return dict(self._reports)


class StudyMeasures:
    """What became of studies that are followed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # From 0 on, as reports of commitment are.
        self._completed: Counter[str] = Counter(dict.fromkeys(("Idle", "MaxOpen"), 0))
        self._revised = 0

    def completed(self, basis: str, revision: int) -> None:
        """Count a study that was completed, by why it counts as complete."""
        with self._lock:
            self._completed[basis] += 1
            self._revised += revision > 1

    def completions(self) -> Mapping[str, int]:
        """Return how many revisions of studies were completed, by why."""
        with self._lock:
            return dict(self._completed)

    @property
    def revised(self) -> int:
        """How many of these were revisions of a study that had been complete before."""
        with self._lock:
            return self._revised


class EventMeasures:
    """How the feed of events stands. One thread writes `told`, `oldest_time` and `is_failing`."""

    def __init__(self) -> None:
        self.told = 0
        """How many events this process has written down."""
        self.oldest_time: float | None = None
        """When the oldest event that is kept was told, in seconds since 1970; None while there is none."""
        self.is_failing = False
        """Whether the feed could not be written at the last attempt."""
        self._lock = threading.Lock()
        self._too_old = 0

    def came_too_late(self) -> None:
        """Count a request that was answered 410: what stands behind its cursor is not kept any more."""
        with self._lock:
            self._too_old += 1

    @property
    def too_old(self) -> int:
        """How many requests came too late."""
        with self._lock:
            return self._too_old


class RetrievalMeasures:
    """What was retrieved through one listener."""

    def __init__(self) -> None:
        self.retrieval_seconds = Histogram(RETRIEVAL_SECONDS)
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, str]] = Counter()
        self._sub_operations: Counter[str] = Counter()

    def answered(self, action: str, status: str, seconds: float, sub_operations: Mapping[str, int]) -> None:
        """Count a C-MOVE or C-GET (`Move`, `Get`), and its sub-operations by what became of them."""
        self.retrieval_seconds.observe(seconds)
        with self._lock:
            self._answers[action, status] += 1
            self._sub_operations.update(sub_operations)

    def answers(self) -> Mapping[tuple[str, str], int]:
        """Return how many ended with each status, by action."""
        with self._lock:
            return dict(self._answers)

    def sub_operations(self) -> Mapping[str, int]:
        """Return how many sub-operations there were, by what became of them."""
        with self._lock:
            return dict(self._sub_operations)


@dataclass(frozen=True, slots=True)
class MeasuredAttempt:
    """What an attempt made of one delivery; `age_seconds` since the instance was received, `bytes` of its data set."""

    reason: str
    is_delivered: bool
    bytes: int
    age_seconds: float


class DestinationMeasures:
    """What went to one destination."""

    def __init__(self) -> None:
        self.attempt_seconds = Histogram(ATTEMPT_SECONDS)
        self.delivery_seconds = Histogram(DELIVERY_SECONDS)
        self._lock = threading.Lock()
        self._attempts: Counter[str] = Counter()
        self._bytes = 0

    def attempted(self, seconds: float, attempts: Iterable[MeasuredAttempt]) -> None:
        """Count an attempt that took `seconds`, and what it made of each delivery."""
        self.attempt_seconds.observe(seconds)
        for one in attempts:
            if one.is_delivered:
                self.delivery_seconds.observe(max(0.0, one.age_seconds))
            with self._lock:
                known = one.reason in self._attempts or len(self._attempts) < _REASONS
                self._attempts[one.reason if known else OTHER] += 1
                self._bytes += one.bytes if one.is_delivered else 0

    def attempts(self) -> Mapping[str, int]:
        """Return how many deliveries were attempted, by the reason of the outcome."""
        with self._lock:
            return dict(self._attempts)

    @property
    def delivered_bytes(self) -> int:
        """The bytes of the data sets that were delivered."""
        with self._lock:
            return self._bytes


class Measures:
    """All measures of a gateway since it started."""

    def __init__(self) -> None:
        self.commit_seconds = Histogram(COMMIT_SECONDS)
        self.commitments = CommitmentMeasures()
        self.studies = StudyMeasures()
        self.events = EventMeasures()
        self._lock = threading.Lock()
        self._listeners: dict[str, ListenerMeasures] = {}
        self._destinations: dict[Destination, DestinationMeasures] = {}
        self._queries: dict[str, QueryMeasures] = {}
        self._retrievals: dict[str, RetrievalMeasures] = {}
        self._archive_failures: Counter[tuple[str, str]] = Counter()

    def listener(self, name: str) -> ListenerMeasures:
        """Return the measures of a listener of the configuration."""
        found = self._listeners.get(name)
        if found is None:
            with self._lock:
                found = self._listeners.setdefault(name, ListenerMeasures())
        return found

    def query(self, listener: str) -> QueryMeasures:
        """Return the measures of queries on a listener of the configuration."""
        with self._lock:
            return self._queries.setdefault(listener, QueryMeasures())

    def retrieval(self, listener: str) -> RetrievalMeasures:
        """Return the measures of retrievals on a listener of the configuration."""
        with self._lock:
            return self._retrievals.setdefault(listener, RetrievalMeasures())

    def retrievals(self) -> dict[str, RetrievalMeasures]:
        """Return the listeners that were retrieved through, by name."""
        with self._lock:
            return dict(self._retrievals)

    def archive_failed(self, archive: str, reason: str) -> None:
        """Count that an archive of the configuration did not answer; `reason` is a word of the code."""
        with self._lock:
            self._archive_failures[archive, reason] += 1

    def queries(self) -> dict[str, QueryMeasures]:
        """Return the listeners that were queried, by name."""
        with self._lock:
            return dict(self._queries)

    def archive_failures(self) -> dict[tuple[str, str], int]:
        """Return how often each archive failed for each reason."""
        with self._lock:
            return dict(self._archive_failures)

    def attempted(self, destination: Destination, seconds: float, attempts: Iterable[MeasuredAttempt]) -> None:
        """Count an attempt at deliveries to a destination that took `seconds`."""
        found = self._destinations.get(destination)
        if found is None:
            with self._lock:
                found = self._destinations.setdefault(destination, DestinationMeasures())
        found.attempted(seconds, attempts)

    def listeners(self) -> dict[str, ListenerMeasures]:
        """Return the listeners that were asked for, by name."""
        with self._lock:
            return dict(self._listeners)

    def destinations(self) -> dict[Destination, DestinationMeasures]:
        """Return what is measured of each destination to which something was attempted."""
        with self._lock:
            return dict(self._destinations)
