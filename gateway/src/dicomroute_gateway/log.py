"""Structured logs: one line of JSON an event, on standard error, and nothing else there.

What libraries warn of a stranger's bytes may be long, come with each instance, and quote a value: of that the place in
the library is said, and each place once a minute.
"""

import logging
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Final, TextIO

import structlog

_AGAIN_SECONDS: Final = 60.0
_MOST_PLACES: Final = 500
_MOST_CHARACTERS: Final = 300
_QUOTE_VALUES: Final = ("pydicom", "pynetdicom", "py.warnings")
"""Loggers whose messages may have values of data sets in them."""


def configure(level: str) -> None:
    """Send the logs of this process to standard error, from `level` on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    libraries = _Libraries()
    logging.basicConfig(handlers=[libraries], level=logging.WARNING, force=True)
    warnings.simplefilter("always")  # once a place is for the handler to see to: the registry of warnings grows
    warnings.showwarning = libraries.warned


class _Libraries(logging.Handler):
    """Says what libraries log and warn, in lines like all others."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], float] = {}
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Say that a library logged something."""
        quotes = record.name.partition(".")[0] in _QUOTE_VALUES
        message = "" if quotes else record.getMessage()[:_MOST_CHARACTERS]
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        self._say(record.name, record.pathname, record.lineno, message or error, record.levelno)

    def warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Say that a library warned; its text is left out."""
        self._say(category.__name__, filename, lineno, "", logging.WARNING)

    def _say(self, name: str, path: str, line: int, message: str, level: int) -> None:
        now = time.monotonic()
        with self._guard:
            if now - self._said.get((path, line), -_AGAIN_SECONDS) < _AGAIN_SECONDS:
                return
            if len(self._said) >= _MOST_PLACES:
                self._said.clear()
            self._said[path, line] = now
        place = f"{Path(path).parent.name}/{Path(path).name}:{line}"
        say = structlog.get_logger("libraries")
        (say.error if level >= logging.ERROR else say.warning)("library.warned", by=name, place=place, message=message)
