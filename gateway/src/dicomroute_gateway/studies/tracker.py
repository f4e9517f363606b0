"""Follows what is being received, and completes studies; in a thread of its own.

A study is completed under the mutex that whoever receives needs to say of which study its instance is, so that none of
it is being received, or committed, at that moment.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from dicomroute_gateway.configuration.study import Studies
from dicomroute_gateway.measures import StudyMeasures
from dicomroute_gateway.rules.decide import STUDY_INSTANCE_UID, uid_of
from dicomroute_gateway.rules.head import HeadError, scan
from dicomroute_gateway.spool.errors import SpoolFailed
from dicomroute_gateway.spool.records import StudyBasis, StudyRecord
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Owed

from .completion import Activity, Unknown, basis_of
from .judging import completed

_HEAD_BYTES: Final = 16 << 10
"""How much of an instance is remembered until its study is known. Scanning each would cost 0.1 ms; few are slow."""
_LEAST_LOOK_SECONDS: Final = 0.05
_MOST_LOOK_SECONDS: Final = 1.0
_COMPLETED_AT_ONCE: Final = 100
"""How many studies are completed before their records are made safe together."""

log = structlog.get_logger(__name__)


class Arriving:
    """One instance that is being received. For the thread that receives it; `end` may be called more than once."""

    __slots__ = ("_head", "_is_ended", "_length", "_tracker", "begun", "open_seconds", "study", "transfer_syntax_uid")

    def __init__(self, tracker: "Tracker", transfer_syntax_uid: str) -> None:
        self._tracker = tracker
        self._head: list[bytes] = []
        self._length = 0
        self._is_ended = False
        self.transfer_syntax_uid = transfer_syntax_uid
        self.begun = time.monotonic()
        self.study: str | None = None
        """Its Study Instance UID, None while that is not known."""
        self.open_seconds = 0
        """For how long its study had been open when that was said."""

    def take(self, data: memoryview) -> None:
        """Remember the first bytes of its data set."""
        if self._length < _HEAD_BYTES:
            piece = bytes(data[: _HEAD_BYTES - self._length])
            self._length += len(piece)
            self._head.append(piece)

    def is_of(self, study: str) -> None:
        """Say of which study it is. The study is not complete from now on until `end`, but for one open too long."""
        self._tracker.known(self, study)

    def end(self) -> None:
        """Say that it is not being received any more, whatever became of it."""
        if not self._is_ended:
            self._is_ended = True
            self._tracker.ended(self)

    def looks_like(self) -> str | None:
        """Return of which study it is by its first bytes, as far as they have come. For any thread."""
        head = b"".join(self._head)
        try:
            elements = scan(
                lambda offset, length: head[offset : offset + length], self.transfer_syntax_uid, (STUDY_INSTANCE_UID,)
            )
        except HeadError:
            return None
        return uid_of(elements, STUDY_INSTANCE_UID) if STUDY_INSTANCE_UID in elements else None


class Tracker:
    """Follows the studies of one spool. `settings` returns those in force, None where studies are not tracked.

    Deliveries that wait from before are released all the same, by the settings that are the default.
    """

    def __init__(
        self,
        spool: Spool,
        settings: Callable[[], Studies | None],
        measures: StudyMeasures,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._measures = measures
        self._settings = settings
        self._now = now
        self._mutex = threading.Lock()
        self._activities: dict[str, Activity] = {}
        self._unknown: set[Arriving] = set()
        self._is_resumed = False
        """Whether it is known for how long studies had been open before this process."""
        self._looked_with: Studies | None = None
        self._earliest = 0.0
        """Nothing is complete before, by these settings: thousands of open studies are not looked at each second."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="studies", daemon=True)

    def start(self) -> None:
        """Begin to complete studies."""
        self._thread.start()

    def stop(self) -> None:
        """Return when nothing is being completed any more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    # -- for those who receive ------------------------------------------------------------------------------

    def arriving(self, transfer_syntax_uid: str) -> Arriving:
        """Take note of an instance that is about to come."""
        found = Arriving(self, transfer_syntax_uid)
        with self._mutex:
            self._unknown.add(found)
        return found

    def known(self, arriving: Arriving, study: str) -> None:
        """Take note of which study an instance is."""
        with self._mutex:
            self._assign(arriving, study)
            if activity := self._activities.get(study):
                arriving.open_seconds = int(self._now() - activity.opened)

    def ended(self, arriving: Arriving) -> None:
        """Take note that an instance is not being received any more."""
        with self._mutex:
            self._unknown.discard(arriving)
            activity = self._activities.get(arriving.study) if arriving.study else None
            if activity is not None:
                activity.end(self._now())

    def _assign(self, arriving: Arriving, study: str) -> None:
        if arriving.study == study:
            return
        now = self._now()
        if arriving.study and (before := self._activities.get(arriving.study)):
            before.end(now)
        self._unknown.discard(arriving)
        arriving.study = study
        if study:
            self._activities.setdefault(study, Activity(now, now)).begin()

    # -- completing -----------------------------------------------------------------------------------------

    def look(self) -> int:
        """Complete what is complete now; return how many studies that were. Raises SpoolFailed."""
        settings = self._settings() or Studies()
        count = 0
        while not self._stopping.is_set():
            done = self._complete_some(settings)
            if not done:
                return count
            self._spool.studies.sync()
            for record, released in done:
                self._spool.studies.offer(released)
                self._measures.completed(str(record.basis), record.revision)
                log.debug("study.complete", revision=record.revision, basis=record.basis, instances=record.instances)
            count += len(done)
        return count

    def _complete_some(self, settings: Studies) -> list[tuple[StudyRecord, list[Owed]]]:
        with self._mutex:
            now, is_loaded = self._now(), self._spool.is_loaded
            if now < self._earliest and settings == self._looked_with:
                return []
            studies = self._spool.studies.open()
            names = {one.study_instance_uid for one in studies}
            for uid in names - self._activities.keys():  # of before this process
                self._activities[uid] = Activity(now, now)
            if is_loaded and not self._is_resumed:
                self._is_resumed = True
                for one in studies:
                    self._activities[one.study_instance_uid].resume(one.open_seconds, now)
            for uid in [u for u, one in self._activities.items() if not one.in_flight and u not in names]:
                del self._activities[uid]  # nothing of it was kept
            activities = [(uid, self._activities[uid]) for uid in names]
            if self._is_resumed:
                self._looked_with = settings
                self._earliest = min((one.earliest(settings) for _, one in activities), default=now)
        due = [uid for uid, activity in activities if basis_of(activity, (), settings, now)]
        if due:
            self._guess()
        done: list[tuple[StudyRecord, list[Owed]]] = []
        for uid in due:
            with self._mutex:
                others = [Unknown(one.begun) for one in self._unknown]
                activity = self._activities.get(uid)
                basis = basis_of(activity, others, settings, self._now()) if activity is not None else None
                if basis is not None and (completion := self._complete(uid, basis)) is not None:
                    done.append(completion)
            if len(done) >= _COMPLETED_AT_ONCE or self._stopping.is_set():
                break
        return done

    def _guess(self) -> None:
        """Learn by their first bytes of which studies instances are that are being received."""
        with self._mutex:
            unknown = list(self._unknown)
        guesses = [(one, study) for one in unknown if (study := one.looks_like())]
        with self._mutex:
            for one, study in guesses:
                if one in self._unknown:
                    self._assign(one, study)

    def _complete(self, uid: str, basis: StudyBasis) -> tuple[StudyRecord, list[Owed]] | None:
        study, plans = self._spool.studies.get(uid), self._spool.studies.awaited_plans(uid)
        if study is None:
            return None
        record = completed(study, basis, plans, time.time())
        released = self._spool.studies.complete(record)
        in_flight = self._activities[uid].in_flight
        now = self._now()
        if in_flight:  # only of one that was open for too long: what comes now is of its next revision
            self._activities[uid] = Activity(now, now, in_flight)
        else:
            del self._activities[uid]
        return record, released

    def _work(self) -> None:
        while True:
            idle = (self._settings() or Studies()).idle_seconds
            if self._stopping.wait(min(_MOST_LOOK_SECONDS, max(_LEAST_LOOK_SECONDS, idle / 20))):
                return
            try:
                self.look()
            except (SpoolFailed, OSError) as error:
                log.error("studies.failed", error=str(error))
            except Exception:
                # An error of ours must not end the thread: what waits would wait until the next start.
                log.exception("studies.failed")
