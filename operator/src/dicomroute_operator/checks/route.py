"""The checks of a DicomRoute."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from itertools import combinations

from dicomroute_operator.api import identity
from dicomroute_operator.api.conditions import (
    Accepted,
    CommitsOnAnswer,
    OpenToAnywhere,
    ReportsUndeliverable,
    ResolvedRefs,
)
from dicomroute_operator.api.delivery import ConfirmBy, DestinationKind
from dicomroute_operator.api.gateway import LoadBalancerSources, ServiceType, TrafficPolicy
from dicomroute_operator.api.inputs import NeededFile, RouteInputs, exclusive
from dicomroute_operator.api.listener import ClientCertificates, SourcePolicy
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.reason import Reason
from dicomroute_operator.api.route import RuleMatching

from .finding import Check, Finding, run_chain
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


def _fault(inputs: RouteInputs, reason: Reason, field: str, message: str) -> Finding:
    return Finding("DicomRoute", inputs.route.metadata.name, reason, False, message, field)


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


def commits_on_answer(inputs: RouteInputs) -> Iterator[Finding]:
    """Who is promised that an instance is kept deletes it: an answer alone says little of that."""
    confirmed = {
        (one.kind, one.name) for one in inputs.route.spec.destinations if one.confirm.by is not ConfirmBy.ANSWER
    }
    for one in inputs.commitment_destinations():
        if (one.kind, one.name) not in confirmed:
            by = ConfirmBy.STORAGE_COMMITMENT if one.kind is DestinationKind.DICOM_NODE else ConfirmBy.QUERY
            yield Finding(
                "DicomRoute",
                inputs.route.metadata.name,
                CommitsOnAnswer.DESTINATION_ONLY_ANSWERS,
                True,
                f"the route commits to instances that {one.kind} {one.name} took but did not confirm: add confirm: "
                f"{{by: {by}}} in spec.destinations, if the destination supports it",
                "spec.storageCommitment.destinations",
            )


def reports_undeliverable(inputs: RouteInputs) -> Iterator[Finding]:
    """Most reports are made after their association has ended: who asks has to say where it is called."""
    name, field = inputs.route.metadata.name, "spec.storageCommitment.listeners"
    commitment = inputs.route.spec.storage_commitment
    for node in inputs.commitment_requestors():
        if node.spec.host is None:
            yield Finding(
                "DicomRoute",
                name,
                ReportsUndeliverable.REQUESTOR_HAS_NO_HOST,
                True,
                f"DicomNode {node.metadata.name} may request storage commitment, but has no host for the result: add "
                "spec.host, and spec.port if it is not 104",
                field,
            )
    names = commitment.listeners if commitment is not None else ()
    for listener in inputs.route.spec.listeners:
        if listener.name in names and listener.sources.policy is SourcePolicy.ANY:
            yield Finding(
                "DicomRoute",
                name,
                ReportsUndeliverable.ANYBODY_MAY_ASK,
                True,
                f"listener {listener.name} accepts storage commitment requests from any caller, but the result can be "
                "sent only to a DicomNode with a host: name the nodes in its sources",
                field,
            )


def source_address_hidden(inputs: RouteInputs) -> Iterator[Finding]:
    """Behind a Service that hides its callers, every address is that of a cluster node."""
    service = inputs.route.spec.gateway.service
    if service.type is ServiceType.CLUSTER_IP or service.external_traffic_policy is TrafficPolicy.LOCAL:
        return
    for listener in inputs.route.spec.listeners:
        restricted = [node for node in inputs.nodes_of(listener) if not node.spec.any_address]
        if restricted:
            yield _fault(
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
                yield _fault(
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
                yield _fault(
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
            yield _fault(
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
            yield _fault(
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
            yield _fault(
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
            yield _fault(
                inputs,
                Accepted.CONFLICTED,
                field,
                f"the older DicomRoute {inputs.existing.rivals[claim]} already uses {claim}: choose another, or remove "
                "it there",
            )


def spool_of_another_route(inputs: RouteInputs) -> Iterator[Finding]:
    """What a deleted route of the same name has left is taken over only when somebody says so."""
    uid = inputs.route.metadata.uid
    for claim in inputs.existing.claims:
        if claim.route_uid != uid and not inputs.route.spec.gateway.spool.adopt:
            yield _fault(
                inputs,
                Accepted.SPOOL_OF_ANOTHER_ROUTE,
                "spec.gateway.spool.adopt",
                f"the claim {claim.name} contains the spool of a deleted route with this name and may still owe "
                "instances: set spool.adopt: true to take it over, delete the claim, or choose another route name",
            )


def node_not_found(inputs: RouteInputs) -> Iterator[Finding]:
    """Every node that a listener or a rule names exists."""
    for listener in inputs.route.spec.listeners:
        for reference in listener.sources.nodes:
            if reference.name not in inputs.nodes:
                yield _fault(
                    inputs,
                    ResolvedRefs.NODE_NOT_FOUND,
                    f"spec.listeners[{listener.name}].sources.nodes[{reference.name}]",
                    f"there is no DicomNode {reference.name} in the namespace: create it, or correct the name",
                )
    yield from _not_found(inputs, DestinationKind.DICOM_NODE, ResolvedRefs.NODE_NOT_FOUND)


def node_may_not_call(inputs: RouteInputs) -> Iterator[Finding]:
    """A node without allowedSources is called, and calls from nowhere: to name it as a source is a mistake."""
    for listener in inputs.route.spec.listeners:
        for reference in listener.sources.nodes:
            node = inputs.nodes.get(reference.name)
            if node is not None and not node.spec.may_call:
                yield _fault(
                    inputs,
                    ResolvedRefs.NODE_MAY_NOT_CALL,
                    f"spec.listeners[{listener.name}].sources.nodes[{reference.name}]",
                    f"DicomNode {reference.name} has no allowedSources, so listener {listener.name} refuses it: add "
                    "allowedSources, or remove the node from the listener",
                )


def node_certificate_not_verified(inputs: RouteInputs) -> Iterator[Finding]:
    """A node that has to show a certificate calls listeners alone that verify one."""
    for listener in inputs.route.spec.listeners:
        if listener.tls is not None and listener.tls.client_certificates is not ClientCertificates.IGNORED:
            continue
        for node in inputs.nodes_of(listener):
            if node.spec.certificates:
                what = "no tls" if listener.tls is None else "tls.clientCertificates: Ignored"
                yield _fault(
                    inputs,
                    ResolvedRefs.NODE_CERTIFICATE_NOT_VERIFIED,
                    f"spec.listeners[{listener.name}].tls",
                    f"DicomNode {node.metadata.name} has certificates, but listener {listener.name} has {what}, so it "
                    "refuses the node: set clientCertificates: Required, or remove the node's certificates",
                )


def no_node_selected(inputs: RouteInputs) -> Iterator[Finding]:
    """A listener that admits nodes alone has at least one."""
    for listener in inputs.route.spec.listeners:
        sources = listener.sources
        if sources.policy is SourcePolicy.NODES and not sources.nodes and not inputs.nodes_of(listener):
            yield _fault(
                inputs,
                ResolvedRefs.NO_NODE_SELECTED,
                f"spec.listeners[{listener.name}].sources.selector",
                f"no DicomNode has the labels that listener {listener.name} selects, so no node can associate: add the "
                "labels to a node, or name one in nodes",
            )


def target_not_found(inputs: RouteInputs) -> Iterator[Finding]:
    """Every target that a rule names exists."""
    yield from _not_found(inputs, DestinationKind.CLOUD_TARGET, ResolvedRefs.TARGET_NOT_FOUND)


def profile_not_found(inputs: RouteInputs) -> Iterator[Finding]:
    """Every profile that a rule names exists; without it nothing of what the rule takes is sent."""
    for rule in inputs.route.spec.rules:
        if rule.deidentify is not None and rule.deidentify.name not in inputs.profiles:
            yield _fault(
                inputs,
                ResolvedRefs.PROFILE_NOT_FOUND,
                f"spec.rules[{rule.name}].deidentify[{rule.deidentify.name}]",
                f"there is no DeidentificationProfile {rule.deidentify.name} in the namespace: create it, or correct "
                "the name; until then, instances that match the rule are Held",
            )


def node_has_no_host(inputs: RouteInputs) -> Iterator[Finding]:
    """Every node that a rule names says where it is called."""
    for rule in inputs.route.spec.rules:
        for destination in rule.destinations:
            node = inputs.node_of(destination)
            if node is not None and node.spec.host is None:
                yield _fault(
                    inputs,
                    ResolvedRefs.NODE_HAS_NO_HOST,
                    f"spec.rules[{rule.name}].destinations[{destination.name}]",
                    f"DicomNode {destination.name} is a destination and has no host: add spec.host, and spec.port if "
                    "it is not 104; until then, its deliveries are Held",
                )


def _not_found(inputs: RouteInputs, kind: DestinationKind, reason: Reason) -> Iterator[Finding]:
    """Every destination of a kind exists."""
    for rule in inputs.route.spec.rules:
        for one in rule.destinations:
            if one.kind is kind and inputs.target_of(one) is None and inputs.node_of(one) is None:
                yield _fault(
                    inputs,
                    reason,
                    f"spec.rules[{rule.name}].destinations[{one.name}]",
                    f"there is no {kind} {one.name} in the namespace: create it, or correct the name; until then, its "
                    "deliveries are Held",
                )


def conflicting_identities(inputs: RouteInputs) -> Iterator[Finding]:
    """The pods have one service account, and some annotations of it can be for one target alone."""
    for one in identity.conflicts(inputs):
        yield _fault(
            inputs,
            Accepted.CONFLICTING_IDENTITIES,
            f"CloudTarget/{one.target}: spec.auth",
            f"CloudTarget {one.target} needs {one.annotation}: {one.value} on the service account of the pods, and "
            f"CloudTarget {one.other_target} needs {one.other_value}: use a separate route for each, or the same "
            "identity for both",
        )


def file_missing(inputs: RouteInputs) -> Iterator[Finding]:
    """Every Secret, ConfigMap and key that is named exists, as far as anybody may look."""
    yield from dict.fromkeys(_files_missing(inputs))  # of what is not there, each key says the same


def _files_missing(inputs: RouteInputs) -> Iterator[Finding]:
    for needed in inputs.files():
        known = inputs.secrets if needed.kind == "Secret" else inputs.config_maps
        if known is not None:
            yield from _missing(inputs, needed, known)
        elif _mounted_as(needed) in (inputs.existing.unmounted or ()):
            yield _unmounted(inputs, needed)


def _mounted_as(needed: NeededFile) -> str:
    """Return how the gateway names a file (`names.mounted_file`)."""
    prefix = "" if needed.kind == "Secret" else f"{needed.kind}-"
    return f"{prefix}{needed.name}/{needed.key}"


def _unmounted(inputs: RouteInputs, needed: NeededFile) -> Finding:
    """The gateway says which files it misses; whether it is the object or its key, nobody else may see."""
    kind = needed.kind
    return _fault(
        inputs,
        ResolvedRefs.SECRET_NOT_FOUND if kind == "Secret" else ResolvedRefs.CONFIG_MAP_NOT_FOUND,
        needed.field,
        f"{needed.who} needs the key {needed.key} of {kind} {needed.name}, which does not exist: create the {kind} "
        "with this key; the gateway sees it within two minutes",
    )


def _missing(inputs: RouteInputs, needed: NeededFile, known: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    kind, name = needed.kind, needed.name
    if name not in known:
        yield _fault(
            inputs,
            ResolvedRefs.SECRET_NOT_FOUND if kind == "Secret" else ResolvedRefs.CONFIG_MAP_NOT_FOUND,
            f"{needed.field}.name",
            f"{needed.who} needs the {kind} {name}, which does not exist: create it",
        )
    elif needed.key not in known[name]:
        yield _fault(
            inputs,
            ResolvedRefs.SECRET_KEY_MISSING if kind == "Secret" else ResolvedRefs.CONFIG_MAP_KEY_MISSING,
            f"{needed.field}.key",
            f"{needed.who} needs the key {needed.key} of {kind} {name}, which has only the keys "
            f"{', '.join(sorted(known[name])) or 'none'}: add the key, or correct its name",
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
