"""DicomNode: nothing is made of it; its status says whether gateways reach it."""

from collections.abc import Iterator, Mapping
from typing import Final

from dicomroute_operator.api.conditions import ResolvedRefs
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.listener import NodeSelector
from dicomroute_operator.api.meta import NodeReference
from dicomroute_operator.api.node import DicomNode, DicomNodeStatus
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.checks.node import check_node
from dicomroute_operator.status.node import node_status

from .kind import AGE, Column, Kind, Seen, condition_path


def _concerns(route: DicomRoute, name: str, labels: Mapping[str, str]) -> bool:
    if any((one.kind, one.name) == (DicomNode.kind, name) for one in RouteInputs(route).called()):
        return True
    return any(
        name in {one.name for one in named}
        or (selector is not None and selector.match_labels.items() <= labels.items())
        for named, selector in _chosen(route)
    )


def _chosen(route: DicomRoute) -> Iterator[tuple[list[NodeReference], NodeSelector | None]]:
    """Yield the nodes that a route names, and how it selects them: who may send, who may query, who may be sent to."""
    for listener in route.spec.listeners:
        yield listener.sources.nodes, listener.sources.selector
    queries = route.spec.query_retrieve
    if queries is not None:
        yield queries.clients.nodes, queries.clients.selector
        if queries.move_destinations is not None:
            yield queries.move_destinations.nodes, queries.move_destinations.selector


def _status(node: DicomNode, seen: Seen) -> DicomNodeStatus:
    return node_status(node, check_node(node), seen.said(), seen.now)


DICOM_NODE: Final = Kind(
    DicomNode,
    "dicomnodes",
    "dnode",
    (
        Column("AETitle", "string", ".spec.aeTitle", "AE title of the node."),
        Column(
            "Reachable", "string", condition_path("Reachable", "status"), "Whether the node answers when it is called."
        ),
        Column("Reason", "string", condition_path("Reachable", "reason"), "Why, in one word."),
        Column("Host", "string", ".spec.host", "Host that the node is called at.", 1),
        Column(
            "WithinMs", "integer", ".status.connectionTests[0].withinMilliseconds", "The node's answer to a C-ECHO.", 1
        ),
        Column("Sources", "string", ".spec.allowedSources", "Networks that the node may call from.", 1),
        AGE,
    ),
    concerns=_concerns,
    findings=check_node,
    status=_status,
    not_found=ResolvedRefs.NODE_NOT_FOUND,
)
