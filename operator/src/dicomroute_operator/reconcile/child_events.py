"""Asks for the cluster's Events on those objects of a route that something is wrong with; nothing is watched for it."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from dicomroute_operator.kube.client import ApiError, Client
from dicomroute_operator.kube.events import events_of
from dicomroute_operator.status.observed import RouteSeen
from dicomroute_operator.status.troubles import event_time, sentence, troubled

Object = dict[str, Any]

_AGAIN_SECONDS: Final = 10.0
"""How often the same object is asked about."""
_GRACE: Final = timedelta(seconds=5)
_MOST: Final = 4096

log = structlog.get_logger(__name__)


class ChildEvents:
    """What the cluster last said of objects, by their UIDs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, tuple[float, list[Object]]] = {}
        """When each object was last asked about, on the monotonic clock, and what there was."""
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
        return replace(seen, sentences=sentences), _AGAIN_SECONDS

    async def _events(self, one: Object) -> list[Object]:
        uid, now = one["metadata"]["uid"], time.monotonic()
        before = self._known.pop(uid, None)
        if before is not None and now - before[0] < _AGAIN_SECONDS - 1:
            self._known[uid] = before
            return before[1]
        events: list[Object] = []
        try:
            events = await asyncio.to_thread(events_of, self._client, one)
        except ApiError as error:
            if error.status != 403:
                raise
            if not self._is_denied:
                log.warning("events.denied", error=str(error))
            self._is_denied = True
        self._known[uid] = (now, events)
        while len(self._known) > _MOST:
            self._known.pop(next(iter(self._known)))
        return events
