"""What the spool knows of one instance, and what has become of it by the counting rule. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from dicomroute_gateway.destination import Destination

from .deliveries import DONE
from .records import DeliveryRecord, DeliveryState, Received

_OWED = (DeliveryState.PENDING, DeliveryState.WAITING, DeliveryState.UNCONFIRMED, DeliveryState.HELD)


class Outcome(StrEnum):
    """What has become of an instance by the counting rule: the first that fits."""

    OWED = "Owed"
    DEAD_LETTERED = "DeadLettered"
    SKIPPED = "Skipped"
    DELIVERED = "Delivered"
    DISCARDED = "Discarded"


@dataclass(slots=True)
class Entry:
    """An instance in the spool: how it came, what holds it, and its deliveries by destination."""

    received: Received
    hold: str
    deliveries: dict[Destination, DeliveryRecord]
    revision: int = 0
    """The revision of its study in which it counts; 0 where studies are not tracked."""

    @property
    def is_owed(self) -> bool:
        """Whether somebody is still to get this instance."""
        return bool(self.hold) or any(d.state in _OWED for d in self.deliveries.values())

    @property
    def outcome(self) -> Outcome:
        """What has become of this instance."""
        if self.is_owed:
            return Outcome.OWED
        states = {delivery.state for delivery in self.deliveries.values()}
        for state, outcome in (
            (DeliveryState.DEAD_LETTERED, Outcome.DEAD_LETTERED),
            (DeliveryState.SKIPPED, Outcome.SKIPPED),
            (DeliveryState.DELIVERED, Outcome.DELIVERED),
        ):
            if state in states:
                return outcome
        return Outcome.DISCARDED

    def is_owed_again(self, destination: Destination, recipe: str = "") -> bool:
        """Whether an instance that came again is owed to a destination for that, prepared by the recipe of that id.

        Who sends again means it: what was given up is tried anew, and what was refused as if it had not been. One that
        only waits there is owed already, unless it would be prepared in another way.
        """
        delivery = self.deliveries.get(destination)
        waits = (DeliveryState.PENDING, DeliveryState.WAITING)
        if delivery is None or delivery.state not in waits or delivery.refusals > 0:
            return True
        return recipe not in ("", delivery.recipe)

    def is_delivered(self, destination: Destination) -> bool:
        """Return whether a destination has the instance."""
        delivery = self.deliveries.get(destination)
        return delivery is not None and delivery.state is DeliveryState.DELIVERED

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done with this instance, so that its bytes may go."""
        return not self.hold and all(d.state in DONE for d in self.deliveries.values())


@dataclass(frozen=True, slots=True)
class InstanceCounts:
    """Instances by the counting rule: each once, by the first that fits.

    `received` is the sum of all others.
    """

    owed: int
    dead_lettered: int
    skipped: int
    delivered: int
    discarded: int

    @property
    def received(self) -> int:
        """All instances ever accepted or discarded."""
        return self.owed + self.dead_lettered + self.skipped + self.delivered + self.discarded
