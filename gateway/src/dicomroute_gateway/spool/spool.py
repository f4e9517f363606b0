"""The spool: takes instances in, answers what is owed, and forgets what is done, in an order that loses nothing.

The order of an acceptance: name synced, data synced, record synced, then the answer to the sender. The order of
a removal: record of the last delivery synced, then the file removed. docs/durability.md argues each step.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from dicomroute_gateway.configuration.recipe import Recipe
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.reasons import Reason

from .books import Books
from .commitments import Commitments
from .content import UNREADABLE, Readers, Seal, StoredFile
from .decisions import Decisions
from .deliveries import AWAITED, as_decided
from .derived import Derived
from .entries import Entry
from .errors import SpoolError, SpoolFailed, SpoolFull, SpoolLocked, SpoolUncertain
from .files import Files
from .formats import CONFIRMATIONS, RECIPES, Format
from .history import History
from .incoming import Incoming, UnderWay, file_of
from .journal import JournalFailed
from .keys import NO_KEYS, Keys
from .ready_files import ReadyFiles
from .recipes import Recipes
from .records import DeliveryRecord, DeliveryState, DiscardedRecord, Received
from .recovery import highest_file, open_journal
from .repeats import REPLACED, newest_version, repeat_records
from .sealed import SALT_BYTES, Sealer
from .study_door import StudyDoor
from .trail import Trail
from .upkeep import Upkeep
from .views import Follower, Owed, Snapshot, SpoolLevel
from .waiting import Waiter

_READ_AT_ONCE_BYTES: Final = 1 << 20
"""A journal up to this length is read before anything else; a longer one while the gateway receives already."""

_ENTRIES_AT_ONCE: Final = 1000
"""How many entries are looked at while nothing else may change the ledger."""

_HISTORY_PERCENT: Final = 5
"""How much of the spool's size its history takes at most."""

log = structlog.get_logger(__name__)


