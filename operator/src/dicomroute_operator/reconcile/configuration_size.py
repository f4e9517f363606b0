"""Whether a configuration has room in the ConfigMap that gateways read, and what to do when it has not. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.checks.finding import Finding, route_fault
from dicomroute_operator.render.gateway_configuration import MAX_CONFIGURATION_BYTES, configuration_text

Json = dict[str, Any]

_NODES = "Select fewer DicomNodes, or name fewer networks and certificates in them"
_RULES = "Use fewer rules, shorter conditions, or smaller DeidentificationProfiles"
_DESTINATIONS = "Use fewer destinations"
_LISTS = ("callingAETitles", "networks")
"""What a node can have many of."""


def has_room(text: str) -> bool:
    """Return whether a configuration, as it is written down, has room in a ConfigMap."""
    return len(text.encode()) <= MAX_CONFIGURATION_BYTES


def too_large(inputs: RouteInputs, configuration: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with a configuration that no ConfigMap can hold: its size, its largest part, the way out."""
    text = configuration_text(dict(configuration))
    if has_room(text):
        return []
    size, field, part, way_out = max(_parts(configuration))
    message = (
        f"the gateway's configuration has {len(text.encode())} bytes, but a ConfigMap can hold only "
        f"{MAX_CONFIGURATION_BYTES}. Its largest part is {part} ({size} bytes). {way_out}, or split the route"
    )
    return [route_fault(inputs, Accepted.CONFIGURATION_TOO_LARGE, field, message)]


def _parts(configuration: Mapping[str, Any]) -> Iterator[tuple[int, str, str, str]]:
    """Yield the parts that can be large: bytes, the field of the route, what it is, what makes it smaller."""
    for number, listener in enumerate(configuration["listeners"]):
        callers = listener["sources"]["callers"]
        part = f"the {len(callers)} DicomNodes of listener {listener['name']}"
        yield _bytes(callers), f"spec.listeners[{number}].sources", part, _NODES
    query = configuration.get("queryRetrieve", {})
    for name in ("clients", "moveDestinations"):
        if found := query.get(name, []):
            part = f"the {len(found)} DicomNodes of queryRetrieve.{name}"
            yield _bytes(found), f"spec.queryRetrieve.{name}", part, _NODES
    if requestors := configuration.get("storageCommitment", {}).get("requestors", []):
        part = f"the {len(requestors)} DicomNodes that storage commitment is reported to"
        yield _bytes(requestors), "spec.storageCommitment", part, _NODES
    rules = configuration["rules"]["rules"]
    yield _bytes(rules), "spec.rules", f"the {len(rules)} rules with their treatments", _RULES
    destinations = configuration["destinations"]
    yield _bytes(destinations), "spec.rules", f"the {len(destinations)} destinations", _DESTINATIONS


def no_more_than_accepted(going_on: Json, accepted: Json) -> Json:
    """Return the configuration that goes on, where what nodes have gained since it was accepted waits.

    It is for one that has no room otherwise: what was removed must be removed all the same.
    """
    before = {one["name"]: one["sources"]["callers"] for one in accepted["listeners"]}
    listeners = [
        {**one, "sources": {**one["sources"], "callers": _bounded(one["sources"]["callers"], before[one["name"]])}}
        for one in going_on["listeners"]
    ]
    found = {**going_on, "listeners": listeners}
    if "queryRetrieve" in going_on:
        query = going_on["queryRetrieve"]
        clients = _bounded(query["clients"], accepted["queryRetrieve"]["clients"])
        found["queryRetrieve"] = {**query, "clients": clients}
    return found


def _bounded(now: list[Json], before: list[Json]) -> list[Json]:
    accepted = {one["node"]: one for one in before}
    found = [_both(one, then) if _has_more(one, then := accepted[one["node"]]) else one for one in now]
    return [one for one in found if one["callingAETitles"] and (one["anyAddress"] or one["networks"])]


def _has_more(now: Json, before: Json) -> bool:
    return any(len(now[name]) > len(before[name]) for name in _LISTS)


def _both(now: Json, before: Json) -> Json:
    """Return a caller with what it had and still has. Certificates only narrow who it is: they are as they are now."""
    both = {name: [one for one in before[name] if one in now[name]] for name in _LISTS}
    return {**now, **both, "anyAddress": now["anyAddress"] and before["anyAddress"]}


def _bytes(part: object) -> int:
    return len(json.dumps(part, separators=(",", ":")))
