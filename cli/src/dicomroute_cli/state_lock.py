"""Who has a state folder: one `dicomroute run` at a time."""

import fcntl
import os
from pathlib import Path


def lock_state(folder: Path) -> int:
    """Take the state folder for this process, until it ends; return the descriptor of the lock.

    Raises OSError, also when another `dicomroute run` has it: it would have its gateways configured by two.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OSError("another `dicomroute run` is using this state folder: stop it, or use another --state") from None
    return descriptor
