"""All that is known when a route is checked and rendered: frozen, so that both see the same world."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .listener import Listener, SourcePolicy
from .node import DicomNode
from .route import Destination, DicomRoute
from .target import CloudTarget


@dataclass(frozen=True)
class RouteInputs:
    """A route and the objects of its namespace that it names or chooses.

    `secrets` maps the Secrets of the namespace to their keys; None where nobody may read them, as in a cluster, where
    the gateway says what its mounts lack.
    """

    route: DicomRoute
    nodes: Mapping[str, DicomNode] = field(default_factory=dict)
    targets: Mapping[str, CloudTarget] = field(default_factory=dict)
    secrets: Mapping[str, frozenset[str]] | None = None

    def nodes_of(self, listener: Listener) -> list[DicomNode]:
        """Return the nodes that may associate with a listener, by name; those that do not exist are left out."""
        if listener.sources.policy is SourcePolicy.ANY:
            return []
        named = {reference.name for reference in listener.sources.nodes}
        selector = listener.sources.selector
        wanted = selector.match_labels.items() if selector else None
        return [
            node
            for name, node in sorted(self.nodes.items())
            if name in named or (wanted is not None and wanted <= node.metadata.labels.items())
        ]

    def destinations(self) -> list[Destination]:
        """Return every destination that a rule names, once, in the order of the rules."""
        found = {(d.kind, d.name): d for rule in self.route.spec.rules for d in rule.destinations}
        return list(found.values())
