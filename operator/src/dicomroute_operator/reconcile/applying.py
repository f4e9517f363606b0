"""Applies objects one by one. What the API server refuses is said, and does not keep the others from being applied."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from dicomroute_operator.kube.client import ApiError, Client
from dicomroute_operator.kube.plan import as_answered
from dicomroute_operator.kube.resources import resource_of
from dicomroute_operator.render import names

Object = dict[str, Any]

_OF_THE_SERVER: Final = frozenset((0, 401, 429, 503, 504))
"""What says nothing of the object: the API server is not there, or asks for patience."""
_FIELDS: Final = {
    "ConfigMap": "spec",
    "NetworkPolicy": "spec.gateway.networkPolicy",
    "PersistentVolumeClaim": "spec.gateway.spool.size",
    "Service": "spec.gateway.service",
    "StatefulSet": "spec.gateway",
}
"""The field of a route that an object is made of."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Refusal:
    """An object that the API server did not take, and its own sentence."""

    kind: str
    name: str
    message: str

    def __str__(self) -> str:
        field = _FIELDS.get(self.kind)
        return f"{self.kind} {self.name}{f' (from {field})' if field else ''}: {self.message}"


class Applying:
    """Writes objects, and remembers what admission webhooks have made of them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._answers: dict[tuple[str, str, str], tuple[str, Object]] = {}
        """What was asked for, as its hash, and what the API server made of it, by kind, namespace and name."""

    def is_settled(self, live: Object, wanted: Object) -> Object | None:
        """Return what the wanted fields of an object were answered with, if just this was asked for and answered so.

        A webhook may change what is applied: writing the same again would change nothing.
        """
        found = self._answers.get(_key(live))
        return found[1] if found is not None and found[0] == _asked(wanted) else None

    async def apply(self, manifest: Object, *, is_own: bool) -> Refusal | None:
        """Apply an object; return why it was refused. What is not the route's own is not taken over by force.

        Raises ApiError when the API server is not there, and when the namespace is being deleted.
        """
        meta = manifest["metadata"]
        log.info("apply", key=f"{meta['namespace']}/{meta['name']}", kind=manifest["kind"])
        write = self._client.bring_back if is_own else partial(self._client.apply, force=False)
        try:
            answer = await asyncio.to_thread(write, manifest)
        except ApiError as error:
            return _refusal(manifest, error)
        if asked := _asked(manifest):
            self._answers[_key(manifest)] = (asked, as_answered(answer, manifest))
        return None

    async def delete(self, live: Object) -> Refusal | None:
        """Delete an object; return why that was refused. Raises ApiError as `apply` does."""
        meta = live["metadata"]
        log.info("delete", key=f"{meta['namespace']}/{meta['name']}", kind=live["kind"])
        try:
            await asyncio.to_thread(
                self._client.delete, resource_of(live), meta["namespace"], meta["name"], meta["uid"]
            )
        except ApiError as error:
            return _refusal(live, error)
        self._answers.pop(_key(live), None)
        return None

    def forget(self, namespace: str, route: str) -> None:
        """Forget what belongs to a route that is gone."""
        for key in [key for key in self._answers if key[1] == namespace and key[2].startswith(f"{route}-")]:
            del self._answers[key]


def _refusal(manifest: Object, error: ApiError) -> Refusal:
    if error.status in _OF_THE_SERVER or error.is_of_an_ending_namespace:
        raise error
    sentence = f"{error} (the API server, status {error.status})"
    return Refusal(manifest["kind"], manifest["metadata"]["name"], sentence)


def _key(one: Object) -> tuple[str, str, str]:
    meta = one["metadata"]
    return one["kind"], meta["namespace"], meta["name"]


def _asked(manifest: Object) -> str:
    """Return the hash of what is asked for; nothing for an object that is written without looking at it, as Secrets."""
    return str(manifest["metadata"].get("annotations", {}).get(names.APPLIED_ANNOTATION, ""))
