"""What a profile claims, in the form in which a conformance statement says it (PS3.2 N.11.2.6)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_description

from dicomroute_gateway.configuration.profile import Option

from .plan import Action, Entry, Plan
from .table import CODES

_SAID: Final = {
    Action.KEEP: "K",
    Action.REMOVE: "X",
    Action.EMPTY: "Z",
    Action.DUMMY: "D",
    Action.UID: "U",
    Action.CLEAN: "C",
    Action.SHIFT: "C (shifted)",
    Action.PATIENT_ID: "D (pseudonym)",
}
"""The letters of PS3.15 table E.1-1a."""


@dataclass(frozen=True, slots=True)
class Line:
    """One attribute: its tag, its name, what becomes of it, and whether a rule of the profile says that."""

    tag: str
    name: str
    action: str
    by_rule: bool


def claims(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield code value and meaning (CID 7050) of the profile and its options, as (0012,0064) has them."""
    yield "113100", "Basic Application Confidentiality Profile"
    for option in Option:
        if option in plan.options:
            yield CODES[option]


def lines(plan: Plan) -> Iterator[Line]:
    """Yield all attributes that the table or a rule names, by tag. Rules with x in their tags stand as they are."""
    named = {tag for rule in plan.profile.rules for tag in rule.tags}
    patterns = {tag for tag in named if "x" in tag}
    exact = {int(tag, 16) for tag in named - patterns}
    for pattern in sorted(patterns):
        action = next(rule.action for rule in plan.profile.rules if pattern in rule.tags)
        yield Line(f"({pattern[:4]},{pattern[4:]})", "", str(action), True)
    for tag in sorted(plan.entries.keys() | exact):
        ruled = plan.ruled(tag)
        entry = plan.entries.get(tag)
        said = _SAID[ruled] if ruled is not None else _letters(entry)
        yield Line(f"({tag >> 16:04X},{tag & 0xFFFF:04X})", _name(tag), said, ruled is not None)


def _letters(entry: Entry | None) -> str:
    if entry is None:
        return ""
    return entry.letters if entry.chosen is None else _SAID[entry.chosen]


def _name(tag: int) -> str:
    try:
        return dictionary_description(tag)
    except KeyError:  # of an edition that is newer than the dictionary
        return ""
