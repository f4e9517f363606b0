"""Reconciles one route: gather, check, render, plan, write, observe, report."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from dicomroute_client.documents.status import StatusDocument
from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.inputs import Existing, RouteInputs
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.route_status import DicomRouteStatus
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.gateways.credential import admin_credential, fingerprint
from dicomroute_operator.gather.existing import (
    claim_templates_of,
    claims_of,
    image_of,
    is_rolled_out,
    rivals_of,
)
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.kube.client import ApiError, Client
from dicomroute_operator.kube.events import Recorder
from dicomroute_operator.kube.plan import object_hash, plan, with_hash
from dicomroute_operator.kube.resources import CLAIM, CONFIG_MAP, OWN, POD, SERVICE, STATEFUL_SET
from dicomroute_operator.render import names
from dicomroute_operator.render.gateway_configuration import (
    configuration_data,
    configuration_hash,
    configuration_text,
)
from dicomroute_operator.render.objects import RouteObjects
from dicomroute_operator.render.route import render_route
from dicomroute_operator.render.settings import RenderSettings
from dicomroute_operator.render.support import told, unsupported
from dicomroute_operator.status.observed import RouteSeen
from dicomroute_operator.status.paused import is_paused
from dicomroute_operator.status.route import route_status
from dicomroute_operator.status.said import Destination, Said, said_of

from .admin_secret import AdminSecrets
from .applying import Applying, Refusal
from .child_events import ChildEvents
from .configuration_size import has_room, no_more_than_accepted, too_large
from .frozen import check_readable
from .last_good import last_accepted, without_removed
from .ownership import Move, Ownership
from .publish import publish
from .queue import ReconcileError
from .rollout import replaces_pods
from .turns import Turns
from .world import Key, World

log = structlog.get_logger(__name__)

Object = dict[str, Any]


@dataclass(frozen=True)
class RouteSettings:
    """What a route's reconciliation needs beyond the world."""

    render: RenderSettings
    admin_key: bytes
    operator: str
    """The name of this operator: its namespace and Lease."""
    max_concurrent_rollouts: int = 1


