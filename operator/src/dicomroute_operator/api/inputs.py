"""All that is known when a route is checked and rendered: frozen, so that both see the same world."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .delivery import Destination, DestinationKind
from .files import files_of
from .gateway import TrafficPolicy
from .listener import Listener, NodeSelector, SourcePolicy
from .meta import NodeReference
from .node import DicomNode
from .profile import DeidentificationProfile
from .route import DicomRoute
from .target import CloudTarget


@dataclass(frozen=True)
class Claim:
    """The claim of a spool as it exists: its name, the route that it belonged to, and what it asks for."""

    name: str
    route_uid: str
    size: str


@dataclass(frozen=True)
class Existing:
    """What a route already has in the cluster, and what else there bears on it."""

    claims: tuple[Claim, ...] = ()
    """The claims with the names that the route's pods would use, whoever they belonged to."""
    claim_templates: tuple[Mapping[str, Any], ...] = ()
    """What the StatefulSet says of its claims: it can never be changed."""
    image: str = ""
    """The image that the StatefulSet runs; the operator's default may be another one already."""
    rivals: Mapping[str, str] = field(default_factory=dict)
    """What older routes ask of the cluster (`node port 30104`, `address 203.0.113.7`), to the route that has it."""
    unmounted: frozenset[str] | None = None
    """The Secret files (SECRET/KEY) that the gateway misses; None while it was not asked."""
    supports: frozenset[str] | None = None
    """What the gateways say that they can do of what a release added; None where they are of this release."""


@dataclass(frozen=True)
class NeededFile:
    """A key of a Secret or ConfigMap that the gateway needs as a file: who needs it, and the field that names it."""

    who: str
    field: str
    kind: str
    name: str
    key: str


@dataclass(frozen=True)
class RouteInputs:
    """A route and the objects of its namespace that it names or chooses.

    `secrets` and `config_maps` map those of the namespace to their keys; None where nobody may read them, as in a
    cluster, where the gateway says what its mounts lack. `existing` is what the route has in the cluster already.
    """

    route: DicomRoute
    nodes: Mapping[str, DicomNode] = field(default_factory=dict)
    targets: Mapping[str, CloudTarget] = field(default_factory=dict)
    profiles: Mapping[str, DeidentificationProfile] = field(default_factory=dict)
    secrets: Mapping[str, frozenset[str]] | None = None
    config_maps: Mapping[str, frozenset[str]] | None = None
    existing: Existing = field(default_factory=Existing)

    def nodes_of(self, listener: Listener) -> list[DicomNode]:
        """Return the nodes that may associate with a listener, by name.

        Those that do not exist are left out, and those that are called alone.
        """
        if listener.sources.policy is SourcePolicy.ANY:
            return []
        return self._callers(listener.sources.nodes, listener.sources.selector)

    def query_clients(self) -> list[DicomNode]:
        """Return the nodes that may query, by name. Those that do not exist are left out, and those that never call."""
        found = self.route.spec.query_retrieve
        return self._callers(found.clients.nodes, found.clients.selector) if found is not None else []

    def _callers(self, nodes: Iterable[NodeReference], selector: NodeSelector | None) -> list[DicomNode]:
        return [node for node in self._chosen(nodes, selector) if node.spec.may_call]

    def _chosen(self, nodes: Iterable[NodeReference], selector: NodeSelector | None) -> list[DicomNode]:
        named = {reference.name for reference in nodes}
        wanted = selector.match_labels.items() if selector else None
        return [
            node
            for _, node in sorted(self.nodes.items())
            if node.metadata.name in named or (wanted is not None and wanted <= node.metadata.labels.items())
        ]

    def archives(self) -> list[Destination]:
        """Return the archives that queries are put to, the preferred one first."""
        found = self.route.spec.query_retrieve
        listed = found.archives if found is not None else []
        return [Destination(kind=one.destination_kind, name=one.name) for one in listed]

    def move_destinations(self) -> list[DicomNode]:
        """Return the nodes that a C-MOVE may send to, by name. Those without a host are left out."""
        found = self.route.spec.query_retrieve
        chosen = found.move_destinations if found is not None else None
        if chosen is None:
            return []
        return [node for node in self._chosen(chosen.nodes, chosen.selector) if node.spec.host is not None]

    def called(self) -> list[Destination]:
        """Return everything that the gateway calls, once: destinations, archives, move destinations, requestors.

        Those are the nodes that are reported to on storage commitment.
        """
        reported_to = [node for node in self.commitment_requestors() if node.spec.host is not None]
        moved_to = [
            Destination(kind=DestinationKind.DICOM_NODE, name=one.metadata.name)
            for one in (*self.move_destinations(), *reported_to)
        ]
        found = {(one.kind, one.name): one for one in (*self.destinations(), *self.archives(), *moved_to)}
        return list(found.values())

    def may_be_anywhere(self, listener: Listener) -> bool:
        """Return whether somebody may call a listener from any address."""
        nodes = self.nodes_of(listener)
        return listener.sources.policy is SourcePolicy.ANY or any(node.spec.any_address for node in nodes)

    def destinations(self) -> list[Destination]:
        """Return every destination that a rule names, once, in the order of the rules."""
        found = {(d.kind, d.name): d for rule in self.route.spec.rules for d in rule.destinations}
        return list(found.values())

    def target_of(self, destination: Destination) -> CloudTarget | None:
        """Return the target that a destination names; None where it is none, or does not exist."""
        return self.targets.get(destination.name) if destination.kind is DestinationKind.CLOUD_TARGET else None

    def node_of(self, destination: Destination) -> DicomNode | None:
        """Return the node that a destination names; None where it is none, or does not exist."""
        return self.nodes.get(destination.name) if destination.kind is DestinationKind.DICOM_NODE else None

    def has(self, destination: Destination) -> bool:
        """Return whether what a destination names exists."""
        return self.target_of(destination) is not None or self.node_of(destination) is not None

    def commitment_requestors(self) -> list[DicomNode]:
        """Return the nodes that may ask for storage commitment, by name; of some it may not be known where they are."""
        commitment = self.route.spec.storage_commitment
        wanted = commitment.listeners if commitment is not None else ()
        listeners = [one for one in self.route.spec.listeners if one.name in wanted]
        nodes = {node.metadata.name: node for listener in listeners for node in self.nodes_of(listener)}
        return [node for _, node in sorted(nodes.items())]

    def commitment_destinations(self) -> list[Destination]:
        """Return the destinations that have to have an instance before it is committed to."""
        commitment = self.route.spec.storage_commitment
        if commitment is None or commitment.destinations:
            return list(commitment.destinations) if commitment is not None else []
        optional = {(one.kind, one.name) for one in self.route.spec.destinations if not one.required}
        return [one for one in self.destinations() if (one.kind, one.name) not in optional]

    def files(self) -> list[NeededFile]:
        """Return the keys of Secrets and ConfigMaps that the gateway needs as files."""
        found = []
        encryption = self.route.spec.gateway.spool.encryption
        if encryption is not None:
            reference = encryption.key_secret_ref
            field_ = "spec.gateway.spool.encryption.keySecretRef"
            found.append(NeededFile("the spool", field_, "Secret", reference.name, reference.key))
        for listener in self.route.spec.listeners:
            where = f"spec.listeners[{listener.name}].tls"
            for one in files_of(listener.tls, where):
                found.append(NeededFile(f"listener {listener.name}", one.field, one.kind, one.name, one.key))
        named = dict.fromkeys(rule.deidentify.name for rule in self.route.spec.rules if rule.deidentify is not None)
        for profile in (self.profiles[name] for name in named if name in self.profiles):
            who = f"DeidentificationProfile {profile.metadata.name}"
            for one in profile.spec.files:
                field_ = f"DeidentificationProfile/{profile.metadata.name}: spec.{one.field}"
                found.append(NeededFile(who, field_, one.kind, one.name, one.key))
        for destination in self.called():
            target, node = self.target_of(destination), self.node_of(destination)
            needed = target.files() if target is not None else node.files() if node is not None else []
            for one in needed:
                who = f"{destination.kind} {destination.name}"
                field_ = f"{destination.kind}/{destination.name}: {one.field}"
                found.append(NeededFile(who, field_, one.kind, one.name, one.key))
        return found


