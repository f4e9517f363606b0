"""Reading a feed on and on: where a reader stands, and what it does after a failure. Both clients read by it.

for event in blocking.EventFollower(client, cursor=kept):
handle(event)              # what was told before may be told again: drop an id that you know
...                        # `follower.cursor` is what to keep, once all of a page is handled
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from . import calls
from .calls import Call
from .documents.events import EventsDocument
from .errors import AdminError, Refused, TooOld, Unreachable, Unreadable

WAIT_SECONDS: Final = 30
"""How long a gateway keeps a request that it has nothing for."""
_MOST_PAUSE_SECONDS: Final = 30.0
_GONE: Final = 410
_LATER: Final = (429, 500, 502, 503, 504)


@dataclass
class Position:
    """Where a reader stands; `cursor` is behind all that it has taken, "" before the first event that is kept.

    `random` returns numbers from 0 to 1: who lost a gateway at one moment does not come back at one moment.
    """

    cursor: str = ""
    types: Iterable[str] = ()
    """The types that are wanted, without prefix and version; none: all."""
    wait_seconds: int = WAIT_SECONDS
    random: Callable[[], float] = field(default=random.random, repr=False)
    _failures: int = field(default=0, init=False)

    def call(self) -> Call[EventsDocument]:
        """Return the next question."""
        return calls.events(self.cursor, wait=self.wait_seconds, types=self.types)

    def took(self, page: EventsDocument) -> None:
        """Take note that all of a page was handled."""
        self.cursor = page.cursor
        self._failures = 0

    def answered(self) -> None:
        """Take note that the gateway answers."""
        self._failures = 0

    def pause_seconds(self, error: AdminError) -> float:
        """Return how long to wait before the question is asked again, after a failure that may pass.

        Raises TooOld where the cursor is, and `error` itself where asking again would not help, as for a token that is
        not known: a reader that goes on then is an attack.
        """
        if isinstance(error, Refused) and error.status == _GONE:
            raise TooOld(error.status, str(error)) from error
        is_for_later = isinstance(error, Refused) and error.status in _LATER
        if not (is_for_later or isinstance(error, Unreachable | Unreadable)):
            raise error
        self._failures += 1
        return float(min(_MOST_PAUSE_SECONDS, 2.0 ** (self._failures - 1))) * (0.5 + self.random() / 2)
