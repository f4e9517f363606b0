"""What the feed of events is told beside the journal: how destinations, tests, configuration and the gateway stand."""

from collections.abc import Mapping, Sequence

from dicomroute_gateway.deliver.holding import held
from dicomroute_gateway.deliver.worker import Worker
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.events.levels import DestinationSeen, Seen
from dicomroute_gateway.probes.prober import Prober
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.spool.spool import Spool

from .following import Following

_WORDS = {True: "True", False: "False", None: "Unknown"}


def seen_of(
    following: Following,
    spool: Spool,
    workers: Mapping[Destination, Worker],
    prober: Prober,
    problems: Sequence[tuple[str, str, str]],
    *,
    is_ready: bool,
    is_draining: bool,
    started: float,
    now: float,
) -> Seen:
    """Return how the gateway stands; times in seconds since 1970. `problems` are section, reason and message."""
    active, loaded = following.in_force(), following.loaded
    level = spool.level()
    rejected = [(section, reason) for section, reason, _ in problems if section == "configuration"]
    rejected += [(one.section, one.reason) for one in loaded.findings] if loaded is not None else []
    return Seen(
        now=now,
        started=started,
        is_ready=is_ready,
        reasons=["Draining"] if is_draining else [reason for _, reason, _ in problems] or ["Starting"],
        hash=loaded.hash if loaded is not None else "",
        generation=active.configuration.generation,
        rejected=rejected,
        used_bytes=level.used,
        watermark_bytes=level.watermark,
        destinations=_destinations(active, spool, workers, prober, now) if spool.is_loaded else {},
    )


def _destinations(
    active: Active, spool: Spool, workers: Mapping[Destination, Worker], prober: Prober, now: float
) -> dict[Destination, DestinationSeen]:
    found: dict[Destination, DestinationSeen] = {}
    for destination in active.configuration.destinations:
        name = destination.key
        worker, findings, probed = workers.get(name), prober.findings(name), prober.probed(name)
        error = worker.last_error if worker is not None else None
        found[name] = DestinationSeen(
            owes=spool.owed_bytes(name) > 0 and not held(name, active.configuration, now),
            fails=worker is not None and (worker.is_waiting or worker.paused is not None),
            is_paused=worker is not None and worker.paused is not None,
            reason=error.reason if error is not None else "",
            status=error.status if error is not None else None,
            taken_time=worker.taken_time if worker is not None else None,
            ready=_WORDS[findings.ready.status] if findings is not None else "",
            ready_reason=findings.ready.reason if findings is not None else "",
            tested_time=probed.time if probed is not None else now,
        )
    return found
