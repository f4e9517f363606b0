"""The deliveries to one destination that wait their turn. Pure: it keeps numbers of instances, and times."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import Enum


class Turn(Enum):
    """What becomes of a delivery whose turn it is."""

    TAKE = "take"
    LATER = "later"
    """It may not be made yet: it goes to the end."""
    FULL = "full"
    """It does not fit: it stays in front, and nothing more is taken."""
    FORGET = "forget"
    """It is no longer to be made."""


class Line:
    """Who waits, and how: in order, in a group to be tried by itself, or for a time.

    A group is what a refused batch is bisected into: its members travel with nobody else.
    """

    def __init__(self) -> None:
        self._ready: deque[int] = deque()
        self._groups: deque[tuple[int, ...]] = deque()
        self._later: list[tuple[float, tuple[int, ...]]] = []
        self._due: dict[int, float] = {}
        """When each of those is due that wait for a time."""
        self._waiting: set[int] = set()

    def __contains__(self, identifier: int) -> bool:
        return identifier in self._waiting

    def add(self, identifiers: Iterable[int]) -> None:
        """Let deliveries wait behind the others; those that wait already stay where they are."""
        for identifier in identifiers:
            if identifier not in self._waiting:
                self._waiting.add(identifier)
                self._ready.append(identifier)

    def hasten(self, identifiers: Iterable[int]) -> None:
        """Let those of these deliveries be tried soon that wait for a time."""
        self._groups.extend((one,) for one in identifiers if self._due.pop(one, None) is not None)

    def add_group(self, identifiers: Sequence[int]) -> None:
        """Let deliveries be tried soon, together and with nobody else."""
        self._waiting.update(identifiers)
        self._groups.append(tuple(identifiers))

    def add_halves(self, identifiers: Sequence[int]) -> None:
        """Let a refused batch be tried again in two halves, so that the refusal comes to say whom it means."""
        middle = (len(identifiers) + 1) // 2
        for half in (identifiers[:middle], identifiers[middle:]):
            if half:
                self.add_group(half)

    def add_later(self, when: float, *identifiers: int) -> None:
        """Let a delivery, or some together, be tried with nobody else and not before `when`, of a monotonic clock."""
        self._waiting.update(identifiers)
        self._due.update(dict.fromkeys(identifiers, when))
        heapq.heappush(self._later, (when, identifiers))

    def hurry(self) -> None:
        """End every wait for a time."""
        for when, group in self._later:
            self._release(when, group)
        self._later.clear()

    @property
    def next_time(self) -> float | None:
        """When the first delivery that waits for a time is due."""
        while self._later and not self._of_group(*self._later[0]):
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def _of_group(self, when: float, group: Sequence[int]) -> tuple[int, ...]:
        """Return who of a group still waits for that time."""
        return tuple(one for one in group if self._due.get(one) == when)

    def _release(self, when: float, group: Sequence[int]) -> None:
        if left := self._of_group(when, group):
            self._groups.append(left)
            for one in left:
                del self._due[one]

    def due(self, identifier: int) -> float | None:
        """Return when a delivery is due that waits for a time."""
        return self._due.get(identifier)

    def take(self, now: float, most: int, look: Callable[[int], Turn], *, ready_first: bool = False) -> list[int]:
        """Return what is to be tried next: a group, or up to `most` deliveries in their order.

        `look` says of each in turn what becomes of it. With `ready_first` those in order come before groups.
        """
        if ready_first:
            taken, self._ready = self._choose(self._ready, most, look)
            if taken:
                return taken
        while (due := self.next_time) is not None and due <= now:
            self._release(*heapq.heappop(self._later))
        for _ in range(len(self._groups)):
            group = self._groups.popleft()
            taken, rest = self._choose(deque(group), most, look)
            if rest:
                self._groups.append(tuple(rest))
            if taken:
                return taken
        taken, self._ready = self._choose(self._ready, most, look)
        return taken

    def _choose(self, queue: deque[int], most: int, look: Callable[[int], Turn]) -> tuple[list[int], deque[int]]:
        """Return what is taken of a queue, and what is left of it."""
        taken: list[int] = []
        for _ in range(len(queue)):
            if len(taken) == most:
                break
            identifier = queue.popleft()
            match look(identifier):
                case Turn.TAKE:
                    self._waiting.discard(identifier)
                    taken.append(identifier)
                case Turn.LATER:
                    queue.append(identifier)
                case Turn.FULL:
                    queue.appendleft(identifier)
                    break
                case Turn.FORGET:
                    self._waiting.discard(identifier)
        return taken, queue
