"""A network that has IPv6 alone: a namespace in which no address is one of IPv4, not even that of the loopback."""

import ctypes
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

_CLONE_NEWNET = 0x40000000  # linux/sched.h
T = TypeVar("T")


class IPv6Network:
    """The namespace with some addresses, of the documentation's range 2001:db8::/32 (RFC 3849)."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.name = f"dicomroute-six-{os.getpid()}"
        self.file = Path("/run/netns") / self.name
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "-4", "address", "flush", "dev", "lo")
        for address in addresses:
            _ip("-n", self.name, "-6", "address", "add", f"{address}/128", "dev", "lo", "nodad")
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)

    @property
    def prefix(self) -> list[str]:
        """What runs a command in it."""
        return ["nsenter", f"--net={self.file}"]

    def run(self, work: Callable[[], T]) -> T:
        """Return what a function returns that runs in it; its sockets, and those of its threads, stay there."""
        return self._thread.submit(work).result()

    def remove(self) -> None:
        self._thread.shutdown()
        _ip("netns", "del", self.name)

    def _enter(self) -> None:
        with self.file.open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter {self.file}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
