"""Reconciles nodes and targets: nothing is made of them, but their status says how their manifests stand."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dicomroute_operator.api.node import DicomNode, DicomNodeStatus
from dicomroute_operator.api.target import CloudTarget, CloudTargetStatus
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.checks.node import check_node
from dicomroute_operator.checks.target import check_target
from dicomroute_operator.kube.client import Client
from dicomroute_operator.kube.resources import OWN
from dicomroute_operator.status.conditions import first_of_each_type, settle

from .publish import publish
from .world import Key, World


class PeerReconciler:
    """Writes the status of nodes and targets."""

    def __init__(self, client: Client, world: World) -> None:
        self._client = client
        self._world = world

    async def reconcile(self, key: Key) -> None:
        """Write the status of the node or target with this key, if it has changed."""
        if key.kind == "DicomNode":
            node = self._world.nodes.get(key)
            if node is not None:
                await self._publish(key, node, check_node(node), DicomNodeStatus)
        else:
            target = self._world.targets.get(key)
            if target is not None:
                await self._publish(key, target, check_target(target), CloudTargetStatus)

    async def _publish(
        self,
        key: Key,
        one: DicomNode | CloudTarget,
        findings: Sequence[Finding],
        kind: type[DicomNodeStatus | CloudTargetStatus],
    ) -> None:
        before = one.status.conditions if one.status is not None else []
        generation = one.metadata.generation
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = settle(first_of_each_type(findings), before, generation, now)
        status = kind(observed_generation=generation, conditions=conditions)
        if status == one.status or one.metadata.deletion_timestamp is not None:
            return
        about = {
            "apiVersion": OWN[key.kind].api_version,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": one.metadata.uid},
        }
        await publish(self._client, about, status, before)
