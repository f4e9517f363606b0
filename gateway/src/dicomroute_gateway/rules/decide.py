"""What the rules in force say of one data set: one function for what arrives, what is released, and `explain`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from dicomroute_gateway.configuration.holds import CONFLICTING_TREATMENT, RULE_ERROR, UNMATCHED

from .head import RawElement, Read, scan
from .routing import CompiledRules, Routing


@dataclass(frozen=True, slots=True)
class Decision:
    """The elements that rules read, where the instance goes, and why it is held, or ""."""

    elements: dict[int, RawElement]
    routing: Routing
    hold: str


def decide(read: Read, transfer_syntax_uid: str, association: Mapping[str, str], rules: CompiledRules) -> Decision:
    """Return what rules say of a data set; `association` has a value for each of `attributes.ASSOCIATION_FACTS`.

    Raises HeadError when the bytes are not a data set in that transfer syntax, and what `read` raises.
    """
    elements = scan(read, transfer_syntax_uid, rules.wanted)
    routing = rules.route(elements, transfer_syntax_uid, association)
    return Decision(elements, routing, hold_reason(routing))


def hold_reason(routing: Routing) -> str:
    """Return why an instance is held after its routing, or "" when it is not."""
    if routing.error:
        return RULE_ERROR
    if routing.conflicts:
        return CONFLICTING_TREATMENT
    return "" if routing.destinations else UNMATCHED
