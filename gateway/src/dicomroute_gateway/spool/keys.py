"""The keys of a spool: those that its Secret holds at one moment, and which of them encrypts what comes."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dicomroute_gateway.reasons import Reason

KEY_BYTES: Final = 32
KEY_MISSING: Final = Reason.SPOOL_KEY_MISSING
KEY_INVALID: Final = Reason.SPOOL_KEY_INVALID


@dataclass(frozen=True, slots=True)
class Key:
    """A key of 256 bits. `id` is no secret: the first 64 bits of its SHA-256, in hexadecimal."""

    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """Why instances that are to be encrypted cannot be: a reason and a sentence."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one moment, by their ids; every one of them decrypts.

    `current` encrypts what comes; without one it is kept in clear, or with a `problem` not taken at all.
    """

    by_id: Mapping[str, Key] = field(default_factory=dict)
    current: Key | None = None
    problem: KeyProblem | None = None


NO_KEYS: Final = Keys()


def key_of(secret: bytes) -> Key:
    """Return the key of these 32 bytes."""
    return Key(hashlib.sha256(secret).hexdigest()[:16], secret)


def parse_keys(content: bytes) -> tuple[list[Key], list[int]]:
    """Return the keys in a Secret's value, 32 bytes in base64 a line, and the numbers of the lines that are none.

    Empty lines count for nothing.
    """
    keys: list[Key] = []
    others: list[int] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            secret = base64.b64decode(line.strip(), validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) == KEY_BYTES:
            keys.append(key_of(secret))
        else:
            others.append(number)
    return keys, others


def load_keys(secrets: Path, name: str, *, encrypts: bool) -> Keys:
    """Return the keys in a mounted Secret file (SECRET/KEY); with `encrypts`, the first encrypts what comes.

    A line that is no key stops what would be encrypted: nobody knows what it was meant to be. The others decrypt.
    """
    secret, _, key = name.partition("/")
    try:
        content = (secrets / name).read_bytes()
    except OSError:
        sentence = (
            f"Secret {secret} has no key {key}, or does not exist: create it; until then, the gateway does not receive"
        )
        return Keys(problem=KeyProblem(KEY_MISSING, sentence) if encrypts else None)
    keys, others = parse_keys(content)
    problem = None
    if encrypts and (others or not keys):
        where = f"line {others[0]} of the key {key}" if others else f"the key {key}"
        problem = KeyProblem(
            KEY_INVALID,
            f"{where} in Secret {secret} is not 32 bytes in base64, as `openssl rand -base64 32` creates them: correct "
            "it; until then, the gateway does not receive",
        )
    current = keys[0] if encrypts and problem is None else None
    return Keys({one.id: one for one in keys}, current, problem)
