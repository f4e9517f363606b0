"""The status of a DicomNode, from the connection tests of the routes that deliver to it. The worst of them is shown."""

from collections.abc import Sequence
from datetime import datetime

from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.node import ConnectionTest, DicomNode, DicomNodeStatus
from dicomroute_operator.api.node_conditions import NodeReachable
from dicomroute_operator.api.warning_conditions import CredentialsExpiring
from dicomroute_operator.checks.finding import Finding

from .conditions import condition, first_of_each_type, settle
from .expiring import expiring
from .progress import with_progress
from .said import Said, rank, stale_finding


def node_status(node: DicomNode, findings: Sequence[Finding], said: Sequence[Said], now: datetime) -> DicomNodeStatus:
    """Return the status of a node; `said` has one for each route that runs and delivers to it.

    Where no gateway says anything, what was known stays.
    """
    generation = node.metadata.generation
    before = node.status or DicomNodeStatus()
    is_current = before.observed_generation == generation
    known = {one.route: one for one in before.connection_tests} if is_current else {}
    tests: list[tuple[ConnectionTest, str]] = []
    for route in said:
        found = _found(route)
        if found is not None:
            tests.append(found)
        elif route.route in known:
            tests.append((known[route.route], ""))
    condition_before = next((one for one in before.conditions if one.type == NodeReachable.declared_type()), None)
    reachable = _reachable(node, said, tests, condition_before if is_current else None)
    conditions = [*first_of_each_type(findings), reachable]
    destinations = [one for route in said for one in route.destinations]
    if destinations or not said:
        conditions += expiring(destinations, now)
    else:
        conditions += [one for one in before.conditions if one.type == CredentialsExpiring.declared_type()]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return DicomNodeStatus(
        observed_generation=generation,
        conditions=settle(with_progress(conditions), before.conditions, generation, stamp),
        connection_tests=[test for test, _ in tests][:256],
    )


def _found(route: Said) -> tuple[ConnectionTest, str] | None:
    """Return the worst that a route's gateways found, and its sentence; None while they say nothing."""
    found = [(one.reachable, one.within_milliseconds) for one in route.destinations if one.reachable is not None]
    if route.is_stale:
        found.append((stale_finding(), None))
    if not found:
        return None
    finding, within = min(found, key=lambda one: (rank(one[0].status), -(one[1] or 0)))
    test = ConnectionTest(
        route=route.route,
        reachable=finding.status if finding.status in ("True", "False") else "Unknown",
        reason=finding.reason[:128] or str(NodeReachable.NOT_TESTED),
        within_milliseconds=within if finding.status == "True" else None,
    )
    return test, finding.message


def _reachable(
    node: DicomNode, said: Sequence[Said], tests: Sequence[tuple[ConnectionTest, str]], known: Condition | None
) -> Condition:
    test = f"`dicomroute test node {node.metadata.name} -n {node.metadata.namespace}`"
    if not said:
        sentence = (
            f"no running route delivers to this node, so no gateway tests it: run {test} to test it from your machine"
        )
        return condition(NodeReachable.NOT_USED, None, sentence)
    if node.spec.connection_test_seconds == 0:
        sentence = f"connectionTestSeconds is 0, so no gateway tests this node: run {test} to test it now"
        return condition(NodeReachable.NOT_TESTED, None, sentence)
    told = [(one, message) for one, message in tests if message]
    if told:
        return _reported(*min(told, key=lambda one: (rank(one[0].reachable), one[0].route)), test)
    if known is not None and known.reason != str(NodeReachable.NOT_USED):
        return known
    sentence = f"the gateway of route {said[0].route} has not tested the node yet: it does so as soon as it runs"
    return condition(NodeReachable.NOT_TESTED, None, sentence)


def _reported(found: ConnectionTest, message: str, test: str) -> Condition:
    """Return the condition with a gateway's own word: a newer gateway may have one that is not declared here."""
    text = message if found.reachable == "True" else f"route {found.route}: {message}"
    if found.reachable == "False":
        text += f". Run {test} to test it now"
    return Condition(
        type=NodeReachable.declared_type(),
        status=found.reachable,
        reason=found.reason,
        message=text[:4096],
        last_transition_time="",
    )
