"""A gateway's delivering half in this process: a spool on disk, a worker, STOW-RS to a real server on the loopback."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from origin_server import OriginServer

from dicomroute_gateway.configuration.destinations import CloudTargetDestination
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.configuration.recipe import AS_IT_CAME, Recipe
from dicomroute_gateway.deliver.cloud.stow import StowTransport
from dicomroute_gateway.deliver.settling import Settling
from dicomroute_gateway.deliver.transport import Transport
from dicomroute_gateway.deliver.worker import Worker
from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.rules.routing import compile_rules
from dicomroute_gateway.spool.part10 import file_head
from dicomroute_gateway.spool.records import DeliveryRecord, Received, Sender
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Owed
from dicomroute_gateway.throttle import Throttle

TARGET: Final = "CloudTarget/archive"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
_PATIENCE_SECONDS: Final = 30.0
_SERIALS = itertools.count(1)


def new_uid() -> str:
    """Return a UID of these tests' own."""
    return f"1.2.826.0.1.3680043.10.98.{next(_SERIALS)}"


class Delivering:
    """Takes instances in and delivers them to a server; `target` are fields of its CloudTarget.

    In place of STOW-RS to the server it may have another `transport`.
    """

    def __init__(
        self,
        folder: Path,
        server: OriginServer,
        *,
        content_attempts: int = 3,
        most_backoff_seconds: int = 1,
        transport: Transport | None = None,
        **target: Any,
    ) -> None:
        self.server = server
        self._transport = transport
        self._most_backoff_seconds = most_backoff_seconds
        self._target = {"kind": "CloudTarget", "name": "archive", "url": server.url, "auth": {"type": "None"}, **target}
        self._content_attempts = content_attempts
        self.spool = Spool(folder / "spool", 1 << 40, 90)
        self._secrets = folder / "secrets"
        self.preparing = Preparing(self.spool, self._secrets)
        self._offered: list[int] = []
        self._active: Active | None = None
        self.worker = self._new_worker()

    @property
    def destination(self) -> CloudTargetDestination:
        return self.configuration.destinations[0]

    @property
    def active(self) -> Active:
        """What is in force: the same object until something else is."""
        configuration = self.configuration
        if self._active is None or self._active.configuration != configuration:
            self._active = Active(configuration, compile_rules(configuration.rules))
        return self._active

    @property
    def configuration(self) -> Configuration:
        return Configuration.model_validate(
            {
                "schemaVersion": 1,
                "route": {"namespace": "n", "name": "r"},
                "mode": "Running",
                "listeners": [
                    {
                        "name": "dicom",
                        "port": 0,
                        "aeTitles": ["A"],
                        "sources": {"policy": "Any"},
                        "maxAssociations": 1,
                        "maxPDUBytes": 65536,
                        "acseTimeoutSeconds": 1,
                        "idleTimeoutSeconds": 1,
                        "stallTimeoutSeconds": 1,
                    }
                ],
                "rules": {"matching": "All", "unmatched": "Hold", "rules": []},
                "destinations": [self._target],
                "retry": {
                    "initialBackoffSeconds": 1,
                    "maxBackoffSeconds": self._most_backoff_seconds,
                    "contentAttempts": self._content_attempts,
                },
                "spool": {"sizeBytes": 1 << 40, "highWatermarkPercent": 90},
                "drainTimeoutSeconds": 1,
            }
        )

    def receive(
        self,
        data_set: bytes,
        uid: str = "",
        *,
        series: str = "",
        transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN,
        recipe: Recipe = AS_IT_CAME,
    ) -> Received:
        """Take an instance in; one that is there with the same bytes is taken as that one."""
        self.spool.keep_recipes([recipe])
        uid = uid or new_uid()
        incoming = self.spool.begin(CT_IMAGE_STORAGE, uid, transfer_syntax_uid)
        incoming.write(memoryview(data_set))
        incoming.end()
        received = Received(
            incoming.id, time.time(), CT_IMAGE_STORAGE, uid, series or f"{uid}.1", f"{uid}.2", transfer_syntax_uid,
            incoming.length, incoming.digest, Sender("a", "dicom", "CT1", "A", "127.0.0.1"), 1, (TARGET,),
            recipes={TARGET: recipe.id} if recipe.steps else {},
        )  # fmt: skip
        if self.spool.repeat(received):
            incoming.discard()
        else:
            self.spool.receive(incoming, received)
        return received

    def delivery(self, received: Received) -> DeliveryRecord | None:
        """Return how a delivery stands; None when it is done and forgotten."""
        entries = self.spool.entries(lambda entry: entry.received.id == received.id)
        return entries[0].deliveries[TARGET] if entries else None

    def run(self, until: Callable[[], bool], *, hurry: bool = True) -> None:
        """Deliver until a condition holds. `hurry` ends the waits that faults begin, over and over."""
        asyncio.run(self._run(until, hurry))

    async def _run(self, until: Callable[[], bool], hurry: bool) -> None:
        worker = self.worker = self._new_worker()
        worker.offer(self._offered)
        task = asyncio.create_task(worker.run())
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not until():
                    fresh = [one.id for one in self.spool.take_fresh()]
                    self._offered += fresh
                    worker.offer(fresh)
                    if hurry:
                        worker.hurry()
                    await asyncio.sleep(0.01)
        finally:
            worker.stop()
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await task
            await self.settling.close()

    def _new_worker(self) -> Worker:
        throttle = Throttle(lambda: None)
        transport = self._transport or StowTransport(
            lambda: self.destination, self._secrets, TokenCache(), throttle, self.preparing
        )
        self.settling = Settling(self.spool)
        return Worker(TARGET, self.spool, self.preparing, lambda: self.active, transport, self.settling, Measures())

    def is_settled(self) -> bool:
        """Return whether nothing is owed any more."""
        return self.spool.is_loaded and self.spool.snapshot().instances.owed == 0

    def is_pending(self, received: Received) -> bool:
        """Return whether an instance is still to be delivered."""
        return self.spool.pending(Owed(received.id, TARGET)) is not None

    def close(self) -> None:
        with suppress(Exception):
            self.spool.close()


def file_of(received: Received, data_set: bytes) -> bytes:
    """Return the file that a gateway makes of an instance."""
    return file_head(received.sop_class_uid, received.sop_instance_uid, received.transfer_syntax_uid) + data_set


Start = Callable[..., Delivering]
"""Starts one; its arguments are those of Delivering, but for folder and server."""


@contextmanager
def starting(folder: Path, server: OriginServer) -> Iterator[Start]:
    """Give out what starts them on a folder, against a server; all are closed at the end."""
    started: list[Delivering] = []

    def start(**options: Any) -> Delivering:
        started.append(Delivering(folder, server, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()
