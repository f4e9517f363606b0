"""Free ports of the loopback interface, from a range of each test process's own, so that none takes another's.

Which range is a process's own, a lock says: two runs of the tests beside each other share none.
"""

import fcntl
import itertools
import os
import socket
import tempfile
from pathlib import Path
from typing import Final

_FIRST, _COUNT, _RANGES = 20_000, 1_000, 12  # below the ports that the system gives to clients
_OFFSETS = itertools.cycle(range(_COUNT))


def _own_range() -> tuple[int, int]:
    """Return the first port of a range that no living process has, and the descriptor that holds its lock."""
    folder = Path(tempfile.gettempdir()) / "dicomroute-test-ports"
    folder.mkdir(mode=0o777, exist_ok=True)
    for number in range(_RANGES):
        descriptor = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return _FIRST + number * _COUNT, descriptor
    raise AssertionError(f"{_RANGES} processes of tests are running: wait for one to end")


_own: Final = _own_range()


def free_port() -> int:
    """Return a port that nothing listens on at present, and that is not given again soon."""
    first, _ = _own
    for offset in itertools.islice(_OFFSETS, _COUNT):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", first + offset))
            except OSError:
                continue
            return first + offset
    raise AssertionError("no port is free")
