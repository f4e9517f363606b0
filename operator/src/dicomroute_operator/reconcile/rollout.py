"""Decides which routes may have their pods replaced because of the operator: a few at a time, no further than the first
that breaks. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dicomroute_operator.kube.plan import covers
from dicomroute_operator.render import names

Object = dict[str, Any]

K = TypeVar("K", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True)
class RouteVersion:
    """Whether the pods of a route are as the operator would make them today, and whether it is ready with them."""

    is_current: bool
    is_ready: bool


def may_take(routes: Mapping[K, RouteVersion], max_concurrent: int) -> frozenset[K]:
    """Return the routes that may be current now: those that are, and the next ones.

    A route counts as under way while it is current and not ready, for whatever reason: what does not become ready stops
    the rest. Ready ones go first; one that does not work anyway is no witness for what is new.
    """
    settled = {name for name, one in routes.items() if one.is_current}
    under_way = sum(not routes[name].is_ready for name in settled)
    waiting = sorted((name for name in routes if name not in settled), key=lambda n: (not routes[n].is_ready, n))
    return frozenset(settled) | frozenset(waiting[: max(0, max_concurrent - under_way)])


def replaces_pods(live: Object, wanted: Object, answered: Object | None) -> bool:
    """Whether applying a StatefulSet replaces the pods of the one that there is.

    `answered` is what was made of just this one when it was applied before. A release that did not write down which
    pods it asked for left them as they are wanted, or not.
    """
    annotation = names.TEMPLATE_ANNOTATION
    asked = live["metadata"].get("annotations", {}).get(annotation)
    if asked is not None and asked != wanted["metadata"]["annotations"][annotation]:
        return True
    template = wanted["spec"]["template"] if answered is None else answered["spec"]["template"]
    return not covers(live["spec"]["template"], template)
