"""Writes down what became of attempts, for all destinations together: a thread is asked once for many."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from dicomroute_gateway.spool.records import DeliveryRecord
from dicomroute_gateway.spool.spool import Spool

_CLOSE_SECONDS: Final = 1.0


class Settling:
    """Settles deliveries in the spool. Lives in one event loop.

    By a thread of its own: calls that block in asyncio's threads must not keep deliveries from being settled.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="settle")
        self._records: list[DeliveryRecord] = []
        self._done: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def settle(self, records: Iterable[DeliveryRecord]) -> None:
        """Return when records survive this process (`Spool.settle`). Raises SpoolFailed."""
        self._records += records
        if self._done is None:
            self._done = asyncio.get_running_loop().create_future()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())
        await asyncio.shield(self._done)

    async def close(self) -> None:
        """End the thread; what has come is written first, if that takes no longer than a second.

        What is not written is delivered again by the next gateway.
        """
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=_CLOSE_SECONDS)
        self._thread.shutdown(wait=False)

    async def _write(self) -> None:
        """Write what has come; what comes meanwhile is written together after that."""
        while self._done is not None:
            records, self._records = self._records, []
            done, self._done = self._done, None
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._spool.settle, records)
            except BaseException as error:
                done.set_exception(error)
                done.exception()  # whoever waited may be gone
                if not isinstance(error, Exception):
                    raise
            else:
                done.set_result(None)
