"""What the rules in force say of one data set: one function for what arrives, what is released, and `explain`. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from dicomroute_gateway.configuration.holds import CONFLICTING_TREATMENT, NO_STUDY, RULE_ERROR, UNMATCHED

from .head import RawElement, Read, scan
from .routing import CompiledRules, Routing

STUDY_INSTANCE_UID: Final = 0x0020000D
_UID: Final = re.compile(r"(?!.{65})[0-9]+(?:\.[0-9]+)*")


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
    if routing.waits and not uid_of(elements, STUDY_INSTANCE_UID):
        # What waits for no study would wait for ever, or be sent unasked.
        at_once = tuple(one for one in routing.destinations if one not in routing.waits)
        return Decision(elements, replace(routing, destinations=at_once, waits={}), NO_STUDY)
    return Decision(elements, routing, hold_reason(routing))


def uid_of(elements: Mapping[int, RawElement], tag: int) -> str:
    """Return the UID in an element, "" where there is none or what is there is none (PS3.5 9.1)."""
    element = elements.get(tag)
    text = element.value.rstrip(b"\0 ").decode("ascii", "replace") if element else ""
    return text if _UID.fullmatch(text) else ""


def hold_reason(routing: Routing) -> str:
    """Return why an instance is held after its routing, or "" when it is not."""
    if routing.error:
        return RULE_ERROR
    if routing.conflicts:
        return CONFLICTING_TREATMENT
    return "" if routing.destinations else UNMATCHED
