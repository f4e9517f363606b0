"""Sessions: what a browser holds is a random number; who it is, and the credential, stay here."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dicomroute_console.sources.person import Person

IDLE_SECONDS: Final = 30 * 60
ABSOLUTE_SECONDS: Final = 8 * 3600
MOST_SESSIONS: Final = 10_000


@dataclass
class _Session:
    person: Person
    began: float
    seen: float
    ending: str


class Sessions:
    """The people who are signed in, in memory: a restart signs everybody out. When full, the least recent goes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_digest: dict[str, _Session] = {}

    def begin(self, person: Person, ending: str = "") -> str:
        """Return the number of a new session; no number from outside ever becomes one.

        `ending` is where the session at the issuer is ended, if there is one.
        """
        number = secrets.token_urlsafe(32)
        now = self._clock()
        if len(self._by_digest) >= MOST_SESSIONS:
            self._forget_the_old(now)
        self._by_digest[_digest(number)] = _Session(person, now, now, ending)
        return number

    def person(self, number: str) -> Person | None:
        """Return whose session this is; None when it has ended."""
        session = self._by_digest.get(_digest(number))
        now = self._clock()
        if session is None:
            return None
        if now - session.seen > IDLE_SECONDS or now - session.began > ABSOLUTE_SECONDS:
            self.end(number)
            return None
        session.seen = now
        return session.person

    def end(self, number: str) -> str:
        """End a session, if it is one; return where the one at the issuer is ended, "" for nowhere."""
        session = self._by_digest.pop(_digest(number), None)
        return "" if session is None else session.ending

    def _forget_the_old(self, now: float) -> None:
        alive = {
            digest: one
            for digest, one in self._by_digest.items()
            if now - one.seen <= IDLE_SECONDS and now - one.began <= ABSOLUTE_SECONDS
        }
        while len(alive) >= MOST_SESSIONS:
            del alive[min(alive, key=lambda digest: alive[digest].seen)]
        self._by_digest = alive


def _digest(number: str) -> str:
    return hashlib.sha256(number.encode(errors="surrogateescape")).hexdigest()
