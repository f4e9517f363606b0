"""Credentials that end soon, of a route and of a target alike."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from dicomroute_operator.api.conditions import CredentialsExpiring
from dicomroute_operator.api.gateway_report import ReportedDestination
from dicomroute_operator.api.meta import Condition

from .conditions import condition

EXPIRING_SECONDS: Final = 14 * 86400


def expiring(destinations: Iterable[ReportedDestination], now: datetime) -> list[Condition]:
    """Name the credential that ends first, if it does so within 14 days."""
    ends = [
        (since, one)
        for one in destinations
        if (since := seconds_since(one.credential_expires_time, now)) is not None and since > -EXPIRING_SECONDS
    ]
    if not ends:
        return []
    since, first = max(ends, key=lambda found: found[0])
    expired = since > 0
    what = f"the credential of {first.kind} {first.name} {'ended' if expired else 'ends'} at"
    reason = CredentialsExpiring.EXPIRED if expired else CredentialsExpiring.EXPIRES_SOON
    message = f"{what} {first.credential_expires_time}: renew it in its Secret, which is used without a restart"
    return [condition(reason, True, message)]


def seconds_since(text: str | None, now: datetime) -> float | None:
    """Return how many seconds ago a time was; None for what is no time."""
    if text is None:
        return None
    try:
        return (now - datetime.fromisoformat(text)).total_seconds()
    except (ValueError, TypeError):
        return None
