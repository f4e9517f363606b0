"""Reconciles every kind but routes: nothing is made of such objects, but their status says how they stand."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from dicomroute_operator.kinds.kind import Object, Seen, Status
from dicomroute_operator.kinds.listed import KINDS
from dicomroute_operator.kube.client import Client
from dicomroute_operator.kube.events import Recorder
from dicomroute_operator.kube.resources import OWN
from dicomroute_operator.status.pods import STALE_SECONDS
from dicomroute_operator.status.said import Said, said_of, silent_seconds

from .frozen import check_readable
from .publish import publish
from .world import Key, World


class PeerReconciler:
    """Writes the status of objects of which nothing is made."""

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        world: World,
        ask_later: Callable[[Key, float], None],
        machine_identities: Collection[str],
    ) -> None:
        self._machine_identities = machine_identities
        self._client = client
        self._recorder = recorder
        self._world = world
        self._ask_later = ask_later

    async def reconcile(self, key: Key) -> None:
        """Write the status of the object with this key, if it has changed."""
        await check_readable(self._client, self._world, key)
        now = datetime.now(UTC)
        one, make = self._world.objects[key.kind].get(key), KINDS[key.kind].status
        if one is None or make is None:
            return
        is_of_another = bool(self._world.of_another & self._world.users.get(key, set()))
        status = make(one, Seen(partial(self._all_said, key, now), now, is_of_another, self._machine_identities))
        if status is not None:
            await self._publish(key, one, status)

    def _all_said(self, key: Key, now: datetime) -> list[Said]:
        return [self._said(route, key, now) for route in self._world.runs(key)]

    def _said(self, route: Key, key: Key, now: datetime) -> Said:
        """Return what a route's gateways say; one that has said nothing for long has no known state any more."""
        destination = (key.kind, key.name)
        said = said_of(route.name, [destination], self._world.pods(route), now.timestamp())[destination]
        silent = silent_seconds(self._world.routes[route], now)
        if said.destinations or said.is_stale or silent is None:
            return said
        if silent <= STALE_SECONDS:
            self._ask_later(key, STALE_SECONDS - silent + 1)
        return replace(said, is_stale=silent > STALE_SECONDS)

    async def _publish(self, key: Key, one: Object, status: Status) -> None:
        if status == one.status or one.metadata.deletion_timestamp is not None:
            return
        about = {
            "apiVersion": OWN[key.kind].api_version,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": one.metadata.uid},
        }
        before = one.status.conditions if one.status is not None else []
        await publish(self._client, self._recorder, about, status, before)
        store = self._world.objects[key.kind]
        current = store.get(key)
        if current is not None and current.metadata.uid == one.metadata.uid:
            store[key] = current.model_copy(update={"status": status})
