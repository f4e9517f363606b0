"""Builds the status document and the metrics from one observation of the gateway. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from dicomroute_client.documents.refused import RefusedCaller, RefusedDocument
from dicomroute_client.documents.status import (
    AssociationsDocument,
    ConfigurationDocument,
    DeliveriesDocument,
    DestinationDocument,
    FailingArchiveDocument,
    FindingDocument,
    InstancesDocument,
    LastErrorDocument,
    ListenerDocument,
    OpenStudiesDocument,
    ProbeDocument,
    ProbeFindingDocument,
    RouteDocument,
    SpoolDocument,
    SpoolKeyDocument,
    StatusDocument,
    StepDocument,
)
from dicomroute_gateway import __version__
from dicomroute_gateway.configuration.destinations import DeliveryMode
from dicomroute_gateway.configuration.listener import ListenerMode
from dicomroute_gateway.configuration.load import Loaded
from dicomroute_gateway.configuration.model import Mode
from dicomroute_gateway.deliver.holding import held, waits_for_a_person
from dicomroute_gateway.deliver.last_error import LastError
from dicomroute_gateway.deliver.worker import Paused
from dicomroute_gateway.destination import Destination, kind_of, name_of
from dicomroute_gateway.dimse.counts import CountsSnapshot
from dicomroute_gateway.dimse.refused import RefusalCount
from dicomroute_gateway.probes.findings import Findings, ProbeFinding, within_milliseconds
from dicomroute_gateway.probes.steps import Probed
from dicomroute_gateway.query.watched import Failing
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.keys import KEY_MISSING, NO_KEYS, Keys
from dicomroute_gateway.spool.records import DeliveryState
from dicomroute_gateway.spool.views import Snapshot

SUPPORTS: Final = ("Deidentify", "KnownPatients", "NodeAccepts", "Transform", "TreatmentNotInForce")
"""What an operator has to know of this gateway before it tells it of a destination that needs it."""


@dataclass(frozen=True, slots=True)
class DestinationActivity:
    """What a destination's worker knows and the spool does not."""

    in_flight: int
    last_error: LastError | None
    is_waiting: bool = False
    paused: Paused | None = None
    warnings: int = 0
    probed: Probed | None = None
    findings: Findings | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """The gateway at one moment. What it could not open or load is None."""

    ready: bool
    problems: Sequence[tuple[str, Reason, str]]
    """Section, reason and message of each."""
    started_time: float
    now: float
    loaded: Loaded | None
    listeners: Sequence[tuple[str, int, int]]
    """Name, port and associations of each, as it is open."""
    associations: CountsSnapshot
    snapshot: Snapshot | None
    activity: Mapping[Destination, DestinationActivity]
    unmounted_secrets: Sequence[str] = ()
    fill_bytes_per_second: int = 0
    keys: Keys = NO_KEYS
    credential_ends: Mapping[str, float] = field(default_factory=dict)
    """When the credential of a destination (KIND/NAME) or listener (`listener_key`) ends, in seconds since 1970."""
    failing_archives: Sequence[Failing] = ()


def key_findings(keys: Keys, instances_by_key: Mapping[str, int]) -> list[tuple[str, Reason, str]]:
    """Return what a person has to mend of the spool's keys: section, reason and message of each."""
    section = "spool.encryption"
    findings = [(section, keys.problem.reason, keys.problem.message)] if keys.problem else []
    if keys.problem is None or keys.problem.reason != KEY_MISSING:
        findings += [
            (
                section,
                KEY_MISSING,
                f"{count} instances in the spool are encrypted with the key {key}, which is not in the Secret of "
                "gateway.spool.encryption: add it there as another line; until then, these instances wait",
            )
            for key, count in sorted(instances_by_key.items())
            if key and key not in keys.by_id
        ]
    return findings


