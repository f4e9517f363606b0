"""A gateway that ends with SIGKILL at a step of preparing: DICOMROUTE_KILLED_AT is WHEN OPERATION FOLDER NUMBER."""

import os
import signal
from typing import Any, Final

from dicomroute_gateway import __main__ as gateway
from dicomroute_gateway.spool import spool
from dicomroute_gateway.spool.files import Files

STEPS: Final = tuple(
    f"{when} {operation} {folder} {number}"
    for operation, folder, numbers in (
        ("put", "recipes", (1, 3)),
        ("create", "derived", (1, 3)),
        ("write", "derived", (2,)),
        ("sync", "derived", (1, 3)),
        ("rename", "derived", (1, 2, 4)),
        ("remove", "derived", (2, 4, 6)),
        ("settle", "-", (1, 2)),
    )
    for number in numbers
    for when in ("before", "after")
)


def main() -> None:
    """Run a gateway that ends there."""
    when, operation, folder, number = os.environ["DICOMROUTE_KILLED_AT"].split()
    owner: Any = spool.Spool if operation == "settle" else Files
    original, left, names = getattr(owner, operation), [int(number)], dict[int, str]()

    def create(self: Files, name: str) -> int:
        descriptor = created(self, name)
        names[descriptor] = name
        return descriptor

    def wrapped(self: Any, what: Any, *rest: Any) -> Any:
        name = names.get(what, "") if isinstance(what, int) else what
        is_meant = operation == "settle" or (isinstance(name, str) and name.startswith(f"{folder}/"))
        left[0] -= is_meant
        if is_meant and left[0] == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(self, what, *rest)
        if is_meant and left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if operation == "create":
            names[result] = what
        return result

    setattr(owner, operation, wrapped)
    if operation != "create":
        created = Files.create
        Files.create = create  # type: ignore[method-assign]
    gateway.main()


if __name__ == "__main__":
    main()
