"""A gateway that ends with SIGKILL at a step of a study: DICOMROUTE_KILLED_AT names it."""

import os
import signal
from collections.abc import Callable
from typing import Any, Final

from killed_committing import around

from dicomroute_gateway import __main__ as gateway
from dicomroute_gateway.events.store import Store
from dicomroute_gateway.spool.journal import Journal
from dicomroute_gateway.spool.records import StudyRecord
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.study_door import StudyDoor

_FIRST: Final = (
    (Spool, "receive", "the second instance", 2),
    (StudyDoor, "complete", "the record of the completion", 1),
    (StudyDoor, "sync", "the sync of the completion", 1),
    (StudyDoor, "offer", "what waited goes out", 1),
)
_METHODS: Final = (
    *_FIRST,
    (Spool, "receive", "the late instance", 3),
    (StudyDoor, "complete", "the record of the second completion", 2),
)


def _is_reopening(record: Any) -> bool:
    return isinstance(record, StudyRecord) and record.reopens


def _tells(name: str) -> Callable[..., bool]:
    return lambda told, *_: any(one.name == name for one in told)


_CALLS: Final = (
    (Journal, "append", "the record that it is open again", _is_reopening),
    (Store, "write", "the event of the completion", _tells("study.complete")),
    (Store, "write", "the event that it is open again", _tells("study.reopened")),
)
FIRST_STEPS: Final = tuple(f"{when} {what}" for _, _, what, _ in _FIRST for when in ("before", "after"))
"""Those up to the first completion."""
STEPS: Final = tuple(f"{when} {what}" for _, _, what, _ in (*_METHODS, *_CALLS) for when in ("before", "after"))


def around_those(owner: Any, name: str, what: str, wanted: Callable[..., bool]) -> None:
    """Let a method end the process before or after the first call whose arguments are wanted."""
    original, step = getattr(owner, name), os.environ["DICOMROUTE_KILLED_AT"]

    def wrapped(self: Any, *arguments: Any) -> Any:
        if step == f"before {what}" and wanted(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(self, *arguments)
        if step == f"after {what}" and wanted(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)


def main() -> None:
    for owner, method, what, wanted in _METHODS:

        def steps(call: int, what: str = what, wanted: int = wanted) -> tuple[str, str]:
            return (f"before {what}", f"after {what}") if call == wanted else ("", "")

        around(owner, method, steps)
    for owner, method, what, is_wanted in _CALLS:
        around_those(owner, method, what, is_wanted)
    gateway.main()


if __name__ == "__main__":
    main()
