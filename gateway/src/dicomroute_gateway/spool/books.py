"""The books of a spool: its ledger, and the journal from which that can be made again. They change together."""

import errno
import os
import threading
import time
from typing import Final

from dicomroute_gateway.configuration.study import WaitPlan
from dicomroute_gateway.reasons import Reason

from .deliveries import AWAITED, sent_again
from .entries import Entry
from .errors import SpoolError, SpoolFailed
from .files import NO_ROOM, Files
from .journal import Journal, JournalFailed
from .ledger import Ledger
from .records import DeliveryRecord, DeliveryState, PlanRecord, Received, Record, StudyRecord
from .repeats import replaced_records
from .segments import JournalContent
from .views import Owed
from .waiting import Waiter

_NO_FAULT_OF_THE_VOLUME: Final = (*NO_ROOM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Books:
    """What is known of the instances in a spool. Safe to use from several threads; `mutex` keeps a change in one piece.

    Before `is_loaded` the journal is still being read, so that it is not known what is owed.
    """

    def __init__(self, files: Files, content: JournalContent, next_id: int, has_trail: bool = False) -> None:
        """Open the journal for appending; its totals are taken over, the rest is for whoever reads `content`.

        `has_trail`: segments that are replaced are kept for whoever reads behind.

        Raises OSError.
        """
        self.mutex = threading.RLock()
        self.ledger = Ledger(read_before=next_id)
        self.spooled_bytes = 0
        self.is_loaded = False
        self.damage: SpoolError | None = None
        self._fresh: list[Owed] = []
        self._waiters: dict[int, list[Waiter]] = {}
        self._nobody_waits = False
        records = content.records()
        self.ledger.apply(next(records))  # the totals, before anything is added to them
        self.unread = records
        # Synced before a file is removed for what it says.
        self.journal = Journal(files, content.segment, next_id, is_attested=content.is_attested)
        self.journal.keeps_past = has_trail
        self._signal = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # -- writing down ----------------------------------------------------------------------------------------

    def take_over(self, *records: Record) -> None:
        """Apply records and put them on their way to the journal."""
        with self.mutex:
            for record in records:
                self.ledger.apply(record)
                self.journal.append(record)
                if isinstance(record, DeliveryRecord):
                    for waiter in self._waiters.get(record.id, ()):
                        waiter.notice(record)
            self._tell_reopened()

    def keep_plan(self, plan: WaitPlan) -> None:
        """Write down what deliveries will wait for, before a record names it."""
        if plan.id not in self.ledger.plans:
            self.take_over(PlanRecord(plan.id, plan.form))

    def accept(self, received: Received) -> int:
        """Apply the record of an instance; return the position in the journal up to which it has to be safe."""
        self.ledger.apply(received)
        position = self.journal.append(received)
        self._tell_reopened()
        return position

    def complete_study(self, record: StudyRecord) -> list[Owed]:
        """Apply the record that completes a study; return the deliveries that are to be made because of it."""
        entries, study = self.ledger.entries, self.ledger.studies.get(record.study_instance_uid)
        touched = set(study.waiting) if study is not None else set()
        if sent_again(record.released):
            touched |= {number for number, entry in entries.items() if _is_of(entry, record)}
        before = {one: entries[one].deliveries for one in sorted(touched) if one in entries}
        self.take_over(record)
        return [
            Owed(one, destination)
            for one, deliveries in before.items()
            if one in entries
            for destination, delivery in entries[one].deliveries.items()
            if delivery.state is DeliveryState.PENDING and deliveries[destination].state is not delivery.state
        ]

    def _tell_reopened(self) -> None:
        """Write down which studies are open again since the last time."""
        if not self.is_loaded:
            return
        for record in self.ledger.studies.take_reopened():
            self.ledger.apply(record)
            self.journal.append(record)

    def sync(self) -> None:
        """Return when all that was written down is on stable storage. Raises SpoolFailed."""
        try:
            self.journal.sync()
        except JournalFailed as error:
            raise SpoolFailed(str(error)) from error

    def flush(self) -> None:
        """Return when all that was written down survives this process. Raises SpoolFailed."""
        try:
            self.journal.flush()
        except JournalFailed as error:
            raise SpoolFailed(str(error)) from error

    # -- who waits -------------------------------------------------------------------------------------------

    def let_wait(self, identifier: int, waiter: Waiter) -> None:
        """Tell a waiter from now on what becomes of the deliveries of an instance, and how those stand that it has."""
        with self.mutex:
            self._waiters.setdefault(identifier, []).append(waiter)
            if entry := self.ledger.entries.get(identifier):
                for record in entry.deliveries.values():
                    waiter.notice(record)
            if self._nobody_waits:
                waiter.give_up()

    def forget_waiter(self, identifier: int, waiter: Waiter) -> None:
        """Tell a waiter nothing more."""
        with self.mutex:
            left = [one for one in self._waiters.get(identifier, []) if one is not waiter]
            if left:
                self._waiters[identifier] = left
            else:
                self._waiters.pop(identifier, None)

    def end_waiting(self) -> None:
        """Let everybody who waits go on, now, and whoever would wait from now on."""
        with self.mutex:
            self._nobody_waits = True
            for waiters in self._waiters.values():
                for waiter in waiters:
                    waiter.give_up()

    # -- what is owed ----------------------------------------------------------------------------------------

    @property
    def fresh_descriptor(self) -> int:
        """A descriptor that is readable while `take_fresh` has something to return."""
        return self._signal

    def announce(self, entry: Entry) -> None:
        """Let the deliveries of an instance that are to be made, or to be confirmed, be known."""
        unconfirmed = DeliveryState.UNCONFIRMED
        awaited = [(d, r.state is unconfirmed) for d, r in entry.deliveries.items() if r.state in AWAITED]
        self.offer([Owed(entry.received.id, destination, is_sent) for destination, is_sent in awaited])

    def offer(self, owed: list[Owed]) -> None:
        """Let deliveries that have become pending be known."""
        with self.mutex:
            if owed and not self._fresh and self.is_loaded:
                os.eventfd_write(self._signal, 1)
            self._fresh += owed

    def take_fresh(self) -> list[Owed]:
        """Return the deliveries that have become pending since the last call; at first all there are.

        None before the whole journal has been read: a later version must not overtake one that is not known yet.
        """
        with self.mutex:
            if not self.is_loaded:
                return []
            fresh, self._fresh = self._fresh, []
            try:
                os.eventfd_read(self._signal)
            except BlockingIOError:
                pass
        return fresh

    def finish_reading(self, entries: list[Entry], before: int) -> None:
        """End the reading of a journal of instances with numbers below `before`; `entries` are those it spoke of."""
        with self.mutex:
            self.ledger.finish_reading(before)
            newer, self._fresh = self._fresh, []
            self.is_loaded = True
            self._tell_reopened()
            for entry in (one for one in entries if one.received.id in self.ledger.entries):
                self.spooled_bytes += entry.received.file_length
                self.announce(entry)
            self.offer(newer)
            # What came again meanwhile was kept as a copy, as nobody knew yet what became of the first.
            now = time.time()
            for copy in [one for identifier, one in self.ledger.entries.items() if identifier >= before]:
                for earlier in self.ledger.versions.equal_before(copy.received):
                    self.take_over(*replaced_records(earlier, copy, now))

    # -- trust -----------------------------------------------------------------------------------------------

    def distrust(self, error: OSError) -> None:
        """Accept nothing more after an error of the volume, unless it is want of room, descriptors or memory.

        After a failed sync nobody knows what is on it (fsyncgate, 2018).
        """
        if error.errno not in _NO_FAULT_OF_THE_VOLUME and self.damage is None:
            self.damage = SpoolError(Reason.SPOOL_FAILED, f"the volume failed: {error.strerror or error}")

    @property
    def failure(self) -> str:
        """Why the volume is no longer trusted; "" while it is."""
        if self.damage is not None:
            return str(self.damage)
        error = self.journal.failure
        return "" if error is None else f"the journal could not be written: {error.strerror or error}"

    def raise_if_failed(self) -> None:
        """Raise SpoolFailed when the volume is no longer trusted."""
        if self.failure:
            raise SpoolFailed(self.failure)

    def raise_until_loaded(self) -> None:
        """Raise SpoolFailed while the journal is being read."""
        if not self.is_loaded:
            raise SpoolFailed("the journal is still being read: retry in a moment")

    def close(self) -> None:
        """Make the journal safe and close it."""
        self.journal.close()
        os.close(self._signal)


def _is_of(entry: Entry, record: StudyRecord) -> bool:
    return entry.received.study_instance_uid == record.study_instance_uid
