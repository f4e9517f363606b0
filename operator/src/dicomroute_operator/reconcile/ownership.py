"""Which of two operators looks after a route: the one that its StatefulSet names. Two that both wrote would never end.

    the StatefulSet names     this operator
    nobody, itself            works
    another, for 10 s         stands back, and says so
    another, after that       writes its own name there, and nothing else
    itself, 30 s later        works: the other is gone
    another, again            stands back for ten minutes more: it is alive

One that is replaced while it works writes its name again, as it does with all that others change. Of two that began at
the same moment, the one whose name comes first goes on.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

WAIT_SECONDS: Final = 10
ANSWER_SECONDS: Final = 30
AGAIN_SECONDS: Final = 600
_MOST_RETURNS: Final = 3
_PEACE_SECONDS: Final = 600
"""After so long without another one, what was is forgotten."""


class Move(Enum):
    """What an operator does with a route."""

    WORK = auto()
    STAND_BACK = auto()
    CLAIM = auto()
    """Write its own name, and nothing else, to see whether the other is there."""


@dataclass
class _Seen:
    other: str = ""
    since: float = 0.0
    claimed_time: float | None = None
    is_held: bool = False
    returns: int = 0
    last_return_time: float = 0.0
    is_given_up: bool = False


class Ownership:
    """Decides by what StatefulSets say, one after the other; knows no cluster and no clock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._seen: dict[object, _Seen] = {}

    def move(self, key: object, named: str, now: float) -> tuple[Move, float]:
        """Return what to do with a route whose StatefulSet names an operator, "" for none, and when to look again.

        `now` and the answer are in seconds; 0: when something changes.
        """
        seen = self._seen.setdefault(key, _Seen())
        if named in ("", self.name):
            return self._unopposed(seen, named, now)
        if seen.other != named:
            seen.other, seen.since, seen.is_given_up, seen.claimed_time = named, now, False, None
        if seen.is_held and not self._yields(seen, named, now):
            return Move.WORK, 0
        seen.is_held = False
        if seen.claimed_time is not None:  # it has answered
            seen.is_given_up, seen.claimed_time, seen.since = True, None, now
        left = seen.since + (AGAIN_SECONDS if seen.is_given_up else WAIT_SECONDS) - now
        if left > 0:
            return Move.STAND_BACK, left
        seen.claimed_time = now
        return Move.CLAIM, ANSWER_SECONDS

    def forget(self, key: object) -> None:
        """Forget a route that is gone."""
        self._seen.pop(key, None)

    def _unopposed(self, seen: _Seen, named: str, now: float) -> tuple[Move, float]:
        if named and seen.claimed_time is not None:
            left = seen.claimed_time + ANSWER_SECONDS - now
            if left > 0:
                return Move.STAND_BACK, left
        seen.claimed_time, seen.is_given_up, seen.other = None, False, ""
        seen.is_held = True
        return Move.WORK, 0

    def _yields(self, seen: _Seen, named: str, now: float) -> bool:
        """Whether the other writes its name again and again, and its name comes first."""
        seen.returns = seen.returns + 1 if now - seen.last_return_time < _PEACE_SECONDS else 1
        seen.last_return_time = now
        if seen.returns <= _MOST_RETURNS or self.name < named:
            return False
        seen.is_given_up, seen.since = True, now
        return True
