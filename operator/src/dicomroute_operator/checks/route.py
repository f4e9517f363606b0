"""The checks of a DicomRoute."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from itertools import combinations

from dicomroute_operator.api import identity
from dicomroute_operator.api.conditions import Accepted, ResolvedRefs
from dicomroute_operator.api.gateway import LoadBalancerSources, ServiceType, TrafficPolicy
from dicomroute_operator.api.inputs import SHARING_ANNOTATIONS, RouteInputs, exclusive
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import RuleMatching
from dicomroute_operator.api.warning_conditions import OpenToAnywhere

from .commitment import commits_on_answer, reports_undeliverable
from .finding import Check, Finding, route_fault, run_chain
from .query import (
    archive_not_found,
    archive_takes_deidentified_only,
    move_destination_is_gateway,
    move_destination_not_found,
    move_destinations_alike,
    node_takes_deidentified_only,
    plain_query_listener,
    query_client_not_admitted,
    query_client_not_found,
)
from .references import (
    file_missing,
    no_node_selected,
    node_certificate_not_verified,
    node_has_no_host,
    node_may_not_call,
    node_not_found,
    profile_not_found,
    target_not_found,
)


def check_route(inputs: RouteInputs) -> list[Finding]:
    """Return the findings of a route; a chain that finds nothing says so with its positive reason."""
    findings = []
    for chain, fine, sentence in (
        (ACCEPTED, Accepted.ACCEPTED, "the manifest is consistent"),
        (RESOLVED_REFS, ResolvedRefs.RESOLVED_REFS, "all referenced objects exist"),
    ):
        found = run_chain(chain, inputs)
        findings += found or [Finding("DicomRoute", inputs.route.metadata.name, fine, True, sentence)]
    warnings = (OPEN_TO_ANYWHERE, QUERIES_IN_CLEAR, COMMITS_ON_ANSWER, REPORTS_UNDELIVERABLE)
    return [*findings, *(finding for chain in warnings for finding in run_chain(chain, inputs))]


def load_balancer_open(inputs: RouteInputs) -> Iterator[Finding]:
    """A load balancer has an address that the world may know."""
    service = inputs.route.spec.gateway.service
    if service.type is not ServiceType.LOAD_BALANCER:
        return
    reason, sentence, field = None, "", "spec.gateway.service.loadBalancerSources"
    open_listener = next((one for one in inputs.route.spec.listeners if inputs.may_be_anywhere(one)), None)
    if open_listener is not None:
        reason, field = OpenToAnywhere.LOAD_BALANCER_OPEN, f"spec.listeners[{open_listener.name}].sources"
        nodes = [node.metadata.name for node in inputs.nodes_of(open_listener) if node.spec.any_address]
        who = f"DicomNode {nodes[0]} may call listener {open_listener.name}" if nodes else "anyone may call"
        where = "" if nodes else f" listener {open_listener.name}"
        sentence = f"{who}{where} from any address through a load balancer: add allowedSources to the nodes"
    elif service.load_balancer_sources is LoadBalancerSources.ANYWHERE:
        reason = OpenToAnywhere.SOURCES_NOT_BOUND
        sentence = (
            "the load balancer accepts connections from every address, and only the gateway checks the addresses of "
            "callers"
        )
    if reason is not None:
        yield Finding("DicomRoute", inputs.route.metadata.name, reason, True, sentence, field)


def source_address_hidden(inputs: RouteInputs) -> Iterator[Finding]:
    """Behind a Service that hides its callers, every address is that of a cluster node."""
    service = inputs.route.spec.gateway.service
    if service.type is ServiceType.CLUSTER_IP or service.external_traffic_policy is TrafficPolicy.LOCAL:
        return
    for listener in inputs.route.spec.listeners:
        restricted = [node for node in inputs.nodes_of(listener) if not node.spec.any_address]
        if restricted:
            yield route_fault(
                inputs,
                Accepted.SOURCE_ADDRESS_HIDDEN,
                "spec.gateway.service.externalTrafficPolicy",
                f"DicomNode {restricted[0].metadata.name} has allowedSources for listener {listener.name}, but "
                "externalTrafficPolicy: Cluster hides the addresses of callers: set it to Local",
            )
            return


def allowed_sources_bypassed(inputs: RouteInputs) -> Iterator[Finding]:
    """A title that one node may use from anywhere is open to every stranger, whatever another node says."""
    for listener in inputs.route.spec.listeners:
        for one, other in combinations(inputs.nodes_of(listener), 2):
            shared = sorted(set(one.spec.callers) & set(other.spec.callers))
            if shared and one.spec.any_address != other.spec.any_address:
                open_, closed = (one, other) if one.spec.any_address else (other, one)
                yield route_fault(
                    inputs,
                    Accepted.ALLOWED_SOURCES_BYPASSED,
                    f"spec.listeners[{listener.name}].sources",
                    f"DicomNode {closed.metadata.name} restricts AE title {shared[0]} to its allowedSources, but "
                    f"DicomNode {open_.metadata.name} allows it from any address: restrict both, or give them "
                    "different titles",
                )


def certificates_bypassed(inputs: RouteInputs) -> Iterator[Finding]:
    """A title that one node may use without a certificate is open to all of its network, whatever another node says."""
    for listener in inputs.route.spec.listeners:
        for one, other in combinations(inputs.nodes_of(listener), 2):
            shared = sorted(set(one.spec.callers) & set(other.spec.callers))
            if shared and bool(one.spec.certificates) != bool(other.spec.certificates) and _may_meet(one, other):
                known, open_ = (one, other) if one.spec.certificates else (other, one)
                yield route_fault(
                    inputs,
                    Accepted.CERTIFICATES_BYPASSED,
                    f"spec.listeners[{listener.name}].sources",
                    f"DicomNode {known.metadata.name} requires a certificate for AE title {shared[0]}, but DicomNode "
                    f"{open_.metadata.name} allows it without one from the same network: require certificates of both, "
                    "or give them different titles",
                )


def _may_meet(one: DicomNode, other: DicomNode) -> bool:
    """Whether both nodes may call from one address."""
    if one.spec.any_address or other.spec.any_address:
        return True
    networks = [[ip_network(text) for text in node.spec.allowed_sources] for node in (one, other)]
    return any(a.version == b.version and a.overlaps(b) for a in networks[0] for b in networks[1])


def service_port_conflict(inputs: RouteInputs) -> Iterator[Finding]:
    """A listener without a published port keeps its own, which another may have been given."""
    ports: dict[int, str] = {}
    published = {one.listener: one.port for one in inputs.route.spec.gateway.service.ports}
    for listener in inputs.route.spec.listeners:
        port = published.get(listener.name, listener.port)
        if port in ports:
            yield route_fault(
                inputs,
                Accepted.SERVICE_PORT_CONFLICT,
                "spec.gateway.service.ports",
                f"listeners {ports[port]} and {listener.name} would both be published on port {port}: give one of them "
                "another port in gateway.service.ports",
            )
        ports.setdefault(port, listener.name)


def rule_unreachable(inputs: RouteInputs) -> Iterator[Finding]:
    """With First, nothing comes past a rule that takes everything."""
    spec = inputs.route.spec
    if spec.rule_matching is not RuleMatching.FIRST:
        return
    for rule in spec.rules[:-1]:
        if not rule.when:
            yield route_fault(
                inputs,
                Accepted.RULE_UNREACHABLE,
                f"spec.rules[{rule.name}]",
                f"rule {rule.name} has no condition, so with ruleMatching: First the rules after it never apply: move "
                "it to the end",
            )
            return


def conflicting_treatment(inputs: RouteInputs) -> Iterator[Finding]:
    """With All, what one rule takes a rule without a condition takes too: each treats it in its own way."""
    spec = inputs.route.spec
    if spec.rule_matching is not RuleMatching.ALL:
        return
    for one, other in combinations(spec.rules, 2):
        shared = [named for named in other.destinations if named in one.destinations]
        if (
            shared
            and (one.transform, one.deidentify) != (other.transform, other.deidentify)
            and not (one.when and other.when)
        ):
            yield route_fault(
                inputs,
                Accepted.CONFLICTING_TREATMENT,
                f"spec.rules[{other.name}].destinations",
                f"rules {one.name} and {other.name} both send to {shared[0].kind} {shared[0].name}, with different "
                "transforms or profiles: remove the destination from one of them, or give both the same transform and "
                "profile",
            )
            return


def conflicted(inputs: RouteInputs) -> Iterator[Finding]:
    """A node port and a load balancer address belong to one route of the cluster: the oldest that asks for it."""
    for field, claim in exclusive(inputs.route):
        if claim in inputs.existing.rivals:
            message = (
                f"the older DicomRoute {inputs.existing.rivals[claim]} already uses {claim}: choose another, or remove "
                "it there"
            )
            shares = inputs.route.spec.gateway.service.annotations.keys() & set(SHARING_ANNOTATIONS)
            if shares and claim.startswith("address "):
                message += (
                    ". To share an address, both routes need the same value of the annotation and different ports; "
                    "with MetalLB, also externalTrafficPolicy: Cluster"
                )
            yield route_fault(inputs, Accepted.CONFLICTED, field, message)


def spool_of_another_route(inputs: RouteInputs) -> Iterator[Finding]:
    """What a deleted route of the same name has left is taken over only when somebody says so."""
    uid = inputs.route.metadata.uid
    for claim in inputs.existing.claims:
        if claim.route_uid != uid and not inputs.route.spec.gateway.spool.adopt:
            yield route_fault(
                inputs,
                Accepted.SPOOL_OF_ANOTHER_ROUTE,
                "spec.gateway.spool.adopt",
                f"the claim {claim.name} contains the spool of a deleted route with this name and may still owe "
                "instances: set spool.adopt: true to take it over, delete the claim, or choose another route name",
            )


def conflicting_identities(inputs: RouteInputs) -> Iterator[Finding]:
    """The pods have one service account, and some annotations of it can be for one target alone."""
    for one in identity.conflicts(inputs):
        yield route_fault(
            inputs,
            Accepted.CONFLICTING_IDENTITIES,
            f"CloudTarget/{one.target}: spec.auth",
            f"CloudTarget {one.target} needs {one.annotation}: {one.value} on the service account of the pods, and "
            f"CloudTarget {one.other_target} needs {one.other_value}: use a separate route for each, or the same "
            "identity for both",
        )


ACCEPTED: Sequence[Check[RouteInputs]] = (
    source_address_hidden,  # a gateway behind it would refuse every node
    allowed_sources_bypassed,  # and one with this would refuse nobody
    certificates_bypassed,
    service_port_conflict,
    rule_unreachable,
    conflicting_treatment,
    archive_takes_deidentified_only,
    node_takes_deidentified_only,
    query_client_not_admitted,
    move_destinations_alike,
    move_destination_is_gateway,
    conflicting_identities,
    conflicted,
    spool_of_another_route,  # last: it is the only one that the manifest alone does not cause
)
QUERIES_IN_CLEAR: Sequence[Check[RouteInputs]] = (plain_query_listener,)
OPEN_TO_ANYWHERE: Sequence[Check[RouteInputs]] = (load_balancer_open,)
COMMITS_ON_ANSWER: Sequence[Check[RouteInputs]] = (commits_on_answer,)
REPORTS_UNDELIVERABLE: Sequence[Check[RouteInputs]] = (reports_undeliverable,)
RESOLVED_REFS: Sequence[Check[RouteInputs]] = (
    node_not_found,
    node_may_not_call,
    node_certificate_not_verified,
    no_node_selected,
    target_not_found,
    query_client_not_found,
    archive_not_found,
    move_destination_not_found,
    profile_not_found,
    node_has_no_host,
    file_missing,  # a target that does not exist needs no Secret yet
)
