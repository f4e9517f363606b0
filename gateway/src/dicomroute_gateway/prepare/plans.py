"""Resolves profiles with the keys of the moment: a changed Secret counts without a restart."""

import base64
import binascii
import threading
from dataclasses import dataclass
from pathlib import Path

from dicomroute_gateway.configuration.recipe import Deidentify
from dicomroute_gateway.spool.content import TREATMENT_KEY_MISSING, Unreadable

from .deidentify.plan import Plan, resolve


@dataclass(frozen=True, slots=True)
class Keyed:
    """A plan, and the key by which it makes pseudonyms."""

    plan: Plan
    key: bytes


class Plans:
    """The plans of profiles; `secrets` is the folder of mounted files. Safe to use from several threads."""

    def __init__(self, secrets: Path) -> None:
        self._secrets = secrets
        self._lock = threading.Lock()
        self._plans: dict[str, tuple[bytes, bytes, Keyed]] = {}

    def keyed(self, step: Deidentify) -> Keyed:
        """Return the plan of a step with its key. Raises Unreadable while its key or its words are missing."""
        secret = self._read(step.key_file)
        words = self._read(step.allowed_tokens_file) if step.allowed_tokens_file else b""
        name = step.model_dump_json()
        with self._lock:
            known = self._plans.get(name)
            if known is None or known[:2] != (secret, words):
                known = self._plans[name] = (secret, words, self._resolved(step, secret, words))
            return known[2]

    def _resolved(self, step: Deidentify, secret: bytes, words: bytes) -> Keyed:
        try:
            tokens = words.decode().split()
            key = base64.b64decode(secret.strip(), validate=True)
            return Keyed(resolve(step.profile.model_copy(update={"allowed_tokens": tokens}), key), key)
        except (binascii.Error, ValueError) as error:
            sentence = f"{step.key_file} is not a key for de-identification: write 32 random bytes in base64 ({error})"
            raise Unreadable(TREATMENT_KEY_MISSING, sentence) from error

    def _read(self, file: str) -> bytes:
        if not file:
            raise Unreadable(TREATMENT_KEY_MISSING, "the rule references a profile that does not exist: create it")
        try:
            return (self._secrets / file).read_bytes()
        except OSError as error:
            sentence = (
                f"{file} is missing, but de-identification needs it: create the Secret or ConfigMap with this key"
            )
            raise Unreadable(TREATMENT_KEY_MISSING, sentence) from error