class RouteReconciler:
    """Brings a route's objects and its status to where they should be. All methods run in the event loop."""

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
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
        self._recorder = recorder
        self._applying = Applying(client)
        self._child_events = ChildEvents(client)
        self._ownership = Ownership(settings.operator)
        self._admin_secrets = AdminSecrets(world, self._applying, ask_later)
        self._said: dict[Key, dict[Destination, Said]] = {}
        """What the gateways of each route said of its destinations when these were last told."""

    async def reconcile(self, key: Key) -> None:
        """Reconcile the route with this key; one that is gone needs nothing: its objects go with it."""
        route = self._world.routes.get(key)
        if route is None and key in self._world.unreadable:
            await check_readable(self._client, self._world, key)
        try:
            if route is None or route.metadata.deletion_timestamp is not None:
                self._turns.leave(key)
                self._said.pop(key, None)
                self._applying.forget(key.namespace, key.name)
                self._ownership.forget(key)
                self._world.of_another.discard(key)
            elif not await self._stands_back(key, route):
                await self._reconcile(key, route)
        finally:
            for other in self._turns.next_after(key):
                await self._enqueue(other)

    async def _stands_back(self, key: Key, route: DicomRoute) -> bool:
        """Whether another operator looks after the route; say so on it and in the log."""
        live = self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))
        named = live["metadata"].get("annotations", {}).get(names.OPERATOR_ANNOTATION, "") if live is not None else ""
        move, again = self._ownership.move(key, named, time.monotonic())
        if again:
            self._ask_later(key, again)
        if move is Move.CLAIM:
            log.info("route.claimed", key=str(key), of=named)
            patch = {"metadata": {"annotations": {names.OPERATOR_ANNOTATION: self._settings.operator}}}
            await asyncio.to_thread(self._client.merge, STATEFUL_SET, key.namespace, names.gateway(key.name), patch)
        if move is Move.WORK:
            self._world.of_another.discard(key)
        elif key not in self._world.of_another:
            self._turns.leave(key)
            self._world.of_another.add(key)
            log.warning("route.of_another_operator", key=str(key), operator=named)
            message = (
                f"the operator {self._settings.operator} does not manage this route, because the operator {named} "
                "already does. This operator takes over within ten minutes after the other one is gone; until then, "
                "let one of them watch other namespaces"
            )
            about = _about(key, route)
            now = datetime.now(UTC)
            await asyncio.to_thread(self._recorder.record, about, "OfAnotherOperator", message, warning=True, now=now)
        return move is not Move.WORK

    async def _reconcile(self, key: Key, route: DicomRoute) -> None:
        await check_readable(self._client, self._world, key)
        inputs = await self._gather(key, route)
        findings = check_route(inputs)
        credential = admin_credential(route.metadata.uid, self._settings.admin_key)
        objects = render_route(inputs, self._settings.render, credential)
        findings = [*too_large(inputs, objects.configuration), *findings]
        accepted = all(one.status for one in findings if one.type == Accepted.__name__)
        error = ""
        try:
            if is_paused(route):
                self._turns.leave(key)
                text = self._live_configuration(key)
            elif accepted:
                refused = await self._write(key, inputs, objects)
                self._turns.wrote(key, refused=any(one.kind == STATEFUL_SET.kind for one in refused))
                error = _told(refused)
                is_told = not any(one.kind == CONFIG_MAP.kind for one in refused)
                text = configuration_text(dict(objects.configuration)) if is_told else self._live_configuration(key)
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
            stateful_set=self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name)),
            configuration_hash=configuration_hash(text) if text else "",
            apply_error=error,
            admin_certificate_sha256=fingerprint(credential.certificate).hex(),
            unsupported=unsupported(inputs),
            default_storage_class=self._settings.render.defaults.storage_class_name,
        )
        seen, again = await self._child_events.told(seen, _unready_since(route), datetime.now(UTC))
        if again:
            self._ask_later(key, again)
        await self._report(key, route, route_status(route, findings, seen, datetime.now(UTC)))
        await self._tell_destinations(key, inputs, seen)
        if error:
            raise ReconcileError(error)

    # -- reading ---------------------------------------------------------------------------------------------

    async def _gather(self, key: Key, route: DicomRoute) -> RouteInputs:
        live = self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))
        reports = [pod.report for pod in self._world.pods(key) if pod.report is not None]
        image = self._turns.image(key, route)
        wanted = image or route.spec.gateway.image or self._settings.render.gateway_image
        existing = Existing(
            claims=claims_of(route, await self._claims(key, route, live)),
            claim_templates=claim_templates_of(live),
            image=image,
            rivals=rivals_of(route, self._world.routes.values()),
            unmounted=frozenset(name for report in reports for name in report.unmounted_secrets),
            supports=self._supports(key, reports, is_current=wanted == image_of(live) and is_rolled_out(live)),
        )
        return gather_route(
            route,
            self._world.nodes.values(),
            self._world.targets.values(),
            existing=existing,
            profiles=self._world.profiles.values(),
        )

    def _supports(self, key: Key, reports: Sequence[StatusDocument], *, is_current: bool) -> frozenset[str] | None:
        """Return what the gateways can do of what a release added; None for a route that was never told anything.

        What they report counts while they run the image that they should. While another one is on its way, and where
        they report nothing, they can do what they were told already.
        """
        text = self._live_configuration(key)
        if not text:
            return None
        reported = [frozenset(report.supports) for report in reports] if is_current else []
        if reported and any(reported):
            return frozenset[str].intersection(*reported)
        try:
            return told(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError):
            return frozenset()

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

    async def _write(self, key: Key, inputs: RouteInputs, objects: RouteObjects) -> list[Refusal]:
        """Write what differs: what pods need before the pods, what is no longer wanted at the end.

        Return what was refused. It stops nothing else but the first pod of a route, which needs what comes before it.
        """
        refused: list[Refusal] = []
        live = {(one["kind"], one["metadata"]["name"]): one for one in self._world.children_of(key)}
        stateful_set = live.get(("StatefulSet", names.gateway(key.name)))
        marks = {
            names.ADMIN_SECRET_ANNOTATION: await self._admin_secrets.write(
                key, inputs.route, objects.admin_secret, refused
            ),
            names.GENERATION_ANNOTATION: str(inputs.route.metadata.generation),
            names.OPERATOR_ANNOTATION: self._settings.operator,
            names.IMAGE_ANNOTATION: image_of(objects.stateful_set),
            names.TEMPLATE_ANNOTATION: object_hash(objects.stateful_set["spec"]["template"]),
        }
        wanted = [
            _annotated(one, marks) if one is objects.stateful_set else one
            for one in objects.manifests()
            if one is not objects.admin_secret
        ]
        todo = plan(wanted, list(live.values()), names.APPLIED_ANNOTATION, self._applying.is_settled)
        if not any(one["kind"] == STATEFUL_SET.kind for one in todo.apply):
            self._turns.is_current(key)
        for manifest in todo.apply:
            if manifest["kind"] == STATEFUL_SET.kind and (
                self._waits_its_turn(key, inputs, stateful_set, manifest)
                or (stateful_set is None and _need_others(refused))
            ):
                continue
            # What is not the route's is not taken over, whatever its name; what is, is brought back by force.
            is_own = (manifest["kind"], manifest["metadata"]["name"]) in live or manifest["kind"] == CLAIM.kind
            refused += filter(None, [await self._applying.apply(manifest, is_own=is_own)])
        mounted = _mounted(stateful_set)
        for old in todo.delete:
            if old["kind"] == CONFIG_MAP.kind and old["metadata"]["name"] in mounted:
                continue  # pods of an older image still read it
            refused += filter(None, [await self._applying.delete(old)])
        return refused

    def _waits_its_turn(self, key: Key, inputs: RouteInputs, live: Object | None, wanted: Object) -> bool:
        """Whether a StatefulSet would replace its pods because of the operator alone, and may not do so yet.

        A change of the route itself is its owner's to time, and rolls at once; a new default image waits all the same.
        """
        if live is None:
            return False
        told = live["metadata"].get("annotations", {}).get(names.GENERATION_ANNOTATION)
        is_of_operator = told in (None, str(inputs.route.metadata.generation))
        if is_of_operator and inputs.existing.image:
            return True
        if not replaces_pods(live, wanted, self._applying.is_settled(live, wanted)):
            self._turns.is_current(key)
            return False
        return is_of_operator and not self._turns.may_roll(key)

    async def _keep_last_good(self, key: Key, inputs: RouteInputs, objects: RouteObjects, mac_key: str) -> str:
        """Take what was removed out of the configuration that goes on; return its text, or nothing without one.

        What somebody else wrote stays as it is: the gateway does not believe it, and goes on with what it had. What was
        accepted is put aside before anything is taken out of it, and goes when a manifest is accepted again.
        """
        live = self._world.child(CONFIG_MAP, key.namespace, names.configuration(key.name))
        text = self._live_configuration(key)
        if live is None or not text:
            return ""
        aside = self._world.child(CONFIG_MAP, key.namespace, names.accepted(key.name))
        found = last_accepted(mac_key, live["data"], aside["data"] if aside is not None else {})
        if not found.is_own and (found.has_macs or self._admin_secrets.is_made_for(key, objects.admin_secret)):
            log.warning("configuration.forged", key=str(key), name=live["metadata"]["name"])
            return text
        try:
            accepted = json.loads(found.text)
            going_on = without_removed(accepted, inputs)
            kept = configuration_text(going_on)
            if not has_room(kept):
                kept = configuration_text(no_more_than_accepted(going_on, accepted))
        except (ValueError, KeyError, TypeError):
            return text  # somebody's hand was in it; the gateway keeps what it last understood
        if kept == text and found.is_own:
            return kept
        names_and_texts = [(names.configuration(key.name), {names.CONFIGURATION_KEY: kept})]
        if kept != found.text:
            names_and_texts.insert(0, (names.accepted(key.name), {names.ACCEPTED_KEY: found.text}))
        for name, texts in names_and_texts:
            meta = {**objects.config_map["metadata"], "name": name}
            manifest = {**objects.config_map, "metadata": meta, "data": configuration_data(mac_key, **texts)}
            log.info("apply", key=str(key), kind="ConfigMap", name=name)
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
        about = _about(key, route)
        before = route.status.conditions if route.status is not None else []
        await publish(self._client, self._recorder, about, status, before)
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


