"""What stands in the place of identifiers: UIDs, patient IDs and one shift of dates a patient, by a secret key.

HMAC-SHA256 (RFC 2104), as a hash without a key is undone by trying all patient IDs. The same in every gateway that has
the key, and after every restart; with another key nothing is in common.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

LEAST_KEY_BYTES: Final = 32
MOST_KEYS: Final = 16
_MOST_DAYS: Final = 365
_ID_BYTES: Final = 10
"""80 bits: among a million patients two have the same pseudonym with a probability below 10 to the minus 12."""
_DICOM_ROOT: Final = "1.2.840.10008."
_MOST_UID_CHARACTERS: Final = 64


@dataclass(slots=True)
class Noted:
    """Which pseudonym stands for what: the most secret thing that there is here, and kept only on request."""

    uids: dict[str, str] = field(default_factory=dict)
    patient_ids: dict[bytes, str] = field(default_factory=dict)


class Pseudonyms:
    """Makes pseudonyms with one key, and notes them in a `noted` if there is one.

    Raises ValueError for a key of less than 32 bytes.
    """

    def __init__(self, key: bytes, noted: Noted | None = None) -> None:
        if len(key) < LEAST_KEY_BYTES:
            raise ValueError(f"the key has {len(key)} bytes: it needs at least {LEAST_KEY_BYTES}")
        self._key = key
        self._noted = noted
        self._uid = lru_cache(4096)(self._new_uid)

    def uid(self, uid: str) -> str:
        """Return the UID in the place of one: 2.25 and a UUID of version 8 (PS3.5 B.2, RFC 9562 5.8).

        UIDs that the standard defines (PS3.6 annex A) stand for themselves.
        """
        return uid if uid.startswith(_DICOM_ROOT) else self._uid(uid)

    def _new_uid(self, uid: str) -> str:
        number = int.from_bytes(self._digest(b"uid", uid.encode("latin-1", "replace"))[:16], "big")
        number = number & ~(0xF << 76) | 0x8 << 76
        number = number & ~(0x3 << 62) | 0x2 << 62
        if self._noted is not None:
            self._noted.uids[uid] = f"2.25.{number}"
        return f"2.25.{number}"

    def patient_id(self, issuer: bytes, patient_id: bytes, prefix: str) -> str:
        """Return the Patient ID in the place of one; `prefix` and 16 characters of base32 (RFC 4648)."""
        pseudonym = self.would_be(issuer, patient_id, prefix)
        if self._noted is not None:
            self._noted.patient_ids[patient_id] = pseudonym
        return pseudonym

    def would_be(self, issuer: bytes, patient_id: bytes, prefix: str) -> str:
        """Return what `patient_id` returns, and note nothing."""
        digest = self._digest(b"patient", issuer, patient_id)
        return prefix + base64.b32encode(digest[:_ID_BYTES]).decode()

    def shift_days(self, issuer: bytes, patient_id: bytes) -> int:
        """Return by how many days all dates of a patient move: -365 to -1."""
        number = int.from_bytes(self._digest(b"shift", issuer, patient_id)[:8], "big")
        return -(1 + number % _MOST_DAYS)

    def _digest(self, purpose: bytes, *parts: bytes) -> bytes:
        """Return the HMAC of parts, each with its length, so that no two lists of parts are the same bytes."""
        message = purpose + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, message, hashlib.sha256)


def keys_of(secret: bytes) -> tuple[bytes, ...]:
    """Return the keys in the value of a Secret: one a line, in base64, the one that new patients get first.

    Empty lines and lines that begin with # say nothing. Raises ValueError, whose text names the line and no key.
    """
    keys = []
    for number, line in enumerate(secret.splitlines(), 1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        try:
            key = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"line {number} is not base64") from error
        if len(key) < LEAST_KEY_BYTES:
            raise ValueError(f"the key in line {number} has {len(key)} bytes: it needs at least {LEAST_KEY_BYTES}")
        keys.append(key)
    if not keys:
        raise ValueError("there is no key")
    if len(keys) > MOST_KEYS:
        raise ValueError(f"there are {len(keys)} keys: at most {MOST_KEYS} are used")
    return tuple(keys)


def is_uid(text: str) -> bool:
    """Return whether a text is made as a UID is: digits and dots, at most 64 characters (PS3.5 9.1)."""
    return 0 < len(text) <= _MOST_UID_CHARACTERS and text.isascii() and text.replace(".", "").isdigit()
