"""Who asked for what: one record for each query and retrieval, in the log, without a value of what was asked.

The names of attributes are said, never what they were to match, and how many entities were told, never which.
"""

import logging
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Final

import structlog

EVENT: Final = "audit"
"""What the line of a record is called in the log, by which collectors route it."""

# Whatever level the log has: who asked is written down.
log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One request that was answered, or refused.

    `action` is a word of the code, such as Query. `who` is the node that asked, "" for a stranger, or the person who
    asked by the admin API; the titles and the address are what it called with. `keys` are keywords of PS3.6, by whose
    values it was looked for. `count` is of entities told; `status` the final one (PS3.7 annex C), in hexadecimal.
    `asked` are the archives that were.
    """

    action: str
    who: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    listener: str
    association: str
    query_level: str
    keys: tuple[str, ...]
    count: int
    status: str
    asked: tuple[str, ...]
    seconds: float
    destination: str = ""
    """The node that a C-MOVE sends to."""


def record(entry: AuditRecord) -> None:
    """Write a record down."""
    log.info(EVENT, **asdict(entry))
    _kept.append((time.time(), entry))


def newest() -> list[tuple[float, AuditRecord]]:
    """Return the last records of this process with their times in seconds since 1970, the newest first."""
    return list(reversed(_kept))


_kept: Final[deque[tuple[float, AuditRecord]]] = deque(maxlen=1000)
"""For those who look: the log has all of them."""
