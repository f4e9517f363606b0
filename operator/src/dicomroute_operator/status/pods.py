"""Whether a route receives: read from its pods, from the outside in. The first thing that is wrong is the reason."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from dicomroute_operator.api.conditions import Ready
from dicomroute_operator.api.meta import Condition

from .conditions import condition
from .observed import PodSeen, RouteSeen

STALE_SECONDS: Final = 30

_PULLING: Final = frozenset(("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"))
_FAILING: Final = frozenset(("CrashLoopBackOff", "RunContainerError", "CreateContainerError", "StartError"))
_REASONS: Final = {
    "SpoolTooNew": Ready.SPOOL_TOO_NEW,
    "SpoolCorrupt": Ready.SPOOL_CORRUPT,
    "SpoolVolumeUnsafe": Ready.SPOOL_VOLUME_UNSAFE,
    "SpoolFailed": Ready.SPOOL_FAILED,
    "SpoolKeyMissing": Ready.SPOOL_KEY_MISSING,
    "SpoolKeyInvalid": Ready.SPOOL_KEY_INVALID,
    "PortUnavailable": Ready.PORT_UNAVAILABLE,
    "ConfigurationMissing": Ready.CONFIGURATION_UNUSABLE,
    "ConfigurationInvalid": Ready.CONFIGURATION_UNUSABLE,
    "ConfigurationForged": Ready.CONFIGURATION_UNUSABLE,
}


def ready(seen: RouteSeen, replicas: int, now: float) -> Condition:
    """Return the condition Ready of a route that wants this many pods, from those that there are.

    A pod that nobody wants any more receives as long as it is there.
    """
    if replicas == 0 and seen.replicas == 0 and not seen.pods:
        return condition(Ready.SCALED_TO_ZERO, False, Ready.SCALED_TO_ZERO.meaning)
    if not seen.configuration_hash and not seen.apply_error:
        return condition(
            Ready.NOT_ACCEPTED, False, "no version of this manifest was ever accepted: see the condition Accepted"
        )
    for pod in seen.pods:
        for fault in _faults(pod, seen, now):
            return fault
    if len(seen.pods) < max(replicas, seen.replicas):
        return _missing(seen)
    return condition(Ready.READY, True, "the listeners are open, and the spool can store what arrives")


def _missing(seen: RouteSeen) -> Condition:
    """Return why there is no pod: what the controller of the StatefulSet says, or what was refused before it."""
    if seen.stateful_set is None:
        why = "was refused: see Programmed" if seen.apply_error else "does not exist yet"
        return condition(Ready.POD_MISSING, False, f"there is no pod, because the StatefulSet {why}")
    lost = next((one["metadata"]["name"] for one in seen.claims if _phase(one) == "Lost"), None)
    if lost is not None:
        return condition(Ready.POD_MISSING, False, f"there is no pod yet; the claim {lost} has lost its volume")
    if why := seen.sentence_of(seen.stateful_set):
        return condition(Ready.POD_REFUSED, False, f"the cluster does not create a pod{why}")
    return condition(Ready.POD_MISSING, False, "the StatefulSet has not created a pod yet")


def is_stale(pod: PodSeen, now: float) -> bool:
    """Whether a pod has been silent for too long: since it last answered, or since it was first asked."""
    since = pod.reported_time if pod.reported_time is not None else pod.first_asked_time
    return since is not None and now - since > STALE_SECONDS


def is_awaited(pod: PodSeen, now: float) -> bool:
    """Whether a pod has been running for long, and an operator that has just started has no answer of it yet."""
    since = _running_since(pod.pod)
    return pod.report is None and not is_stale(pod, now) and since is not None and now - since > STALE_SECONDS


def _faults(seen: PodSeen, route: RouteSeen, now: float) -> Iterator[Condition]:
    pod, name = seen.pod, seen.pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        yield condition(Ready.TERMINATING, False, f"pod {name} is terminating; the next pod starts after it")
    yield from _unscheduled(pod, name, route)
    yield from _container(pod, name)
    yield from _not_started(pod, name, route)
    if is_stale(seen, now):
        last = f": {seen.error}" if seen.error else ""
        yield condition(Ready.STATUS_STALE, None, f"pod {name} could not be asked for {STALE_SECONDS} s{last}")
    report = seen.report
    if report is None:
        yield condition(Ready.STARTING, False, f"pod {name} has not reported yet")
    elif not report.ready:
        for problem in report.problems:
            fallback = Ready.SPOOL_UNUSABLE if problem.section == "spool" else Ready.NOT_RECEIVING
            reason = _REASONS.get(problem.reason, fallback)
            yield condition(reason, False, f"pod {name}: {problem.message}")
        yield condition(Ready.STARTING, False, f"pod {name} has not opened its listeners yet")
    elif not _is_serving(pod):
        yield condition(Ready.STARTING, False, f"pod {name} is not among the endpoints of its Service yet")


def _unscheduled(pod: dict[str, Any], name: str, route: RouteSeen) -> Iterator[Condition]:
    for one in pod.get("status", {}).get("conditions", []):
        # Not a SchedulerError: that is a collision of writers, and the scheduler tries again at once.
        if one.get("type") == "PodScheduled" and one.get("reason") == "Unschedulable":
            message = one.get("message", "")
            volume = "PersistentVolumeClaim" in message or "persistent volume" in message.lower()
            pending = next((one for one in route.claims if _phase(one) == "Pending"), None)
            why = route.sentence_of(pending) if pending is not None and volume else ""
            yield condition(
                Ready.VOLUME_PENDING if volume else Ready.UNSCHEDULABLE,
                False,
                f"pod {name}: {message or 'no Kubernetes node can run it'}"
                + (f"; claim {pending['metadata']['name']}{why}" if pending is not None and why else ""),
            )


def _not_started(pod: dict[str, Any], name: str, route: RouteSeen) -> Iterator[Condition]:
    """A node that is at work on a pod says in Events alone what it waits for."""
    why = route.sentence_of(pod)
    if any(word in why for word in ("FailedMount", "FailedAttachVolume", "FailedMapVolume")):
        yield condition(Ready.VOLUME_NOT_MOUNTED, False, f"pod {name}{why}")
    elif why:
        yield condition(Ready.STARTING, False, f"pod {name} is starting{why}")


def _container(pod: dict[str, Any], name: str) -> Iterator[Condition]:
    for container in pod.get("status", {}).get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _PULLING:
            yield condition(Ready.IMAGE_UNAVAILABLE, False, f"pod {name}: {message or container.get('image', '')}")
        if reason in _FAILING:
            ended = container.get("lastState", {}).get("terminated") or {}
            code = f"the container exited with code {ended['exitCode']}" if "exitCode" in ended else message
            yield condition(Ready.CONTAINER_FAILING, False, f"pod {name}: {code}; run `kubectl logs {name}` to see why")


def _running_since(pod: dict[str, Any]) -> float | None:
    for container in pod.get("status", {}).get("containerStatuses", []):
        started = (container.get("state", {}).get("running") or {}).get("startedAt")
        if started:
            return datetime.fromisoformat(started).timestamp()
    return None


def _is_serving(pod: dict[str, Any]) -> bool:
    """Whether the Service sends callers to the pod: it does so a moment after the gateway has opened its listeners."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _phase(claim: dict[str, Any]) -> str:
    return str(claim.get("status", {}).get("phase", ""))