class Spool:
    """The open spool of one gateway. Safe to use from several threads."""

    def __init__(
        self,
        folder: Path,
        size_bytes: int,
        high_watermark_percent: int,
        *,
        history_seconds: int = 0,
        keys: Keys = NO_KEYS,
        has_trail: bool = False,
    ) -> None:
        """Open the spool in `folder`, and finish what a crash interrupted.

        What became of instances is kept for `history_seconds` beyond their bytes, in whole days. `has_trail`: nothing
        of the journal goes before a reader behind it (`trail`) had it.

        Raises SpoolError when another gateway has it, a newer one wrote it, or its bytes are not trustworthy.
        """
        self._files = Files(folder)
        self._keys = keys
        lock = self._files.lock("lock")
        if lock is None:
            raise SpoolError(Reason.SPOOL_IN_USE, f"another gateway is running on the spool {folder}: stop it first")
        self._lock_descriptor = lock
        self._closed = False
        self._format = Format(self._files)
        self._under_way = UnderWay()
        self._derived = Derived(self._files, lambda: self._keys, lambda number: number in self._books.ledger.entries)
        self.recipes = Recipes(self._files, self._format)
        self.commitments = Commitments(self._files, self._format)
        try:
            content = open_journal(self._files, keeps_past=has_trail)
            next_id = max(content.next_id(), highest_file(self._files) + 1)
            self._books = Books(self._files, content, next_id, has_trail)
        except BaseException:
            self._files.close(lock)
            raise
        self._upkeep = Upkeep(self._files, self._books, self._derived, self.recipes, next_id)
        self.resize(size_bytes, high_watermark_percent, history_seconds=history_seconds)
        try:
            if len(content.data) <= _READ_AT_ONCE_BYTES:
                self._upkeep.load()
        except BaseException:
            self._books.close()
            self._files.close(lock)
            raise
        self._readers = Readers()
        self._ready = ReadyFiles(self._files, next_id, self.distrust, self._readers, self._room_bytes)
        self._upkeep.start(self._ready)
        self.studies = StudyDoor(self._books, self._format)
        self.decisions = Decisions(self._books, lambda: self.level().used - self._upkeep.leaving_bytes())

    @property
    def folder(self) -> Path:
        """The folder of the spool."""
        return self._files.folder

    @property
    def is_encrypted(self) -> bool:
        """Whether instances that come are encrypted, or are to be, or some that are there were."""
        keys = self._keys
        if keys.by_id or keys.current is not None or keys.problem is not None:
            return True
        return any(count for key, count in self._books.ledger.instances_by_key.copy().items() if key)

    @property
    def is_loaded(self) -> bool:
        """Whether the whole journal has been read: before that it is not known what is owed."""
        return self._books.is_loaded

    # -- taking in -------------------------------------------------------------------------------------------

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> Incoming:
        """Return the file for an instance that is about to come.

        Raises SpoolFull above the watermark, SpoolLocked without the key that it needs, SpoolFailed when the volume is
        no longer trusted, OSError.
        """
        self._raise_if_failed()
        keys = self._keys
        if keys.problem is not None:
            raise SpoolLocked(keys.problem.message)
        level = self.level()
        if level.used >= level.watermark:
            raise SpoolFull(f"{level.used} of {level.capacity} bytes are used")
        file = self._ready.take()
        return Incoming(
            self._files,
            file.identifier,
            file.descriptor,
            sop_class_uid,
            sop_instance_uid,
            transfer_syntax_uid,
            None if keys.current is None else Sealer(keys.current, file.identifier, os.urandom(SALT_BYTES)),
            under_way=self._under_way,
            old_length=file.length,
        )

    def keep_recipes(self, recipes: Iterable[Recipe]) -> None:
        """Return when recipes are on stable storage, so that records may name them. Raises SpoolFailed, OSError."""
        for recipe in recipes:
            self._raise_if_failed()
            self.recipes.keep(recipe)

    def receive(self, incoming: Incoming, received: Received, waiter: Waiter | None = None) -> None:
        """Make an instance and what is owed of it safe. When this returns, it will not be lost.

        A `waiter` is told what becomes of its deliveries, until `forget` is called.

        Raises OSError and SpoolFailed before anything is written down of it: its file may then be discarded. Raises
        SpoolUncertain once its record is on its way: the file must stay, because the record may be on the volume.
        """
        self._raise_if_failed()
        self.studies.need(received)
        incoming.sync()
        with self._books.mutex:
            self._raise_if_failed()
            position = self._books.accept(received)
            if waiter is not None:
                self._books.let_wait(received.id, waiter)
            self._books.spooled_bytes += received.file_length
            incoming.stop_counting()
        try:
            self._books.journal.sync(position)
        except JournalFailed as error:
            raise SpoolUncertain(str(error)) from error
        with self._books.mutex:
            entry = self._books.ledger.entries.get(received.id)
            if entry is not None:
                if self._upkeep.follower is not None:  # before it is announced, after which it may be gone
                    self._upkeep.follower.kept(received)
                self._replace_unreadable(entry)
                self._books.announce(entry)

    def repeat(self, received: Received, waiter: Waiter | None = None) -> int | None:
        """Take an instance that the spool has already, byte for byte; return the number that it has there, or None.

        It is owed again where it was delivered or given up, anew where it was not owed, attempted now where it waits
        for a later attempt, and held or not as `received` is. When this returns a number the sender can be told that it
        is safe. `received` and `waiter` are as for `receive`, its number apart. Raises SpoolFailed.
        """
        self.studies.need(received)
        with self._books.mutex:
            self._raise_if_failed()
            # Before the whole journal has been read, what an entry is owed is not known: better twice than not at all.
            entry = self._books.ledger.versions.equal_to(received) if self._books.is_loaded else None
            # One that cannot be read may never be delivered: whoever sends it again does so for that.
            if entry is None or self._is_unreadable(entry):
                return None
            # One who waits for the delivery waits for that one: what was delivered meanwhile is not delivered again.
            joined = waiter.wanted if waiter is not None else frozenset()
            again = [
                d
                for d in received.destinations
                if (entry.is_owed_again(d, received.recipes.get(d, "")) or d in entry.received.superseded)
                and not (d in joined and entry.is_delivered(d))
            ]
            self._books.take_over(*repeat_records(entry, received, again))
            if waiter is not None:
                for record in entry.deliveries.values():  # of one that is finished by this, nobody else tells
                    waiter.notice(record)
                self._books.let_wait(entry.received.id, waiter)
        self._books.sync()  # also what the first of them waits for
        with self._books.mutex:
            # Those too that wait for a later attempt: they are tried now.
            tried = (d for d in received.destinations if d in entry.deliveries and entry.deliveries[d].attempts)
            self._books.offer([Owed(entry.received.id, d) for d in dict.fromkeys((*again, *tried))])
        return entry.received.id

    def _is_unreadable(self, entry: Entry) -> bool:
        """Return whether the bytes of an instance cannot be had, as far as that shows, or has shown."""
        if self.stored(entry.received).fault() is not None:
            return True
        return any(one.reason == UNREADABLE for one in entry.deliveries.values() if one.state is DeliveryState.PENDING)

    def _replace_unreadable(self, entry: Entry) -> None:
        """Give up what cannot be delivered of instances that came again with the same bytes, where these go now.

        One whose key is missing waits for that: it is for a person to say that the key is lost.
        """
        for earlier in self._books.ledger.versions.equal_before(entry.received):
            key = earlier.received.key
            if (key and key not in self._keys.by_id) or not self._is_unreadable(earlier):
                continue
            now = time.time()
            self._books.take_over(
                *(
                    replace(one, state=DeliveryState.SKIPPED, reason=REPLACED, time=now)
                    for one in earlier.deliveries.values()
                    if one.state is DeliveryState.PENDING and one.destination in entry.deliveries
                )
            )

    def forget(self, identifier: int, waiter: Waiter) -> None:
        """Tell a waiter nothing more."""
        self._books.forget_waiter(identifier, waiter)

    def end_waiting(self) -> None:
        """Let everybody who waits for a delivery go on, now, and whoever would wait from now on."""
        self._books.end_waiting()

    def owed_bytes(self, destination: Destination) -> int:
        """Return how many bytes of data sets are pending for a destination."""
        with self._books.mutex:
            return self._books.ledger.owed_bytes(destination)

    def distrust(self, error: OSError) -> None:
        """Accept nothing more after an error of the volume, unless it is want of room, descriptors or memory."""
        self._books.distrust(error)

    def count_discarded(self, received: Received) -> None:
        """Count an instance that is answered with success and not kept, as the route says. Raises SpoolFailed."""
        with self._books.mutex:
            self._books.take_over(DiscardedRecord(received))
        self._books.flush()

    # -- giving out ------------------------------------------------------------------------------------------

    @property
    def fresh_descriptor(self) -> int:
        """A descriptor that is readable while `take_fresh` has something to return."""
        return self._books.fresh_descriptor

    def take_fresh(self) -> list[Owed]:
        """Return the deliveries that have become pending since the last call; at first all there are."""
        return self._books.take_fresh()

    def pending(self, owed: Owed) -> tuple[Received, DeliveryRecord] | None:
        """Return a delivery and its instance if it is still to be made."""
        return self._in_state(owed, DeliveryState.PENDING)

    def unconfirmed(self, owed: Owed) -> tuple[Received, DeliveryRecord] | None:
        """Return a delivery and its instance if it is still to be confirmed."""
        return self._in_state(owed, DeliveryState.UNCONFIRMED)

    def _in_state(self, owed: Owed, state: DeliveryState) -> tuple[Received, DeliveryRecord] | None:
        with self._books.mutex:
            entry = self._books.ledger.entries.get(owed.id)
            delivery = entry.deliveries.get(owed.destination) if entry else None
            if entry is None or delivery is None or delivery.state is not state:
                return None
            return entry.received, delivery

    def is_behind(self, owed: Owed) -> bool:
        """Return whether an earlier version of the same instance is still to be delivered there."""
        with self._books.mutex:
            entry = self._books.ledger.entries.get(owed.id)
            return entry is not None and self._books.ledger.versions.is_behind(entry, owed.destination)

    def file(self, identifier: int) -> Path:
        """Return the file of an instance."""
        return self._files.path(file_of(identifier))

    def stored(self, received: Received) -> StoredFile:
        """Return the file of an instance as that which can be read."""
        seal = Seal(received.id, received.key, lambda: self._keys) if received.key else None
        return StoredFile(self.file(received.id), received.content_length, seal, self._readers)

    def derived(self, received: Received, recipe: Recipe, make: Callable[[], Iterable[bytes]]) -> StoredFile:
        """Return a file that was made of an instance by a recipe; `make` yields its bytes when there is none yet.

        It is encrypted if the instance is, and stays until that goes, so that every attempt sends the same. Raises
        OSError, Unreadable, and what `make` raises.
        """
        return self._derived.file(received, recipe.id, make)

    def forget_derived(self, identifier: int, recipes: Iterable[str]) -> None:
        """Remove what was made of an instance by recipes (ids) that no delivery of it names. Raises OSError."""
        with self._books.mutex:
            entry = self._books.ledger.entries.get(identifier)
            named = {one.recipe for one in entry.deliveries.values()} if entry is not None else set()
        for recipe in recipes:
            if recipe not in named:
                self._derived.remove_one(identifier, recipe)

    def settle(self, records: Iterable[DeliveryRecord]) -> None:
        """Write down what became of attempts; it survives the process at once and a power loss soon.

        A delivery whose success is lost with the power is made again, which its destination takes as the same
        instance. What was confirmed, or not, is settled likewise. Raises SpoolFailed.
        """
        records = list(records)
        states = {record.state for record in records}
        if DeliveryState.UNCONFIRMED in states:
            self._format.need(CONFIRMATIONS)
        elif DeliveryState.HELD in states:
            self._format.need(RECIPES)
        with self._books.mutex:
            for record in records:
                entry = self._books.ledger.entries.get(record.id)
                known = entry.deliveries.get(record.destination) if entry else None
                # What a person dropped while an attempt was under way stays dropped, unless it arrived after all.
                if record.state is DeliveryState.DELIVERED or (known and known.state in AWAITED):
                    self._books.take_over(record if known is None else as_decided(record, known))
        self._books.flush()

    # -- what there is ---------------------------------------------------------------------------------------

    def entries(self, keep: Callable[[Entry], bool], limit: int | None = None) -> list[Entry]:
        """Return copies of the entries that `keep` accepts, oldest first.

        Asked for some at a time, so that instances are taken in meanwhile, and only what is kept is copied.
        """
        entries, found = self._books.ledger.entries, list[Entry]()
        with self._books.mutex:
            identifiers = list(entries)
        for first in range(0, len(identifiers), _ENTRIES_AT_ONCE):
            some = identifiers[first : first + _ENTRIES_AT_ONCE]
            with self._books.mutex:
                present = (entries[one] for one in some if one in entries)
                found += (Entry(e.received, e.hold, e.deliveries, e.revision) for e in present if keep(e))
            if limit is not None and len(found) >= limit:
                break
        return found[:limit]

    def received(self, identifier: int) -> Received | None:
        """Return how an instance came, None for one that is no longer in the spool."""
        with self._books.mutex:
            entry = self._books.ledger.entries.get(identifier)
            return entry.received if entry is not None else None

    def follow(self, follower: Follower) -> None:
        """Tell a follower from now on what comes and goes."""
        self._upkeep.follower = follower

    def trail(self) -> Trail:
        """Return a reader of the journal, for one thread."""
        return Trail(self._files, lambda: self._books.journal.safe_end)

    def newest(self, sop_instance_uids: Iterable[str]) -> dict[str, Entry]:
        """Return copies of the newest entries of instances that the spool knows of, by SOP Instance UID.

        Asked for some at a time, as `entries` is.
        """
        ledger, found = self._books.ledger, dict[str, Entry]()
        wanted = list(sop_instance_uids)
        with self._books.mutex:
            gone = {e.received.sop_instance_uid: e for e in ledger.unarchived.values()}
        for first in range(0, len(wanted), _ENTRIES_AT_ONCE):
            with self._books.mutex:
                for uid in wanted[first : first + _ENTRIES_AT_ONCE]:
                    newest = newest_version(next(reversed(ledger.versions.of(uid)), None), gone.get(uid))
                    if newest is not None:
                        found[uid] = newest
        return found

    def finished(self) -> list[Entry]:
        """Return copies of the entries of which nothing is left to do, and which the history does not have yet."""
        with self._books.mutex:
            return [Entry(e.received, "", e.deliveries) for e in self._books.ledger.unarchived.values()]

    # -- how it stands ---------------------------------------------------------------------------------------

    @property
    def failure(self) -> str:
        """Why the volume is no longer trusted; "" while it is."""
        return self._books.failure

    @property
    def failure_reason(self) -> Reason:
        """The name of the failure."""
        return self._books.damage.reason if self._books.damage is not None else Reason.SPOOL_FAILED

    def resize(self, size_bytes: int, high_watermark_percent: int, *, history_seconds: int = 0) -> None:
        """Take over changed limits: of the instances, and of what is kept of them when their bytes are gone."""
        self._size_bytes = size_bytes
        self._percent = high_watermark_percent
        self._upkeep.history_days = -(-history_seconds // 86400)
        self._upkeep.history_bytes = size_bytes * _HISTORY_PERCENT // 100

    @property
    def history(self) -> History:
        """What became of instances whose bytes are gone."""
        return self._upkeep.history

    @property
    def keeps_history(self) -> bool:
        """Whether it is kept at all."""
        return self._upkeep.history_days > 0

    @property
    def keys(self) -> Keys:
        """The keys of this moment."""
        return self._keys

    def use_keys(self, keys: Keys) -> None:
        """Take over changed keys: what comes from now on, and every reading that begins, uses them."""
        self._keys = keys

    def level(self) -> SpoolLevel:
        """Return how full the spool is: of its own size, or of the file system where that is smaller.

        What is being received counts.
        """
        total, free = self._files.file_system()
        if total < self._size_bytes:
            return SpoolLevel(total - free, total, total * self._percent // 100)
        # In this order: what passes from one to the other meanwhile counts twice, never not at all.
        own = self._under_way.bytes + self._books.spooled_bytes + self._derived.total_bytes
        # Others may fill a larger file system: what is not free there is as good as used.
        used = max(own, self._size_bytes - free)
        return SpoolLevel(used, self._size_bytes, self._size_bytes * self._percent // 100)

    def _room_bytes(self) -> int:
        level = self.level()
        return level.watermark - level.used

    def snapshot(self) -> Snapshot:
        """Return the counts of this moment."""
        with self._books.mutex:
            deliveries = {
                destination: {s: self._books.ledger.delivery_count(destination, s) for s in DeliveryState}
                for destination in self._books.ledger.destinations() | self._books.ledger.totals.delivered_to.keys()
            }
            ledger = self._books.ledger
            counts, oldest, held = ledger.counts(), ledger.oldest_owed_time(), ledger.held
            oldest_to = {d: time for d in deliveries if (time := ledger.oldest_owed_time_to(d)) is not None}
            by_key = {key: count for key, count in ledger.instances_by_key.items() if count}
            is_open, is_complete = len(ledger.studies.open), len(ledger.studies.complete)
        return Snapshot(counts, held, deliveries, oldest, self.level(), by_key, oldest_to, is_open, is_complete)

    def close(self) -> None:
        """Make everything safe and let another gateway have the spool."""
        self._upkeep.stop()
        self._closed = True
        try:
            self._ready.close()
            if self._books.is_loaded:
                self._upkeep.reap()
        except (JournalFailed, OSError) as error:
            log.error("spool.close_failed", error=str(error))
        self._books.close()
        self._files.close(self._lock_descriptor)

    def _raise_if_failed(self) -> None:
        if self._closed:
            raise SpoolFailed("the gateway is shutting down")
        self._books.raise_if_failed()
