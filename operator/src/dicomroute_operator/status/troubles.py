"""Which objects of a route something is wrong with, so that the cluster's own Events on them are worth asking for."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from dicomroute_operator.api.gateway import ServiceType

from .claims import troubled_claims
from .observed import RouteSeen

Object = dict[str, Any]

_RECENT_SECONDS: Final = 20 * 60
"""How old an Event may be: controllers repeat themselves, the slowest of them within a quarter of an hour."""


_TELLING: Final = frozenset(
    ("EnsuringLoadBalancer", "ExternalProvisioning", "Provisioning", "Pulling", "Resizing", "WaitForPodScheduled")
)
"""Events that warn of nothing, and still say what an object waits for."""


def troubled(seen: RouteSeen) -> list[Object]:
    """Return the objects that are not as they should be, and do not say themselves why."""
    found = troubled_claims(seen.claims)
    if seen.stateful_set is not None and len(seen.pods) < seen.replicas:
        found.append(seen.stateful_set)
    found += [one.pod for one in seen.pods if _does_not_start(one.pod)]
    if seen.service is not None and lacks_address(seen.service):
        found.append(seen.service)
    return found


def lacks_address(service: Object) -> bool:
    """Whether nothing has given a load balancer its address."""
    spec, status = service.get("spec", {}), service.get("status", {})
    return spec.get("type") == ServiceType.LOAD_BALANCER and not status.get("loadBalancer", {}).get("ingress")


def _does_not_start(pod: Object) -> bool:
    """Whether no container of a pod has begun."""
    status = pod.get("status", {})
    return status.get("phase") == "Pending" and not pod["metadata"].get("deletionTimestamp")


def sentence(events: Iterable[Mapping[str, Any]], now: datetime) -> str:
    """Return what the newest Event says, one that warns before all others; nothing without a recent one."""
    recent = [
        one
        for one in events
        if (now - event_time(one)).total_seconds() <= _RECENT_SECONDS
        and (one.get("type") == "Warning" or one.get("reason") in _TELLING)
    ]
    newest = max(recent, key=lambda one: (one.get("type") == "Warning", event_time(one)), default=None)
    if newest is None:
        return ""
    return f"{newest.get('reason', '')}: {' '.join(str(newest.get('message', '')).split())}"[:1024]


def event_time(event: Mapping[str, Any]) -> datetime:
    """Return when something was last seen: of the three places where Events say so the newest."""
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(str(text or event["metadata"]["creationTimestamp"]))
