"""Several archives asked in order, so that the time of one that does not answer is not added to that of the next."""

import queue
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from dicomroute_gateway.decoded import Attributes

from .archive import Archive, Cancelled, Query

_TICK_SECONDS: Final = 0.1
_PAGES: Final = 2
"""So many pages are read ahead of whoever tells them."""
_LEAST_SECONDS: Final = 1.0

Page = Sequence[Attributes]


class Asking:
    """Asks archives in order, the next one after an empty or a failed answer: and while that is awaited already.

    The second is asked when half of the time of the first has passed without a page, the third after half of what is
    left, and so on: when the time is over, each has had a chance. What it says counts only if those before it said
    nothing.
    """

    def __init__(self, archives: Sequence[Archive], query: Query) -> None:
        self._query = query
        self._questions = [_Question(one, query) for one in archives]
        self._moved = time.monotonic()
        self._next = 0

    def archives(self) -> Generator[tuple[Archive, Iterator[Page]], None, None]:
        """Yield each archive with its pages, which raise ArchiveFailed and what the query's check raises."""
        try:
            for number, question in enumerate(self._questions):
                if self._next <= number:
                    self._begin()
                yield question.archive, self._pages(question)
        finally:
            for question in self._questions:
                question.end()

    def _pages(self, question: "_Question") -> Iterator[Page]:
        has_said = False
        while True:
            self._query.check()
            try:
                said = question.said.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                if not has_said:
                    self._begin_what_is_due()
                continue
            if isinstance(said, BaseException):
                raise said
            if said is None:
                return
            self._moved = time.monotonic()
            has_said |= bool(said)
            yield said

    def _begin_what_is_due(self) -> None:
        """Ask the next archive when half of the time that those before it have left is over."""
        passed, patience = time.monotonic() - self._moved, self._query.timeout_seconds
        while self._next < len(self._questions) and passed >= patience * (1 - 0.5**self._next):
            self._begin()

    def _begin(self) -> None:
        left = self._query.timeout_seconds - (time.monotonic() - self._moved)
        self._questions[self._next].begin(max(left, _LEAST_SECONDS))
        self._next += 1


class _Question:
    """An archive that is asked in a thread of its own; the peer is heard by the one that tells."""

    def __init__(self, archive: Archive, query: Query) -> None:
        self.archive = archive
        self.said: queue.Queue[Page | BaseException | None] = queue.Queue(_PAGES)
        self._query = query
        self._ended = threading.Event()

    def begin(self, timeout_seconds: float) -> None:
        """Ask."""
        query = replace(self._query, check=self._check, timeout_seconds=timeout_seconds)
        threading.Thread(target=self._ask, args=(query,), name="query-archive", daemon=True).start()

    def end(self) -> None:
        """Nobody wants to know any more."""
        self._ended.set()

    def _check(self) -> None:
        if self._ended.is_set():
            raise Cancelled

    def _ask(self, query: Query) -> None:
        try:
            for page in self.archive.find(query):
                self._say(page)
            self._say(None)
        except Cancelled:
            pass
        except Exception as error:  # an error of ours, too: whoever waits for a page has to hear of it
            with suppress(Cancelled):
                self._say(error)

    def _say(self, page: Page | BaseException | None) -> None:
        while True:
            self._check()
            try:
                self.said.put(page, timeout=_TICK_SECONDS)
            except queue.Full:
                continue
            return
