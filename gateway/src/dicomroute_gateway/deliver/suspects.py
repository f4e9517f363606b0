"""Whose fault a fault is: that of an instance, or of the destination that deals with it. Pure."""

from collections.abc import Sequence
from typing import Final

from dicomroute_gateway.spool.records import Received

from .attempt import may_be_its_own
from .outcome import AttemptOutcome

_MOST_SERIES: Final = 1000


class Suspects:
    """What failed at one destination since that took something last."""

    def __init__(self) -> None:
        self._works = True
        """Whether the destination took something since its last fault."""
        self._alone: int | None = None
        """The instance that failed alone since then, if one did: that it fails again says nothing of others."""
        self._series: set[str] = set()

    def failed(self, received: Sequence[Received], fault: AttemptOutcome) -> bool:
        """Take note of a fault of instances that were sent together; return whether it is that of the one that was.

        It is where the destination took others before: another one that fails then is a sign of the destination.
        """
        if not may_be_its_own(fault):
            return False
        if len(self._series) < _MOST_SERIES:
            self._series.update(one.series_instance_uid for one in received if one.series_instance_uid)
        if len(received) > 1 or not (self._works or self._alone == received[0].id):
            return False
        self._works, self._alone = False, received[0].id
        return True

    def destination_failed(self) -> None:
        """Take note that the destination itself fails."""
        self._works = False

    def clear(self) -> None:
        """Take note that the destination took something."""
        self._works, self._alone = True, None
        self._series.clear()

    @property
    def is_any(self) -> bool:
        """Whether the series of any is known."""
        return bool(self._series)

    def has_like(self, received: Received) -> bool:
        """Return whether an instance is of a series of which one failed: all of it may be of one kind."""
        return received.series_instance_uid in self._series
