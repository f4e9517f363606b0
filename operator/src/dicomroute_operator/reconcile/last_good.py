"""What goes on while a manifest is not accepted: the last configuration that was, without what was removed. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicomroute_operator.api.delivery import Destination
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.render import names
from dicomroute_operator.render.gateway_configuration import (
    SETTINGS,
    caller,
    destination_settings,
    gateway_configuration,
    is_own,
    query_retrieve,
    rendered_destination,
)
from dicomroute_operator.render.support import TREATMENT_NOT_IN_FORCE


@dataclass(frozen=True)
class LastAccepted:
    """The configuration that was last accepted: whether all of it is the operator's own, and whether it has MACs."""

    text: str
    is_own: bool
    has_macs: bool


def last_accepted(mac_key: str, live: Mapping[str, str], aside: Mapping[str, str]) -> LastAccepted:
    """Return what was last accepted, from the data of the ConfigMap that gateways read and of the one put aside.

    What was put aside counts while it is of the same generation as what gateways read, which was made of it: otherwise
    a newer one was accepted since, and the other is about to be removed.
    """
    text = live.get(names.CONFIGURATION_KEY, "")
    stored = [(live, names.CONFIGURATION_KEY)]
    if names.ACCEPTED_KEY in live:  # as an earlier release kept it
        text = live[names.ACCEPTED_KEY] or text
        stored.append((live, names.ACCEPTED_KEY))
    elif _generation(kept := aside.get(names.ACCEPTED_KEY, "")) == _generation(text) is not None:
        text = kept
        stored.append((aside, names.ACCEPTED_KEY))
    return LastAccepted(
        text=text,
        is_own=all(is_own(mac_key, data, name) for data, name in stored),
        has_macs=any(f"{name}{names.MAC_SUFFIX}" in data for data, name in stored),
    )


def _generation(text: str) -> int | None:
    try:
        generation = json.loads(text)["generation"]
    except (ValueError, KeyError, TypeError):
        return None
    return generation if isinstance(generation, int) else None


def without_removed(accepted: dict[str, Any], inputs: RouteInputs) -> dict[str, Any]:
    """Return the configuration that was last accepted, as far as its nodes and targets still allow it.

    An invalid change of the route keeps what was. A node or target that is gone is gone at once, one that a listener
    of the same name no longer names or selects too; what those that are left say of themselves counts as it is now.
    """
    now = inputs.route.spec.listeners
    present = {listener.name: {node.metadata.name for node in inputs.nodes_of(listener)} for listener in now}
    listeners = []
    for listener in accepted["listeners"]:
        named = present.get(listener["name"], inputs.nodes.keys())
        callers = [
            caller(inputs.nodes[one["node"]])
            for one in listener["sources"]["callers"]
            if one["node"] in named and one["node"] in inputs.nodes
        ]
        listeners.append({**listener, "sources": {**listener["sources"], "callers": callers}})
    wanted = {(one["kind"], one["name"]) for rule in accepted["rules"]["rules"] for one in rule["destinations"]}
    settings = {
        (one["kind"], one["name"]): {key: one[key] for key in SETTINGS if key in one}
        for one in accepted["destinations"]
    }
    listed = [Destination.model_validate({"kind": kind, "name": name}) for kind, name in sorted(wanted)]
    destinations = [
        found | (settings.get((one.kind, one.name)) or destination_settings(inputs.route, one))
        for one in listed
        if (found := rendered_destination(inputs, one)) is not None
    ]
    found = {**accepted, "listeners": listeners, "destinations": destinations} | _queries(accepted, inputs)
    return _without_untreated(found, accepted, inputs)


def _without_untreated(found: dict[str, Any], accepted: dict[str, Any], inputs: RouteInputs) -> dict[str, Any]:
    """Let destinations that the newest manifest treats in another way than the last accepted one get nothing."""
    newest, before = _treatments(gateway_configuration(inputs)), _treatments(accepted)
    withheld = {one for one, treatment in newest.items() if treatment != before.get(one)}
    found.pop("treatmentNotInForce", None)
    if not withheld:
        return found
    supports = inputs.existing.supports
    if supports is not None and TREATMENT_NOT_IN_FORCE not in supports:  # it gets nothing where it is not named at all
        left = [one for one in found["destinations"] if (one["kind"], one["name"]) not in withheld]
        return {**found, "destinations": left}
    return {**found, "treatmentNotInForce": [{"kind": kind, "name": name} for kind, name in sorted(withheld)]}


def _treatments(configuration: dict[str, Any]) -> dict[tuple[str, str], object]:
    """Return what says how each treated destination is treated."""
    rules = configuration["rules"]
    by_name: dict[tuple[str, str], list[tuple[str, list[Any]]]] = {}
    for rule in rules["rules"]:
        for one in rule["destinations"]:
            by_name.setdefault((one["kind"], one["name"]), []).append((rule["when"], rule.get("steps", [])))
    return {name: (rules["matching"], found) for name, found in by_name.items() if any(steps for _, steps in found)}


def _queries(accepted: dict[str, Any], inputs: RouteInputs) -> dict[str, Any]:
    """Return how queries are served, without the nodes and archives that are gone or are no longer named."""
    last, now = accepted.get("queryRetrieve"), query_retrieve(inputs)
    if last is None:
        return {}
    clients = {one["node"]: one for one in now["clients"]} if now is not None else {}
    archives = {one["name"]: one for one in now["archives"]} if now is not None else {}
    moved_to = {one["name"]: one for one in now["moveDestinations"]} if now is not None else {}
    return {
        "queryRetrieve": {
            **last,
            "mode": last["mode"] if now is not None else "Refuse",
            "clients": [clients[one["node"]] for one in last["clients"] if one["node"] in clients],
            "moveDestinations": [
                moved_to[one["name"]] for one in last.get("moveDestinations", []) if one["name"] in moved_to
            ],
            "archives": [archives[one["name"]] for one in last["archives"] if one["name"] in archives],
        }
    }