def status_document(seen: Observation) -> StatusDocument:
    """Return the status as the API answers it."""
    loaded, snapshot = seen.loaded, seen.snapshot
    destinations = _destinations(seen)
    configuration = loaded.configuration if loaded else None
    return StatusDocument(
        gateway_version=__version__,
        route=RouteDocument(
            namespace=configuration.route.namespace if configuration else "",
            name=configuration.route.name if configuration else "",
            uid=configuration.route.uid if configuration else "",
        ),
        ready=seen.ready,
        problems=[FindingDocument(section=s, reason=r, message=m) for s, r, m in seen.problems],
        started_time=_time(seen.started_time),
        time=_time(seen.now),
        configuration=ConfigurationDocument(
            hash=loaded.hash,
            generation=loaded.configuration.generation,
            findings=[FindingDocument(section=f.section, reason=f.reason, message=f.message) for f in loaded.findings],
        )
        if loaded
        else None,
        mode=str(configuration.mode) if configuration else "",
        listeners=[_listener(seen, *one) for one in seen.listeners],
        query_mode=str(query.mode) if configuration and (query := configuration.query_retrieve) else "",
        held_rules=[one.name for one in configuration.rules.rules if one.mode is DeliveryMode.HOLD_DELIVERIES]
        if configuration
        else [],
        associations=AssociationsDocument(
            open=sum(a for _, _, a in seen.listeners),
            accepted_total=seen.associations.accepted,
            refused_total=seen.associations.refused,
            aborted_total=seen.associations.aborted,
        ),
        instances=_instances(snapshot) if snapshot else None,
        deliveries=_sum(destinations, snapshot.held_instances) if snapshot else None,
        oldest_owed_time=_time(snapshot.oldest_owed_time) if snapshot and snapshot.oldest_owed_time else None,
        destinations=destinations,
        studies=OpenStudiesDocument(open=snapshot.open_studies, complete=snapshot.complete_studies)
        if snapshot and configuration and configuration.tracks_studies
        else None,
        failing_archives=[
            FailingArchiveDocument(
                kind=kind_of(archive),
                name=name_of(archive),
                reason=one.reason,
                message=one.message,
                since=_time(one.since),
            )
            for one in seen.failing_archives
            for archive in (Destination(one.archive),)
        ],
        spool=SpoolDocument(
            used_bytes=snapshot.level.used,
            capacity_bytes=snapshot.level.capacity,
            watermark_bytes=snapshot.level.watermark,
            fill_bytes_per_second=seen.fill_bytes_per_second,
            keys=_keys(seen.keys, snapshot),
            unencrypted=snapshot.instances_by_key.get("", 0),
        )
        if snapshot
        else None,
        unmounted_secrets=list(seen.unmounted_secrets),
        supports=list(SUPPORTS),
    )


def listener_key(name: str) -> str:
    """Return how a listener stands beside destinations."""
    return f"Listener/{name}"


def _listener(seen: Observation, name: str, port: int, associations: int) -> ListenerDocument:
    end = seen.credential_ends.get(listener_key(name))
    expires = _time(end) if end is not None else None
    return ListenerDocument(
        name=name,
        port=port,
        associations=associations,
        mode=_listener_mode(seen, name),
        credential_expires_time=expires,
    )


def _listener_mode(seen: Observation, name: str) -> str:
    """Return the mode that a listener obeys: its own, or the route's where that refuses associations."""
    configuration = seen.loaded.configuration if seen.loaded else None
    if configuration is None:
        return ""
    if configuration.mode is Mode.REFUSE_ASSOCIATIONS:
        return str(ListenerMode.REFUSE_ASSOCIATIONS)
    return next((str(one.mode) for one in configuration.listeners if one.name == name), "")


def refused_document(refused: Sequence[RefusalCount]) -> RefusedDocument:
    """Return the callers that were refused as the API answers them."""
    callers = [
        RefusedCaller(
            calling_ae_title=one.caller.calling_ae_title,
            called_ae_title=one.caller.called_ae_title,
            address=one.caller.address,
            listener=one.caller.listener,
            reason=one.caller.reason,
            abstract_syntaxes=list(one.caller.abstract_syntaxes),
            certificate_sha256=one.caller.certificate_sha256,
            count=one.count,
            first_time=_time(one.first_time),
            last_time=_time(one.last_time),
        )
        for one in refused
    ]
    return RefusedDocument(callers=callers)


