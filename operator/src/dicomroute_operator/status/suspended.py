"""Which modes of a route are not Running, as its gateways obey them."""

from collections.abc import Iterable, Sequence

from dicomroute_client.documents.status import StatusDocument
from dicomroute_operator.api.delivery import DeliveryMode
from dicomroute_operator.api.listener import ListenerMode
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.query import QueryMode
from dicomroute_operator.api.route import Mode
from dicomroute_operator.api.warning_conditions import Suspended

from .conditions import condition

_DESTINATION_HELD = "DestinationHeld"


def suspended(reports: Sequence[StatusDocument]) -> list[Condition]:
    """Return the condition of a route of which a mode stops a part; none where all are Running."""
    modes = {one.mode for one in reports}
    refusing = _sorted(
        one.name for report in reports for one in report.listeners if one.mode == ListenerMode.REFUSE_ASSOCIATIONS
    )
    destinations = _sorted(
        f"{one.kind} {one.name}"
        for report in reports
        for one in report.destinations
        if one.held_reason == _DESTINATION_HELD
    )
    rules = _sorted(name for report in reports for name in report.held_rules)
    stops: list[tuple[Suspended, str]] = []
    if Mode.REFUSE_ASSOCIATIONS in modes:
        stops.append((Suspended.REFUSES_ASSOCIATIONS, "the route refuses new associations (spec.mode)"))
    elif refusing:
        sentence = f"new associations are refused by {_named('listener', refusing)} (spec.listeners[].mode)"
        stops.append((Suspended.REFUSES_ASSOCIATIONS, sentence))
    if Mode.HOLD_DELIVERIES in modes:
        stops.append(
            (Suspended.HOLDS_DELIVERIES, f"all deliveries are held (spec.mode: {DeliveryMode.HOLD_DELIVERIES})")
        )
    if destinations:
        sentence = f"deliveries to {', '.join(destinations)} are held (spec.destinations[].mode)"
        stops.append((Suspended.HOLDS_DELIVERIES, sentence))
    if rules:
        sentence = f"deliveries of {_named('rule', rules)} are held (spec.rules[].mode)"
        stops.append((Suspended.HOLDS_DELIVERIES, sentence))
    if QueryMode.REFUSE in {one.query_mode for one in reports}:
        stops.append((Suspended.REFUSES_QUERIES, "queries and retrievals are refused (spec.queryRetrieve.mode)"))
    if not stops:
        return []
    return [condition(stops[0][0], True, "; ".join(sentence for _, sentence in stops)[:1024])]


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(set(names))


def _named(what: str, names: Sequence[str]) -> str:
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names)}"
