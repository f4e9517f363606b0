"""A gateway that writes down every file operation of its spool, and what it acknowledged and delivered when.

RECORDING=FILE python recorded_gateway.py ARGUMENTS...
"""

import itertools
import os
import pickle
import threading
from collections import Counter
from typing import Any

from power import NEVER, Fact, Operation, Recording

from dicomroute_gateway import __main__ as gateway
from dicomroute_gateway.intake import reception
from dicomroute_gateway.spool import incoming, ready_files, spool, upkeep
from dicomroute_gateway.spool.files import Files
from dicomroute_gateway.spool.records import DeliveryState, StudyRecord
from dicomroute_gateway.spool.study_door import StudyDoor

IDS_PER_FOLDER = 50
"""So few that files get into other folders."""


class Recorder:
    """Watches the one room that holds all file operations."""

    def __init__(self) -> None:
        self.recording = Recording([], [])
        self._clock = itertools.count(1)
        self._inodes = itertools.count(1)
        self._open: dict[int, tuple[str, int]] = {}
        self._offsets: dict[int, int] = {}
        """Where the next write goes, by descriptor."""
        self._lengths: Counter[int] = Counter()
        """By inode, for files that are appended to."""
        self._by_name: dict[str, int] = {}
        self._lock = threading.Lock()
        self._here = threading.local()

    def watch(self) -> None:
        for name in ("create", "open_append", "open_at", "reuse", "write", "cut", "sync", "sync_folder", "close"):
            self._wrap(name)
        for name in ("rename", "remove", "remove_folder", "truncate", "make_folder"):
            self._wrap(name)
        self._wrap_facts()

    def _wrap(self, name: str) -> None:
        original = getattr(Files, name)
        before = getattr(self, f"_{name}")

        def wrapped(files: Files, *arguments: Any) -> Any:
            around: Operation | None = getattr(self._here, "operation", None)
            with self._lock:
                if around is not None and around.end == NEVER:
                    around.end = next(self._clock)  # what follows is a step of its own: a rename, then its sync
                operation = before(files, *arguments)
                if operation is not None:
                    operation.begin = next(self._clock)
                    self.recording.operations.append(operation)
            self._here.operation = operation
            result = original(files, *arguments)
            self._here.operation = around
            with self._lock:
                if operation is not None:
                    operation.end = min(operation.end, next(self._clock))
                if name == "open_at":
                    opened, self._offsets[result] = arguments
                    self._open[result] = (opened, self._by_name[opened])
                if name in ("create", "open_append", "reuse"):
                    opened = arguments[-1]
                    self._open[result] = (opened, self._by_name[opened])
                    self._offsets[result] = self._lengths[self._by_name[opened]] if name == "open_append" else 0
            return result

        setattr(Files, name, wrapped)

    def _create(self, _: Files, name: str) -> Operation:
        self._by_name[name] = next(self._inodes)
        return Operation("create", name, self._by_name[name])

    def _open_append(self, files: Files, name: str) -> Operation | None:
        return None if files.path(name).exists() else self._create(files, name)

    def _open_at(self, _: Files, name: str, offset: int) -> None:
        """Nothing of the volume changes by that."""

    def _write(self, _: Files, descriptor: int, pieces: Any) -> Operation:
        name, inode = self._open[descriptor]
        data, offset = b"".join(bytes(piece) for piece in pieces), self._offsets[descriptor]
        self._offsets[descriptor] = offset + len(data)
        self._lengths[inode] = max(self._lengths[inode], offset + len(data))
        return Operation("write", name, inode, data, offset)

    def _cut(self, _: Files, descriptor: int) -> Operation:
        name, inode = self._open[descriptor]
        self._lengths[inode] = self._offsets[descriptor]
        return Operation("cut", name, inode, offset=self._offsets[descriptor])

    def _sync(self, _: Files, descriptor: int) -> Operation:
        return Operation("sync", *self._open[descriptor])

    def _close(self, _: Files, descriptor: int) -> None:
        self._open.pop(descriptor, None)

    def _sync_folder(self, _: Files, name: str) -> Operation:
        return Operation("sync_folder", name)

    def _make_folder(self, files: Files, name: str) -> Operation | None:
        # Its own sync of the folder above follows, as an operation of its own.
        return None if files.path(name).exists() else Operation("mkdir", name)

    def _reuse(self, files: Files, old: str, new: str) -> Operation:
        return self._rename(files, old, new)

    def _rename(self, _: Files, old: str, new: str) -> Operation:
        self._by_name[new] = self._by_name[old]
        return Operation("rename", old, self._by_name[old], new.encode())

    def _remove(self, files: Files, name: str) -> Operation | None:
        return Operation("remove", name) if files.path(name).exists() else None

    def _remove_folder(self, files: Files, name: str) -> Operation | None:
        return Operation("rmdir", name) if not files.list(name) else None

    def _truncate(self, _: Files, name: str, length: int) -> Operation:
        self._lengths[self._by_name[name]] = length
        return Operation("truncate", name, self._by_name[name], offset=length)

    # -- what was promised -------------------------------------------------------------------------------------

    def _wrap_facts(self) -> None:
        finish, settle = reception._IntoSpool.finish, spool.Spool.settle

        def finished(taking: Any) -> Any:
            result = finish(taking)
            if result.is_success:
                self._note("acknowledged", taking._arrival.sop_instance_uid, taking._incoming.digest)
            return result

        def settled(self_: spool.Spool, records: Any) -> None:
            records = list(records)
            for record in records:
                entry = self_._books.ledger.entries.get(record.id)
                if entry is not None and record.state is DeliveryState.DELIVERED:
                    self._note("delivered", entry.received.sop_instance_uid, entry.received.digest)
            settle(self_, records)

        complete, sync, unsynced = StudyDoor.complete, StudyDoor.sync, list[StudyRecord]()

        def completed(door: StudyDoor, record: StudyRecord) -> Any:
            unsynced.append(record)
            return complete(door, record)

        def synced(door: StudyDoor) -> None:
            sync(door)
            while unsynced:
                record = unsynced.pop()
                self._note("completed", record.study_instance_uid, str(record.revision))

        reception._IntoSpool.finish = finished
        spool.Spool.settle = settled
        StudyDoor.complete, StudyDoor.sync = completed, synced  # type: ignore[method-assign]

    def _note(self, what: str, uid: str, digest: str) -> None:
        with self._lock:
            self.recording.facts.append(Fact(next(self._clock), what, uid, digest))


def main() -> None:
    recorder = Recorder()
    recorder.watch()
    upkeep._COMPACT_BYTES = 10_000
    for module in (incoming, ready_files, upkeep):
        module.IDS_PER_FOLDER = IDS_PER_FOLDER
    try:
        gateway.main()
    finally:
        with open(os.environ["RECORDING"], "wb") as file:  # noqa: PTH123
            pickle.dump(recorder.recording, file)


if __name__ == "__main__":
    main()
