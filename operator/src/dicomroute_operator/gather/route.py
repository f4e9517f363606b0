"""Collects the inputs of a route from the objects of its namespace."""

from collections.abc import Iterable, Mapping

from dicomroute_operator.api.inputs import Existing, RouteInputs
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.profile import DeidentificationProfile
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget

Keys = Mapping[tuple[str, str], frozenset[str]]
"""The keys of Secrets or ConfigMaps, by namespace and name."""


def gather_route(
    route: DicomRoute,
    nodes: Iterable[DicomNode],
    targets: Iterable[CloudTarget],
    secrets: Keys | None = None,
    existing: Existing | None = None,
    config_maps: Keys | None = None,
    profiles: Iterable[DeidentificationProfile] = (),
) -> RouteInputs:
    """Return the inputs of a route: of all objects those of its namespace.

    `secrets` and `config_maps` are None where they may not be read.
    """
    namespace = route.metadata.namespace
    return RouteInputs(
        route=route,
        nodes={n.metadata.name: n for n in nodes if n.metadata.namespace == namespace},
        targets={t.metadata.name: t for t in targets if t.metadata.namespace == namespace},
        profiles={p.metadata.name: p for p in profiles if p.metadata.namespace == namespace},
        secrets=_within(namespace, secrets),
        config_maps=_within(namespace, config_maps),
        existing=existing or Existing(),
    )


def _within(namespace: str, objects: Keys | None) -> dict[str, frozenset[str]] | None:
    return None if objects is None else {name: keys for (where, name), keys in objects.items() if where == namespace}
