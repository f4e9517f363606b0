"""Reconciles one route: gather, check, render, plan, write, observe, report."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog

from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.inputs import Existing, RouteInputs
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.route_status import DicomRouteStatus
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.gateways.credential import admin_credential
from dicomroute_operator.gather.existing import (
    claim_templates_of,
    claims_of,
    rivals_of,
)
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.kube.client import ApiError, Client
from dicomroute_operator.kube.plan import object_hash, plan, with_hash
from dicomroute_operator.kube.resources import CLAIM, CONFIG_MAP, OWN, POD, SERVICE, STATEFUL_SET, resource_of
from dicomroute_operator.render import names
from dicomroute_operator.render.gateway_configuration import (
    configuration_data,
    configuration_hash,
    configuration_text,
    is_own,
)
from dicomroute_operator.render.objects import RouteObjects
from dicomroute_operator.render.route import render_route
from dicomroute_operator.render.settings import RenderSettings
from dicomroute_operator.status.observed import RouteSeen
from dicomroute_operator.status.route import route_status
from dicomroute_operator.status.said import Destination, Said, said_of

from .last_good import without_removed
from .publish import publish
from .queue import ReconcileError
from .turns import Turns
from .world import Key, World

_MAX_CONFIGURATION_BYTES: Final = 1_000_000
"""A ConfigMap holds 1 MiB with all that belongs to it."""
_SECRET_AGAIN_SECONDS: Final = 15

log = structlog.get_logger(__name__)

Object = dict[str, Any]


@dataclass(frozen=True)
class RouteSettings:
    """What a route's reconciliation needs beyond the world."""

    render: RenderSettings
    admin_key: bytes
    max_concurrent_rollouts: int = 1


