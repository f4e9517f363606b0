"""The status of a route."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from dicomroute_client.documents.document import text_of
from dicomroute_client.documents.status import DestinationDocument, SpoolDocument, StatusDocument
from dicomroute_operator.api.conditions import (
    Accepted,
    ArchiveUnreachable,
    DeliveryStalled,
    Held,
    Programmed,
    Ready,
    ResolvedRefs,
)
from dicomroute_operator.api.gateway import ServiceType
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.route_status import (
    Deliveries,
    DestinationStatus,
    DicomRouteStatus,
    Endpoint,
    Instances,
    LastError,
    StudyCounts,
)
from dicomroute_operator.api.spool_conditions import AddressPending, SpoolPressure
from dicomroute_operator.api.warning_conditions import CredentialsExpiring, Suspended
from dicomroute_operator.checks.finding import Finding

from .claims import claim_conditions, claim_statuses, class_changed
from .conditions import condition, first_of_each_type, settle
from .expiring import expiring, seconds_since
from .observed import PodSeen, RouteSeen
from .paused import not_programmed, paused
from .pods import is_awaited, is_stale, ready
from .progress import with_progress
from .suspended import suspended
from .troubles import lacks_address

STALLED_SECONDS: Final = 120
_FINDINGS: Final = {
    "ListenersInvalid": Programmed.LISTENERS_INVALID,
    "RuleInvalid": Programmed.RULE_INVALID,
    "DestinationInvalid": Programmed.DESTINATION_INVALID,
}


def route_status(route: DicomRoute, findings: Sequence[Finding], seen: RouteSeen, now: datetime) -> DicomRouteStatus:
    """Return the status of a route. What no pod reports any more stays as it was last known."""
    previous = route.status or DicomRouteStatus()
    reports = [pod.report for pod in seen.pods if pod.report is not None]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    accepted = all(finding.status for finding in findings if finding.type == Accepted.__name__)
    numbers = _numbers(reports, previous)
    conditions = [
        *first_of_each_type(findings),
        not_programmed(route, seen)
        or (class_changed(route, seen) if accepted else None)
        or programmed(seen, accepted, route.spec.gateway.replicas, now.timestamp()),
        ready(seen, route.spec.gateway.replicas, now.timestamp()),
        *(_of_reports(route, reports, previous, now) if reports else _kept(previous)),
        *claim_conditions(route, seen, numbers["instances"].owed if numbers["instances"] is not None else None),
        *_without_address(seen),
        *paused(route),
    ]
    if any(is_awaited(pod, now.timestamp()) for pod in seen.pods):
        conditions = [_as_before(one, previous, route.metadata.generation) for one in conditions]
    if not reports:
        conditions = [_still_missing(one, previous) for one in conditions]
    moved = numbers != {name: getattr(previous, name) for name in numbers}
    return DicomRouteStatus(
        observed_generation=route.metadata.generation,
        conditions=settle(with_progress(conditions), previous.conditions, route.metadata.generation, stamp),
        endpoints=_endpoints(seen),
        admin_certificate_sha256=seen.admin_certificate_sha256 or previous.admin_certificate_sha256,
        claims=claim_statuses(route, seen),
        observed_time=stamp if moved else previous.observed_time,
        **numbers,
    )


def programmed(seen: RouteSeen, accepted: bool, replicas: int, now: float) -> Condition:
    """Return the condition Programmed: True when every wanted pod reports the configuration."""
    if seen.apply_error:
        return condition(Programmed.APPLY_FAILED, False, seen.apply_error)
    if not accepted:
        going_on = (
            "the last accepted version stays in effect" if seen.configuration_hash else "no version was ever accepted"
        )
        return condition(Programmed.NOT_ACCEPTED, False, f"this version of the manifest is not accepted; {going_on}")
    faults = [_not_programmed(pod, seen.configuration_hash, now) for pod in seen.pods]
    # An older gateway takes the rules that it does not know for mistakes: why it does, is what a person needs.
    if seen.unsupported and not any(one is not None and one.status is None for one in faults):
        return condition(Programmed.TREATMENT_NOT_IN_FORCE, False, seen.unsupported)
    fault = next((one for one in faults if one is not None), None)
    if fault is not None:
        return fault
    if len(seen.pods) < replicas:
        return condition(Programmed.PENDING, False, "there is no pod yet to report")
    if len(seen.pods) > replicas:
        name = seen.pods[-1].pod["metadata"]["name"]
        return condition(Programmed.PENDING, False, f"pod {name} is no longer needed, but still exists")
    return condition(Programmed.PROGRAMMED, True, "every pod uses this version of the manifest")


def _not_programmed(pod: PodSeen, wanted: str, now: float) -> Condition | None:
    name, report = pod.pod["metadata"]["name"], pod.report
    if is_stale(pod, now):
        return condition(Programmed.STATUS_STALE, None, f"pod {name} could not be asked: {pod.error or 'no answer'}")
    if report is None:
        return condition(Programmed.PENDING, False, f"pod {name} has not reported yet")
    for problem in report.problems:
        if problem.section == "configuration":
            return condition(Programmed.CONFIGURATION_UNUSABLE, False, f"pod {name}: {problem.message}")
    if report.configuration is None or report.configuration.hash != wanted:
        return condition(Programmed.PENDING, False, f"pod {name} still reports another configuration")
    for finding in report.configuration.findings:
        reason = _FINDINGS.get(finding.reason, Programmed.CONFIGURATION_UNUSABLE)
        return condition(reason, False, f"{finding.message}; the last usable version stays in effect")
    return None


def _numbers(reports: Sequence[StatusDocument], previous: DicomRouteStatus) -> dict[str, Any]:
    known = [report for report in reports if report.instances is not None]
    if not known:
        names = ("instances", "deliveries", "studies", "oldest_owed_time", "destinations")
        return {name: getattr(previous, name) for name in names}
    destinations: dict[tuple[str, str], list[DestinationDocument]] = {}
    for report in known:
        for one in report.destinations:
            destinations.setdefault((one.kind, one.name), []).append(one)
    studies = [report.studies for report in known if report.studies is not None]
    return {
        "instances": Instances(
            **{name: sum(getattr(r.instances, name) for r in known) for name in Instances.model_fields}
        ),
        "deliveries": Deliveries(
            **{
                name: sum(getattr(r.deliveries, name) for r in known if r.deliveries)
                + (sum(r.deliveries.in_flight for r in known if r.deliveries) if name == "pending" else 0)
                for name in Deliveries.model_fields
            }
        ),
        "studies": StudyCounts(open=sum(one.open for one in studies)) if studies else None,
        "oldest_owed_time": _text(min((r.oldest_owed_time for r in known if r.oldest_owed_time), default=None)),
        "destinations": [_destination(found) for _, found in sorted(destinations.items())],
    }


def _destination(found: Sequence[DestinationDocument]) -> DestinationStatus:
    errors = [one.last_error for one in found if one.last_error is not None]
    last = max(errors, key=lambda error: error.time, default=None)
    paused = next((one for one in found if one.paused_reason), None)
    return DestinationStatus(
        kind=found[0].kind,
        name=found[0].name,
        last_error=LastError(reason=last.reason, status=last.status, message=last.message, time=text_of(last.time))
        if last
        else None,
        paused_reason=paused.paused_reason if paused else None,
        paused_time=_text(paused.paused_time) if paused else None,
        not_ready_reason=next((reason for one in found if (reason := _why_not_ready(one))), None),
        **{
            name: sum(getattr(one, name) for one in found)
            + (sum(one.in_flight for one in found) if name == "pending" else 0)
            for name in Deliveries.model_fields
        },
    )


def _text(moment: datetime | None) -> str | None:
    return text_of(moment) if moment is not None else None


def _why_not_ready(one: DestinationDocument) -> str:
    return one.probe.ready.reason[:128] if one.probe is not None and one.probe.ready.status == "False" else ""


def _of_reports(
    route: DicomRoute, reports: Sequence[StatusDocument], previous: DicomRouteStatus, now: datetime
) -> list[Condition]:
    under_pressure = any(one.type == SpoolPressure.__name__ for one in previous.conditions)
    recent = max(STALLED_SECONDS, 2 * route.spec.retry.max_backoff_seconds)
    return [
        *_pressure(reports, under_pressure),
        *_stalled(reports, recent, now),
        *_held(route, reports),
        *suspended(reports),
        *_unreachable(reports),
        *expiring(
            [one for report in reports for one in report.destinations],
            now,
            [one for report in reports for one in report.listeners],
        ),
    ]


def _kept(previous: DicomRouteStatus) -> list[Condition]:
    """Return what was wrong when somebody last reported: silence does not make it good."""
    kept = (SpoolPressure, DeliveryStalled, Held, Suspended, ArchiveUnreachable, CredentialsExpiring)
    names = {reasons.__name__ for reasons in kept}
    return [one for one in previous.conditions if one.type in names]


def _as_before(one: Condition, previous: DicomRouteStatus, generation: int) -> Condition:
    """Return what was known of this generation, in place of a condition that says that a pod has not reported yet."""
    if one.reason not in (str(Programmed.PENDING), str(Ready.STARTING)):
        return one
    known = (old for old in previous.conditions if old.type == one.type and old.observed_generation == generation)
    return next(known, one)


def _still_missing(one: Condition, previous: DicomRouteStatus) -> Condition:
    """Return a condition, or the one before where it is the gateway alone who can say that a Secret is there now."""
    missing = (str(ResolvedRefs.SECRET_NOT_FOUND), str(ResolvedRefs.CONFIG_MAP_NOT_FOUND))
    before = next((old for old in previous.conditions if old.type == one.type and old.reason in missing), None)
    return before if before is not None and one.status == "True" else one


def _pressure(reports: Sequence[StatusDocument], before: bool) -> list[Condition]:
    """A spool at its watermark swings around it: the condition ends below 95 % of it.

    One that fills says so a day before, once it is a quarter full; that ends when it would take two days.
    """
    for report in reports:
        spool = report.spool
        if spool is not None and spool.used_bytes >= spool.watermark_bytes * (0.95 if before else 1) > 0:
            share = 100 * spool.used_bytes // max(1, spool.capacity_bytes)
            message = (
                f"the spool is {share} % full, and senders get the status 0xA700: fix the destinations that are "
                "behind, or raise gateway.spool.size"
            )
            return [condition(SpoolPressure.ABOVE_WATERMARK, True, message)]
        hours = _hours_left(spool) if spool is not None else None
        if hours is not None and hours <= (48 if before else 24):
            within = next(limit for limit in (1, 2, 4, 8, 16, 24, 48) if hours <= limit)
            message = (
                f"at the rate of the last ten minutes, the spool is full within {within} h, and senders then get the "
                "status 0xA700: fix the destinations that are behind, or raise gateway.spool.size"
            )
            return [condition(SpoolPressure.FILLING, True, message)]
    return []


def _hours_left(spool: SpoolDocument) -> float | None:
    """Return in how many hours a spool reaches its watermark; None when it does not, or is less than a quarter full."""
    if spool.fill_bytes_per_second <= 0 or spool.used_bytes * 4 < spool.watermark_bytes:
        return None
    return max(0, spool.watermark_bytes - spool.used_bytes) / spool.fill_bytes_per_second / 3600


def _stalled(reports: Sequence[StatusDocument], recent: float, now: datetime) -> list[Condition]:
    for report in reports:
        for one in report.destinations:
            # An older gateway does not say it of each destination.
            oldest_time = one.oldest_owed_time or report.oldest_owed_time
            waiting = one.pending + one.in_flight
            if one.held_reason or one.last_error is None or waiting + one.unconfirmed == 0:
                continue
            if (seconds_since(oldest_time, now) or 0) < STALLED_SECONDS:
                continue
            if one.paused_reason:
                message = (
                    f"{one.kind} {one.name} refuses every delivery: {one.paused_reason} since "
                    f"{_text(one.paused_time)}{_sentence(one.last_error.message)}; {waiting} deliveries wait. Fix its "
                    "URL, its credential or its permissions: one delivery at a time is retried"
                )
                return [condition(DeliveryStalled.DESTINATION_PAUSED, True, message)]
            if waiting == 0 and one.unconfirmed:
                if (seconds_since(one.last_error.time, now) or 0) >= recent:
                    continue
                message = (
                    f"{one.kind} {one.name} has not confirmed {one.unconfirmed} instances that it took; the oldest was "
                    f"received at {_text(oldest_time)}: {one.last_error.reason}{_sentence(one.last_error.message)}; "
                    "the gateway asks again until the destination confirms them"
                )
                return [condition(DeliveryStalled.NOT_CONFIRMED, True, message)]
            if one.state == "Waiting" or (seconds_since(one.last_error.time, now) or 0) < recent:
                status = f" with status {one.last_error.status}" if one.last_error.status is not None else ""
                message = (
                    f"{one.kind} {one.name}: {waiting} deliveries wait, the oldest instance since "
                    f"{_text(oldest_time)}; the last error was "
                    f"{one.last_error.reason}{status}{_sentence(one.last_error.message)}; each delivery is retried "
                    "until it succeeds"
                )
                return [condition(DeliveryStalled.DESTINATION_FAILING, True, message)]
    return []


def _sentence(message: str) -> str:
    """Return what a gateway says of a fault, as a part of a sentence; an answer's bare number says nothing more."""
    return f" ({message})" if message and not message.startswith("HTTP ") else ""


