"""Counts of what happened at the listeners, and who went without an association."""

import threading
from collections import Counter
from dataclasses import dataclass

from .refused import RefusedCaller, RefusedCallers


@dataclass(frozen=True, slots=True)
class CountsSnapshot:
    """What happened at the listeners since the process started; refusals and aborts by reason."""

    accepted: int
    refused: dict[str, int]
    aborted: dict[str, int]


class Counts:
    """Counts what happens at the listeners. Safe to use from several threads."""

    def __init__(self) -> None:
        self.callers = RefusedCallers()
        self._lock = threading.Lock()
        self._accepted = 0
        self._refused: Counter[str] = Counter()
        self._aborted: Counter[str] = Counter()

    def accepted(self) -> None:
        """Count an association that was accepted."""
        with self._lock:
            self._accepted += 1

    def refused(self, reason: str) -> None:
        """Count an association that was refused."""
        with self._lock:
            self._refused[reason] += 1

    def aborted(self, reason: str) -> None:
        """Count an association that this side aborted."""
        with self._lock:
            self._aborted[reason] += 1

    def turned_away(self, caller: RefusedCaller) -> None:
        """Take note of somebody who went without an association, or without a context to send in."""
        self.callers.note(caller)

    def snapshot(self) -> CountsSnapshot:
        """Return the counts of this moment."""
        with self._lock:
            return CountsSnapshot(self._accepted, dict(self._refused), dict(self._aborted))