def _about(key: Key, route: DicomRoute) -> Object:
    """Return what an Event or a status says of whom it is about."""
    meta = {"name": key.name, "namespace": key.namespace, "uid": route.metadata.uid}
    return {"apiVersion": OWN["DicomRoute"].api_version, "kind": "DicomRoute", "metadata": meta}


def _unready_since(route: DicomRoute) -> str:
    """Return since when a route is not Ready, as its status says; what was told before has nothing to do with it."""
    conditions = route.status.conditions if route.status is not None else []
    found = next((one for one in conditions if one.type == "Ready" and one.status != "True"), None)
    return found.last_transition_time if found is not None else ""


def _annotated(manifest: Object, annotations: dict[str, str]) -> Object:
    meta = manifest["metadata"]
    return {**manifest, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), **annotations}}}


def _need_others(refused: Sequence[Refusal]) -> bool:
    """Whether a first pod cannot be without what was refused: it would be open to more than it should, or not start."""
    return any(one.kind not in (SERVICE.kind, CLAIM.kind) for one in refused)


def _told(refused: Sequence[Refusal]) -> str:
    """Return the sentence of the condition on what was refused; all else is as the manifest says."""
    shown = "; ".join(str(one) for one in refused[:3])
    return shown + (f" (and {len(refused) - 3} more)" if len(refused) > 3 else "")


def _mounted(stateful_set: Object | None) -> set[str]:
    """Return the names of the ConfigMaps that the pods of a StatefulSet mount."""
    if stateful_set is None:
        return set()
    volumes = stateful_set["spec"]["template"]["spec"].get("volumes", [])
    return {one["configMap"]["name"] for one in volumes if "configMap" in one}
