"""Joins profiles with the keys of the moment: a changed Secret counts without a restart."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from dicomroute_gateway.configuration.recipe import Deidentify
from dicomroute_gateway.spool.content import TREATMENT_KEY_MISSING, Unreadable

from .deidentify.pseudonyms import keys_of
from .keyed import Keyed


class Plans:
    """The profiles of steps; `secrets` is the folder of mounted files. Safe to use from several threads."""

    def __init__(self, secrets: Path) -> None:
        self._secrets = secrets
        self._lock = threading.Lock()
        self._forms: dict[str, tuple[Sequence[bytes], bytes]] = {}

    def form(self, step: Deidentify) -> bytes:
        """Return the form of what a step needs. Raises Unreadable while its key or its words are missing."""
        files = {name: self._read(name) for name in step.files}
        name = step.model_dump_json()
        with self._lock:
            known = self._forms.get(name)
            if known is None or known[0] != list(files.values()):
                known = self._forms[name] = (list(files.values()), keyed_by(step, files).form())
            return known[1]

    def _read(self, file: str) -> bytes:
        try:
            return (self._secrets / file).read_bytes()
        except OSError as error:
            sentence = (
                f"{file} is missing, but de-identification needs it: create the Secret or ConfigMap with this key"
            )
            raise Unreadable(TREATMENT_KEY_MISSING, sentence) from error


def keyed_by(step: Deidentify, files: Mapping[str, bytes]) -> Keyed:
    """Return what a step comes to with these contents of its files. Raises Unreadable."""
    if not step.key_file:
        raise Unreadable(TREATMENT_KEY_MISSING, "the rule references a profile that does not exist: create it")
    try:
        keys = keys_of(files[step.key_file])
    except ValueError as error:
        sentence = (
            f"{step.key_file} is not a key for de-identification: write 32 random bytes in base64, one key a line "
            f"({error})"
        )
        raise Unreadable(TREATMENT_KEY_MISSING, sentence) from error
    tokens, known = (_words(file, files) for file in (step.allowed_tokens_file, step.known_patient_ids_file))
    return Keyed(step.profile.model_copy(update={"allowed_tokens": tokens}), keys, frozenset(known))


def _words(file: str, files: Mapping[str, bytes]) -> list[str]:
    try:
        return files[file].decode().split() if file else []
    except UnicodeDecodeError as error:
        raise Unreadable(
            TREATMENT_KEY_MISSING, f"{file} is not text in UTF-8: write words with spaces between"
        ) from error