def exclusive(route: DicomRoute) -> list[tuple[str, str]]:
    """Return the field and the description of each thing that a route would have for itself alone."""
    service = route.spec.gateway.service
    found = [
        (f"spec.gateway.service.ports[{port.listener}].nodePort", f"node port {port.node_port}")
        for port in service.ports
        if port.node_port is not None
    ]
    if service.load_balancer_ip:
        found.append(("spec.gateway.service.loadBalancerIP", f"address {service.load_balancer_ip}"))
    return found


METALLB_ANNOTATIONS = ("metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip")
"""Those of MetalLB, which sends what comes to one address with externalTrafficPolicy Local to one set of pods alone."""

SHARING_ANNOTATIONS = (*METALLB_ANNOTATIONS, "lbipam.cilium.io/sharing-key", "kube-vip.io/allow-shared-ip")
"""Annotations by which load balancers let Services with the same value have one address, on different ports."""


def may_share_address(one: DicomRoute, other: DicomRoute) -> bool:
    """Return whether the load balancer lets two routes have one address: by one key, on ports of their own."""
    services = (one.spec.gateway.service, other.spec.gateway.service)
    keys = [{(name, s.annotations[name]) for name in SHARING_ANNOTATIONS if s.annotations.get(name)} for s in services]
    shared = {name for name, _ in keys[0] & keys[1]}
    if any(service.external_traffic_policy is TrafficPolicy.LOCAL for service in services):
        shared -= set(METALLB_ANNOTATIONS)
    return bool(shared) and not _published(one) & _published(other)


def _published(route: DicomRoute) -> set[int]:
    given = {port.listener: port.port for port in route.spec.gateway.service.ports}
    return {given.get(listener.name, listener.port) for listener in route.spec.listeners}
