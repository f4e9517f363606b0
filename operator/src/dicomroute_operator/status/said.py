"""What gateways say of the destinations that their routes use, target or node."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dicomroute_client.documents.status import ProbeFindingDocument
from dicomroute_operator.api.conditions import Ready
from dicomroute_operator.api.route import DicomRoute

from .expiring import seconds_since
from .observed import PodSeen
from .pods import STALE_SECONDS, is_stale

_WORST_FIRST: Final = ("False", "Unknown", "True")


@dataclass(frozen=True)
class DestinationSeen:
    """What one gateway says of a destination: what its last probe found, None before one, and when its credential ends.

    It has nothing else, the time of that probe least of all, so that equal ones are no news.
    """

    kind: str
    name: str
    credential_expires_time: datetime | None = None
    reachable: ProbeFindingDocument | None = None
    authenticated: ProbeFindingDocument | None = None
    ready: ProbeFindingDocument | None = None
    within_milliseconds: int | None = None
    """Within what time a node answered a C-ECHO."""


@dataclass(frozen=True)
class Said:
    """What the gateways of one route say of a destination. `is_stale` when one of them could not be asked."""

    route: str
    destinations: tuple[DestinationSeen, ...] = ()
    is_stale: bool = False


Destination = tuple[str, str]
"""Kind and name."""


def said_of(route: str, used: Sequence[Destination], pods: Sequence[PodSeen], now: float) -> dict[Destination, Said]:
    """Return what the pods of a route say of each destination that it uses."""
    found: dict[Destination, list[DestinationSeen]] = {one: [] for one in used}
    stale = False
    for pod in pods:
        if is_stale(pod, now):
            stale = True
        elif pod.report is not None:
            for one in pod.report.destinations:
                if (one.kind, one.name) in found:
                    probe = one.probe
                    said = (
                        (probe.reachable, probe.authenticated, probe.ready, probe.within_milliseconds) if probe else ()
                    )
                    seen = DestinationSeen(one.kind, one.name, one.credential_expires_time, *said)
                    found[(one.kind, one.name)].append(seen)
    return {one: Said(route, tuple(destinations), stale) for one, destinations in found.items()}


def silent_seconds(route: DicomRoute, now: datetime) -> float | None:
    """Return for how long a route has not been Ready, which is when its gateway may say nothing; None while it is."""
    conditions = route.status.conditions if route.status is not None else []
    lost = next((one for one in conditions if one.type == Ready.declared_type() and one.status != "True"), None)
    return seconds_since(lost.last_transition_time, now) if lost is not None else None


def stale_finding() -> ProbeFindingDocument:
    """Return what is known of a destination whose gateway says nothing."""
    silent = f"its gateway could not be asked for {STALE_SECONDS} s"
    return ProbeFindingDocument(status="Unknown", reason="StatusStale", message=silent)


def rank(status: str) -> int:
    """Return the place of a status among others, the worst first; one that nobody knows is Unknown."""
    return _WORST_FIRST.index(status) if status in _WORST_FIRST else 1
