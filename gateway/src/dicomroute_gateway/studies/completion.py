"""When a study is complete: what is being received of it, and how long nothing was. Pure.

Times are of a clock that does not jump, in seconds. It begins again with the process. For how long a study has been
open is written down with its instances; what passed since the latest of them until the process ended, and until the
next one began, is not counted: a restart makes a study complete later, never earlier.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dicomroute_gateway.configuration.study import Studies
from dicomroute_gateway.spool.records import StudyBasis


@dataclass(slots=True)
class Activity:
    """What goes on with an open study."""

    opened: float
    """When its first instance began to come; of one that was open before, as if nothing had been in between."""
    latest: float
    """When the latest thing happened: an instance of it was committed, refused, or broken off."""
    in_flight: int = 0
    """How many of its instances are being received."""

    def resume(self, open_seconds: int, now: float) -> None:
        """Note for how long it was open before this process."""
        self.opened = min(self.opened, now - open_seconds)

    def begin(self) -> None:
        """Note that one more instance is being received."""
        self.in_flight += 1

    def end(self, now: float) -> None:
        """Note that one is not any more, whatever became of it."""
        self.in_flight -= 1
        self.latest = max(self.latest, now)

    def earliest(self, settings: Studies) -> float:
        """Return when it may be complete at the earliest; whatever happens, that is never sooner."""
        return min(self.opened + settings.max_open_seconds, self.latest + settings.idle_seconds)


@dataclass(frozen=True, slots=True)
class Unknown:
    """An instance that is being received, of a study that is not known yet."""

    begun: float


def basis_of(activity: Activity, unknown: Iterable[Unknown], settings: Studies, now: float) -> StudyBasis | None:
    """Return why a study is complete; None while it is not.

    An instance whose study is not known yet may be one of it, if it began before the study had been idle for long
    enough; it is waited for as long as a study is. The greatest time that a study may be open is waited for by nobody.
    """
    if now - activity.opened >= settings.max_open_seconds:
        return StudyBasis.MAX_OPEN
    due = activity.latest + settings.idle_seconds
    if activity.in_flight or now < due:
        return None
    if any(one.begun <= due and now < one.begun + settings.idle_seconds for one in unknown):
        return None
    return StudyBasis.IDLE
