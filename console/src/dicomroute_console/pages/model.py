"""What the pages show, made from resources and from documents of gateways. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from dicomroute_client.documents.queue import DeliveryDocument, InstanceDocument, QueueItem
from dicomroute_client.documents.status import StatusDocument

Json = Mapping[str, Any]
_LEFT: Final = {
    "Pending": "waiting for",
    "InFlight": "on the way to",
    "Waiting": "waiting for its study, for",
    "Unconfirmed": "sent and not yet confirmed by",
    "Held": "held for",
    "DeadLettered": "dead-lettered at",
}
_MOST_EVENTS: Final = 200


@dataclass(frozen=True)
class RouteRow:
    """A route in the list of all."""

    namespace: str
    name: str
    ready: str
    """True, False or Unknown."""
    reason: str
    message: str
    owed: int | None
    held: int | None
    dead_lettered: int | None
    delivered: int | None
    oldest_owed: datetime | str | None
    troubles: tuple[str, ...] = ()


def row_of_resource(resource: Json) -> RouteRow:
    """Return a row from what the operator says of a route: no gateway is asked."""
    status, metadata = resource.get("status") or {}, resource["metadata"]
    found = conditions(resource)
    ready = next((one for one in found if one.type == "Ready"), None)
    instances, deliveries = status.get("instances") or {}, status.get("deliveries") or {}
    always = ("Accepted", "ResolvedRefs", "Programmed", "Ready")
    troubles = [
        f"{one.type}: {one.message}"
        for one in found
        if (one.type not in always and one.status == "True") or (one.type in always[:3] and one.status != "True")
    ]
    return RouteRow(
        metadata["namespace"],
        metadata["name"],
        ready.status if ready else "Unknown",
        ready.reason if ready else "",
        ready.message if ready else "the operator has not processed this object yet",
        instances.get("owed"),
        deliveries.get("held"),
        deliveries.get("deadLettered"),
        deliveries.get("deliveredTotal"),
        status.get("oldestOwedTime"),
        tuple(troubles),
    )


def row_of_status(resource: Json, status: StatusDocument) -> RouteRow:
    """Return a row from what the gateway of a route says itself, where no operator does."""
    metadata = resource["metadata"]
    findings = status.configuration.findings if status.configuration else []
    troubles = [f"{one.reason}: {one.message}" for one in [*status.problems, *findings]]
    troubles += [
        f"{one.kind}/{one.name}: {one.last_error.reason} {one.last_error.message}".rstrip()
        for one in status.destinations
        if one.last_error is not None and one.pending + one.in_flight > 0
    ]
    return RouteRow(
        metadata["namespace"],
        metadata["name"],
        "True" if status.ready else "False",
        "" if status.ready else "NotReady",
        "" if status.ready else "; ".join(troubles),
        status.instances.owed if status.instances else None,
        status.deliveries.held if status.deliveries else None,
        status.deliveries.dead_lettered if status.deliveries else None,
        status.deliveries.delivered_total if status.deliveries else None,
        status.oldest_owed_time,
        tuple(troubles),
    )


def row_of_problem(resource: Json, sentence: str) -> RouteRow:
    """Return the row of a route whose gateway cannot be asked."""
    where = resource["metadata"]
    return RouteRow(where["namespace"], where["name"], "Unknown", "NoAnswer", sentence, None, None, None, None, None)


@dataclass(frozen=True)
class ConditionRow:
    """A condition of a resource."""

    type: str
    status: str
    reason: str
    message: str
    since: str


@dataclass(frozen=True)
class NodeRow:
    """A DicomNode as its manifest has it."""

    namespace: str
    name: str
    ae_title: str
    address: str
    """Where it is called, "" for a node that only calls."""
    sources: str
    conditions: Sequence[ConditionRow]


@dataclass(frozen=True)
class TargetRow:
    """A CloudTarget as its manifest has it; of its credential the kind alone."""

    namespace: str
    name: str
    url: str
    provider: str
    credential: str
    conditions: Sequence[ConditionRow]


def conditions(resource: Json) -> list[ConditionRow]:
    """Return the conditions of a resource: none where no operator looks after it."""
    found = (resource.get("status") or {}).get("conditions") or []
    names = ("type", "status", "reason", "message", "lastTransitionTime")
    return [ConditionRow(*(str(one.get(name, "")) for name in names)) for one in found]


def node(resource: Json) -> NodeRow:
    """Return the row of a DicomNode."""
    metadata, spec = resource["metadata"], resource["spec"]
    address = f"{spec['host']}:{spec.get('port', 104)}" if spec.get("host") else ""
    sources = "anywhere" if spec.get("anyAddress") else ", ".join(spec.get("allowedSources") or [])
    return NodeRow(
        metadata["namespace"], metadata["name"], spec.get("aeTitle", ""), address, sources, conditions(resource)
    )


def target(resource: Json) -> TargetRow:
    """Return the row of a CloudTarget."""
    metadata, spec = resource["metadata"], resource["spec"]
    return TargetRow(
        metadata["namespace"],
        metadata["name"],
        spec.get("url", ""),
        spec.get("provider") or "Generic",
        (spec.get("auth") or {}).get("type") or "None",
        conditions(resource),
    )


def titles(resource: Json) -> dict[str, str]:
    """Return the AE titles that each listener of a route is called by."""
    return {one["name"]: ", ".join(one.get("aeTitles") or []) for one in resource["spec"].get("listeners") or []}


def counts(items: Iterable[QueueItem]) -> list[tuple[str, str, str, int]]:
    """Return how many deliveries have each destination, state and reason, the most first."""
    found = Counter((one.destination, one.state, one.reason) for one in items)
    return [(*what, count) for what, count in sorted(found.items(), key=lambda one: (-one[1], one[0]))]


@dataclass(frozen=True)
class Found:
    """Instances that one gateway knows, and of which route it is. `truncated`: it knows more."""

    namespace: str
    name: str
    host: str
    instances: Sequence[InstanceDocument]
    truncated: bool = False


@dataclass(frozen=True)
class Event:
    """Something that happened to an instance: it was received, or a delivery was attempted or decided on."""

    time: datetime
    route: str
    instance: int
    what: str
    destination: str = ""
    reason: str = ""
    status: int | None = None


@dataclass(frozen=True)
class StudyRow:
    """A study in a list of studies."""

    uid: str
    instances: int
    outcomes: Mapping[str, int]
    senders: tuple[str, ...]
    routes: tuple[str, ...]
    first: datetime
    last: datetime


@dataclass(frozen=True)
class StudyPart:
    """What one gateway knows of a study."""

    namespace: str
    name: str
    host: str
    instances: int
    outcomes: Mapping[str, int]
    senders: tuple[str, ...]
    first: datetime
    last: datetime
    deliveries: Sequence[tuple[str, str, str, int]]
    """Destination, state, reason, and how many."""
    truncated: bool


@dataclass(frozen=True)
class Study:
    """One study across all gateways that were asked."""

    uid: str
    parts: Sequence[StudyPart]
    verdict: str
    is_settled: bool
    events: Sequence[Event] = field(default=())
    more_events: bool = False


def studies(found: Iterable[Found]) -> list[StudyRow]:
    """Return the studies of instances, the one that moved last first."""
    by_uid: dict[str, list[tuple[str, InstanceDocument]]] = {}
    for one in found:
        for instance in one.instances:
            by_uid.setdefault(instance.study_instance_uid, []).append((f"{one.namespace}/{one.name}", instance))
    rows = [_row(uid, instances) for uid, instances in by_uid.items()]
    return sorted(rows, key=lambda row: row.last, reverse=True)


def _row(uid: str, instances: Sequence[tuple[str, InstanceDocument]]) -> StudyRow:
    times = [one.received_time for _, one in instances]
    return StudyRow(
        uid,
        len({one.sop_instance_uid for _, one in instances}),
        Counter(one.outcome for _, one in instances),
        tuple(sorted({one.calling_ae_title for _, one in instances})),
        tuple(sorted({route for route, _ in instances})),
        min(times),
        max(times),
    )


def study(uid: str, found: Iterable[Found]) -> Study:
    """Return where a study is and what became of it."""
    known = [one for one in found if one.instances]
    parts = [_part(one) for one in known]
    events = sorted(
        (event for one in known for instance in one.instances for event in _events(one, instance)),
        key=lambda event: event.time,
        reverse=True,
    )
    sentence, settled = verdict(parts)
    return Study(uid, parts, sentence, settled, events[:_MOST_EVENTS], len(events) > _MOST_EVENTS)


def _part(found: Found) -> StudyPart:
    instances = found.instances
    times = [one.received_time for one in instances]
    deliveries = [
        (*what, count)
        for what, count in sorted(
            Counter(
                (one.destination, one.state, "" if one.state == "Delivered" else one.reason)
                for instance in instances
                for one in instance.deliveries
            ).items()
        )
    ]
    return StudyPart(
        found.namespace,
        found.name,
        found.host,
        len(instances),
        Counter(one.outcome for one in instances),
        tuple(sorted({one.calling_ae_title for one in instances})),
        min(times),
        max(times),
        deliveries,
        found.truncated,
    )


def verdict(parts: Sequence[StudyPart]) -> tuple[str, bool]:
    """Return what became of a study in a sentence, and whether nothing is left to do."""
    if not parts:
        return "None of the gateways that you may ask knows this study.", True
    total = sum(part.instances for part in parts)
    states: Counter[str] = Counter()
    for part in parts:
        for _, state, _, count in part.deliveries:
            states[state] += count
    open_ones = [
        f"{count} {_LEFT.get(state, state)} {destination or 'no destination'}{f' ({reason})' if reason else ''}"
        for part in parts
        for destination, state, reason, count in part.deliveries
        if state not in ("Delivered", "Skipped")
    ]
    delivered = states["Delivered"]
    said = f"{_number(total, 'instance')} received; {_number(delivered, 'delivery', 'deliveries')} made"
    if skipped := states["Skipped"]:
        said += f", {skipped} given up"
    more = any(part.truncated for part in parts)
    at_least = " A gateway knows more instances than this page shows." if more else ""
    if open_ones:
        return f"{said}. Not done: {'; '.join(open_ones)}.{at_least}", False
    return f"{said}. All deliveries are finished.{at_least}", not more


def _number(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"


def _events(found: Found, instance: InstanceDocument) -> Iterable[Event]:
    route = f"{found.namespace}/{found.name}"
    number = instance.instance
    yield Event(instance.received_time, route, number, f"received from {instance.calling_ae_title}")
    for delivery in instance.deliveries:
        for past in delivery.earlier_attempts:
            yield Event(past.time, route, number, "attempt", delivery.destination, past.reason, past.status)
        if delivery.last_attempt_time is not None and (delivery.attempts or delivery.state == "Delivered"):
            what = _what(delivery)
            reason = "" if delivery.state == "Delivered" else delivery.reason
            yield Event(delivery.last_attempt_time, route, number, what, delivery.destination, reason, delivery.status)


def _what(delivery: DeliveryDocument) -> str:
    if delivery.state in ("Delivered", "DeadLettered", "Skipped"):
        said = {"Delivered": "delivered", "DeadLettered": "dead-lettered", "Skipped": "given up"}[delivery.state]
        return f"{said} by {delivery.decided_by}" if delivery.state == "Skipped" and delivery.decided_by else said
    return "attempt"
