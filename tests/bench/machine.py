"""Facts of the machine, and what processes use of it, from /proc and /sys."""

import mmap
import os
import platform
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int]) -> list[int]:
    """Return these processes and all that descend from them."""
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += [int(child) for child in children.read_text().split()]
            except OSError:  # the thread has ended
                continue
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """Return what these processes and their children, ended ones included, have computed so far."""
    return sum(map(_cpu_seconds, tree(roots)))


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS


def stolen_seconds() -> float:
    """Return how long processors of this machine had something to do since it started, and its host gave them none."""
    return int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / _TICKS


def kill(pids: Iterable[int]) -> None:
    """End these processes at once."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def seconds_since_start(pid: int) -> float:
    """Return how long ago a process started."""
    started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) / _TICKS
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def pss_bytes(roots: Iterable[int]) -> int:
    """Return the memory of these processes and their children; what they share is counted once."""
    return sum(map(_pss_bytes, tree(roots)))


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


@dataclass
class MemoryPeak:
    """The most memory that processes have had while this context was open."""

    roots: list[int]
    every_seconds: float = 0.05
    most_bytes: int = 0

    def __enter__(self) -> "MemoryPeak":
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(self.every_seconds):
            self.most_bytes = max(self.most_bytes, pss_bytes(self.roots))


def facts(folder: Path) -> dict[str, Any]:
    """Return what a reader needs to know of this machine and of the volume under `folder`."""
    return {
        "processor": _cpu_info("model name"),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average_before": os.getloadavg()[0],
        "volume": block_device(folder),
    }


def block_device(folder: Path) -> dict[str, str]:
    """Return name, model and file system of the volume under a folder."""
    number = folder.stat().st_dev
    name = f"{os.major(number)}:{os.minor(number)}"
    device = Path(f"/sys/dev/block/{name}")
    parent = device.resolve().parent if (device / "partition").exists() else device.resolve()
    kinds = (
        line.partition(" - ")[2].split()[0]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[2] == name
    )
    return {
        "device": device.resolve().name if device.exists() else name,
        "model": _text(parent / "device/model") or (parent / "device/driver").resolve().name,
        "scheduler": _text(parent / "queue/scheduler"),
        "write_cache": _text(parent / "queue/write_cache"),
        "file_system": next(kinds, "unknown"),
    }


def sync_latencies(folder: Path) -> dict[str, float]:
    """Return how long a small and a large append take until they are safe, in milliseconds, by their bytes."""
    return {str(size): round(sync_latency_ms(folder, size), 3) for size in (4096, 524288)}


def sync_latency_ms(folder: Path, size: int, count: int = 50) -> float:
    """Return the median time of an append of `size` bytes and its fdatasync."""
    file = folder / "latency"
    times = []
    with file.open("ab", buffering=0) as appending:
        data = os.urandom(size)
        for _ in range(count):
            began = time.perf_counter()
            appending.write(data)
            os.fdatasync(appending.fileno())
            times.append(1000 * (time.perf_counter() - began))
    file.unlink()
    return statistics.median(times)


def touch_memory(most_bytes: int = 4 << 30) -> None:
    """Have the host provide the memory that a figure will use: on a virtual machine its first use is dear.

    What is touched is at most half of what is free, and is free again afterwards.
    """
    size = min(most_bytes, _available_bytes() // 2) & ~(mmap.PAGESIZE - 1)
    with mmap.mmap(-1, size) as memory:
        for first in range(0, size, mmap.PAGESIZE):
            memory[first] = 1


def _available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def first_line(*command: str) -> str:
    """Return the first line that a command prints, such as its version; "" when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return next(iter(done.stdout.splitlines()), "").strip("$ ")


def _cpu_info(name: str) -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith(name)), platform.machine())


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
