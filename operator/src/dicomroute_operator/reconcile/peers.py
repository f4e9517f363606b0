"""Reconciles nodes, targets and profiles: nothing is made of them, but their status says how they stand."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime

from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.node import DicomNode, DicomNodeStatus
from dicomroute_operator.api.profile import DeidentificationProfile, DeidentificationProfileStatus
from dicomroute_operator.api.target import CloudTarget, CloudTargetStatus
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.checks.node import check_node
from dicomroute_operator.checks.profile import check_profile
from dicomroute_operator.checks.target import check_target
from dicomroute_operator.kube.client import Client
from dicomroute_operator.kube.events import Recorder
from dicomroute_operator.kube.resources import OWN
from dicomroute_operator.status.conditions import first_of_each_type, settle
from dicomroute_operator.status.node import node_status
from dicomroute_operator.status.pods import STALE_SECONDS
from dicomroute_operator.status.progress import with_progress
from dicomroute_operator.status.said import Said, said_of, silent_seconds
from dicomroute_operator.status.target import target_status

from .frozen import check_readable
from .publish import publish
from .world import Key, World


class PeerReconciler:
    """Writes the status of nodes and targets."""

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
        """Write the status of the node or target with this key, if it has changed."""
        await check_readable(self._client, self._world, key)
        now = datetime.now(UTC)
        if key.kind == "DicomNode":
            node = self._world.nodes.get(key)
            if node is not None:
                said = [self._said(route, key, now) for route in self._world.runs(key)]
                await self._publish(key, node, node_status(node, check_node(node), said, now))
        elif key.kind == "DeidentificationProfile":
            profile = self._world.profiles.get(key)
            if profile is not None:
                generation, conditions = _settled(profile, check_profile(profile), now)
                status = DeidentificationProfileStatus(observed_generation=generation, conditions=conditions)
                await self._publish(key, profile, status)
        else:
            target = self._world.targets.get(key)
            # Of a target that routes of another operator use, that one hears.
            if target is not None and not self._world.of_another & self._world.users.get(key, set()):
                said = [self._said(route, key, now) for route in self._world.runs(key)]
                findings = check_target(target, self._machine_identities)
                await self._publish(key, target, target_status(target, findings, said, now))

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

    async def _publish(
        self,
        key: Key,
        one: DicomNode | CloudTarget | DeidentificationProfile,
        status: DicomNodeStatus | CloudTargetStatus | DeidentificationProfileStatus,
    ) -> None:
        if status == one.status or one.metadata.deletion_timestamp is not None:
            return
        about = {
            "apiVersion": OWN[key.kind].api_version,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": one.metadata.uid},
        }
        before = one.status.conditions if one.status is not None else []
        await publish(self._client, self._recorder, about, status, before)
        store = self._world.store(key.kind)
        current = store.get(key)
        if current is not None and current.metadata.uid == one.metadata.uid:
            store[key] = current.model_copy(update={"status": status})


def _settled(
    one: DicomNode | DeidentificationProfile, findings: list[Finding], now: datetime
) -> tuple[int, list[Condition]]:
    """Return the generation that conditions speak of, and the conditions."""
    before = one.status.conditions if one.status is not None else []
    generation, stamp = one.metadata.generation, now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return generation, settle(with_progress(first_of_each_type(findings)), before, generation, stamp)
