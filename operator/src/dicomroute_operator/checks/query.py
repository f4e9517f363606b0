"""The checks of what a route says of queries."""

from collections.abc import Iterator

from dicomroute_operator.api.conditions import Accepted, ResolvedRefs
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.listener import Listener, SourcePolicy
from dicomroute_operator.api.meta import Accepts
from dicomroute_operator.api.query import QueryMode, QueryRetrieve
from dicomroute_operator.api.reason import Reason
from dicomroute_operator.api.warning_conditions import QueriesInClear

from .finding import Finding

_FIELD = "spec.queryRetrieve"


def _fault(inputs: RouteInputs, reason: Reason, field: str, message: str) -> Finding:
    return Finding("DicomRoute", inputs.route.metadata.name, reason, False, message, f"{_FIELD}.{field}")


def _listeners(inputs: RouteInputs, query: QueryRetrieve) -> list[Listener]:
    return [one for one in inputs.route.spec.listeners if one.name in query.listeners]


def archive_takes_deidentified_only(inputs: RouteInputs) -> Iterator[Finding]:
    """A query carries names: a target that is to see none is not asked."""
    for one in inputs.archives():
        target = inputs.target_of(one)
        if target is not None and target.spec.accepts is Accepts.DEIDENTIFIED_ONLY:
            yield _fault(
                inputs,
                Accepted.ARCHIVE_TAKES_DEIDENTIFIED_ONLY,
                f"archives[{one.name}]",
                f"CloudTarget {one.name} accepts de-identified data only, and a query contains patient names: remove "
                "it from queryRetrieve.archives",
            )


def node_takes_deidentified_only(inputs: RouteInputs) -> Iterator[Finding]:
    """What is answered and retrieved carries names: a node that is to see none neither asks nor is moved to.

    One that a selector chooses is refused by the gateway alone.
    """
    query = inputs.route.spec.query_retrieve
    if query is None:
        return
    chosen = query.move_destinations
    named = {"clients": query.clients.nodes, "moveDestinations": chosen.nodes if chosen is not None else []}
    for field, references in named.items():
        for reference in references:
            node = inputs.nodes.get(reference.name)
            if node is not None and node.spec.accepts is Accepts.DEIDENTIFIED_ONLY:
                yield _fault(
                    inputs,
                    Accepted.NODE_TAKES_DEIDENTIFIED_ONLY,
                    f"{field}.nodes[{reference.name}]",
                    f"DicomNode {reference.name} takes de-identified data alone, and what queryRetrieve gives carries "
                    f"names of patients: remove it from queryRetrieve.{field}",
                )


def query_client_not_admitted(inputs: RouteInputs) -> Iterator[Finding]:
    """Who may query also gets an association."""
    query = inputs.route.spec.query_retrieve
    if query is None:
        return
    listeners = _listeners(inputs, query)
    if any(one.sources.policy is SourcePolicy.ANY for one in listeners):
        return
    admitted = {node.metadata.name for listener in listeners for node in inputs.nodes_of(listener)}
    for node in inputs.query_clients():
        if node.metadata.name not in admitted:
            yield _fault(
                inputs,
                Accepted.QUERY_CLIENT_NOT_ADMITTED,
                "clients",
                f"DicomNode {node.metadata.name} is allowed to query, but listener {' or '.join(query.listeners)} "
                "rejects its associations: add it to the sources of the listener",
            )


def query_client_not_found(inputs: RouteInputs) -> Iterator[Finding]:
    """Every node that may query exists, and calls from somewhere."""
    query = inputs.route.spec.query_retrieve
    for reference in query.clients.nodes if query is not None else ():
        node = inputs.nodes.get(reference.name)
        field = f"clients.nodes[{reference.name}]"
        if node is None:
            sentence = f"there is no DicomNode {reference.name} in the namespace: create it, or correct the name"
            yield _fault(inputs, ResolvedRefs.NODE_NOT_FOUND, field, sentence)
        elif not node.spec.may_call:
            sentence = f"DicomNode {reference.name} has no allowedSources and cannot query: add them, or remove it"
            yield _fault(inputs, ResolvedRefs.NODE_MAY_NOT_CALL, field, sentence)


def archive_not_found(inputs: RouteInputs) -> Iterator[Finding]:
    """Every archive exists."""
    for one in inputs.archives():
        if inputs.target_of(one) is None:
            yield _fault(
                inputs,
                ResolvedRefs.TARGET_NOT_FOUND,
                f"archives[{one.name}]",
                f"there is no {one.kind} {one.name} in the namespace: create it, or correct the name; until then it is "
                "not queried",
            )


def move_destination_not_found(inputs: RouteInputs) -> Iterator[Finding]:
    """Every node that a C-MOVE may send to exists, and says where it is called."""
    query = inputs.route.spec.query_retrieve
    chosen = query.move_destinations if query is not None else None
    for reference in chosen.nodes if chosen is not None else ():
        node = inputs.nodes.get(reference.name)
        field = f"moveDestinations.nodes[{reference.name}]"
        if node is None:
            sentence = f"there is no DicomNode {reference.name} in the namespace: create it, or correct the name"
            yield _fault(inputs, ResolvedRefs.NODE_NOT_FOUND, field, sentence)
        elif node.spec.host is None:
            sentence = f"DicomNode {reference.name} is a move destination and has no host: give it spec.host"
            yield _fault(inputs, ResolvedRefs.NODE_HAS_NO_HOST, field, sentence)


def move_destinations_alike(inputs: RouteInputs) -> Iterator[Finding]:
    """A C-MOVE names its destination by AE title alone (PS3.7 9.1.4)."""
    by_title: dict[str, str] = {}
    for node in inputs.move_destinations():
        other = by_title.setdefault(node.spec.ae_title, node.metadata.name)
        if other != node.metadata.name:
            yield _fault(
                inputs,
                Accepted.MOVE_DESTINATIONS_ALIKE,
                "moveDestinations",
                f"DicomNodes {other} and {node.metadata.name} have the same aeTitle {node.spec.ae_title}: remove one "
                "of them from moveDestinations, or correct its title",
            )


def move_destination_is_gateway(inputs: RouteInputs) -> Iterator[Finding]:
    """Nothing is moved to the gateway itself. Addresses that only the network knows, the gateway looks up."""
    route = inputs.route
    name, namespace = route.metadata.name, route.metadata.namespace
    own = {name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"}
    if route.status is not None:
        own |= {endpoint.address for endpoint in route.status.endpoints}
    titles = {title for listener in route.spec.listeners for title in listener.ae_titles}
    for node in inputs.move_destinations():
        if node.spec.host in own and node.spec.ae_title in titles:
            yield _fault(
                inputs,
                Accepted.MOVE_DESTINATION_IS_GATEWAY,
                "moveDestinations",
                f"DicomNode {node.metadata.name} is this gateway itself: remove it from moveDestinations",
            )


def plain_query_listener(inputs: RouteInputs) -> Iterator[Finding]:
    """Identifiers and answers carry names of patients."""
    query = inputs.route.spec.query_retrieve
    if query is None or query.mode is not QueryMode.RUNNING:
        return
    for listener in _listeners(inputs, query):
        if listener.tls is None:
            yield Finding(
                "DicomRoute",
                inputs.route.metadata.name,
                QueriesInClear.PLAIN_LISTENER,
                True,
                f"listener {listener.name} serves queries without TLS, so patient names cross the network unencrypted: "
                "add tls to the listener",
                f"spec.listeners[{listener.name}].tls",
            )
