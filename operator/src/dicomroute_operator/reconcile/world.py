"""All that the operator has seen: our kinds, the children of routes, what gateways report. Read from anywhere, written
from the event loop alone.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import structlog
from pydantic import ValidationError

from dicomroute_client.documents.status import StatusDocument
from dicomroute_operator.api.inputs import RouteInputs, exclusive
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.kinds.listed import KINDS
from dicomroute_operator.kinds.objects import Objects
from dicomroute_operator.kube.followers import Children
from dicomroute_operator.kube.resources import CLAIM, POD, STATEFUL_SET, Resource
from dicomroute_operator.render import names
from dicomroute_operator.status.observed import PodSeen

log = structlog.get_logger(__name__)

Object = dict[str, Any]

_REMEMBERED: Final = 10_000


class Key(NamedTuple):
    """Which object of ours is to be reconciled."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


class Version(NamedTuple):
    """Which version of an object was seen: versions of one object grow."""

    uid: str
    number: int

    def may_become(self, other: "Version", *, deleted: bool) -> bool:
        """Whether another version that is seen after this one is news."""
        if other.uid != self.uid:
            return not deleted  # the deletion of a namesake that is gone already
        return other.number >= self.number


@dataclass(frozen=True)
class Reported:
    """What a pod's gateway last reported, and how asking it went; times in seconds since the epoch."""

    first_asked_time: float
    report: StatusDocument | None = None
    reported_time: float | None = None
    error: str = ""
    unauthorized: bool = False

    def answered(self, report: StatusDocument, now: float) -> "Reported":
        """Return this with a fresh report."""
        return replace(self, report=report, reported_time=now, error="", unauthorized=False)

    def failed(self, error: str, *, unauthorized: bool) -> "Reported":
        """Return this after an answer that did not come."""
        return replace(self, error=error, unauthorized=unauthorized)


