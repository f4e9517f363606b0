"""The files of open commitments in a spool: written whole and synced, and of a format that earlier gateways refuse."""

from typing import Final

from .files import Files
from .formats import CONFIRMATIONS, Format

_FOLDER: Final = "commitments"
_SUFFIX: Final = ".json"


class Commitments:
    """Files by their names. For one writer at a time."""

    def __init__(self, files: Files, form: Format) -> None:
        self._files = files
        self._format = form

    def names(self) -> list[str]:
        """Return the names of the files there are."""
        return [name for name in self._files.list(_FOLDER) if name.endswith(_SUFFIX)]

    def read(self, name: str) -> bytes:
        """Return a file. Raises OSError."""
        return self._files.read(f"{_FOLDER}/{name}")

    def put(self, name: str, content: bytes) -> None:
        """Return when a file is on stable storage, in the place of one of that name. Raises OSError, SpoolFailed."""
        self._format.need(CONFIRMATIONS)
        if _FOLDER not in self._files.list("."):
            self._files.make_folder(_FOLDER)
        self._files.put(f"{_FOLDER}/{name}", content)

    def remove(self, name: str) -> None:
        """Remove a file, durably. Raises OSError."""
        self._files.remove(f"{_FOLDER}/{name}")
        self._files.sync_folder(_FOLDER)
