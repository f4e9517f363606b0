"""What goes on while a manifest is not accepted: the last configuration that was, without what was removed. Pure."""

from typing import Any

from dicomroute_operator.api.inputs import RouteInputs


def without_removed(configuration: dict[str, Any], inputs: RouteInputs) -> dict[str, Any]:
    """Return a configuration without the callers and destinations whose objects are gone.

    An invalid change keeps what was; a removed node or target is removed at once, whatever else is wrong.
    """
    listeners = [
        {
            **listener,
            "sources": {
                **listener["sources"],
                "callers": [one for one in listener["sources"]["callers"] if one["node"] in inputs.nodes],
            },
        }
        for listener in configuration["listeners"]
    ]
    destinations = [one for one in configuration["destinations"] if one["name"] in inputs.targets]
    return {**configuration, "listeners": listeners, "destinations": destinations}
