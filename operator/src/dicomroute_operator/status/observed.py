"""What was seen of a route in the cluster at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """A route's objects as they are.

    `apply_error` has the sentences of the API server on those that it refused, `sentences` what the cluster's newest
    Events say of those that something is wrong with, by UID.
    """

    pods: tuple[PodSeen, ...]
    service: dict[str, Any] | None
    claims: tuple[dict[str, Any], ...]
    configuration_hash: str
    """Of the configuration that the pods should report; empty when there is none yet."""
    apply_error: str = ""
    stateful_set: dict[str, Any] | None = None
    sentences: Mapping[str, str] = field(default_factory=dict)
    admin_certificate_sha256: str = ""
    """Of the certificate that its gateways show at their admin API, in hexadecimal."""
    unsupported: str = ""
    """What the gateways cannot do of what the manifest asks for; what needs it gets nothing."""
    default_storage_class: str = ""
    """Of claims whose route names none; empty: the cluster's own."""

    def sentence_of(self, one: dict[str, Any]) -> str:
        """Return what the cluster says of an object, as the end of a sentence."""
        found = self.sentences.get(one["metadata"].get("uid", ""), "")
        return f": {found}" if found else ""

    @property
    def replicas(self) -> int:
        """How many pods the StatefulSet that is there is to have."""
        return int(self.stateful_set["spec"].get("replicas", 1)) if self.stateful_set is not None else 0
