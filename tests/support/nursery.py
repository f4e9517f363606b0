"""Starts gateways that end with SIGKILL at a named step, as fast as a fork: the gateway is imported once.

    python nursery.py

For each line of JSON on standard input, `{"arguments": [...], "step": NAME, "occurrence": N, "log": FILE}`, it forks a
gateway with these arguments, and says `{"pid": ...}`, and when it has ended `{"ended": SIGNAL_OR_CODE}`. `step` is one
of `STEPS`, or null for a gateway that is left alone.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dicomroute_gateway import __main__ as gateway
from dicomroute_gateway.deliver.cloud import stow
from dicomroute_gateway.dimse import association
from dicomroute_gateway.events import store as events
from dicomroute_gateway.spool import ready_files, spool, upkeep
from dicomroute_gateway.spool.files import Files

_OPERATIONS = {
    "create the file of an instance": ("create", "instances/"),
    "use the file of an instance again": ("reuse", "instances/"),
    "cut the file of an instance": ("cut", "instances/"),
    "write an instance": ("write", "instances/"),
    "sync an instance": ("sync", "instances/"),
    "sync the folder of an instance": ("sync_folder", "instances/"),
    "make the folder of instances": ("make_folder", "instances/"),
    "write the journal": ("write", "journal/0"),
    "sync the journal": ("sync", "journal/0"),
    "remove the file of an instance": ("remove", "instances/"),
    "write a new journal": ("write", "journal/new"),
    "sync a new journal": ("sync", "journal/new"),
    "put a new journal in place": ("rename", "journal/new"),
    "sync the folder of the journal": ("sync_folder", "journal"),
    "keep the old journal": ("rename", "journal/0"),
    "remove the old journal": ("remove", "journal/0"),
}
_OPENING = ("create", "open_append", "open_at", "reuse")
"""Operations that return a descriptor."""
_OTHERS = ("send a PDU", "store at the destination", "settle deliveries", "write events")
STEPS = tuple(f"{when}: {name}" for name in (*_OPERATIONS, *_OTHERS) for when in ("before", "after"))


class Trigger:
    """Ends this process at the n-th occurrence of a step."""

    def __init__(self, step: str, occurrence: int) -> None:
        self._step = step
        self._left = occurrence

    def reached(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def watch(trigger: Trigger) -> None:
    """Let the trigger see the steps of this process."""
    names: dict[int, str] = {}

    def wrap(operation: str) -> None:
        original = getattr(Files, operation)

        def wrapped(self: Files, what: Any, *rest: Any) -> Any:
            name = names.get(what, "") if isinstance(what, int) else what
            steps = [
                step for step, (wanted, start) in _OPERATIONS.items() if wanted == operation and name.startswith(start)
            ]
            for step in steps:
                trigger.reached(f"before: {step}")
            result = original(self, what, *rest)
            for step in steps:
                trigger.reached(f"after: {step}")
            if operation in _OPENING:
                names[result] = next((one for one in rest if isinstance(one, str)), name)  # of two names the new one
            return result

        setattr(Files, operation, wrapped)

    for operation in (*_OPENING, *{operation for operation, _ in _OPERATIONS.values()} - {*_OPENING}):
        wrap(operation)
    association.send_all = _around(trigger, "send a PDU", association.send_all)
    events.Store.write = _around(trigger, "write events", events.Store.write)
    spool.Spool.settle = _around(trigger, "settle deliveries", spool.Spool.settle)
    store = stow.store

    async def watched_store(*arguments: Any) -> Any:
        trigger.reached("before: store at the destination")
        reply = await store(*arguments)
        trigger.reached("after: store at the destination")
        return reply

    stow.store = watched_store


def _around(trigger: Trigger, step: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any) -> Any:
        trigger.reached(f"before: {step}")
        result = original(*arguments)
        trigger.reached(f"after: {step}")
        return result

    return wrapped


def bear(order: dict[str, Any]) -> int:
    """Fork a gateway; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with this process
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        upkeep._COMPACT_BYTES = 20_000  # often enough to be hit
        ready_files._MOST_USED = 4  # others are removed
        if order["step"] is not None:
            watch(Trigger(order["step"], order["occurrence"]))
        sys.argv = ["dicomroute-gateway", *order["arguments"]]
        gateway.main()
    except SystemExit as end:
        os._exit(int(end.code or 0))
    finally:
        os._exit(1)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        pid = bear(json.loads(line))
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        print(json.dumps({"ended": ended}), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
