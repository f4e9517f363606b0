"""The studies that the spool knows of: their revisions, and who waits for them. Pure; a part of the ledger.

A revision is open from its first instance until a record completes it. A study that is complete is open again with the
next instance that comes: that is its next revision. The latest studies that are complete are remembered, so that this
is known of one that comes back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from .records import Received, StudyRecord, StudyState

MOST_COMPLETE: Final = 20_000
"""How many complete studies are remembered: one that comes back later begins again with revision 1."""


@dataclass(slots=True)
class Study:
    """A study: what its latest revision says of it, and the instances with deliveries that wait for it."""

    record: StudyRecord
    series: set[str]
    modalities: set[str]
    waiting: set[int] = field(default_factory=set)

    @property
    def is_open(self) -> bool:
        """Whether it is not complete."""
        return self.record.state is StudyState.OPEN

    def written(self) -> StudyRecord:
        """Return the record from which an equal study becomes."""
        series, modalities = tuple(sorted(self.series)), tuple(sorted(self.modalities))
        return replace(self.record, series=series, modalities=modalities)


@dataclass(slots=True)
class StudyBook:
    """All studies that are known, by Study Instance UID (0020,000D)."""

    open: dict[str, Study] = field(default_factory=dict)
    complete: dict[str, Study] = field(default_factory=dict)
    """Those completed first come first."""
    _reopened: list[str] = field(default_factory=list)

    def get(self, uid: str) -> Study | None:
        """Return a study, None for an unknown one."""
        return self.open.get(uid) or self.complete.get(uid)

    def count(self, received: Received, time: float, revision: int, open_seconds: int = 0) -> int:
        """Count an instance that came at a time for its study, if it is not counted in its open revision yet.

        `revision` is the one in which it counts already, 0 for none. Return the revision in which it counts now.
        `open_seconds` is for how long its study had been open then, as the clock of the process says. It is believed as
        far as the date agrees: a date that jumps makes no study older, nor does what began in the revision before.
        """
        uid = received.study_instance_uid
        study = self.open.get(uid)
        if study is None:
            study = self._opened(uid, time)
        elif revision == study.record.revision:
            return revision
        record = study.record
        study.series.add(received.series_instance_uid)
        if received.modality:
            study.modalities.add(received.modality)
        study.record = replace(
            record,
            last_time=max(record.last_time, time),
            instances=record.instances + 1,
            total=record.total + 1,
            open_seconds=max(record.open_seconds, min(open_seconds, int(time - record.first_time))),
        )
        return record.revision

    def put(self, record: StudyRecord) -> Study:
        """Take over how a study stands; return it, with those that waited for it."""
        uid = record.study_instance_uid
        known = self.get(uid)
        waiting = known.waiting if known is not None else set[int]()
        if known is not None:  # one may have left since the record was made
            record = replace(record, left=max(record.left, known.record.left))
        self.open.pop(uid, None)
        self.complete.pop(uid, None)
        study = Study(
            replace(record, series=(), modalities=(), reopens=False), set(record.series), set(record.modalities)
        )
        if study.is_open:
            study.waiting = waiting
            self.open[uid] = study
            if record.reopens and uid in self._reopened:
                self._reopened.remove(uid)
        else:
            self.complete[uid] = study
            while len(self.complete) > MOST_COMPLETE:
                del self.complete[next(iter(self.complete))]
        return Study(study.record, study.series, study.modalities, waiting)

    def wait(self, uid: str, identifier: int) -> None:
        """Note that an instance has a delivery that waits for its study."""
        if study := self.open.get(uid):
            study.waiting.add(identifier)

    def forget(self, uid: str, identifier: int) -> None:
        """Note that an instance has no such delivery any more."""
        if study := self.open.get(uid):
            study.waiting.discard(identifier)

    def leave(self, uid: str) -> None:
        """Note that an instance that waited for a revision of a study has left the spool."""
        if study := self.get(uid):
            study.record = replace(study.record, left=study.record.left + 1)

    def take_reopened(self) -> list[StudyRecord]:
        """Return the records that say which studies were opened again since the last call."""
        if not self._reopened:
            return []
        taken, self._reopened = self._reopened, []
        studies = (self.open[uid] for uid in taken if uid in self.open)
        return [replace(study.written(), reopens=True) for study in studies]

    def records(self) -> Iterator[StudyRecord]:
        """Yield the records from which an equal book becomes, but for who waits."""
        studies: Iterable[Study] = (*self.complete.values(), *self.open.values())
        for study in studies:
            yield study.written()

    def _opened(self, uid: str, time: float) -> Study:
        before = self.complete.pop(uid, None)
        revision = 1 if before is None else before.record.revision + 1
        total, left = (0, 0) if before is None else (before.record.total, before.record.left)
        record = StudyRecord(uid, revision, StudyState.OPEN, time, time, 0, total, (), (), time, left=left)
        series, modalities = (set[str](), set[str]()) if before is None else (before.series, before.modalities)
        study = self.open[uid] = Study(record, series, modalities)
        if before is not None:
            self._reopened.append(uid)
        return study
