"""Which deliveries are held by the configuration of the moment, and why. Pure."""

from dicomroute_gateway.configuration.model import Accepts, Configuration, Mode

ROUTE_HELD = "RouteHeld"
NO_SUCH_DESTINATION = "NoSuchDestination"
NOT_DEIDENTIFIED = "NotDeidentified"


def held(destination: str, configuration: Configuration) -> str:
    """Return why deliveries to `destination` (KIND/NAME) are held, or "" when they are made.

    Nothing is written down of this: once the reason is gone, what was held goes out by itself.
    """
    if configuration.mode is Mode.HOLD_DELIVERIES:
        return ROUTE_HELD
    known = next((d for d in configuration.destinations if str(d.key) == destination), None)
    if known is None:
        return NO_SUCH_DESTINATION
    return NOT_DEIDENTIFIED if known.accepts is Accepts.DEIDENTIFIED_ONLY else ""
