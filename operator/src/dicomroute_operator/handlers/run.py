"""The operator as a process: what it is made of, in the order in which it starts."""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import kopf
import structlog

from dicomroute_operator.api.meta import API_VERSION
from dicomroute_operator.kube.client import ApiError, Client, Object
from dicomroute_operator.kube.events import Recorder
from dicomroute_operator.kube.followers import Followers
from dicomroute_operator.kube.informer import Informer
from dicomroute_operator.kube.lease import DURATION_SECONDS, RENEW_SECONDS, Lease
from dicomroute_operator.kube.resources import NAMESPACE, OWN, WATCHED_CHILDREN
from dicomroute_operator.reconcile.peers import PeerReconciler
from dicomroute_operator.reconcile.polling import Poller
from dicomroute_operator.reconcile.queue import WorkQueue
from dicomroute_operator.reconcile.route import RouteReconciler, RouteSettings
from dicomroute_operator.reconcile.world import Key, World
from dicomroute_operator.render import names

from .health import Vitals, ready_of, risk_of, serving_health
from .watch import kopf_registry, kopf_settings

_RESYNC_SECONDS: Final = 600
_START_AGAIN_SECONDS: Final = 2
"""How often is looked whether the kinds are served, and whether the Lease is free."""
_WORKERS: Final = 8
_THREADS: Final = 24

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class OperatorSettings:
    """What the operator is told at its start.

    `namespaces` are those that it looks after; empty: all, or those with the labels of `namespace_selector`.
    """

    route: RouteSettings
    namespace: str
    identity: str
    lease: str = "dicomroute-operator"
    namespaces: tuple[str, ...] = ()
    namespace_selector: str = ""
    health_port: int = 8080


class LeaseLostError(Exception):
    """Another operator works, or the API server was away for too long to know."""


class ScopeChangedError(Exception):
    """A namespace that is looked after has come or gone; the operator is to be started again."""


async def _nobody(_key: Key) -> None:
    """Nobody is to be told yet."""


