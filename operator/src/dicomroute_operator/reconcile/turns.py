"""Whose turn it is to have its pods replaced because of the operator: its default image, or another default of it."""

from collections.abc import Callable

import structlog

from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.gather.existing import image_of, is_rolled_out
from dicomroute_operator.kube.resources import STATEFUL_SET
from dicomroute_operator.render import names
from dicomroute_operator.status.paused import is_paused

from .rollout import RouteVersion, may_take
from .world import Key, Object, World

log = structlog.get_logger(__name__)


class Turns:
    """Lets routes be rolled a few at a time, by what the world shows and who has just been let."""

    def __init__(
        self, world: World, default_image: str, max_concurrent: int, is_selected: Callable[[Key], bool]
    ) -> None:
        self._world = world
        self._default = default_image
        self._max_concurrent = max_concurrent
        self._is_selected = is_selected
        self._rolling: set[Key] = set()
        """Routes that were let, and whose StatefulSet does not show it yet."""
        self._behind: set[Key] = set()
        """Routes whose pods are not as the operator would make them today, when they were last looked at."""
        self._refused: set[Key] = set()
        """Routes whose StatefulSet the API server did not take when it was last written."""

    def image(self, key: Key, route: DicomRoute) -> str:
        """Return the image that the route has to keep for now, or nothing when it may take the one it should have."""
        live = self._stateful_set(key)
        if live is None:
            self.leave(key)
            return ""
        if route.spec.gateway.image or image_of(live) == self._default:
            self._end(key, route, live)
            return ""
        if key in self._rolling:
            return ""
        if key not in self._may_take():
            return image_of(live)
        self._begin(key)
        return ""

    def may_roll(self, key: Key) -> bool:
        """Whether the pods of a route, which are not as the operator would make them today, may be replaced now."""
        self._behind.add(key)
        if key not in self._rolling:
            if key not in self._may_take():
                return False
            self._begin(key)
        return True

    def is_current(self, key: Key) -> None:
        """Note that the StatefulSet of a route is as the operator would make it, but for its image."""
        self._behind.discard(key)
        route, live = self._world.routes.get(key), self._stateful_set(key)
        if route is not None and live is not None:
            self._end(key, route, live)

    def _end(self, key: Key, route: DicomRoute, live: Object) -> None:
        """Take note that a StatefulSet shows what its route was let for.

        From then on it counts by what it shows; one with an image of its own does not, and is let until it is ready.
        """
        if key not in self._behind and (
            is_rolled_out(live) if route.spec.gateway.image else image_of(live) == self._default
        ):
            self._rolling.discard(key)

    def leave(self, key: Key) -> None:
        """Take a route out of it: it is gone, or cannot be changed."""
        self._rolling.discard(key)
        self._behind.discard(key)

    def _begin(self, key: Key) -> None:
        log.info("rollout.begins", key=str(key), image=self._default)
        self._rolling.add(key)

    def wrote(self, key: Key, *, refused: bool) -> None:
        """Note how writing a route's StatefulSet ended: one that is refused cannot take an image."""
        if refused:
            self._refused.add(key)
            self.leave(key)
        else:
            self._refused.discard(key)

    def next_after(self, key: Key) -> frozenset[Key]:
        """Return the routes that may be rolled now and have not been asked to, but for this one."""
        waiting = self._may_take() - self._rolling - {key}
        return frozenset(
            other for other in waiting if other in self._behind or image_of(self._stateful_set(other)) != self._default
        )

    def _may_take(self) -> frozenset[Key]:
        """Return the routes whose pods may be those of today.

        Those that cannot be changed are out of it, and must not keep the others from it.
        """
        routes = {}
        for key, route in self._world.routes.items():
            live, rolling, behind = self._stateful_set(key), key in self._rolling, key in self._behind
            if live is None or not self._is_selected(key):
                continue
            if route.spec.gateway.image and not rolling and not behind:
                continue  # it has an image of its own, and nothing else is to change
            if not rolling and self._is_out(key, route):
                continue
            has_image = bool(route.spec.gateway.image) or image_of(live) == self._default
            is_ready = is_rolled_out(live) and not rolling
            routes[key] = RouteVersion(rolling or (has_image and not behind), is_ready)
        return may_take(routes, self._max_concurrent)

    def _is_out(self, key: Key, route: DicomRoute) -> bool:
        """Whether the operator cannot or may not change a route."""
        return (
            key in self._refused
            or key in self._world.of_another
            or self._world.blocker(key) is not None
            or is_paused(route)
            or not _is_accepted(route)
        )

    def _stateful_set(self, key: Key) -> Object | None:
        return self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))


def _is_accepted(route: DicomRoute) -> bool:
    """Whether a route is accepted, as far as its status says: what is not is not changed."""
    conditions = route.status.conditions if route.status is not None else []
    return not any(one.type == "Accepted" and one.status == "False" for one in conditions)
