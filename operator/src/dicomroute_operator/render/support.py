"""What the gateways of a route have to be able to do before they are told of a destination. Pure.

A gateway of an earlier release does not know a treatment that is new: it would go on with what it was told before, and
send names. What it is not told of, it sends nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

from dicomroute_operator.api.delivery import Destination
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.meta import Accepts

NODE_ACCEPTS: Final = "NodeAccepts"
"""It knows that a DicomNode may be one that takes de-identified data alone."""
KNOWN_PATIENTS: Final = "KnownPatients"
"""It knows that patients may keep the pseudonyms of older keys."""
TREATMENT_NOT_IN_FORCE: Final = "TreatmentNotInForce"
"""It knows that a destination is to get nothing until its treatment is in force."""


def needed(inputs: RouteInputs, destination: Destination) -> frozenset[str]:
    """Return what a gateway has to support before it is told of a destination; nothing where any gateway will do."""
    rules = [rule for rule in inputs.route.spec.rules if destination in rule.destinations]
    node = inputs.node_of(destination)
    found = {"Transform"} if any(rule.transform for rule in rules) else set()
    found |= {"Deidentify"} if any(rule.deidentify for rule in rules) else set()
    profiles = [inputs.profiles.get(rule.deidentify.name) for rule in rules if rule.deidentify]
    has_known = any(one is not None and one.spec.patient_id.known_ref is not None for one in profiles)
    found |= {KNOWN_PATIENTS} if has_known else set()
    found |= {NODE_ACCEPTS} if node is not None and node.spec.accepts is not Accepts.ANY else set()
    return frozenset(found)


def is_supported(inputs: RouteInputs, destination: Destination) -> bool:
    """Return whether the gateways can do what a destination needs, as far as they were asked."""
    supports = inputs.existing.supports
    return supports is None or needed(inputs, destination) <= supports


def unsupported(inputs: RouteInputs) -> str:
    """Return the sentence on what the gateways cannot do, "" where they can do everything."""
    without = [one for one in inputs.destinations() if not is_supported(inputs, one)]
    if not without:
        return ""
    first, supports = without[0], inputs.existing.supports or frozenset()
    more = f" (and {len(without) - 1} more)" if len(without) > 1 else ""
    what = ", ".join(sorted(needed(inputs, first) - supports))
    return (
        f"no pod has reported yet that its gateway can do what {first.kind} {first.name}{more} needs: {what}. Its "
        "deliveries are Held. Where the image of the gateway is an older one, remove spec.gateway.image or name a newer"
    )


def told(configuration: Mapping[str, Any]) -> frozenset[str]:
    """Return what a gateway supports that was told of this configuration: all that is asked of it there.

    Raises ValueError, KeyError, TypeError, AttributeError for what is no configuration.
    """
    steps = [step for rule in configuration["rules"]["rules"] for step in rule.get("steps", ())]
    found = {step["step"] for step in steps}
    found |= {KNOWN_PATIENTS} if any("knownPatientIDsFile" in step for step in steps) else set()
    query = configuration.get("queryRetrieve") or {}
    nodes = [*configuration["destinations"], *query.get("moveDestinations", ()), *query.get("clients", ())]
    is_strict = any("accepts" in one for one in nodes if one.get("kind") != "CloudTarget")
    found |= {NODE_ACCEPTS} if is_strict else set()
    found |= {TREATMENT_NOT_IN_FORCE} if "treatmentNotInForce" in configuration else set()
    return frozenset(found)
