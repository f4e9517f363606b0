"""Follows the objects of one kind that carry a label: a list, then a watch, then a watch from where that one ended."""

import random
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from .client import ApiError, Client, Object
from .resources import Resource

_MAX_PAUSE_SECONDS: Final = 30.0

log = structlog.get_logger(__name__)

Changed = Callable[[Object | None, Object | None], None]
"""Called with an object before and after a change, from the informer's thread."""


class Informer:
    """A thread that keeps the objects of one kind that carry a label; they are replaced, never changed in place."""

    def __init__(self, client: Client, resource: Resource, namespace: str | None, label: str, changed: Changed) -> None:
        self.resource = resource
        self.synced = threading.Event()
        self.heard_time = time.monotonic()
        """When the API server was last heard of, on the monotonic clock."""
        self._client = client
        self._namespace = namespace
        self._label = label
        self._changed = changed
        self._objects: dict[tuple[str, str], Object] = {}
        self._labelled: dict[tuple[str, str], frozenset[str]] = {}
        """The names of the objects by namespace and value of the label."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"informer-{resource.plural}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Follow no more; the thread ends with its watch at the latest, and with the process at once."""
        self._stopping.set()

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object as it was last seen."""
        return self._objects.get((namespace, name))

    def of(self, namespace: str, value: str) -> list[Object]:
        """Return the objects of a namespace whose label has this value."""
        found = self._labelled.get((namespace, value), frozenset())
        return [one for name in found if (one := self._objects.get((namespace, name))) is not None]

    def all(self) -> list[Object]:
        """Return every object as it was last seen."""
        return list(self._objects.values())

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            try:
                version = self._list()
                pause = 0.0
                while not self._stopping.is_set():
                    began = time.monotonic()
                    version = self._watch(version)
                    if time.monotonic() - began < 1:
                        self._stopping.wait(1)  # a server that ends watches at once is not asked without pause
            except ApiError as error:
                if error.status in (401, 403, 404):
                    # The namespace or the right to see it is gone: nothing is there until it is back.
                    self._empty()
                if error.status != 410:  # an old version is no fault: list again
                    pause = min(_MAX_PAUSE_SECONDS, max(0.5, pause * 2))
                    log.warning("informer.failed", resource=self.resource.plural, status=error.status, error=str(error))
            except Exception:
                pause = min(_MAX_PAUSE_SECONDS, max(0.5, pause * 2))
                log.exception("informer.broken", resource=self.resource.plural)
            self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311

    def _empty(self) -> None:
        for key in list(self._objects):
            self._changed(self._drop(key), None)
        self.synced.set()

    def _list(self) -> str:
        objects, version = self._client.list(self.resource, self._namespace, self._label)
        self.heard_time = time.monotonic()
        fresh = {_key(one): _trimmed(one) for one in objects}
        gone = [key for key in self._objects if key not in fresh]
        for key, one in fresh.items():
            before = self._objects.get(key)
            if before is None or _version(before) != _version(one):
                self._put(key, one)
                self._changed(before, one)
        for key in gone:
            self._changed(self._drop(key), None)
        self.synced.set()
        return version

    def _watch(self, version: str) -> str:
        for kind, item in self._client.watch(self.resource, self._namespace, self._label, version):
            self.heard_time = time.monotonic()
            version = _version(item)
            if kind == "BOOKMARK":
                continue
            key = _key(item)
            before = self._objects.get(key)
            if kind == "DELETED":
                self._drop(key)
                self._changed(before or item, None)
            else:
                after = _trimmed(item)
                self._put(key, after)
                self._changed(before, after)
            if self._stopping.is_set():
                break
        self.heard_time = time.monotonic()
        return version

    def _put(self, key: tuple[str, str], item: Object) -> None:
        """Take over an object; readers in other threads find the one or the other at any moment."""
        before = self._objects.get(key)
        self._objects[key] = item
        group = self._group(item)
        self._labelled[group] = self._labelled.get(group, frozenset()) | {key[1]}
        if before is not None and self._group(before) != group:
            self._leave(self._group(before), key[1])

    def _drop(self, key: tuple[str, str]) -> Object | None:
        item = self._objects.pop(key, None)
        if item is not None:
            self._leave(self._group(item), key[1])
        return item

    def _leave(self, group: tuple[str, str], name: str) -> None:
        self._labelled[group] = self._labelled.get(group, frozenset()) - {name}

    def _group(self, item: Object) -> tuple[str, str]:
        meta = item["metadata"]
        return meta.get("namespace", ""), meta.get("labels", {}).get(self._label, "")


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _version(item: Object) -> str:
    return str(item["metadata"]["resourceVersion"])


def _trimmed(item: Object) -> Object:
    """Drop what nobody here reads and what makes up half of an object."""
    item["metadata"].pop("managedFields", None)
    return item
