"""What is known of a study at a destination: how many of its instances are owed, held, refused, delivered. Pure."""

from dataclasses import astuple, dataclass
from typing import Final

from dicomroute_gateway.destination import Destination
from dicomroute_gateway.spool.records import DeliveryState

PartKey = tuple[str, Destination]
"""Study Instance UID and destination (KIND/NAME)."""

COUNTED_AS: Final = {
    DeliveryState.PENDING: "owed",
    DeliveryState.WAITING: "owed",
    DeliveryState.UNCONFIRMED: "owed",
    DeliveryState.HELD: "held",
    DeliveryState.DEAD_LETTERED: "refused",
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.SKIPPED: "skipped",
}


@dataclass(slots=True)
class Part:
    """Counts of instances; `newest` is the highest number among them, and of those that were told as delivered `told`.

    Times in seconds since 1970: `newest_time` is when the newest was received, `last_time` when something changed last.
    """

    owed: int = 0
    held: int = 0
    refused: int = 0
    delivered: int = 0
    skipped: int = 0
    newest: int = 0
    newest_time: float = 0.0
    last_time: float = 0.0
    told: int = 0

    @property
    def row(self) -> tuple[int | float, ...]:
        """The values in their order."""
        return astuple(self)

    def note(self, identifier: int, received: float) -> None:
        """Take note of an instance."""
        if identifier > self.newest:
            self.newest, self.newest_time = identifier, received
        self.last_time = max(self.last_time, received)

    def count(self, state: DeliveryState, difference: int) -> None:
        """Count an instance more, or one less, in a state."""
        name = COUNTED_AS[state]
        setattr(self, name, getattr(self, name) + difference)
