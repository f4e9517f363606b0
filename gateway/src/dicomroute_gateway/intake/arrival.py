"""An instance that arrives, and what whoever brings it is told: the seam between protocols and reception. Pure."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from dicomroute_gateway.spool.records import Sender


@dataclass(frozen=True, slots=True)
class Arrival:
    """Which instance is about to come, from whom, and in which transfer syntax its data set is."""

    sender: Sender
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


class Answer(Enum):
    """What became of an instance. Each protocol has its own words for it."""

    KEPT = "Kept"
    """It is on stable storage, with what is owed of it."""
    DISCARDED = "Discarded"
    """No rule takes it, and the route says that it is not kept."""
    FULL = "Full"
    """There is no room for it now."""
    CANNOT_KEEP = "CannotKeep"
    """The spool cannot take it: its volume fails, or the key that encrypts is missing."""
    INVALID_INSTANCE = "InvalidInstance"
    """Its SOP Instance UID is none."""
    MALFORMED = "Malformed"
    """Its bytes are not a data set in its transfer syntax."""
    MISMATCH = "Mismatch"
    """It is another instance than was announced."""
    NOT_ROUTED = "NotRouted"
    """No rule takes it, and the route refuses what no rule takes."""
    NOT_DELIVERED_YET = "NotDeliveredYet"
    """It is kept; who waited for its delivery has waited long enough."""
    REFUSED_BY_DESTINATION = "RefusedByDestination"
    """It is kept; a destination that was waited for refuses it."""
    OUR_ERROR = "OurError"
    """The gateway failed."""


@dataclass(frozen=True, slots=True)
class Result:
    """An answer, with a sentence for the sender, without patient data, where it is none of success.

    `instance` is the number that it had in the logs, if it had one already.
    """

    answer: Answer
    sentence: str = ""
    instance: int | None = None

    @property
    def is_success(self) -> bool:
        """Whether the sender may forget the instance."""
        return self.answer in (Answer.KEPT, Answer.DISCARDED)


class Taking(Protocol):
    """Takes one data set."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the data set; the view is valid until `flush`, or `finish`."""

    def flush(self) -> None:
        """Let go of all views: what is behind them is about to be overwritten."""

    def finish(self) -> Result:
        """Return what became of it, once all bytes are there; a success means that it is safe."""

    def discard(self) -> None:
        """Forget the bytes: the data set will not be completed."""