class RouteReconciler:
    """Brings a route's objects and its status to where they should be. All methods run in the event loop."""

    def __init__(
        self,
        client: Client,
        world: World,
        settings: RouteSettings,
        enqueue: Callable[[Key], Awaitable[None]],
        ask_later: Callable[[Key, float], None],
        is_selected: Callable[[Key], bool],
    ) -> None:
        self._client = client
        self._world = world
        self._settings = settings
        self._enqueue = enqueue
        self._ask_later = ask_later
        self._turns = Turns(world, settings.render.gateway_image, settings.max_concurrent_rollouts, is_selected)
        self._secret_written: dict[str, float] = {}
        """When the admin Secret of each route, by UID, was last written, on the monotonic clock."""
        self._said: dict[Key, dict[Destination, Said]] = {}
        """What the gateways of each route said of its destinations when these were last told."""

    async def reconcile(self, key: Key) -> None:
        """Reconcile the route with this key; one that is gone needs nothing: its objects go with it."""
        route = self._world.routes.get(key)
        try:
            if route is None or route.metadata.deletion_timestamp is not None:
                self._turns.leave(key)
                self._said.pop(key, None)
            else:
                await self._reconcile(key, route)
        finally:
            for other in self._turns.next_after(key):
                await self._enqueue(other)

    async def _reconcile(self, key: Key, route: DicomRoute) -> None:
        self._check_readable(key)
        inputs = await self._gather(key, route)
        findings = check_route(inputs)
        credential = admin_credential(route.metadata.uid, self._settings.admin_key)
        objects = render_route(inputs, self._settings.render, credential)
        findings = [*_too_large(route, objects), *findings]
        accepted = all(one.status for one in findings if one.type == Accepted.__name__)
        error = ""
        try:
            if accepted:
                text = configuration_text(dict(objects.configuration))
                await self._write(key, inputs, objects)
            else:
                self._turns.leave(key)
                findings = [one for one in findings if not (one.type == Accepted.__name__ and one.status)]
                text = await self._keep_last_good(key, inputs, objects, credential.configuration_key)
            await self._tell_pods(key, configuration_hash(text) if text else "")
        except ApiError as failed:
            self._turns.leave(key)
            if failed.is_of_an_ending_namespace:
                raise ReconcileError(f"namespace {key.namespace} is being deleted") from failed
            text = self._live_configuration(key)
            error = f"{failed} (the API server, status {failed.status})"
        seen = RouteSeen(
            pods=self._world.pods(key),
            service=self._world.child(SERVICE, key.namespace, names.service(key.name)),
            claims=self._world.claims(key),
            configuration_hash=configuration_hash(text) if text else "",
            apply_error=error,
        )
        await self._report(key, route, route_status(route, findings, seen, datetime.now(UTC)))
        await self._tell_destinations(key, inputs, seen)
        if error:
            raise ReconcileError(error)

    def _check_readable(self, key: Key) -> None:
        """Leave everything as it is when something near the route is newer than this operator understands.

        Taken as absent it would be removed from the gateway. Raises ReconcileError.
        """
        for one in self._world.unreadable:
            if one.namespace == key.namespace and (one == key or one.kind != "DicomRoute"):
                raise ReconcileError(f"{one} is newer than this operator understands: upgrade the operator")

    # -- reading ---------------------------------------------------------------------------------------------

    async def _gather(self, key: Key, route: DicomRoute) -> RouteInputs:
        live = self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))
        reports = [pod.report for pod in self._world.pods(key) if pod.report is not None]
        existing = Existing(
            claims=claims_of(route, await self._claims(key, route, live)),
            claim_templates=claim_templates_of(live),
            image=self._turns.image(key, route),
            rivals=rivals_of(route, self._world.routes.values()),
            unmounted=frozenset(name for report in reports for name in report.unmounted_secrets),
        )
        return gather_route(route, self._world.nodes.values(), self._world.targets.values(), existing=existing)

    async def _claims(self, key: Key, route: DicomRoute, stateful_set: Object | None) -> list[Object]:
        """Return the claims that the route would use; before it has pods also those without our label."""
        found = list(self._world.claims(key))
        name = names.claim(key.name, 0)
        if (
            stateful_set is None
            and route.spec.gateway.replicas
            and not any(c["metadata"]["name"] == name for c in found)
        ):
            stranger = await asyncio.to_thread(self._client.get, CLAIM, key.namespace, name)
            found += [stranger] if stranger is not None else []
        return found

    def _live_configuration(self, key: Key) -> str:
        live = self._world.child(CONFIG_MAP, key.namespace, names.configuration(key.name))
        return str(live["data"].get(names.CONFIGURATION_KEY, "")) if live is not None else ""

    # -- writing ---------------------------------------------------------------------------------------------

    async def _write(self, key: Key, inputs: RouteInputs, objects: RouteObjects) -> None:
        """Write what differs: what pods need before the pods, what is no longer wanted at the end."""
        secret_hash = object_hash(objects.admin_secret)
        live = {(one["kind"], one["metadata"]["name"]): one for one in self._world.children_of(key)}
        marks = {
            names.ADMIN_SECRET_ANNOTATION: secret_hash,
            names.GENERATION_ANNOTATION: str(inputs.route.metadata.generation),
        }
        wanted = [
            _annotated(one, marks) if one is objects.stateful_set else one
            for one in objects.manifests()
            if one is not objects.admin_secret
        ]
        todo = plan(wanted, list(live.values()), names.APPLIED_ANNOTATION)
        if self._secret_is_due(key, inputs.route, secret_hash):
            log.info("apply", key=str(key), kind="Secret", name=objects.admin_secret["metadata"]["name"])
            await asyncio.to_thread(self._client.apply, objects.admin_secret)
            self._secret_written[inputs.route.metadata.uid] = time.monotonic()
        stateful_set = live.get(("StatefulSet", names.gateway(key.name)))
        for manifest in todo.apply:
            if manifest["kind"] == "StatefulSet" and _waits_its_turn(inputs, stateful_set):
                continue
            log.info("apply", key=str(key), kind=manifest["kind"], name=manifest["metadata"]["name"])
            # What is not the route's is not taken over, whatever its name; what is, is brought back by force.
            is_own = (manifest["kind"], manifest["metadata"]["name"]) in live or manifest["kind"] == CLAIM.kind
            write = self._client.bring_back if is_own else partial(self._client.apply, force=False)
            await asyncio.to_thread(write, manifest)
        mounted = _mounted(stateful_set)
        for old in todo.delete:
            meta = old["metadata"]
            if old["kind"] == CONFIG_MAP.kind and meta["name"] in mounted:
                continue  # pods of an older image still read it
            log.info("delete", key=str(key), kind=old["kind"], name=meta["name"])
            await asyncio.to_thread(self._client.delete, resource_of(old), meta["namespace"], meta["name"], meta["uid"])

    def _secret_is_due(self, key: Key, route: DicomRoute, wanted: str) -> bool:
        """Whether the admin Secret has to be written: it is not what pods were made for, or one misses it.

        The operator may not read Secrets; a deleted one shows when a pod cannot start for want of it, or when a
        gateway does not know its token.
        """
        if not self._has_secret(key, wanted):
            return True
        if not any(self._may_miss_secret(key, pod.pod) for pod in self._world.pods(key)):
            return False
        written = self._secret_written.get(route.metadata.uid, float("-inf"))
        wait = written + _SECRET_AGAIN_SECONDS - time.monotonic()
        if wait > 0:  # every pod is being created for a moment: look again when it should have been
            self._ask_later(key, wait)
        return wait <= 0

    def _has_secret(self, key: Key, wanted: str) -> bool:
        """Whether the gateway was last made for the admin Secret with this hash."""
        live = self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))
        annotations = live["metadata"].get("annotations", {}) if live is not None else {}
        return annotations.get(names.ADMIN_SECRET_ANNOTATION) == wanted

    def _may_miss_secret(self, key: Key, pod: Object) -> bool:
        reported = self._world.reports.get((key.namespace, pod["metadata"]["uid"]))
        return _is_creating(pod) or (reported is not None and reported.unauthorized)

    async def _keep_last_good(self, key: Key, inputs: RouteInputs, objects: RouteObjects, mac_key: str) -> str:
        """Take what was removed out of the configuration that goes on; return its text, or nothing without one.

        What somebody else wrote stays as it is: the gateway does not believe it, and goes on with what it had.
        """
        live = self._world.child(CONFIG_MAP, key.namespace, names.configuration(key.name))
        text = self._live_configuration(key)
        if live is None or not text:
            return ""
        accepted = live["data"].get(names.ACCEPTED_KEY) or text
        present = [one for one in (names.CONFIGURATION_KEY, names.ACCEPTED_KEY) if one in live["data"]]
        is_signed = all(is_own(mac_key, live["data"], one) for one in present)
        has_macs = any(f"{one}{names.MAC_SUFFIX}" in live["data"] for one in present)
        if not is_signed and (has_macs or self._has_secret(key, object_hash(objects.admin_secret))):
            log.warning("configuration.forged", key=str(key), name=live["metadata"]["name"])
            return text
        try:
            kept = configuration_text(without_removed(json.loads(accepted), inputs))
        except (ValueError, KeyError, TypeError):
            return text  # somebody's hand was in it; the gateway keeps what it last understood
        data = configuration_data(mac_key, **{names.CONFIGURATION_KEY: kept, names.ACCEPTED_KEY: accepted})
        if kept != text or not is_signed:
            manifest = {**objects.config_map, "data": data}
            log.info("apply", key=str(key), kind="ConfigMap", name=manifest["metadata"]["name"])
            await asyncio.to_thread(self._client.apply, with_hash(manifest, names.APPLIED_ANNOTATION))
        return kept

    async def _tell_pods(self, key: Key, wanted: str) -> None:
        """Annotate the pods, so that the kubelet mounts a changed configuration at once instead of within 90 s."""
        if not wanted:
            return
        for seen in self._world.pods(key):
            meta = seen.pod["metadata"]
            if (
                meta.get("deletionTimestamp")
                or meta.get("annotations", {}).get(names.CONFIGURATION_ANNOTATION) == wanted
            ):
                continue
            patch = {"metadata": {"annotations": {names.CONFIGURATION_ANNOTATION: wanted}}}
            try:
                await asyncio.to_thread(self._client.merge, POD, meta["namespace"], meta["name"], patch)
            except ApiError as error:
                if error.status != 404:
                    raise

    async def _report(self, key: Key, route: DicomRoute, status: DicomRouteStatus) -> None:
        """Write the status when it has changed, and an Event for each condition that did."""
        if status == route.status:
            return
        about = {
            "apiVersion": OWN["DicomRoute"].api_version,
            "kind": "DicomRoute",
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "uid": route.metadata.uid,
            },
        }
        before = route.status.conditions if route.status is not None else []
        await publish(self._client, about, status, before)
        current = self._world.routes.get(key)
        if current is not None and current.metadata.uid == route.metadata.uid:
            self._world.routes[key] = current.model_copy(update={"status": status})

    async def _tell_destinations(self, key: Key, inputs: RouteInputs, seen: RouteSeen) -> None:
        """Have the destinations reconciled of which the route's gateways say something new."""
        used = [(str(one.kind), one.name) for one in inputs.destinations() if inputs.has(one)]
        before, now = self._said.get(key, {}), said_of(key.name, used, seen.pods, time.time())
        self._said[key] = now
        for (kind, name), said in now.items():
            if before.get((kind, name)) != said:
                await self._enqueue(Key(kind, key.namespace, name))


