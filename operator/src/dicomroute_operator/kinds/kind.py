"""What the operator has to know of a kind."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from dicomroute_operator.api.meta import Condition, OwnerMeta
from dicomroute_operator.api.reason import Reason
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.status.said import Said


class Status(Protocol):
    """The status of an object."""

    @property
    def conditions(self) -> list[Condition]:
        """Its conditions."""


class Object(Protocol):
    """What people write: an object of a kind, as its model has it."""

    @property
    def metadata(self) -> OwnerMeta:
        """Its name, namespace, labels and generation."""

    @property
    def status(self) -> Status | None:
        """What the operator wrote of it."""


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    type: str
    path: str
    description: str
    priority: int = 0


@dataclass(frozen=True)
class Seen:
    """What is known around an object when its status is made.

    `said` asks what the gateways of the routes say that run and use it. `is_of_another`: another operator looks after a
    route that uses it. `machine_identities` are the credentials of that kind which the platform team allows.
    """

    said: Callable[[], Sequence[Said]]
    now: datetime
    is_of_another: bool = False
    machine_identities: Collection[str] = ()


def _concerns_nobody(_route: DicomRoute, _name: str, _labels: Mapping[str, str]) -> bool:
    return False


@dataclass(frozen=True)
class Kind:
    """A kind: its model, how kubectl names and shows it, and what the operator does with it.

    `concerns(route, name, labels)` says whether a route names or selects such an object: what of it changes is the
    route's business. `findings` are what is wrong with an object by itself. `status` makes its status of what is seen,
    None to leave it; without one the kind has a reconciler of its own, as routes have. `not_found` is the reason that a
    route is given which names one that does not exist.
    """

    model: Any
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    concerns: Callable[[DicomRoute, str, Mapping[str, str]], bool] = _concerns_nobody
    findings: Callable[[Any], Sequence[Finding]] | None = None
    status: Callable[[Any, Seen], Status | None] | None = None
    not_found: Reason | None = None

    @property
    def name(self) -> str:
        """The name of the kind."""
        return str(self.model.kind)


def condition_path(type_: str, field: str) -> str:
    """Return where `kubectl get` finds a field of a condition."""
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


READY: Final = Column("Ready", "string", condition_path("Ready", "status"), "Whether the object works.")
REASON: Final = Column("Reason", "string", condition_path("Ready", "reason"), "Why, in one word.")
AGE: Final = Column("Age", "date", ".metadata.creationTimestamp", "When the object was created.")
