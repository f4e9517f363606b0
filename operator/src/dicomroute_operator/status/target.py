"""The status of a CloudTarget, from what the gateways of the routes that use it found. The worst of them is shown."""

from collections.abc import Sequence
from datetime import datetime

from dicomroute_client.documents.status import ProbeFindingDocument
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.reason import Reason
from dicomroute_operator.api.target import CloudTarget, CloudTargetStatus
from dicomroute_operator.api.target_conditions import Authenticated, Reachable, TargetReady
from dicomroute_operator.api.warning_conditions import CredentialsExpiring
from dicomroute_operator.checks.finding import Finding

from .conditions import condition, first_of_each_type, settle
from .expiring import expiring
from .progress import with_progress
from .said import Said, rank, stale_finding


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
        sentence = f"no running route uses this target, so no gateway tests it: run {test} to test it from your machine"
        return condition(reasons.NOT_USED, None, sentence)
    found = [
        (rank(finding.status), route.route, finding)
        for route in said
        for one in route.destinations
        if (finding := getattr(one, field)) is not None and finding.reason
    ]
    stale = stale_finding()
    found += [(rank(stale.status), route.route, stale) for route in said if route.is_stale]
    if found:
        _, route_name, worst = min(found, key=lambda one: one[:2])
        return _reported(reasons, route_name, worst, test)
    if known is not None and known.reason != str(reasons.NOT_USED):
        return known
    sentence = f"the gateway of route {said[0].route} has not tested the target yet: it does so as soon as it runs"
    return condition(reasons.NOT_TESTED, None, sentence)


def _reported(reasons: type[Reason], route: str, finding: ProbeFindingDocument, test: str) -> Condition:
    """Return a condition with a gateway's own word for it: a newer gateway may have one that is not declared here."""
    message = finding.message if finding.status == "True" else f"route {route}: {finding.message}"
    if finding.status == "False" and reasons is TargetReady:
        message += f". Run {test} to test it now"
    return Condition(
        type=reasons.declared_type(),
        status=finding.status,
        reason=finding.reason[:128],
        message=message[:4096],
        last_transition_time="",
    )
