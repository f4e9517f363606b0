"""Real processes for the tests: started with their output in a file, ended by their process id."""

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class Process:
    """A process whose output goes to a file."""

    def __init__(self, command: Sequence[str | Path], output: Path, **options: object) -> None:
        self.output = output
        with output.open("ab") as file:
            self._popen = subprocess.Popen([str(word) for word in command], stdout=file, stderr=file, **options)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Wait for a condition; fail with the output when the process ends first or time runs out."""
        wait_until(condition, lambda: f"{what}\n{self.tail()}", seconds, self._check_alive)

    def kill(self) -> None:
        """End the process at once, as a power failure would."""
        self._popen.kill()
        self._popen.wait()

    def wait(self, seconds: float = 30) -> int:
        """Wait until the process has ended; return its exit code."""
        return self._popen.wait(seconds)

    def stop(self, seconds: float = 30) -> int:
        """Ask the process to end, and return its exit code."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the process did not end within {seconds} s\n{self.tail()}") from None

    def tail(self) -> str:
        return self.output.read_text(errors="replace")[-6000:]

    def _check_alive(self) -> None:
        code = self._popen.poll()
        assert code is None, f"the process ended with {code}\n{self.tail()}"


def wait_until(
    condition: Callable[[], bool],
    what: str | Callable[[], str],
    seconds: float = 30,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Wait until `condition` holds; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        check()
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)
