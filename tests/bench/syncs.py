"""How often a system syncs for an instance it acknowledges: counted by strace, in a run that is not timed."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import machine

CALLS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "sync", "msync")
_CALL = re.compile(r"^\d+ +(\w+)\(")
_SYNCED_WRITE = re.compile(r"O_D?SYNC|RWF_D?SYNC")


class Tracing:
    """Watches the system calls of processes, and of what they start, while the context is open."""

    def __init__(self, roots: list[int], output: Path) -> None:
        self._roots = roots
        self._output = output

    def __enter__(self) -> "Tracing":
        pids = machine.tree(self._roots)
        trace = f"trace={','.join(CALLS)},open,openat,pwritev2"
        command = ["strace", "-f", "-qq", "-e", trace, "-e", "signal=none", "-o", str(self._output)]
        for pid in pids:
            command += ["-p", str(pid)]
        self._strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not all(_is_traced(pid) for pid in pids):
            if self._strace.poll() is not None or time.monotonic() > deadline:
                raise OSError("strace cannot attach")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._strace.send_signal(signal.SIGINT)
        self._strace.wait()

    def counts(self) -> dict[str, int]:
        """Return how often each call was made; "synced writes" are what opens or writes with a flag to sync."""
        counts: Counter[str] = Counter()
        with self._output.open(errors="replace") as lines:
            for line in lines:
                call = _CALL.match(line)
                if call and call[1] in CALLS:
                    counts[call[1]] += 1
                elif call and _SYNCED_WRITE.search(line):
                    counts["synced writes"] += 1
        return dict(counts)


def is_possible() -> bool:
    return shutil.which("strace") is not None


def _is_traced(pid: int) -> bool:
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            status = Path(f"/proc/{pid}/task/{thread}/status").read_text()
        except OSError:
            continue
        if "TracerPid:\t0\n" in status:
            return False
    return True
