"""Collects the inputs of a route from the objects of its namespace."""

from collections.abc import Iterable, Mapping

from dicomroute_operator.api.inputs import Existing, RouteInputs
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget


def gather_route(
    route: DicomRoute,
    nodes: Iterable[DicomNode],
    targets: Iterable[CloudTarget],
    secrets: Mapping[tuple[str, str], frozenset[str]] | None = None,
    existing: Existing | None = None,
) -> RouteInputs:
    """Return the inputs of a route: of all objects those of its namespace.

    `secrets` maps (namespace, name) to keys; None where Secrets may not be read.
    """
    namespace = route.metadata.namespace
    return RouteInputs(
        route=route,
        nodes={n.metadata.name: n for n in nodes if n.metadata.namespace == namespace},
        targets={t.metadata.name: t for t in targets if t.metadata.namespace == namespace},
        secrets=None
        if secrets is None
        else {name: keys for (where, name), keys in secrets.items() if where == namespace},
        existing=existing or Existing(),
    )
