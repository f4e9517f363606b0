"""Whether a route is paused, and what waits for the end of that."""

from dicomroute_operator.api.conditions import Paused, Programmed
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.render import names

from .conditions import condition
from .observed import RouteSeen


def is_paused(route: DicomRoute) -> bool:
    """Return whether a person has said that the operator is to leave a route's objects as they are."""
    return route.metadata.annotations.get(names.PAUSED_ANNOTATION) == "true"


def paused(route: DicomRoute) -> list[Condition]:
    """Return the condition of a route that is paused."""
    if not is_paused(route):
        return []
    message = (
        f"the operator does not change the objects of the route: run `kubectl -n {route.metadata.namespace} annotate "
        f"dicomroute {route.metadata.name} {names.PAUSED_ANNOTATION}-` to end the pause"
    )
    return [condition(Paused.PAUSED_BY_ANNOTATION, True, message)]


def not_programmed(route: DicomRoute, seen: RouteSeen) -> Condition | None:
    """Return the condition Programmed where the newest version of the manifest waits for the end of a pause."""
    meta = seen.stateful_set["metadata"] if seen.stateful_set is not None else {}
    told = meta.get("annotations", {}).get(names.GENERATION_ANNOTATION)
    if not is_paused(route) or told == str(route.metadata.generation):
        return None
    return condition(
        Programmed.PAUSED, False, "the route is paused: this version of the manifest takes effect when the pause ends"
    )
