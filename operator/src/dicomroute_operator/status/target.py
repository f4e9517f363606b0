"""The status of a CloudTarget, from what the gateways of the routes that use it found. The worst of them is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dicomroute_client.documents.status import ProbeFindingDocument
from dicomroute_operator.api.conditions import CredentialsExpiring, Ready
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.reason import Reason
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget, CloudTargetStatus
from dicomroute_operator.api.target_conditions import Authenticated, Reachable, TargetReady
from dicomroute_operator.checks.finding import Finding

from .conditions import condition, first_of_each_type, settle
from .expiring import expiring, seconds_since
from .observed import PodSeen
from .pods import STALE_SECONDS, is_stale
from .progress import with_progress

_WORST_FIRST: Final = ("False", "Unknown", "True")


@dataclass(frozen=True)
class TargetSeen:
    """What one gateway says of a target: what its last probe found, None before one, and when its credential ends.

    It has nothing else, the time of that probe least of all, so that equal ones are no news.
    """

    kind: str
    name: str
    credential_expires_time: datetime | None = None
    reachable: ProbeFindingDocument | None = None
    authenticated: ProbeFindingDocument | None = None
    ready: ProbeFindingDocument | None = None


@dataclass(frozen=True)
class Said:
    """What the gateways of one route say of a target. `is_stale` when one of them could not be asked."""

    route: str
    destinations: tuple[TargetSeen, ...] = ()
    is_stale: bool = False


def said_of(route: str, targets: Sequence[str], pods: Sequence[PodSeen], now: float) -> dict[str, Said]:
    """Return what the pods of a route say of each target that it uses."""
    found: dict[str, list[TargetSeen]] = {name: [] for name in targets}
    stale = False
    for pod in pods:
        if is_stale(pod, now):
            stale = True
        elif pod.report is not None:
            for one in pod.report.destinations:
                if one.kind == CloudTarget.kind and one.name in found:
                    probe = one.probe
                    findings = (probe.reachable, probe.authenticated, probe.ready) if probe else ()
                    found[one.name].append(TargetSeen(one.kind, one.name, one.credential_expires_time, *findings))
    return {name: Said(route, tuple(destinations), stale) for name, destinations in found.items()}


def silent_seconds(route: DicomRoute, now: datetime) -> float | None:
    """Return for how long a route has not been Ready, which is when its gateway may say nothing; None while it is."""
    conditions = route.status.conditions if route.status is not None else []
    lost = next((one for one in conditions if one.type == Ready.declared_type() and one.status != "True"), None)
    return seconds_since(lost.last_transition_time, now) if lost is not None else None


def target_status(
    target: CloudTarget, findings: Sequence[Finding], said: Sequence[Said], now: datetime
) -> CloudTargetStatus:
    """Return the status of a target; `said` has one for each route that runs and uses it.

    Silence does not make good what was bad: where no gateway says anything, what was known stays.
    """
    generation = target.metadata.generation
    before = target.status.conditions if target.status is not None else []
    known = {one.type: one for one in before if one.observed_generation == generation}
    names = ((Reachable, "reachable"), (Authenticated, "authenticated"), (TargetReady, "ready"))
    conditions = [
        *first_of_each_type(findings),
        *(_condition(reasons, field, target, said, known.get(reasons.declared_type())) for reasons, field in names),
    ]
    destinations = [one for route in said for one in route.destinations]
    if destinations or not said:
        conditions += expiring(destinations, now)
    else:
        conditions += [one for one in before if one.type == CredentialsExpiring.declared_type()]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    settled = settle(with_progress(conditions), before, generation, stamp)
    return CloudTargetStatus(observed_generation=generation, conditions=settled)


def _condition(
    reasons: type[Reachable | Authenticated | TargetReady],
    field: str,
    target: CloudTarget,
    said: Sequence[Said],
    known: Condition | None,
) -> Condition:
    test = f"`dicomroute test target {target.metadata.name} -n {target.metadata.namespace}`"
    if not said:
        sentence = f"no route that runs uses it, so that nothing tests it: {test} does, from your machine"
        return condition(reasons.NOT_USED, None, sentence)
    found = [
        (_rank(finding), route.route, finding)
        for route in said
        for one in route.destinations
        if (finding := getattr(one, field)) is not None and finding.reason
    ]
    silent = f"its gateway could not be asked for {STALE_SECONDS} s"
    stale = ProbeFindingDocument(status="Unknown", reason="StatusStale", message=silent)
    found += [(_rank(stale), route.route, stale) for route in said if route.is_stale]
    if found:
        _, route_name, worst = min(found, key=lambda one: one[:2])
        return _reported(reasons, route_name, worst, test)
    if known is not None and known.reason != str(reasons.NOT_USED):
        return known
    sentence = f"the gateway of route {said[0].route} has not tested it yet: it does so as soon as it runs"
    return condition(reasons.NOT_TESTED, None, sentence)


def _reported(reasons: type[Reason], route: str, finding: ProbeFindingDocument, test: str) -> Condition:
    """Return a condition with a gateway's own word for it: a newer gateway may have one that is not declared here."""
    message = finding.message if finding.status == "True" else f"route {route}: {finding.message}"
    if finding.status == "False" and reasons is TargetReady:
        message += f". {test} tests it now"
    return Condition(
        type=reasons.declared_type(),
        status=finding.status,
        reason=finding.reason[:128],
        message=message[:4096],
        last_transition_time="",
    )


def _rank(finding: ProbeFindingDocument) -> int:
    return _WORST_FIRST.index(finding.status) if finding.status in _WORST_FIRST else 1
