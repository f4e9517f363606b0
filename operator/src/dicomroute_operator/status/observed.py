"""What was seen of a route in the cluster at one moment."""

from dataclasses import dataclass
from typing import Any

from dicomroute_client.documents.status import StatusDocument


@dataclass(frozen=True)
class PodSeen:
    """A pod of a gateway: the object as the API server has it, and what the gateway in it last reported.

    `reported_time` is when it last answered, `error` why it did not when it was asked since; times in seconds.
    """

    pod: dict[str, Any]
    report: StatusDocument | None = None
    reported_time: float | None = None
    first_asked_time: float | None = None
    error: str = ""


@dataclass(frozen=True)
class RouteSeen:
    """A route's objects as they are. `apply_error` is the sentence of the API server that refused one."""

    pods: tuple[PodSeen, ...]
    service: dict[str, Any] | None
    claims: tuple[dict[str, Any], ...]
    configuration_hash: str
    """Of the configuration that the pods should report; empty when there is none yet."""
    apply_error: str = ""
