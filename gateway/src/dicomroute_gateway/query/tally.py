"""How a retrieval stands: its sub-operations counted, and the status that it ends with (PS3.4 C.4.2.1.5 to C.4.2.3)."""

import threading
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Final

from dicomroute_gateway.dimse.command import Status, SubOperations

MOST_SUB_OPERATIONS: Final = 0xFFFF
"""Their numbers are US (PS3.7 table E.1-1): a retrieval of more cannot be told."""
_WARNINGS: Final = frozenset((0x0001, 0x0107, 0x0116))
"""Warnings of PS3.7 annex C.4 that are not Bxxx."""


class Listed(Enum):
    """How far it is known what there is to retrieve."""

    ALL = auto()
    SOME = auto()
    """An archive that is not required did not say."""
    NOT_KNOWN = auto()


class Tally:
    """The sub-operations of one retrieval. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, None] | None = None
        self._found = 0
        self._completed = self._warning = 0
        self._failed: list[str] = []

    def found(self, count: int) -> None:
        """Note that at least so many instances were listed so far."""
        with self._lock:
            self._found = min(count, MOST_SUB_OPERATIONS)

    def begin(self, sop_instance_uids: Iterable[str]) -> None:
        """Note what there is to retrieve."""
        with self._lock:
            self._left = dict.fromkeys(sop_instance_uids)

    def stored(self, sop_instance_uid: str, status: int) -> None:
        """Count a sub-operation by the status of its C-STORE response."""
        with self._lock:
            if self._left is None or self._left.pop(sop_instance_uid, self) is self:
                return
            if status == Status.SUCCESS:
                self._completed += 1
            elif status >> 12 == 0xB or status in _WARNINGS:
                self._warning += 1
            else:
                self._failed.append(sop_instance_uid)

    def failed(self, sop_instance_uid: str) -> None:
        """Count a sub-operation that came to no response."""
        self.stored(sop_instance_uid, Status.PROCESSING_FAILURE)

    def fail_the_rest(self) -> None:
        """Count everything that is left as failed."""
        for uid in list(self._left or ()):
            self.failed(uid)

    @property
    def failed_uids(self) -> Sequence[str]:
        """The instances that were not stored; what was stored with a warning is not among them."""
        with self._lock:
            return tuple(self._failed)

    def pending(self) -> SubOperations:
        """Return the counts of this moment. Before it is known what there is, at least one sub-operation remains."""
        with self._lock:
            done = self._completed + self._warning + len(self._failed)
            remaining = self._found if self._left is None else len(self._left)
            return self._counts(remaining if done else max(1, remaining))

    def final(self, *, with_remaining: bool) -> SubOperations:
        """Return the counts of the end; what remains is what was not initiated."""
        with self._lock:
            return self._counts(len(self._left or ()) if with_remaining else None)

    def _counts(self, remaining: int | None) -> SubOperations:
        return SubOperations(remaining, self._completed, len(self._failed), self._warning)

    def final_status(self, listed: Listed, *, is_cancelled: bool) -> Status:
        """Return the status that the retrieval ends with.

        Success says that everything was listed, and everything stored without a warning.
        """
        with self._lock:
            if is_cancelled:
                return Status.CANCEL
            if listed is Listed.NOT_KNOWN:
                return Status.CANNOT_CALCULATE_MATCHES
            if self._failed and not self._completed and not self._warning:
                return Status.CANNOT_PERFORM
            whole = listed is Listed.ALL and not self._failed and not self._warning
            return Status.SUCCESS if whole else Status.SUB_OPERATIONS_FAILED