@dataclass
class World(Objects[Key]):
    """The objects as they were last seen."""

    children: Mapping[Resource, Children] = field(default_factory=dict)
    reports: dict[tuple[str, str], Reported] = field(default_factory=dict)
    """By namespace and UID of the pod."""
    versions: dict[Key, Version] = field(default_factory=dict)
    unreadable: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    """Objects that are there and newer than this operator understands, as they are."""
    users: dict[Key, set[Key]] = field(default_factory=dict)
    """The routes that deliver to a destination, by its key; it may not be there."""
    of_another: set[Key] = field(default_factory=set)
    """Routes that another operator looks after."""
    _gone: dict[str, None] = field(default_factory=dict)
    """The UIDs that were deleted last: a list that began before cannot bring them back."""

    def observe(self, kind: str, body: Mapping[str, Any], *, deleted: bool) -> set[Key]:
        """Take over an object of ours, and return what has to be reconciled because of it.

        A change of the status alone, mostly our own, concerns nobody.
        """
        meta = body["metadata"]
        key = Key(kind, meta["namespace"], meta["name"])
        version = Version(meta["uid"], int(meta["resourceVersion"]))
        known = self.versions.get(key)
        if version.uid in self._gone or (known is not None and not known.may_become(version, deleted=deleted)):
            return set()
        store = self.objects[kind]
        before = store.get(key)
        if deleted:
            self._gone[version.uid] = None
            while len(self._gone) > _REMEMBERED:
                self._gone.pop(next(iter(self._gone)))
            self.versions.pop(key, None)
            blocked = self._blocked_by(key)
            self.unreadable.pop(key, None)
            store.pop(key, None)
            return {key} | blocked | self._concerned(key, before, None) | self._used_otherwise(key, before, None)
        self.versions[key] = version
        try:
            after = KINDS[kind].model.model_validate(body)
        except ValidationError as error:
            log.error("object.unreadable", key=str(key), error=str(error))
            is_news = not _same_but_status(self.unreadable.get(key), body)
            self.unreadable[key] = body
            return {key} | self._blocked_by(key) if is_news else set()
        blocked = self._blocked_by(key)
        was_unreadable = self.unreadable.pop(key, None) is not None
        store[key] = after
        if was_unreadable:
            return {key} | blocked | self._concerned(key, before, after) | self._used_otherwise(key, before, after)
        if before is not None and _same_but_status(before, after):
            return set()
        return {key} | self._concerned(key, before, after) | self._used_otherwise(key, before, after)

    def blocker(self, route_key: Key) -> Key | None:
        """Return what keeps a route as it is: it, or an object that it names or selects, is too new to be understood.

        Taken as absent such an object would be removed from the gateway.
        """
        return next((key for key in sorted(self.unreadable) if self._blocks(key, route_key)), None)

    def _blocked_by(self, key: Key) -> set[Key]:
        return {one for one in self.routes if self._blocks(key, one)} if key in self.unreadable else set()

    def _blocks(self, key: Key, route_key: Key) -> bool:
        """Whether an object that is too new concerns a route."""
        route = self.routes.get(route_key)
        if key == route_key or route is None or key.namespace != route_key.namespace:
            return key == route_key
        return KINDS[key.kind].concerns(route, key.name, self.unreadable[key]["metadata"].get("labels", {}))

    def _used_otherwise(self, key: Key, before: Any, after: Any) -> set[Key]:
        """Keep up who uses which destination; return those that a route has begun or ceased to use."""
        if key.kind != "DicomRoute":
            return set()
        old, new = _destinations_of(key, before), _destinations_of(key, after)
        for one in old - new:
            self.users[one].discard(key)
            if not self.users[one]:
                del self.users[one]
        for one in new - old:
            self.users.setdefault(one, set()).add(key)
        was, runs = _runs(before), _runs(after)
        changed = old ^ new if was == runs else old | new
        return {one for one in changed if one in self.objects[one.kind]}

    def runs(self, destination: Key) -> list[Key]:
        """Return the routes that deliver to a destination and have pods, by name."""
        return sorted(key for key in self.users.get(destination, ()) if _runs(self.routes.get(key)))

    def listed(self, before: Mapping[Key, "Version"], listed: Collection[Key]) -> set[Key]:
        """Take over that a list, begun when there was `before`, did not have some objects; return who is concerned."""
        concerned: set[Key] = set()
        for key, version in before.items():
            if key not in listed and self.versions.get(key) is not None and self.versions[key].uid == version.uid:
                body = {
                    "metadata": {
                        "namespace": key.namespace,
                        "name": key.name,
                        "uid": version.uid,
                        "resourceVersion": str(self.versions[key].number),
                    }
                }
                concerned |= self.observe(key.kind, body, deleted=True)
        return concerned

    def _concerned(self, key: Key, before: Any, after: Any) -> set[Key]:
        versions = [one for one in (before, after) if one is not None]
        if key.kind == "DicomRoute":
            wanted = {claim for one in versions for _, claim in exclusive(one)}
            return {k for k, route in self.routes.items() if wanted & {claim for _, claim in exclusive(route)}}
        return {
            route_key
            for route_key, route in self.routes.items()
            if route_key.namespace == key.namespace
            and any(KINDS[key.kind].concerns(route, key.name, one.metadata.labels) for one in versions)
        }

    def children_of(self, key: Key) -> Iterator[Object]:
        """Yield what the route with this key has in the cluster, its pods and claims left out."""
        for resource, informer in self.children.items():
            if resource in (POD, CLAIM):
                continue
            for one in informer.of(key.namespace, key.name):
                if _is_controlled_by(one, self.uid(key)):
                    yield one

    def uid(self, key: Key) -> str:
        """Return the UID of a route."""
        return self.routes[key].metadata.uid

    def child(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return a child by its name."""
        return self.children[resource].get(namespace, name)

    def pods(self, key: Key) -> tuple[PodSeen, ...]:
        """Return the pods of a route with what their gateways report."""
        seen = []
        for pod in self.children[POD].of(key.namespace, key.name):
            if not self.owns_pod(key, pod):
                continue
            reported = self.reports.get((key.namespace, pod["metadata"]["uid"]))
            if reported is None:
                seen.append(PodSeen(pod))
            else:
                seen.append(
                    PodSeen(pod, reported.report, reported.reported_time, reported.first_asked_time, reported.error)
                )
        return tuple(sorted(seen, key=lambda one: str(one.pod["metadata"]["name"])))

    def owns_pod(self, key: Key, pod: Object) -> bool:
        """Whether a pod is of the StatefulSet of this route, and not just labelled so or of a deleted namesake."""
        live = self.children[STATEFUL_SET].get(key.namespace, names.gateway(key.name))
        return (
            live is not None
            and key in self.routes
            and _is_controlled_by(pod, live["metadata"]["uid"])
            and _is_controlled_by(live, self.uid(key))
        )

    def claims(self, key: Key) -> tuple[Object, ...]:
        """Return the claims that carry the label of a route."""
        return tuple(self.children[CLAIM].of(key.namespace, key.name))

    def claims_without_route(self) -> list[Object]:
        """Return the claims of spools whose route is gone; what they hold nobody delivers."""
        claims = self.children[CLAIM].all() if CLAIM in self.children else []
        keys = ((claim, self.key_of_child(claim)) for claim in claims)
        return [one for one, key in keys if key is not None and key not in self.routes and key not in self.unreadable]

    def key_of_child(self, child: Object) -> Key | None:
        """Return the route that a child is labelled for."""
        meta = child["metadata"]
        name = meta.get("labels", {}).get(names.ROUTE_LABEL)
        return Key("DicomRoute", meta["namespace"], name) if name else None


def _destinations_of(key: Key, route: DicomRoute | None) -> set[Key]:
    destinations = RouteInputs(route).destinations() if route is not None else []
    return {Key(str(one.kind), key.namespace, one.name) for one in destinations}


def _runs(route: DicomRoute | None) -> bool:
    return route is not None and route.metadata.deletion_timestamp is None and route.spec.gateway.replicas > 0


def _is_controlled_by(child: Object, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in child["metadata"].get("ownerReferences", []))


def _same_but_status(before: Any, after: Any) -> bool:
    if isinstance(after, Mapping):
        return before is not None and before["metadata"].get("generation") == after["metadata"].get("generation")
    return bool(before.spec == after.spec and before.metadata == after.metadata)
