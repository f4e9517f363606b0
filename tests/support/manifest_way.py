"""The way of a manifest and of instances through one gateway in this process, step by step.

The operator's checks and its renderer make the configuration, the gateway's own loader takes it, reception takes
instances, workers deliver to servers on the loopback. Nothing happens between two steps, so that what a server gets in
one is what the manifests and instances of the steps before mean.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from manifests import Json
from origin_server import OriginServer

from dicomroute_client.documents.queue import QueueSelection
from dicomroute_gateway.admin.queue import Queue
from dicomroute_gateway.configuration.authentic import ConfigurationSeal
from dicomroute_gateway.deliver.deliverer import Deliverer
from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.intake.arrival import Arrival
from dicomroute_gateway.intake.reception import Reception
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.node.reports import Reports
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.process.following import Following
from dicomroute_gateway.process.problems import Problems
from dicomroute_gateway.process.transports import Transports
from dicomroute_gateway.process.treating import Treating
from dicomroute_gateway.spool.records import DeliveryState, Sender
from dicomroute_gateway.spool.spool import Spool
from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.reconcile.last_good import without_removed
from dicomroute_operator.render.gateway_configuration import configuration_text, gateway_configuration

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_QUIET_TURNS = 12
_MOST_TURNS = 400


class ManifestWay:
    """A gateway and the operator's half before it. `break_text` changes the text that is mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mounted = folder / "configuration.json"
        self._accepted: Json | None = None
        (folder / "spool").mkdir(parents=True, exist_ok=True)

    def tell(self, inputs: RouteInputs, break_text: Callable[[Json], None] | None = None) -> None:
        """Give the newest manifest to the operator's half, and mount what it makes of it."""
        accepted = all(one.status for one in check_route(inputs) if one.type == Accepted.__name__)
        if accepted:
            configuration = json.loads(configuration_text(gateway_configuration(inputs)))
            self._accepted = configuration
        elif self._accepted is not None:
            configuration = json.loads(configuration_text(without_removed(self._accepted, inputs)))
        else:
            return
        if break_text is not None:
            configuration = json.loads(json.dumps(configuration))
            break_text(configuration)
        self._mounted.write_text(json.dumps(configuration))

    def unmount(self) -> None:
        """Take the mounted configuration away."""
        self._mounted.unlink(missing_ok=True)

    def open(self) -> None:
        """Start the gateway."""
        self._problems = Problems()
        self._following = Following(
            self._mounted, self.folder / "spool", self._problems, ConfigurationSeal(self.folder / "no-key")
        )
        self._following.reload()
        self._spool = Spool(self.folder / "spool", 1 << 40, 90)
        secrets, measures = self.folder / "secrets", Measures()
        self._tokens = TokenCache()
        preparing = Preparing(self._spool, secrets)
        in_force = self._following.in_force
        transports = Transports(
            self._following.configuration, secrets, self._tokens, preparing, TlsContexts(secrets), Reports()
        )
        self._deliverer = Deliverer(self._spool, preparing, in_force, transports.to, measures)
        self._treating = Treating(self._spool, in_force)
        self._reception = Reception(self._spool, in_force, measures)
        self._queue = Queue(self._spool, self._deliverer, in_force)
        if self._following.active is not None:
            self._following.keep()
            self._deliverer.start()
            self._treating.follow()

    @property
    def is_configured(self) -> bool:
        """Whether any configuration is in force."""
        return self._following.active is not None

    def reload(self) -> None:
        """Take over what is mounted, as the gateway does every half second."""
        was_configured = self.is_configured
        if self._following.reload():
            self._following.keep()
            (self._deliverer.reconsider if was_configured else self._deliverer.start)()
        if self.is_configured:
            self._treating.follow()

    def receive(self, data_set: bytes, uid: str) -> None:
        """Take an instance in, or again."""
        sender = Sender("a-1", "dicom", "CT1", "CTGATE", "192.0.2.1")
        taking = self._reception.open(Arrival(sender, CT_IMAGE_STORAGE, uid, EXPLICIT_VR_LITTLE_ENDIAN))
        taking.write(memoryview(data_set))
        result = taking.finish()
        assert result.is_success, result

    def holds(self, uid: str) -> bool:
        """Return whether an instance is in the spool."""
        return bool(self._spool.entries(lambda entry: entry.received.sop_instance_uid == uid, 1))

    def states(self, destination: str) -> dict[str, tuple[str, str]]:
        """Return state and reason of each delivery to a destination, by SOP Instance UID, as people see them."""
        found = self._queue.page(QueueSelection(all=True, destination=destination), 1000)
        return {one.sop_instance_uid: (one.state, one.reason) for one in found.items}

    def change(self, operation: str) -> None:
        """Retry or release all that there is, as a person does."""
        getattr(self._queue, operation)(QueueSelection(all=True))

    async def deliver(self, servers: list[OriginServer]) -> None:
        """Let the workers run until nothing moves any more."""
        before: Any = None
        quiet = 0
        for _ in range(_MOST_TURNS):
            self._deliverer.hurry(None)
            await asyncio.sleep(0.01)
            pending = self._spool.entries(
                lambda entry: any(d.state is DeliveryState.PENDING for d in entry.deliveries.values())
            )
            busy = any(worker.in_flight for worker in self._deliverer.workers.values())
            now = (len(pending), [len(one.requests) for one in servers])
            quiet = quiet + 1 if now == before and not busy else 0
            before = now
            if quiet >= _QUIET_TURNS or (not pending and not busy):
                return

    async def close(self) -> None:
        """End in order."""
        await self._treating.stop()
        if self.is_configured:
            await self._deliverer.stop(3)
        await self._tokens.close()
        self._spool.close()