class Operator:
    """The operator."""

    def __init__(self, client: Client, settings: OperatorSettings) -> None:
        self._client = client
        self._settings = settings
        self._world = World()
        self._queue: WorkQueue[Key] = WorkQueue(self._reconcile, _WORKERS)
        recorder = Recorder(client)
        self._routes = RouteReconciler(
            client, recorder, self._world, settings.route, self._enqueue, self._queue.later, self._is_selected
        )
        self._peers = PeerReconciler(
            client, recorder, self._world, self._queue.later, settings.route.render.defaults.machine_identities
        )
        self._poller = Poller(self._world, settings.route.admin_key, self._enqueue)
        self._lease = Lease(client, settings.namespace, settings.lease, settings.identity)
        self._selected: Informer | None = None
        self._followers: Followers | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scopes: tuple[str | None, ...] = ()
        self._is_leader = False
        self._is_synced = False

    async def run(self) -> None:
        """Work until a signal ends kopf. Raises LeaseLostError when another operator has taken over."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, "api"))
        async with serving_health(self.vitals, self._settings.health_port):
            await self._lead()

    async def _lead(self) -> None:
        """Wait for the Lease, and reconcile while it is held."""
        lease: asyncio.Task[None] | None = None
        try:
            await self._wait_for_kinds()
            await self._wait_for_lease()
            lease = asyncio.create_task(self._keep_lease(), name="lease")
            await self._while_held(lease, self._follow())
            await self._while_held(lease, self._work())
        finally:
            if lease is not None:
                lease.cancel()
            if self._is_leader:
                await asyncio.to_thread(self._lease.release)

    @staticmethod
    async def _while_held(lease: asyncio.Task[None], work: Coroutine[Any, Any, None]) -> None:
        """Work for as long as the Lease is held."""
        task = asyncio.create_task(work)
        await asyncio.wait({task, lease}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            lease.result()
        task.result()

    def vitals(self) -> Vitals:
        """Return how the operator is doing."""
        heard = self._followers.heard_time if self._followers is not None else time.monotonic()
        return Vitals(
            is_leader=self._is_leader,
            is_synced=self._is_synced,
            routes=len(self._world.routes),
            queue_length=len(self._queue),
            reconciled=self._queue.completed,
            failed=self._queue.failed,
            asked=self._poller.asked,
            unanswered=self._poller.unanswered,
            silent_seconds=time.monotonic() - heard,
            ready={
                (key.namespace, key.name): ready_of(route)
                for key, route in self._world.routes.items()
                if self._is_selected(key)
            },
            at_risk={
                (key.namespace, key.name): reason
                for key, route in self._world.routes.items()
                if self._is_selected(key) and (reason := risk_of(route))
            },
            without_route=Counter(one["metadata"]["namespace"] for one in self._world.claims_without_route()),
        )

    # -- start -----------------------------------------------------------------------------------------------

    async def _wait_for_kinds(self) -> None:
        while True:
            try:
                if await asyncio.to_thread(self._client.serves, API_VERSION):
                    return
                log.warning("start.waiting", reason=f"{API_VERSION} is not served: install the CRDs")
            except ApiError as error:
                log.warning("start.waiting", reason=str(error))
            await asyncio.sleep(_START_AGAIN_SECONDS)

    async def _wait_for_lease(self) -> None:
        while True:
            try:
                if await asyncio.to_thread(self._lease.hold):
                    break
                log.info("lease.waiting", lease=self._settings.lease)
            except ApiError as error:
                log.warning("lease.failed", error=str(error))
            await asyncio.sleep(_START_AGAIN_SECONDS)
        self._is_leader = True
        log.info("lease.held", lease=self._settings.lease, identity=self._settings.identity)

    async def _follow(self) -> None:
        """See everything once before anything is decided: half a world looks as if the rest had been removed."""
        self._scopes = await self._reachable_scopes()
        if self._settings.namespace_selector:
            self._selected = Informer(
                self._client, NAMESPACE, None, self._settings.namespace_selector, self._namespace_changed
            )
            self._selected.start()
            await asyncio.to_thread(self._selected.synced.wait)
        self._followers = Followers(
            self._client, WATCHED_CHILDREN, self._scopes, names.ROUTE_LABEL, self._child_changed
        )
        self._world.children = self._followers.by_resource
        await asyncio.to_thread(self._followers.start)
        keys = await self._list()
        await self._poller.ask(_nobody)  # a gateway that was not asked yet is not a gateway that does not answer
        self._is_synced = True
        for key in keys:
            await self._enqueue(key)
        log.info("synced", routes=len(self._world.routes))

    async def _reachable_scopes(self) -> tuple[str | None, ...]:
        """Return the scopes that the operator may see: of named namespaces those that exist and let it in."""
        found: list[str | None] = []
        for scope in self._settings.namespaces or (None,):
            try:
                await asyncio.to_thread(self._client.list, OWN["DicomRoute"], scope)
                found.append(scope)
            except ApiError as error:
                if scope is None or error.status not in (403, 404):
                    raise
                log.warning("scope.unreachable", namespace=scope, error=str(error))
        return tuple(found)

    async def _list(self) -> set[Key]:
        """List our kinds and return the keys of all: whatever a watch has missed ends here."""
        before = dict(self._world.versions)
        seen: set[Key] = set()
        for kind, resource in OWN.items():
            for scope in self._scopes:
                objects, _ = await asyncio.to_thread(self._client.list, resource, scope)
                for one in objects:
                    self._world.observe(kind, one, deleted=False)
                    seen.add(Key(kind, one["metadata"]["namespace"], one["metadata"]["name"]))
        return seen | self._world.listed(before, seen)

    # -- work ------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("queue", self._queue.run()),
                ("poller", self._poller.run()),
                ("resync", self._resync_for_ever()),
                # The last one: when it is told to stop, kopf waits five seconds for every task that began after it.
                (
                    "kopf",
                    kopf.operator(
                        registry=kopf_registry(self._observed, self._client.configuration),
                        settings=kopf_settings(),
                        identity=self._settings.identity,  # type: ignore[arg-type]
                        standalone=True,
                        clusterwide=self._scopes == (None,),
                        namespaces=[scope for scope in self._scopes if scope is not None],
                    ),
                ),
            )
        ]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.result()

    async def _keep_lease(self) -> None:
        """Renew the Lease; end while nobody else can have taken it yet."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                if not await asyncio.wait_for(asyncio.to_thread(self._lease.hold), RENEW_SECONDS):
                    self._is_leader = False
                    raise LeaseLostError("another operator has taken the Lease")
                renewed = time.monotonic()
            except (ApiError, TimeoutError) as error:
                log.warning("lease.failed", error=str(error) or "no answer")
                if time.monotonic() - renewed > DURATION_SECONDS - RENEW_SECONDS:
                    self._is_leader = False
                    raise LeaseLostError("the Lease could not be renewed in time") from error

    async def _resync_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_RESYNC_SECONDS)
            try:
                if await self._reachable_scopes() != self._scopes:
                    raise ScopeChangedError("the set of visible namespaces has changed since the start: restarting")
                for key in await self._list():
                    await self._enqueue(key)
            except ApiError as error:
                log.warning("resync.failed", error=str(error))

    async def _reconcile(self, key: Key) -> None:
        if key.kind == "DicomRoute":
            await self._routes.reconcile(key)
        else:
            await self._peers.reconcile(key)

    # -- news ------------------------------------------------------------------------------------------------

    def _is_selected(self, key: Key) -> bool:
        return self._selected is None or self._selected.get("", key.namespace) is not None

    async def _enqueue(self, key: Key) -> None:
        """Ask for a key because of something around it; one that fails waits for its next attempt."""
        if self._is_selected(key):
            await self._queue.add(key, patiently=True)

    async def _observed(self, kind: str, body: Object, deleted: bool) -> None:
        for key in self._world.observe(kind, body, deleted=deleted):
            if self._is_selected(key):
                await self._queue.add(key)

    def _child_changed(self, before: Object | None, after: Object | None) -> None:
        one = after or before
        key = self._world.key_of_child(one) if one is not None else None
        if key is not None and self._is_synced and self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._enqueue(key), self._loop)

    def _namespace_changed(self, _before: Object | None, after: Object | None) -> None:
        if after is None or not self._is_synced or self._loop is None:
            return
        for key in (key for objects in self._world.objects.values() for key in list(objects)):
            if key.namespace == after["metadata"]["name"]:
                asyncio.run_coroutine_threadsafe(self._enqueue(key), self._loop)
