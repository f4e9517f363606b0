"""A gateway that ends with SIGKILL at a step of a study: DICOMROUTE_KILLED_AT names it."""

from typing import Final

from killed_committing import around

from dicomroute_gateway import __main__ as gateway
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.study_door import StudyDoor

_METHODS: Final = (
    (Spool, "receive", "the second instance", 2),
    (StudyDoor, "complete", "the record of the completion", 1),
    (StudyDoor, "sync", "the sync of the completion", 1),
    (StudyDoor, "offer", "what waited goes out", 1),
)
STEPS: Final = tuple(f"{when} {what}" for _, _, what, _ in _METHODS for when in ("before", "after"))


def main() -> None:
    for owner, method, what, wanted in _METHODS:

        def steps(call: int, what: str = what, wanted: int = wanted) -> tuple[str, str]:
            return (f"before {what}", f"after {what}") if call == wanted else ("", "")

        around(owner, method, steps)
    gateway.main()


if __name__ == "__main__":
    main()
