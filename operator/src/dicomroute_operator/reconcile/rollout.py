"""Decides which routes may take a new default image: a few at a time, no further than the first that breaks. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

K = TypeVar("K", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True)
class RouteImage:
    """A route that follows the operator's default image: what it runs, and whether it is ready with that."""

    image: str
    is_ready: bool


def may_take(default: str, routes: Mapping[K, RouteImage], max_concurrent: int) -> frozenset[K]:
    """Return the routes that may run the default image now: those that do, and the next ones.

    A route counts as under way while it runs the default image and is not ready, for whatever reason: what does not
    become ready stops the rest. Ready ones go first; one that does not work anyway is no witness for the new image.
    """
    settled = {name for name, one in routes.items() if one.image == default}
    under_way = sum(not routes[name].is_ready for name in settled)
    waiting = sorted((name for name in routes if name not in settled), key=lambda n: (not routes[n].is_ready, n))
    return frozenset(settled) | frozenset(waiting[: max(0, max_concurrent - under_way)])
