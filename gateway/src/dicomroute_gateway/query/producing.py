"""What a retrieval is of, made ready in a thread of its own, a few instances ahead of who sends them."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Final

import structlog

from .archive import Cancelled, Fetched, NotFetched, TooManyCandidates
from .forms import discard
from .gathering import Gathering
from .tally import Tally

_AHEAD: Final = 4
_TURN_SECONDS: Final = 0.1

Prepare = Callable[[Fetched], Fetched | NotFetched]
"""Gives an instance the form that it is to be sent in."""

log = structlog.get_logger(__name__)


class Producing:
    """Lists, fetches and prepares the instances of a retrieval; `next` hands them out, to any thread."""

    def __init__(
        self, gathering: Gathering, tally: Tally, folder: Path, prepare: Prepare, ended: threading.Event
    ) -> None:
        self.too_many: TooManyCandidates | None = None
        self.has_failed = False
        """Whether it ended by an error of ours; the log says which."""
        self.is_listed = threading.Event()
        """Set when it is known what there is, or that this cannot be known."""
        self._gathering = gathering
        self._tally = tally
        self._folder = folder
        self._prepare = prepare
        self._ended = ended
        self._ready: Queue[Fetched | NotFetched | None] = Queue(_AHEAD)
        self._thread = threading.Thread(target=self._run, name="retrieve", daemon=True)

    @property
    def is_ahead(self) -> bool:
        """Whether instances wait to be taken."""
        return self._ready.qsize() >= _AHEAD // 2

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def next(self, seconds: float) -> Fetched | NotFetched | None:
        """Return the next instance, None after the last one. Raises queue.Empty when none is ready in that time."""
        one = self._ready.get(timeout=seconds)
        if one is None:
            self._ready.put_nowait(None)
        return one

    def all(self) -> Iterator[Fetched | NotFetched]:
        """Yield the instances as they become ready, until it was ended."""
        while not self._ended.is_set():
            try:
                one = self.next(_TURN_SECONDS)
            except Empty:
                continue
            if one is None:
                return
            yield one

    def join(self, seconds: float) -> bool:
        """Wait for the thread; return whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._gathering.list(self._tally.found)
            self._tally.begin(self._gathering.sop_instance_uids)
            self.is_listed.set()
            for result in self._gathering.fetch(self._folder):
                self._put(self._prepare(result) if isinstance(result, Fetched) else result)
        except Cancelled:
            pass
        except TooManyCandidates as error:
            self.too_many = error
        except Exception:
            log.exception("retrieval.failed")
            self.has_failed = True
        finally:
            self.is_listed.set()
            self._close()

    def _put(self, result: Fetched | NotFetched) -> None:
        """Hand an instance out, or wait until there is room for it. Raises Cancelled."""
        while True:
            try:
                self._ready.put(result, timeout=_TURN_SECONDS)
            except Full:
                if self._ended.is_set():
                    if isinstance(result, Fetched):
                        discard(result)
                    raise Cancelled from None
            else:
                return

    def _close(self) -> None:
        """Say that there is no more, to whoever still listens."""
        while True:
            try:
                self._ready.put(None, timeout=_TURN_SECONDS)
            except Full:
                if self._ended.is_set():
                    return
            else:
                return
