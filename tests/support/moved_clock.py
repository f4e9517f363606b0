"""A clock for processes under test that is moved by hand, by libfaketime: dates change, time-outs go on as ever."""

import time
from datetime import datetime
from pathlib import Path


class MovedClock:
    """The clock of the processes that are started with its environment."""

    def __init__(self, file: Path, start: str) -> None:
        """Let the clock begin at a time in UTC, such as 2026-03-06 18:00:00; `file` is where it is kept."""
        self._file = file
        begun = datetime.fromisoformat(f"{start}+00:00").timestamp()
        self._offset = begun - time.time()
        self.environment = {
            "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.advance(0)

    @property
    def now(self) -> float:
        """The time it shows, in seconds since 1970."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += seconds
        # One that is read while it is written would be no time.
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{self._offset:+.3f}")
        temporary.rename(self._file)