def _held(route: DicomRoute, reports: Sequence[StatusDocument]) -> list[Condition]:
    held = sum(report.deliveries.held for report in reports if report.deliveries is not None)
    if not held:
        return []
    where = f"--route {route.metadata.name} -n {route.metadata.namespace}"
    message = f"{held} deliveries or instances are held: run `dicomroute queue list {where} --in Held` to see why"
    return [condition(Held.DELIVERIES_HELD, True, message)]


def _unreachable(reports: Sequence[StatusDocument]) -> list[Condition]:
    failing = {(one.kind, one.name): one for report in reports for one in report.failing_archives}
    if not failing:
        return []
    first, *rest = [one for _, one in sorted(failing.items())]
    more = f" (and {len(rest)} more)" if rest else ""
    message = (
        f"{first.kind} {first.name} has not answered queries since {text_of(first.since)}: "
        f"{first.reason}{_sentence(first.message)}; the gateway retries until it answers{more}"
    )
    return [condition(ArchiveUnreachable.ARCHIVE_FAILING, True, message)]


def _without_address(seen: RouteSeen) -> list[Condition]:
    if seen.service is None or not lacks_address(seen.service):
        return []
    name, why = seen.service["metadata"]["name"], seen.sentence_of(seen.service)
    message = f"the Service {name} has no address yet{why or ', and its Events do not say why'}"
    return [condition(AddressPending.NO_LOAD_BALANCER_ADDRESS, True, message)]


def _endpoints(seen: RouteSeen) -> list[Endpoint]:
    """Return where modalities connect: what the cloud gave, the nodes that run pods, or the cluster address."""
    if seen.service is None:
        return []
    spec, status = seen.service.get("spec", {}), seen.service.get("status", {})
    kind = spec.get("type", ServiceType.CLUSTER_IP)
    addresses: list[str] = []
    node_ports = kind == ServiceType.NODE_PORT
    if kind == ServiceType.LOAD_BALANCER:
        given = status.get("loadBalancer", {}).get("ingress") or []
        addresses = [str(one.get("ip") or one.get("hostname")) for one in given]
    elif node_ports:
        addresses = sorted({str(pod.pod["status"]["hostIP"]) for pod in seen.pods if _host(pod)})
    elif spec.get("clusterIP"):
        addresses = [str(one) for one in spec.get("clusterIPs") or [spec["clusterIP"]]]
    return [
        Endpoint(listener=port["name"], address=address, port=port["nodePort"] if node_ports else port["port"])
        for port in spec.get("ports", [])
        for address in addresses
        if not node_ports or "nodePort" in port
    ]


def _host(pod: PodSeen) -> str:
    return str(pod.pod.get("status", {}).get("hostIP") or "")
