"""Credentials that end soon, of a route, a target or a node alike."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Protocol

from dicomroute_client.documents.document import text_of
from dicomroute_client.documents.status import ListenerDocument
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.warning_conditions import CredentialsExpiring

from .conditions import condition

EXPIRING_SECONDS: Final = 14 * 86400


class HasCredential(Protocol):
    """A destination, and when its credential ends where that is known."""

    @property
    def kind(self) -> str:
        """Kind of the destination."""

    @property
    def name(self) -> str:
        """Name of the destination."""

    @property
    def credential_expires_time(self) -> datetime | None:
        """When its credential ends."""


def expiring(
    destinations: Iterable[HasCredential], now: datetime, listeners: Iterable[ListenerDocument] = ()
) -> list[Condition]:
    """Name the credential that ends first, if it does so within 14 days."""
    ends = [
        (since, end, name)
        for name, end in (
            *((f"{one.kind} {one.name}", one.credential_expires_time) for one in destinations),
            *((f"listener {one.name}", one.credential_expires_time) for one in listeners),
        )
        if end is not None and (since := seconds_since(end, now)) is not None and since > -EXPIRING_SECONDS
    ]
    if not ends:
        return []
    since, end, first = max(ends, key=lambda found: found[0])
    expired = since > 0
    what = f"the credential of {first} {'expired' if expired else 'expires'} at"
    reason = CredentialsExpiring.EXPIRED if expired else CredentialsExpiring.EXPIRES_SOON
    message = f"{what} {text_of(end)}: renew it in its Secret; no restart is needed"
    return [condition(reason, True, message)]


def seconds_since(time: datetime | str | None, now: datetime) -> float | None:
    """Return how many seconds ago a time was; None for what is no time."""
    if time is None:
        return None
    try:
        return (now - (time if isinstance(time, datetime) else datetime.fromisoformat(time))).total_seconds()
    except (ValueError, TypeError):
        return None
