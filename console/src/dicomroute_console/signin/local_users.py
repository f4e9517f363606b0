"""Local users: names, hashes of passwords and groups, in a file of a Secret. The way in while no issuer answers."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from dicomroute_console.sources.person import NotKnown, Person
from dicomroute_console.sources.source import OutOfReach

PREFIX: Final = "local:"
"""Names and groups of local users begin with it in RBAC: nobody is taken for somebody of an issuer."""
MOST_WRONG: Final = 10
WAIT_SECONDS: Final = 300
_MOST_NAMES: Final = 10_000
_AT_ONCE: Final = 2
"""Checking a password costs 64 MiB and a tenth of a second, on purpose."""
_WRONG: Final = "there is no such user with this password"


class LocalUsers:
    """Reads its file as often as it is asked: a user who is removed, or has another password, is out at once."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._hasher = PasswordHasher()
        self._nobody = self._hasher.hash("nobody's")
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._wrong: dict[str, tuple[int, float]] = {}

    async def person(self, name: str, password: str) -> Person:
        """Return a user with this password. Raises NotKnown, OutOfReach; after ten wrong ones it asks to wait."""
        count, until = self._wrong.get(name, (0, 0.0))
        if count >= MOST_WRONG and self._clock() < until:
            raise NotKnown(f"{MOST_WRONG} passwords were wrong: wait {WAIT_SECONDS // 60} minutes")
        line = self._lines().get(name)
        async with self._places:
            right = await asyncio.to_thread(self._fits, line[0] if line else self._nobody, password)
        if line is None or not right:
            if len(self._wrong) >= _MOST_NAMES:
                self._wrong.clear()
            began = count if self._clock() < until else 0
            self._wrong[name] = (began + 1, self._clock() + WAIT_SECONDS)
            raise NotKnown(_WRONG)
        self._wrong.pop(name, None)
        return self._of(name, line)

    def still(self, person: Person) -> bool:
        """Return whether a user is in the file as he was when he signed in."""
        name = person.name.removeprefix(PREFIX)
        line = self._lines().get(name)
        return line is not None and self._of(name, line) == person

    def _of(self, name: str, line: tuple[str, tuple[str, ...]]) -> Person:
        hashed, groups = line
        return Person(f"{PREFIX}{name}", groups=tuple(PREFIX + one for one in groups), is_vouched=True, mark=hashed)

    def _fits(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False

    def _lines(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        try:
            text = self._file.read_text()
        except OSError as error:
            raise OutOfReach(f"the file of local users cannot be read: {error.strerror}") from error
        found = {}
        for line in text.splitlines():
            name, _, rest = line.strip().partition(":")
            hashed, _, groups = rest.partition(":")
            if name and hashed and not name.startswith("#"):
                found[name] = (hashed, tuple(one for one in groups.split(",") if one))
        return found


def hash_of(password: str) -> str:
    """Return the hash of a password as the file of local users has it (argon2id, RFC 9106)."""
    return PasswordHasher().hash(password)
