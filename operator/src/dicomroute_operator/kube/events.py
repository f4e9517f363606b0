"""Events: what a person should know. What happens again is the same Event, which counts."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from .client import ApiError, Client, Object
from .resources import EVENT

_REMEMBERED: Final = 4096
_KEPT_SECONDS: Final = 3000
"""For how long an Event counts: the API server forgets it an hour after it was last written."""


@dataclass(frozen=True)
class _Told:
    name: str
    count: int
    last_time: datetime


class Recorder:
    """Writes Events. Lives in one event loop's threads; what was told is forgotten with the process."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told: dict[tuple[str, str, bool], _Told] = {}
        """What was told of an object, by its UID, reason, and whether it was a warning; the oldest first."""

    def record(self, about: Object, reason: str, message: str, *, warning: bool, now: datetime) -> None:
        """Write an Event about an object, or count one more of the same reason. Raises ApiError."""
        meta, stamp = about["metadata"], now.strftime("%Y-%m-%dT%H:%M:%SZ")
        key = (meta["uid"], reason, warning)
        before = self._told.pop(key, None)
        if before is not None and (now - before.last_time).total_seconds() < _KEPT_SECONDS:
            patch = {"count": before.count + 1, "lastTimestamp": stamp, "message": message[:1024]}
            try:
                self._client.merge(EVENT, meta["namespace"], before.name, patch)
            except ApiError as error:
                if error.status != 404:
                    raise
            else:
                self._told[key] = replace(before, count=before.count + 1, last_time=now)
                return
        event = _event(about, reason, message, warning=warning, stamp=stamp)
        made = self._client.create(EVENT, meta["namespace"], event)
        self._told[key] = _Told(made["metadata"]["name"], 1, now)
        while len(self._told) > _REMEMBERED:
            self._told.pop(next(iter(self._told)))


def events_of(client: Client, one: Object) -> list[Object]:
    """Return the Events about an object. Raises ApiError."""
    meta = one["metadata"]
    objects, _ = client.list(EVENT, meta["namespace"], fields=f"involvedObject.uid={meta['uid']}")
    return objects


def _event(about: Object, reason: str, message: str, *, warning: bool, stamp: str) -> Object:
    meta = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message[:1024],
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "reportingComponent": "dicomroute-operator",
        "reportingInstance": "dicomroute-operator",
        "source": {"component": "dicomroute-operator"},
    }
