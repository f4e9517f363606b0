"""Free ports of the loopback interface, from a range of each test process's own, so that none takes another's."""

import itertools
import os
import socket

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_FIRST, _COUNT = 20_000 + 3_000 * _WORKER, 3_000  # below the ports that the system gives to clients
_OFFSETS = itertools.cycle(range(_COUNT))


def free_port() -> int:
    """Return a port that nothing listens on at present, and that is not given again soon."""
    for offset in itertools.islice(_OFFSETS, _COUNT):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _FIRST + offset))
            except OSError:
                continue
            return _FIRST + offset
    raise AssertionError("no port is free")
