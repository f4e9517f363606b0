"""The event loop in which archives are asked by HTTP: a thread of its own, as deliveries never wait for a query."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as NotYet
from typing import Any, Final, TypeVar

from .archive import Check

_CHECK_SECONDS: Final = 0.2

Result = TypeVar("Result")


class QueryLoop:
    """An event loop in a thread. What is run in it is begun from other threads, which wait."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="query-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result], check: Check) -> Result:
        """Return what a coroutine comes to; `check` is called five times a second while it goes on.

        Raises what the coroutine raises, and what `check` raises, after the coroutine was told to end.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            while True:
                check()
                try:
                    return future.result(_CHECK_SECONDS)
                except NotYet:
                    if future.done():  # meanwhile, or it is a time-out of the coroutine's own
                        return future.result()
        finally:
            future.cancel()

    def close(self, *coroutines: Coroutine[Any, Any, object]) -> None:
        """Run what ends things, then end the loop and its thread."""
        for one in coroutines:
            asyncio.run_coroutine_threadsafe(one, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
