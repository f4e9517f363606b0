"""Writes the Secrets with the gateways' admin credentials, none of which the operator may read."""

import time
from collections.abc import Callable
from typing import Any, Final

from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.kube.plan import object_hash
from dicomroute_operator.kube.resources import STATEFUL_SET
from dicomroute_operator.render import names

from .applying import Applying, Refusal
from .world import Key, World

Object = dict[str, Any]

_AGAIN_SECONDS: Final = 15


class AdminSecrets:
    """Knows when the Secret of a route was last written. Lives in the event loop."""

    def __init__(self, world: World, applying: Applying, ask_later: Callable[[Key, float], None]) -> None:
        self._world = world
        self._applying = applying
        self._ask_later = ask_later
        self._written: dict[str, float] = {}
        """When the Secret of each route, by UID, was last written, on the monotonic clock."""

    async def write(self, key: Key, route: DicomRoute, secret: Object, refused: list[Refusal]) -> str:
        """Write the Secret where that is due; return the hash of the one that the pods can have now.

        Why it was refused is added to `refused`. Raises ApiError.
        """
        if not self._is_due(key, route, secret):
            return object_hash(secret)
        refusal = await self._applying.apply(secret, is_own=True)
        if refusal is None:
            self._written[route.metadata.uid] = time.monotonic()
            return object_hash(secret)
        refused.append(refusal)
        return self._made_for(key)

    def is_made_for(self, key: Key, secret: Object) -> bool:
        """Whether the gateway was last made for this Secret."""
        return self._made_for(key) == object_hash(secret)

    def _made_for(self, key: Key) -> str:
        live = self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))
        annotations = live["metadata"].get("annotations", {}) if live is not None else {}
        return str(annotations.get(names.ADMIN_SECRET_ANNOTATION, ""))

    def _is_due(self, key: Key, route: DicomRoute, secret: Object) -> bool:
        """Whether the Secret has to be written: it is not what pods were made for, or one misses it.

        A deleted one shows when a pod cannot start for want of it, or when a gateway does not know its token.
        """
        if not self.is_made_for(key, secret):
            return True
        if not any(self._may_miss(key, pod.pod) for pod in self._world.pods(key)):
            return False
        written = self._written.get(route.metadata.uid, float("-inf"))
        wait = written + _AGAIN_SECONDS - time.monotonic()
        if wait > 0:  # every pod is being created for a moment: look again when it should have been
            self._ask_later(key, wait)
        return wait <= 0

    def _may_miss(self, key: Key, pod: Object) -> bool:
        reported = self._world.reports.get((key.namespace, pod["metadata"]["uid"]))
        return _is_creating(pod) or (reported is not None and reported.unauthorized)


def _is_creating(pod: Object) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return any((one.get("state", {}).get("waiting") or {}).get("reason") == "ContainerCreating" for one in statuses)