def probe_document(probed: Probed, findings: Findings) -> ProbeDocument:
    """Return a probe as the API answers it."""
    seconds = probed.round_trip_seconds
    return ProbeDocument(
        time=_time(probed.time),
        round_trip_milliseconds=round(seconds * 1000, 3) if seconds is not None else None,
        within_milliseconds=within_milliseconds(seconds) if seconds is not None else None,
        steps=[
            StepDocument(
                step=one.name,
                result=one.result,
                reason=one.reason,
                message=one.message,
                milliseconds=round(one.seconds * 1000) if one.seconds is not None else None,
            )
            for one in probed.steps
        ],
        reachable=_finding(findings.reachable),
        authenticated=_finding(findings.authenticated),
        ready=_finding(findings.ready),
    )


def _finding(one: ProbeFinding) -> ProbeFindingDocument:
    status: Literal["True", "False", "Unknown"] = "Unknown" if one.status is None else "True" if one.status else "False"
    return ProbeFindingDocument(status=status, reason=one.reason, message=one.message)


def _keys(keys: Keys, snapshot: Snapshot) -> list[SpoolKeyDocument]:
    """Return the keys that are mounted, in their order, and behind them those that are missed."""
    counts = snapshot.instances_by_key
    missed = sorted(key for key in counts if key and key not in keys.by_id)
    return [
        SpoolKeyDocument(
            id=key,
            instances=counts.get(key, 0),
            mounted=key in keys.by_id,
            encrypts=keys.current is not None and key == keys.current.id,
        )
        for key in (*keys.by_id, *missed)
    ]


def _instances(snapshot: Snapshot) -> InstancesDocument:
    counts = snapshot.instances
    return InstancesDocument(
        received_total=counts.received,
        owed=counts.owed,
        dead_lettered=counts.dead_lettered,
        skipped_total=counts.skipped,
        delivered_total=counts.delivered,
        discarded_total=counts.discarded,
    )


def _destinations(seen: Observation) -> list[DestinationDocument]:
    if seen.snapshot is None or seen.loaded is None:
        return []
    configuration = seen.loaded.configuration
    named = {d.key for d in configuration.destinations} | seen.snapshot.deliveries.keys()
    documents = []
    for name in sorted(named):
        counts = seen.snapshot.deliveries.get(name, {})
        activity = seen.activity.get(name, DestinationActivity(0, None))
        reason = held(name, configuration, seen.now)
        is_held = waits_for_a_person(reason)
        waiting = max(0, counts.get(DeliveryState.PENDING, 0) - activity.in_flight)
        error, paused = activity.last_error, activity.paused
        documents.append(
            DestinationDocument(
                kind=kind_of(name),
                name=name_of(name),
                pending=0 if is_held else waiting,
                in_flight=activity.in_flight,
                waiting=counts.get(DeliveryState.WAITING, 0),
                unconfirmed=counts.get(DeliveryState.UNCONFIRMED, 0),
                held=(waiting if is_held else 0) + counts.get(DeliveryState.HELD, 0),
                held_reason=reason,
                oldest_owed_time=_time(oldest) if (oldest := seen.snapshot.oldest_owed.get(name)) else None,
                state="Paused" if paused else "Waiting" if activity.is_waiting else "Active",
                paused_reason=paused.reason if paused else "",
                paused_time=_time(paused.since) if paused else None,
                warnings_total=activity.warnings,
                skipped=counts.get(DeliveryState.SKIPPED, 0),
                dead_lettered=counts.get(DeliveryState.DEAD_LETTERED, 0),
                delivered_total=counts.get(DeliveryState.DELIVERED, 0),
                last_error=LastErrorDocument(
                    reason=error.reason, status=error.status, time=_time(error.time), message=error.message
                )
                if error
                else None,
                credential_expires_time=_time(seen.credential_ends[name]) if name in seen.credential_ends else None,
                probe=probe_document(activity.probed, activity.findings)
                if activity.probed and activity.findings
                else None,
            )
        )
    return documents


def _sum(destinations: Sequence[DestinationDocument], held_instances: int) -> DeliveriesDocument:
    return DeliveriesDocument(
        pending=sum(d.pending for d in destinations),
        in_flight=sum(d.in_flight for d in destinations),
        waiting=sum(d.waiting for d in destinations),
        unconfirmed=sum(d.unconfirmed for d in destinations),
        held=sum(d.held for d in destinations) + held_instances,
        skipped=sum(d.skipped for d in destinations),
        dead_lettered=sum(d.dead_lettered for d in destinations),
        delivered_total=sum(d.delivered_total for d in destinations),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)
