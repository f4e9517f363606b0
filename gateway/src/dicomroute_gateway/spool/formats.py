"""The format of a spool: which gateways understand everything that it says.

A gateway refuses a spool of a later format than it knows. A later format is written only right before the first thing
that an earlier gateway would misread, so that `helm rollback` finds a spool that it can open wherever nothing new was
used: docs/adr/0018-recipes-on-record.md.
"""

import json
import threading
from typing import Final

from dicomroute_gateway.reasons import Reason

from .errors import SpoolError, SpoolFailed
from .files import Files

_FILE: Final = "format"
_FIRST: Final = 3
"""What every spool is at least. 1: the first. 2: records of instances that came again. 3: encrypted instances, with the
key in their records, and a history of what is finished."""
RECIPES: Final = 4
"""Records name recipes: a gateway that ignored them would send as it came what is to be treated first."""
CONFIRMATIONS: Final = 5
"""Deliveries are Unconfirmed, and there are open commitments: a gateway that did not know of them would read no such
record, and report to nobody what it has promised."""
STUDIES: Final = 6
"""Deliveries wait for studies, and there are records of those: a gateway that did not know of them would read none."""
LATEST: Final = STUDIES


def check(files: Files) -> None:
    """Give a spool the format that each has at least. Raises SpoolError when it is of a later one than is known."""
    written = _written(files)
    if written > LATEST:
        raise SpoolError(
            Reason.SPOOL_TOO_NEW,
            f"the spool has format {written}, but this gateway supports formats up to {LATEST}: run the gateway that "
            "wrote the spool",
        )
    Format(files).raise_to(_FIRST)


class Format:
    """The format of an open spool. Safe to use from several threads: it never falls."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._mutex = threading.Lock()
        self._known = 0
        """What this process knows to be written at least."""

    def raise_to(self, wanted: int) -> None:
        """Make sure, durably, that only gateways that know a format open the spool. Raises SpoolError, OSError."""
        if self._known >= wanted:
            return
        with self._mutex:
            written = _written(self._files)
            if written < wanted:
                self._files.put(_FILE, json.dumps({"format": wanted}).encode())
            self._known = max(written, wanted)

    def need(self, wanted: int) -> None:
        """Do the same for who writes down what became of instances. Raises SpoolFailed."""
        try:
            self.raise_to(wanted)
        except (SpoolError, OSError) as error:
            raise SpoolFailed(f"the format of the spool could not be written: {error}") from error


def _written(files: Files) -> int:
    """Return the format of a spool, 0 for a new one."""
    if _FILE not in files.list("."):
        return 0
    try:
        return int(json.loads(files.read(_FILE))["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise SpoolError(Reason.SPOOL_CORRUPT, f"the file {files.path(_FILE)} is not readable") from error
