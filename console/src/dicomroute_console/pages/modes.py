"""The modes of a route and of its parts: which there are, how they stand, and what is applied to set one. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Json = Mapping[str, Any]
RUNNING: Final = "Running"
_PART: Final = re.compile(r"(listeners|destinations|rules)\[(.+)\]\.mode")
_WHOLE: Final = {
    RUNNING: "Receive and deliver.",
    "HoldDeliveries": "Receive and keep, deliver nothing.",
    "RefuseAssociations": "Deliver what is kept; reject new associations as transient.",
}
_QUERIES: Final = {RUNNING: "Answer queries and retrievals.", "Refuse": "Refuse queries and retrievals."}
_LISTENER: Final = {RUNNING: "Accept associations.", "RefuseAssociations": "Reject new associations as transient."}
_DESTINATION: Final = {RUNNING: "Deliver.", "HoldDeliveries": "Keep what it is owed, deliver nothing."}
_RULE: Final = {RUNNING: "Deliver.", "HoldDeliveries": "Match as before, deliver nothing."}


@dataclass(frozen=True)
class ModeField:
    """A mode of a route: its field in the spec, what it is of, how it stands, and what each value means."""

    field: str
    group: str
    name: str
    now: str
    meanings: Mapping[str, str]

    @property
    def others(self) -> list[str]:
        """The modes that it can be set to."""
        return [one for one in self.meanings if one != self.now]


def mode_fields(spec: Json) -> list[ModeField]:
    """Return every mode that the spec of a route has, whether it is set or not."""
    return list(_fields(spec))


def _fields(spec: Json) -> Iterator[ModeField]:
    yield ModeField("mode", "Route", "The route", spec.get("mode") or RUNNING, _WHOLE)
    if "queryRetrieve" in spec:
        now = (spec["queryRetrieve"] or {}).get("mode") or RUNNING
        yield ModeField("queryRetrieve.mode", "Route", "Queries and retrievals", now, _QUERIES)
    for one in spec.get("listeners") or ():
        yield ModeField(
            f"listeners[{one['name']}].mode", "Listeners", one["name"], one.get("mode") or RUNNING, _LISTENER
        )
    settings = {f"{one['kind']}/{one['name']}": one for one in spec.get("destinations") or ()}
    rules = spec.get("rules") or ()
    for name in dict.fromkeys(f"{one['kind']}/{one['name']}" for rule in rules for one in rule["destinations"]):
        now = settings.get(name, {}).get("mode") or RUNNING
        yield ModeField(f"destinations[{name}].mode", "Destinations", name, now, _DESTINATION)
    for rule in rules:
        yield ModeField(f"rules[{rule['name']}].mode", "Rules", rule["name"], rule.get("mode") or RUNNING, _RULE)


def with_mode(applied: Json, field: str, mode: str) -> dict[str, Any]:
    """Return what is applied, beside all that was `applied` before, to set one mode.

    The mode of a part that is Running again is given back where it was applied before: the part would otherwise stay
    in the list when its owner removes it, as an item with a mode and nothing else.
    """
    part = _PART.fullmatch(field)
    if part is None:
        first, _, rest = field.partition(".")
        return {**applied, first: with_mode(applied.get(first) or {}, rest, mode) if rest else mode}
    section, keys = part[1], _keys(part[1], part[2])
    before = list(applied.get(section) or ())
    mine: Json = next((one for one in before if _is_of(one, keys)), {})
    others = [one for one in before if not _is_of(one, keys)]
    fields = {name: value for name, value in mine.items() if name not in keys and name != "mode"}
    if mode != RUNNING or "mode" not in mine:
        fields["mode"] = mode
    items = [*others, {**keys, **fields}] if fields else others
    rest_of_spec = {name: value for name, value in applied.items() if name != section}
    return {**rest_of_spec, section: items} if items else rest_of_spec


def _keys(section: str, name: str) -> dict[str, str]:
    kind, _, plain = name.partition("/")
    return {"kind": kind, "name": plain} if section == "destinations" else {"name": name}


def _is_of(one: Json, keys: Json) -> bool:
    return keys.items() <= one.items()
