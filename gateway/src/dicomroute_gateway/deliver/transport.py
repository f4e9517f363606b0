"""What carries instances to a destination: the seam between a worker and a protocol."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from dicomroute_gateway.prepare.parcel import Parcel
from dicomroute_gateway.spool.records import DeliveryRecord, Received

from .outcome import AttemptOutcome


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is to be made: its instance, and how it stands."""

    received: Received
    delivery: DeliveryRecord


@dataclass(frozen=True, slots=True)
class Item(Due):
    """A delivery that is being made, with what is sent."""

    parcel: Parcel


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of an attempt, or of a part of it.

    `outcomes` has one for each of the next items, in their order; one that stands alone speaks of its instance alone.
    `wait_seconds` is how long the destination asks to be left alone, `message` what a person is told of a fault,
    `answer_seconds` how long the destination took for each of its `answers` once it had everything; None where that
    says nothing of its load. `most_lanes` is how many attempts side by side it serves; None where nobody knows.
    """

    outcomes: Sequence[AttemptOutcome]
    message: str
    wait_seconds: float | None = None
    answer_seconds: float | None = None
    answers: int = 1
    most_lanes: int | None = None


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much a destination is given at once: attempts side by side, and what one of them carries at most.

    More small instances go together, up to `most_batch_instances`, where that is quick. An instance that is larger
    than `batch_bytes` travels alone.
    """

    lanes: int
    most_lanes: int
    batch_instances: int
    most_batch_instances: int
    batch_bytes: int


class Confirmation(Protocol):
    """Asks one destination whether it has what it was sent. Lives in one event loop."""

    batch_instances: int
    """How many it is asked for at once, at most."""

    async def ask(self, items: Sequence[Item], seconds: float) -> Sent:
        """Return what the destination says of each of `items` within so many seconds; 0: ask, and wait for no more.

        DELIVERED: it has the instance. A verdict on the content: it says that it does not. All others: it does not say.
        Faults are outcomes; whatever is raised is an error of ours.
        """

    async def close(self) -> None:
        """Give back what is kept open."""


class Transport(Protocol):
    """Carries instances to one destination. Lives in one event loop."""

    limits: BatchLimits

    def send(self, items: Sequence[Item]) -> AsyncGenerator[Sent]:
        """Make one attempt with all of `items`, and yield what comes of it, in as many parts as is known apart.

        Whoever asks for no further part ends the attempt: what no part spoke of was not sent. Faults are outcomes;
        whatever is raised is an error of ours.
        """

    async def close(self) -> None:
        """Give back what is kept open between attempts."""
