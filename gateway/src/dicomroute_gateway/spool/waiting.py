"""Waiting until an instance is where it should be, for a sender that is answered then and not before."""

import threading
from collections.abc import Iterable, Mapping

from dicomroute_gateway.destination import Destination

from .deliveries import AWAITED
from .records import DeliveryRecord


class Waiter:
    """Waits for the deliveries of one instance to some destinations."""

    def __init__(self, destinations: Iterable[Destination]) -> None:
        self._wanted = set(destinations)
        self._states: dict[Destination, DeliveryRecord] = {}
        self._decided = threading.Event()
        if not self._wanted:
            self._decided.set()

    def notice(self, record: DeliveryRecord) -> None:
        """Take note of what became of a delivery."""
        if record.destination in self._wanted:
            self._states[record.destination] = record
            if all(d in self._states and self._states[d].state not in AWAITED for d in self._wanted):
                self._decided.set()

    def give_up(self) -> None:
        """End the wait."""
        self._decided.set()

    def wait(self, seconds: float) -> Mapping[Destination, DeliveryRecord]:
        """Return how the deliveries stand when all are decided or the time is over.

        One that is missing is as pending as one that says so.
        """
        self._decided.wait(seconds)
        return dict(self._states)

    @property
    def wanted(self) -> frozenset[Destination]:
        """The destinations that are waited for."""
        return frozenset(self._wanted)
