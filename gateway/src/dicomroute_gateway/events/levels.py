"""What stands and changes beside the ledger: destinations, tests, the spool's level, configuration, health. Pure.

What is told is the difference between how something was told last, which the feed remembers over restarts, and how it
stands now. So each beginning has its end, whatever happens to the process in between.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dicomroute_client.documents.events import (
    CONFIGURATION_CHANGED,
    CONFIGURATION_REJECTED,
    DESTINATION_RECOVERED,
    DESTINATION_STALLED,
    DESTINATION_TESTED,
    HEALTH,
    SPOOL_PRESSURE_BEGUN,
    SPOOL_PRESSURE_ENDED,
    ConfigurationChanged,
    ConfigurationRejected,
    DestinationRecovered,
    DestinationStalled,
    DestinationTested,
    Health,
    SpoolPressureBegun,
    SpoolPressureEnded,
)
from dicomroute_gateway.destination import Destination

from .told import Teller, Told, moment

STALLED_SECONDS: Final = 10.0
"""So long a destination has taken nothing before that is told: a short fault is nobody's business."""
_EASED: Final = 0.95
"""A spool at its watermark swings around it: pressure ends below that share of it."""
_MOST_REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class DestinationSeen:
    """How a destination stands. Times are in seconds since 1970.

    `fails`: its last attempts failed, or it is paused; `taken_time` is when it last took something, since the start.
    """

    owes: bool
    fails: bool
    is_paused: bool = False
    reason: str = ""
    status: int | None = None
    taken_time: float | None = None
    ready: str = ""
    """What a test says, with `ready_reason`: True, False, Unknown; "" for one that is not tested."""
    ready_reason: str = ""
    tested_time: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The gateway at a moment, in seconds since 1970. `destinations` are by KIND/NAME, those that rules name."""

    now: float
    started: float
    is_ready: bool
    reasons: Sequence[str]
    """Why it is not ready."""
    hash: str
    generation: int
    rejected: Sequence[tuple[str, str]]
    """Section and reason of what is not taken over of the configuration."""
    used_bytes: int = 0
    watermark_bytes: int = 0
    destinations: Mapping[Destination, DestinationSeen] = field(default_factory=dict)


class Levels:
    """Compares what is seen with what was told last."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._failing: dict[str, float] = {}
        """Since when destinations fail that are not told as stalled."""

    def look(self, seen: Seen, standing: Mapping[str, str]) -> tuple[list[Told], dict[str, str | None]]:
        """Return what is to be told, and how that is told from now on. `standing` is how it was told last."""
        known = {name: json.loads(value) for name, value in standing.items()}
        told: list[Told] = []
        changed: dict[str, Any] = {}
        self._health(seen, known, told, changed)
        self._configuration(seen, known, told, changed)
        self._pressure(seen, known, told, changed)
        for name, one in seen.destinations.items():
            self._destination(name, one, seen.now, known, told, changed)
            self._tested(name, one, known, told, changed)
        self._removed(seen, known, told, changed)
        return told, {name: None if value is None else json.dumps(value) for name, value in changed.items()}

    def _health(self, seen: Seen, known: Mapping[str, Any], told: list[Told], changed: dict[str, Any]) -> None:
        reasons = [] if seen.is_ready else sorted(set(seen.reasons))[:_MOST_REASONS]
        now = [seen.is_ready, reasons, seen.started]
        if known.get("health") == now:
            return
        changed["health"] = now
        is_start = known.get("health") is None or known["health"][2] != seen.started
        time = seen.started if is_start and seen.is_ready else seen.now
        data = Health(ready=seen.is_ready, reasons=reasons, started_time=moment(seen.started))
        identity = (seen.is_ready, ",".join(reasons), seen.started, time)
        told.append(self._teller.tell(HEALTH, data, "gateway", time, *identity))

    def _configuration(self, seen: Seen, known: Mapping[str, Any], told: list[Told], changed: dict[str, Any]) -> None:
        now = [seen.hash, seen.generation]
        if known.get("configuration") != now:
            changed["configuration"] = now
            if "configuration" in known:
                data = ConfigurationChanged(hash=seen.hash, generation=seen.generation)
                told.append(self._teller.tell(CONFIGURATION_CHANGED, data, seen.hash, seen.now, *now, seen.now))
        rejected = sorted({tuple(one) for one in seen.rejected})[:_MOST_REASONS]
        if known.get("rejected", []) == [list(one) for one in rejected]:
            return
        changed["rejected"] = rejected or None
        if rejected:
            sections = sorted({section for section, _ in rejected})
            reasons = sorted({reason for _, reason in rejected})
            refused = ConfigurationRejected(reasons=reasons, sections=sections)
            identity = (*sections, *reasons, seen.now)
            told.append(self._teller.tell(CONFIGURATION_REJECTED, refused, "configuration", seen.now, *identity))

    def _pressure(self, seen: Seen, known: Mapping[str, Any], told: list[Told], changed: dict[str, Any]) -> None:
        since = known.get("pressure")
        used, watermark = seen.used_bytes, seen.watermark_bytes
        if since is None and used >= watermark > 0:
            changed["pressure"] = seen.now
            begun = SpoolPressureBegun(used_bytes=used, watermark_bytes=watermark, since=moment(seen.now))
            told.append(self._teller.tell(SPOOL_PRESSURE_BEGUN, begun, "spool", seen.now, seen.now))
        elif since is not None and watermark > 0 and used < watermark * _EASED:
            changed["pressure"] = None
            ended = SpoolPressureEnded(
                used_bytes=used,
                watermark_bytes=watermark,
                since=moment(since),
                seconds=max(0, round(seen.now - since)),
            )
            told.append(self._teller.tell(SPOOL_PRESSURE_ENDED, ended, "spool", seen.now, since))

    def _destination(
        self,
        name: str,
        one: DestinationSeen,
        now: float,
        known: Mapping[str, Any],
        told: list[Told],
        changed: dict[str, Any],
    ) -> None:
        key = f"stalled/{name}"
        since = known.get(key)
        if since is not None:
            has_taken = one.taken_time is not None and one.taken_time >= since and not one.fails
            if has_taken or not one.owes:
                changed[key] = None
                told.append(self._recovered(name, since, now, "Taken" if has_taken else "NothingOwed"))
            return
        if not (one.fails and one.owes):
            self._failing.pop(name, None)
            return
        since = self._failing.setdefault(name, now)
        if now - since < STALLED_SECONDS:
            return
        changed[key] = self._failing.pop(name)
        data = DestinationStalled(
            destination=name, reason=one.reason, status=one.status, paused=one.is_paused, since=moment(since)
        )
        told.append(self._teller.tell(DESTINATION_STALLED, data, name, now, name, since))

    def _tested(
        self,
        name: str,
        one: DestinationSeen,
        known: Mapping[str, Any],
        told: list[Told],
        changed: dict[str, Any],
    ) -> None:
        key = f"tested/{name}"
        if not one.ready or known.get(key) == [one.ready, one.ready_reason]:
            return
        changed[key] = [one.ready, one.ready_reason]
        data = DestinationTested(destination=name, ready=one.ready, reason=one.ready_reason)
        identity = (name, one.ready, one.ready_reason, one.tested_time)
        told.append(self._teller.tell(DESTINATION_TESTED, data, name, one.tested_time, *identity))

    def _removed(self, seen: Seen, known: Mapping[str, Any], told: list[Told], changed: dict[str, Any]) -> None:
        """End what is told of destinations that no rule names any more."""
        for key, value in known.items():
            kind, _, name = key.partition("/")
            if kind not in ("stalled", "tested") or name in seen.destinations:
                continue
            changed[key] = None
            if kind == "stalled":
                told.append(self._recovered(name, value, seen.now, "Removed"))
        for name in self._failing.keys() - seen.destinations.keys():
            del self._failing[name]

    def _recovered(self, name: str, since: float, now: float, because: str) -> Told:
        data = DestinationRecovered(
            destination=name, because=because, since=moment(since), seconds=max(0, round(now - since))
        )
        return self._teller.tell(DESTINATION_RECOVERED, data, name, now, name, since)
