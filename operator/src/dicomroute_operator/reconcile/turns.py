"""Whose turn it is to take the operator's default image."""

from collections.abc import Callable

import structlog

from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.gather.existing import image_of, is_rolled_out
from dicomroute_operator.kube.resources import STATEFUL_SET
from dicomroute_operator.render import names

from .rollout import RouteImage, may_take
from .world import Key, Object, World

log = structlog.get_logger(__name__)


class Turns:
    """Lets routes take the default image a few at a time, by what the world shows and who has just been let."""

    def __init__(
        self, world: World, default_image: str, max_concurrent: int, is_selected: Callable[[Key], bool]
    ) -> None:
        self._world = world
        self._default = default_image
        self._max_concurrent = max_concurrent
        self._is_selected = is_selected
        self._rolling: set[Key] = set()
        """Routes that were let, and whose StatefulSet does not show it yet."""
        self._refused: set[Key] = set()
        """Routes whose StatefulSet the API server did not take when it was last written."""

    def image(self, key: Key, route: DicomRoute) -> str:
        """Return the image that the route has to keep for now, or nothing when it may take the one it should have."""
        live = self._stateful_set(key)
        if route.spec.gateway.image or live is None or image_of(live) == self._default:
            self.leave(key)
            return ""
        if key in self._rolling:
            return ""
        if key not in self._may_take():
            return image_of(live)
        log.info("rollout.begins", key=str(key), image=self._default)
        self._rolling.add(key)
        return ""

    def leave(self, key: Key) -> None:
        """Take a route out of it: it is gone, or cannot be changed."""
        self._rolling.discard(key)

    def wrote(self, key: Key, *, refused: bool) -> None:
        """Note how writing a route's StatefulSet ended: one that is refused cannot take an image."""
        if refused:
            self._refused.add(key)
            self.leave(key)
        else:
            self._refused.discard(key)

    def next_after(self, key: Key) -> frozenset[Key]:
        """Return the routes that may take the image now and have not been asked to, but for this one."""
        waiting = self._may_take() - self._rolling - {key}
        return frozenset(other for other in waiting if image_of(self._stateful_set(other)) != self._default)

    def _may_take(self) -> frozenset[Key]:
        """Return the routes that may run the default image now.

        Those that are not accepted, or whose StatefulSet the API server refuses, are out of it: they cannot take an
        image, and must not keep the others from it.
        """
        images = {}
        for key, route in self._world.routes.items():
            live = self._stateful_set(key)
            if route.spec.gateway.image or live is None or not self._is_selected(key):
                continue
            rolling = key in self._rolling
            if not rolling and (key in self._refused or not _is_accepted(route)):
                continue
            images[key] = RouteImage(self._default if rolling else image_of(live), is_rolled_out(live) and not rolling)
        return may_take(self._default, images, self._max_concurrent)

    def _stateful_set(self, key: Key) -> Object | None:
        return self._world.child(STATEFUL_SET, key.namespace, names.gateway(key.name))


def _is_accepted(route: DicomRoute) -> bool:
    """Whether a route is accepted, as far as its status says: what is not is not changed."""
    conditions = route.status.conditions if route.status is not None else []
    return not any(one.type == "Accepted" and one.status == "False" for one in conditions)
