"""The threads in which a C-MOVE stores: one, and a second with an association of its own where that is worth it.

On one association a sub-operation begins when the one before it is answered: while the destination keeps an instance,
the gateway waits. So a large retrieval, whose instances are ready faster than they are taken, opens a second one. A
destination that does not serve it keeps the first, and is not asked again for a while.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from dicomroute_gateway.dimse.failures import RequestorFailure
from dicomroute_gateway.dimse.requestor import Called

from .archive import Cancelled, Fetched, NotFetched
from .gathering import Gathering
from .moving import Moving, Unreachable
from .producing import Producing

LEAST_INSTANCES: Final = 64
"""Retrievals of fewer are over before a second association carries its share."""
_ALONE: Final = 8
"""How many the first association takes before: by then it is known that the destination is there and takes them."""
_LATE_SECONDS: Final = 2.0
"""Who answers a second association so late serves one after the other."""
_BOUND_SECONDS: Final = 300.0
"""How long it is believed that a destination serves one at a time."""

log = structlog.get_logger(__name__)


class Bounds:
    """Which destinations serve one association at a time, as they have shown of late. For any thread."""

    def __init__(self) -> None:
        self._until: dict[Called, float] = {}

    def note(self, called: Called) -> None:
        """Take note that a destination did not serve a second one."""
        self._until[called] = time.monotonic() + _BOUND_SECONDS

    def has(self, called: Called) -> bool:
        """Return whether it is known of a destination."""
        return time.monotonic() < self._until.get(called, 0.0)


class Storing:
    """Stores what a C-MOVE retrieves. `make` returns what stores over an association of its own."""

    def __init__(self, make: Callable[[], Moving], gathering: Gathering, producing: Producing, bounds: Bounds) -> None:
        self.unreachable: Unreachable | None = None
        self._gathering = gathering
        self._producing = producing
        self._bounds = bounds
        self._first, self._second = make(), make()
        self._lock = threading.Lock()
        self._is_over = False
        """Whether nothing is left for a second association that is not open yet."""
        self._is_shared = False
        """Whether the second association takes instances."""
        self._thread = threading.Thread(target=self._run, name="move", daemon=True)
        self._helper: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait until everything is stored, or given up; return whether it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def interrupt(self) -> None:
        """End the associations from another thread: what is under way fails."""
        self._first.interrupt()
        self._second.interrupt()

    def _run(self) -> None:
        try:
            self._producing.is_listed.wait()
            self._first.expect(self._gathering.references)
            self._first.run(self._results())
        except Cancelled:
            pass
        except Unreachable as error:
            self.unreachable = error
            log.warning("retrieval.destination_unreachable", reason=error.reason, why=str(error))
        except Exception:
            log.exception("retrieval.failed")
            self._producing.has_failed = True
        finally:
            self._await_helper()

    def _results(self) -> Iterator[Fetched | NotFetched]:
        """Yield what is ready for the first association, what the second one left at the end."""
        is_large = self._gathering.count >= LEAST_INSTANCES and not self._bounds.has(self._first.called)
        for number, one in enumerate(self._producing.all()):
            if is_large and number >= _ALONE and self._helper is None and self._producing.is_ahead:
                self._helper = threading.Thread(target=self._help, name="move-beside", daemon=True)
                self._helper.start()
            yield one
        self._await_helper()
        yield from self._second.left

    def _await_helper(self) -> None:
        """Wait until the second association has no instance any more; one that is being opened takes none."""
        with self._lock:
            self._is_over = True
        if self._helper is not None and self._is_shared:
            self._helper.join()

    def _help(self) -> None:
        begun = time.monotonic()
        try:
            self._second.expect(self._gathering.references)
            self._second.open()
        except RequestorFailure as failure:
            self._bounds.note(self._first.called)
            log.info("retrieval.bounded", destination=self._first.called.ae_title, why=str(failure))
            return
        with self._lock:
            self._is_shared = not self._is_over
        if time.monotonic() - begun > _LATE_SECONDS:
            self._bounds.note(self._first.called)
        try:
            self._second.run(self._producing.all() if self._is_shared else iter(()), may_leave=True)
            if self._second.left:
                self._bounds.note(self._first.called)
        except Cancelled:
            pass
        except Exception:
            log.exception("retrieval.failed")
            self._producing.has_failed = True
