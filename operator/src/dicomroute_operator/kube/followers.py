"""The informers of all kinds of children in all namespaces that are looked after, seen as one a kind."""

from collections.abc import Iterable, Sequence

from .client import Client, Object
from .informer import Changed, Informer
from .resources import Resource


class Children:
    """The informers of one kind, one a namespace or one for the cluster."""

    def __init__(self, informers: Sequence[Informer]) -> None:
        self.informers = informers

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object as it was last seen."""
        return next((found for one in self.informers if (found := one.get(namespace, name)) is not None), None)

    def of(self, namespace: str, value: str) -> list[Object]:
        """Return the objects of a namespace whose label has this value."""
        return [found for one in self.informers for found in one.of(namespace, value)]

    def all(self) -> list[Object]:
        """Return every object as it was last seen."""
        return [found for one in self.informers for found in one.all()]


class Followers:
    """All informers of children."""

    def __init__(
        self, client: Client, resources: Iterable[Resource], scopes: Sequence[str | None], label: str, changed: Changed
    ) -> None:
        self.by_resource = {
            resource: Children([Informer(client, resource, scope, label, changed) for scope in scopes])
            for resource in resources
        }

    @property
    def _all(self) -> list[Informer]:
        return [one for group in self.by_resource.values() for one in group.informers]

    @property
    def heard_time(self) -> float:
        """When the API server was last heard of by the informer that has waited longest, on the monotonic clock."""
        return min(one.heard_time for one in self._all)

    def start(self) -> None:
        """Start all and wait until each has seen everything. Blocking."""
        for one in self._all:
            one.start()
        for one in self._all:
            one.synced.wait()
