"""Tests a spool's volume before anything is trusted to it. What a program can find out, it finds out here."""

from typing import Final

from .files import NO_ROOM, Files

_IN_MEMORY: Final = frozenset(("tmpfs", "ramfs", "devtmpfs"))
_TEST: Final = "volume-test"
_NEW: Final = f"{_TEST}.new"
_CONTENT: Final = bytes(range(256)) * 16


def defect(files: Files) -> str:
    """Return why the volume of a spool, whose lock is held, cannot keep what is acknowledged, or "". Raises OSError."""
    kind = files.file_system_type()
    if kind in _IN_MEMORY:
        return (
            f"it is in memory ({kind}), so its content does not survive a restart of the Kubernetes node. Use a volume "
            "on a disk"
        )
    if files.lock("lock") is not None:
        return "it grants one lock twice, so two gateways could write to it. Use a volume with file locks (flock)"
    try:
        return _defect_of_files(files)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        return ""  # a full one has to drain
    finally:
        for name in (_TEST, _NEW):
            files.remove(name)


def _defect_of_files(files: Files) -> str:
    for name in (_TEST, _NEW):
        files.remove(name)
    files.put(_TEST, _CONTENT)
    try:
        files.close(files.create(_TEST))
    except FileExistsError:
        pass
    else:
        return "it creates a file that already exists. Use a volume with POSIX semantics"
    content = files.read(_TEST)
    if content != _CONTENT:
        return f"it returned other bytes than were written ({len(content)} of {len(_CONTENT)}). Replace it"
    return ""
