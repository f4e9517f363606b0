"""Who did what: one line an action in the log, also for what was refused. No UID and no name of a patient is in it."""

import sys
from typing import Any

import structlog

from .sources.source import Person, Right

log = structlog.get_logger("audit")


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


def refused(person: Person, right: Right, namespace: str, name: str) -> None:
    """Note that somebody asked for what they may not."""
    verb, resource, subresource = right.value
    log.warning(
        "console.refused", by=person.name, verb=verb, resource=f"{resource}/{subresource}", object=f"{namespace}/{name}"
    )
