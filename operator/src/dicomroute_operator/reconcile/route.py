"""Reconciles one route: gather, check, render, plan, write, observe, report."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.inputs import Existing, RouteInputs
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.route_status import DicomRouteStatus
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.gateways.credential import admin_credential
from dicomroute_operator.gather.existing import (
    claim_templates_of,
    claims_of,
    image_of,
    is_rolled_out,
    rivals_of,
)
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.kube.client import ApiError, Client
from dicomroute_operator.kube.plan import object_hash, plan, with_hash
from dicomroute_operator.kube.resources import CLAIM, CONFIG_MAP, OWN, POD, SERVICE, STATEFUL_SET, resource_of
from dicomroute_operator.render import names
from dicomroute_operator.render.gateway_configuration import configuration_hash, configuration_text
from dicomroute_operator.render.objects import RouteObjects
from dicomroute_operator.render.route import render_route
from dicomroute_operator.render.settings import RenderSettings
from dicomroute_operator.status.observed import RouteSeen
from dicomroute_operator.status.route import route_status

from .last_good import without_removed
from .publish import publish
from .queue import ReconcileError
from .rollout import RouteImage, may_take
from .world import Key, World

_MAX_CONFIGURATION_BYTES: Final = 1_000_000
"""A ConfigMap holds 1 MiB with all that belongs to it."""
_SECRET_AGAIN_SECONDS: Final = 30
_ENDING_SECONDS: Final = 60

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
        self, client: Client, world: World, settings: RouteSettings, enqueue: Callable[[Key], Awaitable[None]]
    ) -> None:
        self._client = client
        self._world = world
        self._settings = settings
        self._enqueue = enqueue
        self._rolling: set[Key] = set()
        self._secret_written: dict[Key, float] = {}
        self._ending: dict[str, float] = {}
        """Namespaces that take nothing new because they are being deleted, and since when that is known."""

    async def reconcile(self, key: Key) -> None:
        """Reconcile the route with this key; one that is gone needs nothing: its objects go with it."""
        route = self._world.routes.get(key)
        is_ending = time.monotonic() - self._ending.get(key.namespace, float("-inf")) < _ENDING_SECONDS
        if route is None or route.metadata.deletion_timestamp is not None or is_ending:
            self._rolling.discard(key)
            self._secret_written.pop(key, None)
            return
        inputs = await self._gather(key, route)
        findings = check_route(inputs)
        objects = render_route(
            inputs, self._settings.render, admin_credential(route.metadata.uid, self._settings.admin_key)
        )
        findings = [*_too_large(route, objects), *findings]
        accepted = all(one.status for one in findings if one.type == Accepted.__name__)
        error = ""
        try:
            if accepted:
                text = configuration_text(dict(objects.configuration))
                await self._write(key, objects)
            else:
                findings = [one for one in findings if not (one.type == Accepted.__name__ and one.status)]
                text = await self._keep_last_good(key, inputs)
            await self._tell_pods(key, configuration_hash(text) if text else "")
        except ApiError as failed:
            if failed.is_of_an_ending_namespace:
                self._ending[key.namespace] = time.monotonic()
                return
            text = self._live_configuration(key)
            error = f"{failed} (the API server, status {failed.status})"
            log.warning("reconcile.refused", key=str(key), error=str(failed), status=failed.status)
        seen = RouteSeen(
            pods=self._world.pods(key),
            service=self._world.child(SERVICE, key.namespace, names.service(key.name)),
            claims=self._world.claims(key),
            configuration_hash=configuration_hash(text) if text else "",
            apply_error=error,
        )
        await self._report(key, route, route_status(route, findings, seen, datetime.now(UTC)))
        if error:
            raise ReconcileError(error)

    # -- reading ---------------------------------------------------------------------------------------------

    async def _gather(self, key: Key, route: DicomRoute) -> RouteInputs:
        live = self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))
        reports = [pod.report for pod in self._world.pods(key) if pod.report is not None]
        existing = Existing(
            claims=claims_of(route, await self._claims(key, route, live)),
            claim_templates=claim_templates_of(live),
            image=self._image(key, route),
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

    def _image(self, key: Key, route: DicomRoute) -> str:
        """Return the image that the route has to keep for now, or nothing when it may take the one it should have."""
        live = self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))
        default = self._settings.render.gateway_image
        if route.spec.gateway.image or live is None or image_of(live) == default:
            self._rolling.discard(key)
            return ""
        if key in self._rolling:
            return ""
        if key not in may_take(default, self._images(), self._settings.max_concurrent_rollouts):
            return image_of(live)
        log.info("rollout.begins", key=str(key), image=default)
        self._rolling.add(key)
        return ""

    def _images(self) -> dict[Key, RouteImage]:
        """Return which image each route runs that follows the default."""
        images = {}
        for key, route in self._world.routes.items():
            live = self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))
            if route.spec.gateway.image or live is None:
                continue
            rolling = key in self._rolling
            image = self._settings.render.gateway_image if rolling else image_of(live)
            images[key] = RouteImage(image, is_rolled_out(live) and not rolling)
        return images

    def _live_configuration(self, key: Key) -> str:
        live = self._world.child(CONFIG_MAP, key.namespace, names.configuration(key.name))
        return str(live["data"].get(names.CONFIGURATION_KEY, "")) if live is not None else ""

    # -- writing ---------------------------------------------------------------------------------------------

    async def _write(self, key: Key, objects: RouteObjects) -> None:
        """Write what differs: what pods need before the pods, what is no longer wanted at the end."""
        secret_hash = object_hash(objects.admin_secret)
        live = list(self._world.children_of(key))
        annotated = _annotated(objects.stateful_set, {names.ADMIN_SECRET_ANNOTATION: secret_hash})
        wanted = [
            annotated if one is objects.stateful_set else one
            for one in objects.manifests()
            if one is not objects.admin_secret
        ]
        todo = plan(wanted, live, names.APPLIED_ANNOTATION)
        if self._secret_is_due(key, secret_hash):
            log.info("apply", key=str(key), kind="Secret", name=objects.admin_secret["metadata"]["name"])
            await asyncio.to_thread(self._client.apply, objects.admin_secret)
            self._secret_written[key] = time.monotonic()
        for manifest in todo.apply:
            log.info("apply", key=str(key), kind=manifest["kind"], name=manifest["metadata"]["name"])
            await asyncio.to_thread(self._client.bring_back, manifest)
        for old in todo.delete:
            log.info("delete", key=str(key), kind=old["kind"], name=old["metadata"]["name"])
            meta = old["metadata"]
            await asyncio.to_thread(self._client.delete, resource_of(old), meta["namespace"], meta["name"], meta["uid"])

    def _secret_is_due(self, key: Key, wanted: str) -> bool:
        """Whether the admin Secret has to be written: it is not what pods were made for, or one misses it.

        The operator may not read Secrets; a deleted one shows when a pod cannot start for want of it, or when a
        gateway does not know its token.
        """
        if time.monotonic() - self._secret_written.get(key, float("-inf")) < _SECRET_AGAIN_SECONDS:
            return False
        live = self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))
        if live is None or live["metadata"].get("annotations", {}).get(names.ADMIN_SECRET_ANNOTATION) != wanted:
            return True
        for pod in self._world.pods(key):
            reported = self._world.reports.get((key.namespace, pod.pod["metadata"]["uid"]))
            if _is_creating(pod.pod) or (reported is not None and reported.unauthorized):
                return True
        return False

    async def _keep_last_good(self, key: Key, inputs: RouteInputs) -> str:
        """Take what was removed out of the configuration that goes on; return its text, or nothing without one."""
        text = self._live_configuration(key)
        if not text:
            return ""
        kept = configuration_text(without_removed(json.loads(text), inputs))
        if kept != text:
            live = self._world.child(CONFIG_MAP, key.namespace, names.configuration(key.name))
            assert live is not None
            meta = {name: live["metadata"][name] for name in ("name", "namespace", "labels", "ownerReferences")}
            manifest = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": meta,
                "data": {names.CONFIGURATION_KEY: kept},
            }
            log.info("apply", key=str(key), kind="ConfigMap", name=meta["name"])
            await asyncio.to_thread(self._client.apply, with_hash(manifest, names.APPLIED_ANNOTATION))
        return kept

    async def _tell_pods(self, key: Key, wanted: str) -> None:
        """Annotate the pods, so that the kubelet mounts a changed configuration at once instead of within 90 s."""
        if not wanted:
            return
        for pod in self._world.children[POD].of(key.namespace, key.name):
            meta = pod["metadata"]
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
        if _condition(before, "Ready") != _condition(status.conditions, "Ready"):
            for other in self._waiting():
                await self._enqueue(other)

    def _waiting(self) -> list[Key]:
        """Return the routes that run another image than the default: one of them may be next."""
        default = self._settings.render.gateway_image
        return [key for key, one in self._images().items() if one.image != default]


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


def _condition(conditions: list[Condition], type_: str) -> str:
    return next((one.status for one in conditions if one.type == type_), "")
