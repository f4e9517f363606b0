"""Instances on their way from an origin server: some side by side, a few in advance, each handed out once it is whole.

It lives in the loop in which archives are asked. Whole studies and series come by one request, single instances by
several side by side. Whoever takes them decides how fast: only so much is fetched ahead.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

import structlog

from dicomroute_gateway.dicomweb.client import Client, CredentialFault, TransportFailed
from dicomroute_gateway.dicomweb.qido import Origin
from dicomroute_gateway.dicomweb.wado import Folder, Part, Patience, RetrievalFailed, retrieve
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.fetched import NoRoom, remove

from .archive import Fetched, InstanceReference, NotFetched

LANES: Final = 12
"""Single instances that are asked for side by side: with eight, one that takes 100 ms each gives at most 80 a second,
and gave 44 on a busy machine, where twelve gave 60."""
_AHEAD: Final = 16
_AHEAD_BYTES: Final = 64 << 20
"""How much may wait to be taken before no further instance is begun."""
_NOT_AS_A_WHOLE: Final = frozenset((400, 404, 405, 406, 413, 414, 500, 501))
"""A server that answers so may give the instances one by one."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Errand:
    """One retrieval: a resource of a study, and the instances that are wanted of it."""

    path: str
    study_instance_uid: str
    references: tuple[InstanceReference, ...]
    singly: "tuple[Errand, ...]" = ()
    """The same, instance by instance."""


class Fetching:
    """Runs errands. Everything but the constructor is called in its loop."""

    def __init__(
        self, client: Client, origin: Origin, errands: Sequence[Errand], folder: Folder, patience: Patience
    ) -> None:
        self._client = client
        self._origin = origin
        self._errands = deque(errands)
        self._folder = folder
        self._patience = patience
        self._ready: deque[Fetched | NotFetched] = deque()
        self._ready_bytes = 0
        self._changed = asyncio.Condition()
        self._running = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin."""
        self._running = LANES
        self._tasks = [asyncio.create_task(self._lane()) for _ in range(LANES)]

    async def next(self) -> Fetched | NotFetched | None:
        """Return the next that is known, None after the last."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._ready or not self._running)
            if not self._ready:
                return None
            one = self._ready.popleft()
            if isinstance(one, Fetched):
                self._ready_bytes -= one.file.length
            self._changed.notify_all()
            return one

    async def close(self) -> None:
        """End what is under way, and remove what nobody took."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for one in self._ready:
            if isinstance(one, Fetched):
                remove(one.file.path)
        self._ready.clear()

    async def _lane(self) -> None:
        try:
            while self._errands:
                await self._room()
                if self._errands:
                    await self._run(self._errands.popleft())
        finally:
            self._running -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _run(self, errand: Errand) -> None:
        """Give out every reference of an errand once, or leave it to errands of its own."""
        wanted = {reference.sop_instance_uid: reference for reference in errand.references}
        reason = "Missing"
        try:
            parts = retrieve(
                self._client, self._origin, errand.path, self._folder, self._patience, errand.study_instance_uid
            )
            async with aclosing(parts):
                async for part in parts:
                    await self._take(part, wanted)
                    if wanted:
                        await self._room()
        except RetrievalFailed as error:
            if error.status in _NOT_AS_A_WHOLE and errand.singly and len(wanted) == len(errand.references):
                self._errands.extend(errand.singly)
                async with self._changed:
                    self._changed.notify_all()
                return
            reason = error.reason
            self._note(errand, reason, error)
        except (CredentialFault, TransportFailed) as error:
            reason = error.reason
            self._note(errand, reason, error)
        except NoRoom as error:
            reason = "NoRoom"
            self._note(errand, reason, error)
        except OSError as error:
            reason = "VolumeFailed"
            self._note(errand, reason, error)
        except Exception:
            log.exception("retrieval.fetch_failed", archive=self._origin.url)
            reason = Reason.GATEWAY_ERROR
        for reference in wanted.values():
            await self._give(NotFetched(reference, reason))

    async def _take(self, part: Part, wanted: dict[str, InstanceReference]) -> None:
        """Give an instance out that is wanted still; one that came twice, or since it was listed, is not."""
        reference = wanted.pop(part.sop_instance_uid, None)
        if reference is None:
            remove(part.file.path)
        elif reference.sop_class_uid not in ("", part.sop_class_uid):
            remove(part.file.path)
            await self._give(NotFetched(reference, "OtherSOPClass"))
        else:
            named = replace(reference, sop_class_uid=part.sop_class_uid)
            await self._give(Fetched(named, part.transfer_syntax_uid, part.length, part.file))

    async def _give(self, one: Fetched | NotFetched) -> None:
        async with self._changed:
            self._ready.append(one)
            if isinstance(one, Fetched):
                self._ready_bytes += one.file.length
            self._changed.notify_all()

    async def _room(self) -> None:
        """Wait until more may be fetched."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._ready) < _AHEAD and self._ready_bytes < _AHEAD_BYTES)

    def _note(self, errand: Errand, reason: str, error: Exception) -> None:
        log.warning(
            "retrieval.fetch_failed",
            archive=self._origin.url,
            reason=reason,
            message=str(error),
            instances=len(errand.references),
        )
