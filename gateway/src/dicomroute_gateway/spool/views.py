"""What the spool tells others of itself: how full it is, what is owed, how it stands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dicomroute_gateway.destination import Destination
from dicomroute_gateway.reasons import Reason

from .entries import InstanceCounts
from .records import DeliveryState, Received


class Follower(Protocol):
    """Is told which instances the spool has; what it does with that costs those who receive and deliver."""

    def kept(self, received: Received) -> None:
        """An instance was committed: it is safe, and its file can be read."""

    def left(self, identifier: int) -> None:
        """The bytes of an instance are gone."""


@dataclass(frozen=True, slots=True)
class SpoolLevel:
    """How full the spool is, in bytes; above `watermark` nothing is accepted."""

    used: int
    capacity: int
    watermark: int


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery that is waiting to be made."""

    id: int
    destination: Destination
    is_sent: bool = False
    """Whether its confirmation is what is waited for."""


@dataclass(frozen=True, slots=True)
class Rerouting:
    """What today's rules say of a held instance: who is to get it, why it stays held, or "", and the ids of recipes.

    `recipes` are as in `Received`.
    """

    id: int
    destinations: Sequence[Destination]
    hold: str
    recipes: Mapping[Destination, str] = field(default_factory=dict)
    waits: Mapping[Destination, str] = field(default_factory=dict)
    """As in `Received`."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """By which recipe a delivery is prepared from now on."""

    id: int
    destination: Destination
    recipe: str


@dataclass(frozen=True, slots=True)
class Drop:
    """What is given up of an instance: deliveries to some destinations, or all, and with `hold` what holds it."""

    id: int
    destinations: Collection[Destination] | None = None
    hold: bool = False
    reason: Reason = Reason.DROPPED


@dataclass(frozen=True, slots=True)
class Retried:
    """How many deliveries are to be made now, and which are not, as their destinations have a later version."""

    count: int
    superseded: list[Owed]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counts of one moment, consistent with each other."""

    instances: InstanceCounts
    held_instances: int
    deliveries: dict[Destination, dict[DeliveryState, int]]
    oldest_owed_time: float | None
    level: SpoolLevel
    instances_by_key: Mapping[str, int] = field(default_factory=dict)
    """How many instances are encrypted with a key, by its id; "" for those in clear."""
    oldest_owed: Mapping[Destination, float] = field(default_factory=dict)
    """When the oldest instance that a destination is still to get was received, by destination."""
    open_studies: int = 0
    complete_studies: int = 0