def _too_large(route: DicomRoute, objects: RouteObjects) -> list[Finding]:
    size = len(configuration_text(dict(objects.configuration)).encode())
    if size <= _MAX_CONFIGURATION_BYTES:
        return []
    message = f"the configuration has {size} bytes and a ConfigMap holds {_MAX_CONFIGURATION_BYTES}: split the route"
    return [Finding("DicomRoute", route.metadata.name, Accepted.CONFIGURATION_TOO_LARGE, False, message, "spec")]


def _annotated(manifest: Object, annotations: dict[str, str]) -> Object:
    meta = manifest["metadata"]
    return {**manifest, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), **annotations}}}


def _is_creating(pod: Object) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return any((one.get("state", {}).get("waiting") or {}).get("reason") == "ContainerCreating" for one in statuses)


def _waits_its_turn(inputs: RouteInputs, live: Object | None) -> bool:
    """Whether a StatefulSet differs by the operator's version alone, and its route is not to be rolled yet."""
    if live is None or not inputs.existing.image:
        return False
    told = live["metadata"].get("annotations", {}).get(names.GENERATION_ANNOTATION)
    return told in (None, str(inputs.route.metadata.generation))


def _mounted(stateful_set: Object | None) -> set[str]:
    """Return the names of the ConfigMaps that the pods of a StatefulSet mount."""
    if stateful_set is None:
        return set()
    volumes = stateful_set["spec"]["template"]["spec"].get("volumes", [])
    return {one["configMap"]["name"] for one in volumes if "configMap" in one}
