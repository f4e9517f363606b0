"""What keeps the gateway from its work: a problem for each section, for status, readiness and the log."""

from collections.abc import Iterator

import structlog

from dicomroute_gateway.reasons import Reason

log = structlog.get_logger(__name__)


class Problems:
    """The problems of this moment, by section."""

    def __init__(self) -> None:
        self._problems: dict[str, tuple[Reason, str]] = {}

    def report(self, section: str, reason: Reason, message: str) -> None:
        """Take note of a problem; it is logged when it is new."""
        if self._problems.get(section) != (reason, message):
            log.error("gateway.problem", section=section, reason=reason, message=message)
        self._problems[section] = (reason, message)

    def solved(self, section: str) -> None:
        """Take note that a section has no problem."""
        self._problems.pop(section, None)

    def __iter__(self) -> Iterator[tuple[str, Reason, str]]:
        """Return section, reason and message of each."""
        return iter([(section, *problem) for section, problem in self._problems.items()])
