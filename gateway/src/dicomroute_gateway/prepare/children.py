"""Processes that do for this one what a stranger's bytes may break: kept for the next instance, ended when idle."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from .decoder_messages import read_message, write_message

_IDLE_SECONDS: Final = 30.0


class Child:
    """One process, that of a module's `main`, bound in memory and time. For one thread at a time."""

    def __init__(self, module: str, process_bytes: int, seconds: int) -> None:
        # A session of its own: who stops the gateway stops nothing in its midst.
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(process_bytes), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def tell(self, head: Mapping[str, Any], body: bytes) -> None:
        """Send a message. Raises OSError when the process has ended."""
        assert self._process.stdin is not None
        write_message(self._process.stdin, dict(head), body)

    def hear(self) -> tuple[dict[str, Any], bytes] | None:
        """Return the next message; None when the process has ended, or says what is none. Raises OSError."""
        assert self._process.stdout is not None
        return read_message(self._process.stdout)

    @contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Kill the process once it has taken so long."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @property
    def is_running(self) -> bool:
        """Whether it can be used again."""
        return self._process.poll() is None

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what it was still to be told is of no use to anybody


P = TypeVar("P", bound=Child)


class Pool(Generic[P]):
    """Lends processes of one kind. Safe to use from several threads."""

    def __init__(self, start: Callable[[], P], processes: int) -> None:
        """`processes` is how many are in use side by side."""
        self._start = start
        self._places = threading.BoundedSemaphore(processes)
        self._lock = threading.Lock()
        self._idle: list[P] = []
        self._ending: threading.Timer | None = None

    @contextmanager
    def lend(self) -> Iterator[P]:
        """Lend one; wait where all are in use. Raises OSError when no process can be started."""
        with self._places:
            with self._lock:
                one = self._idle.pop() if self._idle else None
            one = one if one is not None and one.is_running else self._start()
            try:
                yield one
            except BaseException:
                one.end()
                raise
            with self._lock:
                self._idle.append(one)
                if self._ending is not None:
                    self._ending.cancel()
                self._ending = threading.Timer(_IDLE_SECONDS, self.end_idle)
                self._ending.daemon = True
                self._ending.start()

    def end_idle(self) -> None:
        """End those that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.end()
