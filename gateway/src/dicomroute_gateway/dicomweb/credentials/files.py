"""The mounted files that credentials are in: read at each use, because they change without a restart."""

import hashlib
from pathlib import Path

from dicomroute_gateway.dicomweb.faults import CredentialFault, CredentialMissing
from dicomroute_gateway.reasons import Reason

_MAX_BYTES = 1 << 20
_CONFIG_MAP = "ConfigMap-"


def read_text(secrets: Path, file: str) -> str:
    """Return what a key of a Secret or ConfigMap holds, without the line feeds that editors leave at the end.

    Raises CredentialMissing, CredentialFault.
    """
    try:
        content = (secrets / file).read_bytes()
    except OSError as error:
        raise CredentialMissing(f"{named(file)} does not exist: create it") from error
    try:
        text = content[:_MAX_BYTES].decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise CredentialFault(
            Reason.CREDENTIAL_INVALID, f"{named(file)} is not text in UTF-8: write it again"
        ) from error
    if not text:
        raise CredentialFault(Reason.CREDENTIAL_INVALID, f"{named(file)} is empty: write its value")
    return text


def named(file: str) -> str:
    """Return how people name a file: by its object and key."""
    name, _, key = file.partition("/")
    kind = "ConfigMap" if name.startswith(_CONFIG_MAP) else "Secret"
    return f"the key {key} of {kind} {name.removeprefix(_CONFIG_MAP)}"


def version(secrets: Path, file: str) -> tuple[str, int, int]:
    """Return which version of a file is mounted; zeros when it is not there."""
    try:
        stat = (secrets / file).stat()
    except OSError:
        return file, 0, 0
    return file, stat.st_ino, stat.st_mtime_ns


def digest(*texts: str) -> str:
    """Return what tells secrets apart without telling them."""
    hashed = hashlib.sha256()
    for text in texts:
        hashed.update(hashlib.sha256(text.encode()).digest())
    return hashed.hexdigest()
