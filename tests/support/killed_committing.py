"""A gateway that ends with SIGKILL at a step of a transaction of storage commitment: DICOMROUTE_KILLED_AT names it."""

import os
import signal
from collections.abc import Callable
from typing import Any, Final

from dicomroute_gateway import __main__ as gateway
from dicomroute_gateway.dimse import requestor
from dicomroute_gateway.spool.commitments import Commitments

STEPS: Final = (
    "before the first write",
    "after the first write",
    "before the second write",
    "after the second write",
    "before the report",
    "after the report",
    "before the removal",
    "after the removal",
)


def around(owner: Any, name: str, steps: Callable[[int], tuple[str, str]]) -> None:
    """Let a method end the process before or after a call, by the number of the call."""
    original, wanted, calls = getattr(owner, name), os.environ["DICOMROUTE_KILLED_AT"], [0]

    def wrapped(*arguments: Any) -> Any:
        calls[0] += 1
        before, after = steps(calls[0])
        if wanted == before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments)
        if wanted == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)


def main() -> None:
    numbers = ("", "first", "second")
    around(Commitments, "put", lambda call: (f"before the {numbers[call]} write", f"after the {numbers[call]} write"))
    around(requestor.Requestor, "event_report", lambda _: ("before the report", "after the report"))
    around(Commitments, "remove", lambda _: ("before the removal", "after the removal"))
    gateway.main()


if __name__ == "__main__":
    main()
