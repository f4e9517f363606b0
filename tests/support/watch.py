"""Watches a gateway process from outside while peers misbehave: its memory, its files, its log."""

import json
from pathlib import Path

from pdus import PLANTED
from processes import wait_until
from running import Running

MORE_MEMORY_BYTES = 64 << 20
_MOST_READY = 64
_CONTROL = {*range(0x20), 0x7F} - {0x0A}


class Watch:
    """What is looked at before, and judged after, peers have had their way."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._process = Path(f"/proc/{running.gateway_pid}")
        self.begin()

    def begin(self) -> None:
        """Look anew."""
        self._memory = self._memory_bytes("VmRSS")
        self._log_offset = self._running.process.output.stat().st_size
        (self._process / "clear_refs").write_text("5")  # the greatest memory counts from now

    def faults(self) -> list[str]:
        """Return what the gateway should not have done; waits until the associations have ended."""
        faults = [*self._process_faults(), *self._file_faults()]
        with self._running.process.output.open("rb") as file:
            file.seek(self._log_offset)
            return [*faults, *self._memory_faults(), *log_faults(file.read())]

    def _process_faults(self) -> list[str]:
        alive = self._running.gateway_pid == int(self._process.name)
        return [] if alive else ["the gateway has ended and was started again"]

    def _memory_faults(self) -> list[str]:
        more = self._memory_bytes("VmHWM") - self._memory
        return [f"{more >> 20} MiB more memory"] if more > MORE_MEMORY_BYTES else []

    def _file_faults(self) -> list[str]:
        """Return which files of instances stay open after all associations have ended."""
        faults = []
        try:
            wait_until(lambda: self._running.status()["associations"]["open"] == 0, "", 10)
        except AssertionError:
            faults.append("an association stands")
        try:
            wait_until(lambda: not self._left_open(), "", 2)
        except AssertionError:
            faults.append(f"files of instances stay open: {self._left_open()}")
        return faults

    def _left_open(self) -> list[int]:
        """Return the numbers of the instances whose files are open, but for those in a row that are next to come."""
        spool = str(self._running.state)
        numbers = set()
        for descriptor in (self._process / "fd").iterdir():
            try:
                name = descriptor.readlink()
            except OSError:
                continue  # closed meanwhile
            if str(name).startswith(spool) and name.suffix == ".dcm":
                numbers.add(int(name.stem))
        following = max(numbers, default=0)
        while following in numbers:
            following -= 1
        ready = max(numbers, default=0) - following
        return sorted(number for number in numbers if number <= following) + ([] if ready < _MOST_READY else [-ready])

    def _memory_bytes(self, field: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith(f"{field}:")]
        return int(line.split()[1]) << 10


def log_faults(text: bytes) -> list[str]:
    """Return what is wrong with a log: patient data, forged lines, faults of the gateway's own."""
    faults = [f"the log says {word}" for word in PLANTED if word.encode() in text]
    if _CONTROL & set(text):
        faults.append("the log has control characters")
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            faults.append(f"the log has a line that is no event: {line[:200]!r}")
            continue
        if event["event"] == "forged" or "exception" in event:
            faults.append(f"the log has {line[-1500:].decode()}")
    return faults
