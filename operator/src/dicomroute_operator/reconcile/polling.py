"""Asks the gateways, round after round, and asks for the reconciliation of routes whose news matter."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from dicomroute_client.documents.status import StatusDocument
from dicomroute_operator.gateways.ask import GatewayError, ask_all
from dicomroute_operator.gateways.credential import access
from dicomroute_operator.gateways.news import is_news
from dicomroute_operator.kube.resources import POD
from dicomroute_operator.status.pods import STALE_SECONDS

from .world import Key, Reported, World

_ROUND_SECONDS: Final = 1.0
_SETTLED_SECONDS: Final = 5.0
_GATEWAYS_A_SECOND: Final = 100
_CONCURRENCY: Final = 64

log = structlog.get_logger(__name__)


class Poller:
    """Asks gateways: each second while not ready or programmed, then every five; of a thousand, all every ten."""

    def __init__(self, world: World, admin_key: bytes, enqueue: Callable[[Key], Awaitable[None]]) -> None:
        self._world = world
        self._admin_key = admin_key
        self._enqueue = enqueue
        self._due: dict[str, float] = {}
        """When each pod is to be asked again, by UID, on the monotonic clock."""
        self._answered: set[str] = set()
        """Pods whose gateway has answered before: one that is just starting is asked more often."""
        self.asked = 0
        self.unanswered = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            begin = time.monotonic()
            try:
                await self.ask(self._enqueue)
            except Exception:
                log.exception("polling.failed")
            await asyncio.sleep(max(0.2, _ROUND_SECONDS - (time.monotonic() - begin)))

    async def ask(self, then: Callable[[Key], Awaitable[None]]) -> None:
        """Ask the gateways whose time has come, and say of each route with news as soon as they are there."""
        begin = time.monotonic()
        pods = self._reachable()
        self._forget(pods)
        due = {uid: pod for uid, pod in pods.items() if self._due.get(uid, 0) <= begin}
        # However many are starting at once, asking them must not take the loop from bringing them up.
        soon = max(_ROUND_SECONDS, len(pods) / _GATEWAYS_A_SECOND)
        pause = max(_SETTLED_SECONDS, soon)
        gateways = {
            uid: (address, access(self._world.uid(key), self._admin_key)) for uid, (key, address) in due.items()
        }
        async for uid, answer in ask_all(gateways, _CONCURRENCY):
            key, _ = due[uid]
            news = self._take_over((key.namespace, uid), answer, time.time())
            unsettled = isinstance(answer, StatusDocument) and not self._is_settled(key)
            self._due[uid] = time.monotonic() + (soon if unsettled or uid not in self._answered else pause)
            if isinstance(answer, StatusDocument):
                self._answered.add(uid)
            if news:
                await then(key)

    def _is_settled(self, key: Key) -> bool:
        route = self._world.routes.get(key)
        conditions = route.status.conditions if route is not None and route.status is not None else []
        return {one.type for one in conditions if one.status == "True"} >= {"Programmed", "Ready"}

    def _reachable(self) -> dict[str, tuple[Key, str]]:
        """Return the pods that have an address, by UID: their route and address."""
        found = {}
        for pod in self._world.children[POD].all():
            key = self._world.key_of_child(pod)
            address = pod.get("status", {}).get("podIP")
            if key is None or key in self._world.of_another:
                continue
            if address and _is_running(pod) and self._world.owns_pod(key, pod):
                found[pod["metadata"]["uid"]] = (key, address)
        return found

    def _forget(self, pods: dict[str, tuple[Key, str]]) -> None:
        for where in [where for where in self._world.reports if where[1] not in pods]:
            del self._world.reports[where]
        for uid in [uid for uid in self._due if uid not in pods]:
            del self._due[uid]
            self._answered.discard(uid)

    def _take_over(self, where: tuple[str, str], answer: StatusDocument | GatewayError, now: float) -> bool:
        """Remember an answer; return whether the status of the route may change by it."""
        before = self._world.reports.get(where) or Reported(now)
        self.asked += 1
        if isinstance(answer, GatewayError):
            self.unanswered += 1
            after = before.failed(str(answer), unauthorized=answer.unauthorized)
            self._world.reports[where] = after
            since = before.reported_time or before.first_asked_time
            return after.unauthorized or now - since > STALE_SECONDS
        self._world.reports[where] = before.answered(answer, now)
        stale = before.reported_time is not None and now - before.reported_time > STALE_SECONDS
        news = is_news(before.report, answer) or stale or bool(before.error)
        return news or answer.oldest_owed_time is not None


def _is_running(pod: dict[str, Any]) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")
