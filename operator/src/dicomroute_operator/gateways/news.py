"""Which of a gateway's reports say something new. Pure."""

from typing import Any, Final

from dicomroute_client.documents.status import StatusDocument

_NO_NEWS: Final[dict[str, Any]] = {
    "route": True,
    "time": True,
    "started_time": True,
    "listeners": {"__all__": {"port": True, "associations": True}},
    "associations": True,
    "destinations": {
        "__all__": {"warnings_total": True, "probe": {"time": True, "steps": True, "round_trip_milliseconds": True}}
    },
    "spool": {"keys": True, "unencrypted": True},
}
"""What moves by itself, or is in no status: a route is not reconciled for it."""


def is_news(before: StatusDocument | None, after: StatusDocument) -> bool:
    """Return whether a report differs from the one before in what the status of a route or a target says."""
    return before is None or before.model_dump(exclude=_NO_NEWS) != after.model_dump(exclude=_NO_NEWS)
