"""Who did what: one line an action in the log, also for what was refused. No UID and no name of a patient is in it."""

import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from .sources.person import Person
from .sources.source import Right

log = structlog.get_logger("audit")
MOST_KEPT: Final = 2000


@dataclass(frozen=True)
class Record:
    """What somebody did, or was refused. `object` is NAMESPACE/NAME of a resource, "" for signing in."""

    time: datetime
    by: str
    action: str
    object: str
    is_refused: bool
    facts: Mapping[str, Any]


class Kept:
    """The last records of this process, for the page that shows them; the log has all of them."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=MOST_KEPT)

    def add(self, record: Record) -> None:
        """Keep a record; the oldest goes."""
        self._records.append(record)

    def newest(self) -> list[Record]:
        """Return all that are kept, the newest first."""
        return list(reversed(self._records))


kept = Kept()


def configure() -> None:
    """Write lines of JSON to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def done(person: Person, action: str, **facts: Any) -> None:
    """Note an action that was carried out."""
    log.info("console.done", by=person.name, action=action, **facts)
    where = str(facts.get("route") or facts.get("object") or "")
    rest = {name: value for name, value in facts.items() if name not in ("route", "object") and value not in ("", [])}
    kept.add(Record(datetime.now(UTC), person.name, action, where, False, rest))


def refused(person: Person, right: Right, namespace: str, name: str) -> None:
    """Note that somebody asked for what they may not."""
    verb, resource, subresource = right.value
    what = f"{resource}/{subresource}".rstrip("/")
    log.warning("console.refused", by=person.name, verb=verb, resource=what, object=f"{namespace}/{name}")
    kept.add(Record(datetime.now(UTC), person.name, f"{verb} {what}", f"{namespace}/{name}", True, {}))
