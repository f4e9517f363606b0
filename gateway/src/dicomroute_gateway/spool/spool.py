"""The spool: takes instances in, answers what is owed, and forgets what is done, in an order that loses nothing.

The order of an acceptance: name synced, data synced, record synced, then the answer to the sender. The order of
a removal: record of the last delivery synced, then the file removed. docs/durability.md argues each step.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from .derived import Derived
from .empty_files import EmptyFiles
from .files import Files
from .incoming import IDS_PER_FOLDER, Incoming, file_of, folder_of
from .journal import Journal, JournalCorrupt, JournalFailed
from .ledger import Entry, Ledger
from .records import (
    AgainRecord,
    DeliveryRecord,
    DeliveryState,
    DiscardedRecord,
    DroppedRecord,
    HoldRecord,
    Received,
    Record,
)
from .recovery import SpoolError, check_file, corrupt, highest_file, open_journal, remove_orphans
from .views import Level, Owed, Snapshot

_COMPACT_BYTES: Final = 64 << 20
_REAP_SECONDS: Final = 0.2
_READ_AT_ONCE_BYTES: Final = 1 << 20
"""A journal up to this length is read before anything else; a longer one while the gateway receives already."""
_RECORDS_A_TURN: Final = 200
_NO_FAULT_OF_THE_VOLUME: Final = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)

log = structlog.get_logger(__name__)


class SpoolFull(Exception):
    """There is no room for another instance at present."""


class SpoolFailed(Exception):
    """The volume did not keep what it was given; nothing is accepted until the gateway is restarted."""


class SpoolUncertain(SpoolFailed):
    """Nobody knows whether an instance is safe: it is not acknowledged, and its bytes stay for a restart to find."""


class Spool:
    """The open spool of one gateway. Safe to use from several threads."""

    def __init__(self, folder: Path, size_bytes: int, high_watermark_percent: int) -> None:
        """Open the spool in `folder`, and finish what a crash interrupted.

        Raises SpoolError when another gateway has it, a newer one wrote it, or its bytes are not trustworthy.
        """
        self._files = Files(folder)
        self._size_bytes = size_bytes
        self._percent = high_watermark_percent
        lock = self._files.lock("lock")
        if lock is None:
            raise SpoolError("SpoolInUse", f"another gateway is running on the spool {folder}: stop it first")
        self._lock_descriptor = lock
        self._ledger = Ledger()
        self._mutex = threading.RLock()
        self._bytes = 0
        self._derived = Derived(self._files)
        self._compact_at = _COMPACT_BYTES
        self._fresh: list[Owed] = []
        self._damage: SpoolError | None = None
        self._loaded = False
        self._closing = threading.Event()
        try:
            content = open_journal(self._files)
            next_id = max(content.next_id(), highest_file(self._files) + 1)
            records = content.records()
            self._ledger.apply(next(records))  # the totals, before anything is added to them
            # Synced before a file is removed for what it says.
            self._journal = Journal(self._files, content.segment, next_id)
        except BaseException:
            self._files.close(lock)
            raise
        self._signal = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            if len(content.data) <= _READ_AT_ONCE_BYTES:
                self._load(records, next_id)
        except BaseException:
            self._journal.close()
            os.close(self._signal)
            self._files.close(lock)
            raise
        self._closed = False
        self._empty = EmptyFiles(self._files, next_id, self.distrust)
        self._reaper = threading.Thread(
            target=self._work_until_closed, args=(records, next_id), name="spool-reaper", daemon=True
        )
        self._reaper.start()

    @property
    def is_loaded(self) -> bool:
        """Whether the whole journal has been read: before that it is not known what is owed."""
        return self._loaded

    # -- taking in -------------------------------------------------------------------------------------------

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> Incoming:
        """Return the file for an instance that is about to come.

        Raises SpoolFull above the watermark, SpoolFailed when the volume is no longer trusted, OSError.
        """
        self._raise_if_failed()
        level = self.level()
        if level.used >= level.watermark:
            raise SpoolFull(f"{level.used} of {level.capacity} bytes are used")
        identifier, descriptor = self._empty.take()
        return Incoming(self._files, identifier, descriptor, sop_class_uid, sop_instance_uid, transfer_syntax_uid)

    def receive(self, incoming: Incoming, received: Received) -> None:
        """Make an instance and what is owed of it safe. When this returns, it will not be lost.

        Raises OSError and SpoolFailed before anything is written down of it: its file may then be discarded. Raises
        SpoolUncertain once its record is on its way: the file must stay, because the record may be on the volume.
        """
        self._raise_if_failed()
        incoming.sync()
        with self._mutex:
            self._raise_if_failed()
            self._ledger.apply(received)
            self._bytes += received.file_length
            position = self._journal.append(received)
        try:
            self._journal.sync(position)
        except JournalFailed as error:
            raise SpoolUncertain(str(error)) from error
        with self._mutex:
            entry = self._ledger.entries.get(received.id)
            if entry is not None:
                self._announce(entry)

    def repeat(self, received: Received) -> bool:
        """Take an instance that the spool has already, byte for byte; return whether it has.

        It is owed again where it was delivered, and anew where it was not owed. When this returns True the sender can
        be told that it is safe. `received` is as for `receive`, its number apart. Raises SpoolFailed.
        """
        with self._mutex:
            self._raise_if_failed()
            # Before the whole journal has been read, what an entry is owed is not known: better twice than not at all.
            entry = self._ledger.equal_to(received) if self._loaded else None
            if entry is None:
                return False
            again = [d for d in received.destinations if entry.is_owed_again(d)]
            if again:
                self._take_over(AgainRecord(entry.received.id, tuple(again)))
        self._sync()  # also what the first of them waits for
        with self._mutex:
            self._offer([Owed(entry.received.id, destination) for destination in again])
        return True

    def distrust(self, error: OSError) -> None:
        """Accept nothing more after an error of the volume, unless it is want of room, descriptors or memory.

        After a failed sync nobody knows what is on it (fsyncgate, 2018).
        """
        if error.errno not in _NO_FAULT_OF_THE_VOLUME and self._damage is None:
            self._damage = SpoolError("SpoolFailed", f"the volume failed: {error.strerror or error}")

    def count_discarded(self) -> None:
        """Count an instance that was answered with success and not kept, as the route says."""
        with self._mutex:
            self._take_over(DiscardedRecord())

    # -- giving out ------------------------------------------------------------------------------------------

    @property
    def fresh_descriptor(self) -> int:
        """A descriptor that is readable while `take_fresh` has something to return."""
        return self._signal

    def take_fresh(self) -> list[Owed]:
        """Return the deliveries that have become pending since the last call; at first all there are.

        None before the whole journal has been read: a later version must not overtake one that is not known yet.
        """
        with self._mutex:
            if not self._loaded:
                return []
            fresh, self._fresh = self._fresh, []
            try:
                os.eventfd_read(self._signal)
            except BlockingIOError:
                pass
        return fresh

    def pending(self, owed: Owed) -> tuple[Received, DeliveryRecord] | None:
        """Return a delivery and its instance if it is still to be made."""
        with self._mutex:
            entry = self._ledger.entries.get(owed.id)
            delivery = entry.deliveries.get(owed.destination) if entry else None
            if entry is None or delivery is None or delivery.state is not DeliveryState.PENDING:
                return None
            return entry.received, delivery

    def is_behind(self, owed: Owed) -> bool:
        """Return whether an earlier version of the same instance is still to be delivered there."""
        with self._mutex:
            entry = self._ledger.entries.get(owed.id)
            return entry is not None and self._ledger.is_behind(entry, owed.destination)

    def file(self, identifier: int) -> Path:
        """Return the file of an instance."""
        return self._files.path(file_of(identifier))

    def derived(self, identifier: int, make: Callable[[], Iterable[bytes]]) -> tuple[Path, int]:
        """Return a file that was made of an instance, and its length; `make` yields its bytes when there is none yet.

        It stays until the instance goes, so that every attempt sends the same. Raises OSError, and what `make` raises.
        """
        return self._derived.file(identifier, make)

    def settle(self, records: Iterable[DeliveryRecord]) -> None:
        """Write down what became of attempts; it survives the process at once and a power loss soon.

        A delivery whose success is lost with the power is made again, which its destination takes as the same
        instance. Raises SpoolFailed.
        """
        with self._mutex:
            for record in records:
                entry = self._ledger.entries.get(record.id)
                known = entry.deliveries.get(record.destination) if entry else None
                # What a person dropped while an attempt was under way stays dropped, unless it arrived after all.
                if record.state is DeliveryState.DELIVERED or (known and known.state is DeliveryState.PENDING):
                    self._take_over(record)
        try:
            self._journal.flush()
        except JournalFailed as error:
            raise SpoolFailed(str(error)) from error

    # -- what a person decides -------------------------------------------------------------------------------

    def entries(self, keep: Callable[[Entry], bool], limit: int | None = None) -> list[Entry]:
        """Return copies of the entries that `keep` accepts, oldest first."""
        with self._mutex:
            entries = [Entry(e.received, e.hold, e.deliveries) for e in self._ledger.entries.values()]
        return list(islice((entry for entry in entries if keep(entry)), limit))

    def retry(self, owed: Iterable[Owed]) -> int:
        """Make dead-lettered deliveries pending again, and pending ones due now; return how many."""
        count = 0
        self._raise_until_loaded()
        with self._mutex:
            for one in owed:
                entry = self._ledger.entries.get(one.id)
                delivery = entry.deliveries.get(one.destination) if entry else None
                if delivery is None or delivery.state not in (
                    DeliveryState.DEAD_LETTERED,
                    DeliveryState.PENDING,
                ):
                    continue
                count += 1
                record = replace(delivery, state=DeliveryState.PENDING, refusals=0)
                self._take_over(record)
                self._offer([one])
        self._sync()
        return count

    def reroute(self, identifier: int, destinations: Iterable[str], hold: str) -> bool:
        """Give a held instance the destinations that today's rules name; return whether it was held.

        Deliveries it already has stay as they are.
        """
        self._raise_until_loaded()
        with self._mutex:
            entry = self._ledger.entries.get(identifier)
            if entry is None or not entry.hold:
                return False
            fresh = [d for d in destinations if d not in entry.deliveries]
            records = [DeliveryRecord(identifier, d, DeliveryState.PENDING) for d in fresh]
            self._take_over(*records, HoldRecord(identifier, hold))
            self._offer([Owed(identifier, d) for d in fresh])
        self._sync()
        return True

    def drop(self, identifier: int, destination: str | None) -> int:
        """Give up deliveries of an instance, to one destination or to all; return how many things were dropped.

        A held instance without any delivery is dropped itself. What is dropped is counted, as skipped or
        discarded.
        """
        self._raise_until_loaded()
        with self._mutex:
            entry = self._ledger.entries.get(identifier)
            if entry is None:
                return 0
            dropped = 0
            records: list[DeliveryRecord | HoldRecord | DroppedRecord] = []
            for name, delivery in entry.deliveries.items():
                if destination in (None, name) and delivery.state in (
                    DeliveryState.PENDING,
                    DeliveryState.DEAD_LETTERED,
                ):
                    records.append(replace(delivery, state=DeliveryState.SKIPPED, reason="Dropped", time=time.time()))
                    dropped += 1
            if destination is None and entry.hold:
                dropped += 1
                records.append(HoldRecord(identifier, "") if entry.deliveries else DroppedRecord(identifier))
            self._take_over(*records)
        self._sync()
        return dropped

    # -- how it stands ---------------------------------------------------------------------------------------

    @property
    def failure(self) -> str:
        """Why the volume is no longer trusted; "" while it is."""
        if self._damage is not None:
            return str(self._damage)
        error = self._journal.failure
        return "" if error is None else f"the journal could not be written: {error.strerror or error}"

    @property
    def failure_reason(self) -> str:
        """The name of the failure."""
        return self._damage.reason if self._damage is not None else "SpoolFailed"

    def resize(self, size_bytes: int, high_watermark_percent: int) -> None:
        """Take over changed limits."""
        self._size_bytes = size_bytes
        self._percent = high_watermark_percent

    def level(self) -> Level:
        """Return how full the spool is: of its own size, or of the file system where that is smaller."""
        total, free = self._files.file_system()
        if total < self._size_bytes:
            return Level(total - free, total, total * self._percent // 100)
        # Others may fill a larger file system: what is not free there is as good as used.
        used = max(self._bytes + self._derived.total_bytes, self._size_bytes - free)
        return Level(used, self._size_bytes, self._size_bytes * self._percent // 100)

    def snapshot(self) -> Snapshot:
        """Return the counts of this moment."""
        with self._mutex:
            deliveries = {
                destination: {s: self._ledger.delivery_count(destination, s) for s in DeliveryState}
                for destination in self._ledger.destinations() | self._ledger.totals.delivered_to.keys()
            }
            counts, oldest = self._ledger.counts(), self._ledger.oldest_owed_time()
            held = self._ledger.held
        return Snapshot(counts, held, deliveries, oldest, self.level())

    def close(self) -> None:
        """Make everything safe and let another gateway have the spool."""
        self._closing.set()
        self._reaper.join()
        with self._mutex:
            self._closed = True
        try:
            self._empty.close()
            if self._loaded:
                self._reap()
        except (JournalFailed, OSError) as error:
            log.error("spool.close_failed", error=str(error))
        self._journal.close()
        os.close(self._signal)
        self._files.close(self._lock_descriptor)

    # -- within ----------------------------------------------------------------------------------------------

    def _take_over(self, *records: Record) -> None:
        """Apply records and put them on their way to the journal."""
        for record in records:
            self._ledger.apply(record)
            self._journal.append(record)

    def _announce(self, entry: Entry) -> None:
        pending = [d for d, r in entry.deliveries.items() if r.state is DeliveryState.PENDING]
        self._offer([Owed(entry.received.id, destination) for destination in pending])

    def _offer(self, owed: list[Owed]) -> None:
        if owed and not self._fresh and self._loaded:
            os.eventfd_write(self._signal, 1)
        self._fresh += owed

    def _raise_if_failed(self) -> None:
        if self._closed:
            raise SpoolFailed("the gateway is shutting down")
        if self.failure:
            raise SpoolFailed(self.failure)

    def _sync(self) -> None:
        try:
            self._journal.sync()
        except JournalFailed as error:
            raise SpoolFailed(str(error)) from error

    def _raise_until_loaded(self) -> None:
        if not self._loaded:
            raise SpoolFailed("the journal is still being read: try again in a moment")

    def _load(self, records: Iterator[Record], before: int) -> None:
        """Read what the journal said when it was opened, while newer records may be added to it.

        Raises SpoolError when something is not as it was left.
        """
        try:
            while not self._closing.is_set() and (some := list(islice(records, _RECORDS_A_TURN))):
                with self._mutex:
                    for record in some:
                        self._ledger.apply(record)
        except JournalCorrupt as error:
            raise corrupt(error) from error
        if self._closing.is_set():
            return
        with self._mutex:
            old = [entry for entry in self._ledger.entries.values() if entry.received.id < before]
        for entry in old:
            if self._closing.is_set():
                return
            check_file(self._files, entry.received)
        if self._closing.is_set():
            return
        remove_orphans(self._files, self._ledger.entries.keys().__contains__, before)
        self._derived.find(self._ledger.entries.keys().__contains__)
        with self._mutex:
            self._ledger.finish_reading(before)
            newer, self._fresh = self._fresh, []
            self._loaded = True
            for entry in old:
                self._bytes += entry.received.file_length
                self._announce(entry)
            self._offer(newer)

    def _work_until_closed(self, records: Iterator[Record], before: int) -> None:
        if not self._loaded:
            try:
                self._load(records, before)
            except (SpoolError, OSError) as error:
                log.error("spool.damaged", error=str(error))
                self._damage = error if isinstance(error, SpoolError) else SpoolError("SpoolUnusable", str(error))
                return
            log.info("spool.read", owed=len(self._ledger.entries))
        while not self._closing.wait(_REAP_SECONDS):
            try:
                self._reap()
                self._journal.keep_reserve()
                if self._journal.length > self._compact_at:
                    self._compact()
            except (JournalFailed, OSError) as error:
                log.error("spool.reap_failed", error=str(error))

    def _reap(self) -> None:
        """Make what is written down safe, then remove the files of what is finished."""
        with self._mutex:
            finished, self._ledger.finished = self._ledger.finished, {}
        self._journal.sync()
        folders = set()
        while finished:
            identifier, entry = finished.popitem()
            try:
                self._derived.remove(identifier)
                self._files.remove(file_of(identifier))
            except OSError:
                with self._mutex:
                    self._ledger.finished.update({identifier: entry, **finished})
                raise
            folders.add(folder_of(identifier))
            with self._mutex:
                self._bytes -= entry.received.file_length
        # A folder right behind the newest may still be about to get a file whose number is already given out.
        next_id = self._empty.next_id
        kept = {folder_of(next_id), folder_of(max(0, next_id - IDS_PER_FOLDER))}
        for folder in folders - kept:
            self._files.remove_folder(folder)

    def _compact(self) -> None:
        """Begin a new segment that says what is still to be known, and forget how it came to be."""
        with self._mutex:
            self._journal.replace(self._ledger.records())
        self._compact_at = max(_COMPACT_BYTES, 2 * self._journal.length)
