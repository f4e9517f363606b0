"""The oldest of the instances that a destination is still to get, without a look at all the others. Pure."""

import heapq
from collections.abc import Callable
from typing import Final

_LEAST: Final = 1024


class OldestPending:
    """Numbers of instances that have become pending at one destination; `is_pending` says which still are.

    Those that no longer are go when they come to the front.
    """

    __slots__ = ("_heap", "_is_pending")

    def __init__(self, is_pending: Callable[[int], bool]) -> None:
        self._is_pending = is_pending
        self._heap: list[int] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, identifier: int, pending: int) -> None:
        """Add an instance that has become pending; `pending` is how many there are.

        Behind one old instance many stay that were delivered long ago: when they are most of all, they go.
        """
        if len(self._heap) >= _LEAST and len(self._heap) > 4 * pending:
            self._heap = sorted({one for one in self._heap if self._is_pending(one)})
        heapq.heappush(self._heap, identifier)

    def first(self) -> int | None:
        """Return the lowest number that is still pending."""
        while self._heap and not self._is_pending(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None
