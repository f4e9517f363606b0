"""Which destinations the newest configuration treats in another way than the one in force does. Pure.

What cannot be used of a configuration leaves the last good of it in force. A destination that the newest one gives a
treatment must not get what an older one would send it: it gets nothing until its treatment is in force.
"""

import hashlib
import json
from typing import Any

from pydantic import ValidationError

from .destinations import Accepts, DestinationKey
from .model import Configuration
from .recipe import UnknownRecipe, parse_recipe


def not_in_force(newest: Any, in_force: Configuration) -> list[DestinationKey]:
    """Return the destinations whose treatment in the document `newest` is not the one that is in force.

    `newest` is whatever was read: of what is no configuration at all, as much is understood as can be.
    """
    present = in_force.model_dump(by_alias=True, mode="json")
    wanted, given = _treatments(newest), _treatments(present)
    named = {_name(one) for one in _listed(newest, "treatmentNotInForce")}
    named |= {name for name, treatment in wanted.items() if treatment != given.get(name)}
    named |= _strict(newest) - _strict(present)
    return [key for name in sorted(named) if (key := _key(name)) is not None]


def _treatments(document: Any) -> dict[str, object]:
    """Return what says how each treated destination is treated: equal where the treatment is."""
    section = document.get("rules") if isinstance(document, dict) else None
    by_name: dict[str, list[tuple[str, str]]] = {}
    for rule in _listed(section, "rules"):
        for one in _listed(rule, "destinations"):
            by_name.setdefault(_name(one), []).append((str(rule.get("when", "")), _recipe(rule.get("steps"))))
    matching = section.get("matching") if isinstance(section, dict) else None
    return {name: (matching, found) for name, found in by_name.items() if any(recipe for _, recipe in found)}


def _strict(document: object) -> set[str]:
    """Return the destinations that take de-identified data alone, as far as a document says."""
    query = document.get("queryRetrieve") if isinstance(document, dict) else None
    listed = (*_listed(document, "destinations"), *_listed(query, "moveDestinations"))
    clients = (f"DicomNode/{one.get('node')}" for one in _listed(query, "clients") if _is_strict(one))
    return {_name(one) for one in listed if _is_strict(one)}.union(clients)


def _listed(document: object, field: str) -> list[dict[str, Any]]:
    found = document.get(field) if isinstance(document, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _recipe(steps: object) -> str:
    """Return the id of the recipe of these steps; of steps that this gateway does not know, something that has none."""
    if not steps:
        return ""
    form = json.dumps(steps).encode()
    try:
        return parse_recipe(form).id
    except UnknownRecipe:
        return f"unknown {hashlib.sha256(form).hexdigest()}"


def _is_strict(one: dict[str, Any]) -> bool:
    return bool(one.get("accepts", Accepts.ANY) != Accepts.ANY)


def _name(one: dict[str, Any]) -> str:
    return f"{one.get('kind')}/{one.get('name')}"


def _key(name: str) -> DestinationKey | None:
    kind, _, plain = name.partition("/")
    try:
        return DestinationKey.model_validate({"kind": kind, "name": plain})
    except ValidationError:  # of a kind that nothing is sent to here
        return None
