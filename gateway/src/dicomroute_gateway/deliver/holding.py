"""Which deliveries are held by the configuration of the moment, and why. Pure."""

from dicomroute_gateway.configuration.destinations import Accepts, DeliveryMode
from dicomroute_gateway.configuration.holds import RULE_HELD, TREATMENT_NOT_IN_FORCE
from dicomroute_gateway.configuration.model import Configuration, Mode
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.reasons import NoReason, Reason

from .bandwidth import bytes_per_second

ROUTE_HELD = Reason.ROUTE_HELD
DESTINATION_HELD = Reason.DESTINATION_HELD
NO_SUCH_DESTINATION = Reason.NO_SUCH_DESTINATION
NOT_DEIDENTIFIED = Reason.NOT_DEIDENTIFIED
OUTSIDE_WINDOW = Reason.OUTSIDE_WINDOW


def waits_for_a_person(reason: str) -> bool:
    """Return whether deliveries that are held for a reason are Held: those that only wait for an hour are Pending."""
    return reason not in ("", OUTSIDE_WINDOW)


def takes_deidentified_only(destination: Destination, configuration: Configuration) -> bool:
    """Return whether a destination is sent what a de-identifying recipe has made and nothing else."""
    known = configuration.settings_of(destination)
    return known is not None and known.accepts is Accepts.DEIDENTIFIED_ONLY


def _is_deidentified_for(destination: Destination, configuration: Configuration) -> bool:
    """Return whether every rule that names a destination de-identifies what it takes."""
    rules = [rule for rule in configuration.rules.rules if destination in rule.names]
    return bool(rules) and all(rule.recipe.deidentifies for rule in rules)


def held(destination: Destination, configuration: Configuration, now: float) -> Reason | NoReason:
    """Return why deliveries to `destination` are held, or "" when they are made.

    `now` is in seconds since 1970.
    Nothing is written down of this: once the reason is gone, what was held goes out by itself. Where some of the rules
    that name it hold their deliveries, each instance decides: `rule_holds` says which of them are held.
    """
    if configuration.mode is Mode.HOLD_DELIVERIES:
        return ROUTE_HELD
    known = configuration.settings_of(destination)
    if known is None:
        return NO_SUCH_DESTINATION
    if known.mode is DeliveryMode.HOLD_DELIVERIES:
        return DESTINATION_HELD
    if known.key in {one.destination for one in configuration.treatment_not_in_force}:
        return TREATMENT_NOT_IN_FORCE
    if takes_deidentified_only(destination, configuration) and not _is_deidentified_for(destination, configuration):
        return NOT_DEIDENTIFIED
    if destination in configuration.rules.held:
        return RULE_HELD
    return OUTSIDE_WINDOW if bytes_per_second(known.bandwidth, now) == 0 else ""
