"""Asks for the cluster's Events on those objects of a route that something is wrong with; nothing is watched for it."""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from dicomroute_operator.kube.client import ApiError, Client
from dicomroute_operator.kube.events import events_of
from dicomroute_operator.status.observed import RouteSeen
from dicomroute_operator.status.troubles import event_time, sentence, troubled

Object = dict[str, Any]

_FIRST_PAUSE_SECONDS: Final = 10.0
_MAX_PAUSE_SECONDS: Final = 300.0
"""An object is asked about after 10 s, 20 s, up to 5 min, as long as the cluster says nothing new of it."""
_GRACE: Final = timedelta(seconds=5)
_MOST: Final = 4096

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Asked:
    """When an object was last asked about, on the monotonic clock, what there was, and how long that is good for."""

    time: float
    events: list[Object]
    pause_seconds: float


class ChildEvents:
    """What the cluster last said of objects, by their UIDs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, _Asked] = {}
        """By the UID of the object."""
        self._is_denied = False

    async def told(self, seen: RouteSeen, unready_since: str, now: datetime) -> tuple[RouteSeen, float]:
        """Return what was seen with the cluster's sentences, and in how many seconds to look again; 0: not at all.

        An Event wakes nobody: what is wrong is looked at again and again. Where Events may not be read, and while the
        API server does not give them, nothing is said.
        """
        wrong = troubled(seen)
        if not wrong:
            return seen, 0.0
        since = datetime.fromisoformat(unready_since) - _GRACE if unready_since else datetime.min.replace(tzinfo=UTC)
        sentences = {}
        for one in wrong:
            events = await self._events(one)
            if one.get("kind") in ("StatefulSet", "Pod"):
                events = [event for event in events if event_time(event) >= since]
            if found := sentence(events, now):
                sentences[one["metadata"]["uid"]] = found
        known = [self._known.get(one["metadata"]["uid"]) for one in wrong]
        again = min((one.pause_seconds for one in known if one is not None), default=_FIRST_PAUSE_SECONDS)
        return replace(seen, sentences=sentences), again

    async def _events(self, one: Object) -> list[Object]:
        uid, now = one["metadata"]["uid"], time.monotonic()
        before = self._known.pop(uid, None)
        if before is not None and now - before.time < before.pause_seconds - 1:
            self._known[uid] = before
            return before.events
        events: list[Object] = []
        try:
            events = await asyncio.to_thread(events_of, self._client, one)
        except ApiError as error:
            if error.status != 403:
                raise
            if not self._is_denied:
                log.warning("events.denied", error=str(error))
            self._is_denied = True
        is_old = before is not None and _said(before.events) == _said(events)
        pause = min(_MAX_PAUSE_SECONDS, 2 * before.pause_seconds) if before and is_old else _FIRST_PAUSE_SECONDS
        self._known[uid] = _Asked(now, events, pause)
        while len(self._known) > _MOST:
            self._known.pop(next(iter(self._known)))
        return events


def _said(events: list[Object]) -> set[tuple[str, str]]:
    return {(str(one.get("reason")), str(one.get("message"))) for one in events}
