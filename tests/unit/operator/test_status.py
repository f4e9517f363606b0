"""The status is what the pods and their gateways say, and every reason that is not good says what to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gateway_status import status_document
from manifests import Json, changed, route

from dicomroute_client.documents.status import StatusDocument
from dicomroute_operator.api.conditions import Accepted, Ready
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.route_status import DicomRouteStatus
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.reconcile.publish import transitions
from dicomroute_operator.status.conditions import condition
from dicomroute_operator.status.observed import PodSeen, RouteSeen
from dicomroute_operator.status.route import route_status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GOOD = Finding("DicomRoute", "ct-to-cloud", Accepted.ACCEPTED, True, "fine")
BAD = Finding("DicomRoute", "ct-to-cloud", Accepted.CONFLICTED, False, "the older route has it")
READY = {"type": "Ready", "status": "True"}
POD: dict[str, Any] = {
    "metadata": {"name": "ct-to-cloud-gw-0"},
    "status": {"hostIP": "192.0.2.1", "conditions": [READY]},
}
STATEFUL_SET: dict[str, Any] = {"metadata": {"name": "ct-to-cloud-gw", "uid": "set"}, "spec": {"replicas": 1}}
SERVICE: dict[str, Any] = {
    "spec": {"clusterIP": "203.0.113.9", "ports": [{"name": "dicom", "port": 104, "nodePort": 30104}]},
    "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.200"}, {"hostname": "lb.example"}]}},
}


def report(**fields: Any) -> StatusDocument:
    document = {
        "ready": True,
        "configuration": {"hash": "wanted", "generation": 1},
        "instances": {"receivedTotal": 3, "owed": 1, "deliveredTotal": 2},
        "deliveries": {"pending": 0, "inFlight": 1, "deliveredTotal": 2},
        **fields,
    }
    return status_document(**document)


def seen(gateway: StatusDocument | None = None, pod: dict[str, Any] = POD, **fields: Any) -> RouteSeen:
    now = NOW.timestamp()
    one = PodSeen(pod, gateway or report(), now, now)
    return RouteSeen(**{"pods": (one,), "service": SERVICE, "claims": (), "configuration_hash": "wanted", **fields})


def status(
    what: RouteSeen, *findings: Finding, before: DicomRouteStatus | None = None, **spec: Any
) -> DicomRouteStatus:
    document = changed(route(**spec), "metadata.generation", 7)
    model = DicomRoute.model_validate(document).model_copy(update={"status": before})
    return route_status(model, findings or (GOOD,), what, NOW)


def of(found: DicomRouteStatus, type_: str) -> Condition:
    return next(one for one in found.conditions if one.type == type_)


def reason(found: DicomRouteStatus, type_: str) -> tuple[str, str]:
    return of(found, type_).status, of(found, type_).reason


def test_a_route_that_works() -> None:
    found = status(seen())
    assert [(one.type, one.status, one.reason) for one in found.conditions] == [
        ("Accepted", "True", "Accepted"),
        ("Programmed", "True", "Programmed"),
        ("Ready", "True", "Ready"),
    ]
    assert {one.observed_generation for one in found.conditions} == {7} == {found.observed_generation}
    assert found.deliveries is not None
    assert (found.deliveries.pending, found.deliveries.delivered_total) == (1, 2)
    assert found.observed_time == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("service", "addresses"),
    [
        ({"type": "LoadBalancer"}, [("203.0.113.200", 104), ("lb.example", 104)]),
        ({"type": "ClusterIP"}, [("203.0.113.9", 104)]),
        ({"type": "NodePort"}, [("192.0.2.1", 30104)]),
    ],
)
def test_endpoints_are_where_modalities_connect(service: dict[str, Any], addresses: list[tuple[str, int]]) -> None:
    there = changed(SERVICE, "spec", {**SERVICE["spec"], **service})
    found = status(seen(service=there), gateway={"service": {"type": "ClusterIP"}})  # that was refused
    assert [(one.address, one.port) for one in found.endpoints] == addresses


def test_equal_observations_give_an_equal_status_at_any_later_time() -> None:
    first = status(seen())
    model = DicomRoute.model_validate(changed(route(), "metadata.generation", 7)).model_copy(update={"status": first})
    later = datetime(2026, 1, 2, 3, 4, 20, tzinfo=UTC)
    assert route_status(model, (GOOD,), seen(), later) == first


@pytest.mark.parametrize(
    ("asked_seconds_ago", "generation", "expected"),
    [(20, 7, ("True", "Ready")), (31, 7, ("Unknown", "StatusStale")), (20, 8, ("False", "Starting"))],
)
def test_an_operator_that_has_just_started_keeps_what_was_known_until_it_had_the_time_to_ask(
    asked_seconds_ago: float, generation: int, expected: tuple[str, str]
) -> None:
    model = DicomRoute.model_validate(changed(route(), "metadata.generation", generation))
    model = model.model_copy(update={"status": status(seen())})
    silent = PodSeen(running("03:03:00"), None, None, NOW.timestamp() - asked_seconds_ago, "no answer")
    found = route_status(model, (GOOD,), seen(pods=(silent,)), NOW)
    assert reason(found, "Ready") == expected
    assert (found == model.status) == (expected == ("True", "Ready"))


def test_a_status_survives_its_way_through_the_api_server() -> None:
    found = status(seen())
    assert DicomRouteStatus.model_validate(found.model_dump(by_alias=True, exclude_none=True)) == found


def waiting(why: str) -> dict[str, Any]:
    return changed(POD, "status", {"containerStatuses": [{"state": {"waiting": {"reason": why, "message": "m"}}}]})


def running(since: str) -> dict[str, Any]:
    state = {"running": {"startedAt": f"2026-01-02T{since}Z"}}
    return changed(POD, "status.containerStatuses", [{"state": state}])


def unscheduled(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return changed(POD, "status", {"conditions": [condition]})


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (seen(pods=()), ("False", "PodMissing")),
        (seen(configuration_hash=""), ("False", "NotAccepted")),
        (seen(pod=waiting("ErrImagePull")), ("False", "ImageUnavailable")),
        (seen(pod=waiting("CrashLoopBackOff")), ("False", "ContainerFailing")),
        (seen(pod=unscheduled("0/1 nodes are available")), ("False", "Unschedulable")),
        (seen(pod=unscheduled("pod has unbound immediate PersistentVolumeClaims")), ("False", "VolumePending")),
        (seen(pod=changed(POD, "metadata.deletionTimestamp", "x")), ("False", "Terminating")),
        (seen(pods=(PodSeen(POD),)), ("False", "Starting")),
        (seen(report(ready=False)), ("False", "Starting")),
        (seen(pod=changed(POD, "status.conditions", [])), ("False", "Starting")),
        (seen(pods=(PodSeen(POD, report(), NOW.timestamp() - 31, 1.0, "e"),)), ("Unknown", "StatusStale")),
        (seen(pods=(PodSeen(POD, report(), NOW.timestamp() - 29, 1.0, "e"),)), ("True", "Ready")),
        (seen(pods=(PodSeen(running("03:04:00"), None, None, NOW.timestamp(), "e"),)), ("False", "Starting")),
        (seen(pods=(PodSeen(POD, None, None, NOW.timestamp() - 31),)), ("Unknown", "StatusStale")),
        *(
            (
                seen(report(ready=False, problems=[{"section": one, "reason": why, "message": "m"}])),
                ("False", known),
            )
            for one, why, known in (
                ("spool", "SpoolCorrupt", "SpoolCorrupt"),
                ("spool", "SpoolFailed", "SpoolFailed"),
                ("spool", "SpoolTooNew", "SpoolTooNew"),
                ("spool.encryption", "SpoolKeyMissing", "SpoolKeyMissing"),
                ("spool.encryption", "SpoolKeyInvalid", "SpoolKeyInvalid"),
                ("spool", "SpoolVolumeUnsafe", "SpoolVolumeUnsafe"),
                ("listeners[dicom]", "PortUnavailable", "PortUnavailable"),
                ("configuration", "ConfigurationInvalid", "ConfigurationUnusable"),
                ("something", "New", "NotReceiving"),
            )
        ),
    ],
)
def test_why_a_route_is_not_ready(what: RouteSeen, expected: tuple[str, str]) -> None:
    assert reason(status(what), "Ready") == expected


def test_no_replicas_is_a_reason_of_its_own() -> None:
    assert reason(status(seen(pods=()), gateway={"replicas": 0}), "Ready") == ("False", "ScaledToZero")


def test_a_pod_that_nobody_wants_any_more_receives_as_long_as_it_is_there() -> None:
    refused = "Service ct-to-cloud-dicom: provided port is already allocated"
    found = status(seen(apply_error=refused, stateful_set=STATEFUL_SET), gateway={"replicas": 0})
    assert reason(found, "Ready") == ("True", "Ready")
    assert reason(found, "Programmed") == ("False", "ApplyFailed")
    found = status(seen(stateful_set=STATEFUL_SET), gateway={"replicas": 0})
    assert reason(found, "Programmed") == ("False", "Pending")


def test_what_the_cluster_says_of_an_object_is_the_reason() -> None:
    quota = "FailedCreate: pods is forbidden: exceeded quota"
    found = status(seen(pods=(), stateful_set=STATEFUL_SET, sentences={"set": quota}))
    assert reason(found, "Ready") == ("False", "PodRefused")
    assert quota in of(found, "Ready").message
    starting = changed(POD, "metadata.uid", "pod")
    mount = "FailedMount: MountVolume.SetUp failed"
    found = status(seen(pods=(PodSeen(starting),), sentences={"pod": mount}))
    assert reason(found, "Ready") == ("False", "VolumeNotMounted")
    assert mount in of(found, "Ready").message
    pulls = "Pulling: Pulling image gateway:1"
    found = status(seen(pods=(PodSeen(starting),), sentences={"pod": pulls}))
    assert reason(found, "Ready") == ("False", "Starting")
    assert pulls in of(found, "Ready").message
    service = {"metadata": {"name": "s", "uid": "s"}, "spec": {"type": "LoadBalancer"}}
    found = status(seen(service=service, sentences={"s": "AllocationFailed: no address left"}))
    assert reason(found, "AddressPending") == ("True", "NoLoadBalancerAddress")
    assert "no address left" in of(found, "AddressPending").message


def claim(size: str = "50Gi", capacity: str = "50Gi", name: str = "spool-ct-to-cloud-gw-0", **meta: Any) -> Json:
    status = {"phase": "Bound", "capacity": {"storage": capacity}} if capacity else {"phase": "Pending"}
    labels = {"dicomroute.dev/route": "ct-to-cloud", "dicomroute.dev/route-uid": ""}
    return {
        "metadata": {"name": name, "labels": labels, **meta},
        "spec": {"resources": {"requests": {"storage": size}}, "storageClassName": "local"},
        "status": status,
    }


def told(told_type: str) -> Json:
    found = claim("60Gi")
    return changed(found, "status.conditions", [{"type": told_type, "message": "the storage's own words"}])


def of_class(name: str | None) -> Json:
    """Return a StatefulSet whose claims are made for a storage class."""
    spec = {"storageClassName": name} if name is not None else {}
    return changed(STATEFUL_SET, "spec.volumeClaimTemplates", [{"metadata": {"name": "spool"}, "spec": spec}])


@pytest.mark.parametrize(
    ("made_for", "wanted", "default", "words"),
    [
        ("locale", {"storageClassName": "local"}, "", "with the storage class local;"),
        ("locale", {}, "", "with the cluster's default storage class;"),
        ("locale", {}, "fast", "with the storage class fast;"),
        (None, {"storageClassName": "local"}, "", "for the cluster's default storage class, has no volume"),
        ("local", {"storageClassName": "local"}, "", ""),
        ("fast", {}, "fast", ""),
        (None, {}, "", ""),
    ],
)
def test_a_class_that_was_corrected_before_there_was_a_volume(
    made_for: str | None, wanted: Json, default: str, words: str
) -> None:
    pending = changed(claim(), "status", {"phase": "Pending"})
    what = seen(stateful_set=of_class(made_for), claims=(pending,), default_storage_class=default)
    found = of(status(what, gateway={"spool": {"size": "50Gi", **wanted}}), "Programmed")
    assert (found.reason == "SpoolClassChanged") == bool(words)
    assert words in found.message
    bound = seen(stateful_set=of_class(made_for), claims=(claim(),), default_storage_class=default)
    assert of(status(bound, gateway={"spool": {"size": "50Gi", **wanted}}), "Programmed").status == "True"


@pytest.mark.parametrize(
    ("what", "error", "type_", "expected", "words"),
    [
        (claim(deletionTimestamp="2026-01-02T03:00:00Z"), "", "SpoolAtRisk", "ClaimTerminating", "1 instances"),
        (changed(claim(), "status.phase", "Lost"), "", "SpoolAtRisk", "ClaimLost", "has lost its volume"),
        (claim(name="spool-ct-to-cloud-gw-1"), "", "SpoolAtRisk", "ClaimLeftOver", "gw-1"),
        (claim("60Gi"), "", "SpoolResizing", "ResizePending", "asks for 60Gi and its volume has 50Gi"),
        (told("FileSystemResizePending"), "", "SpoolResizing", "FileSystemResizePending", "restart"),
        (told("ControllerResizeError"), "", "SpoolResizing", "ResizeFailed", "the storage's own words"),
        (claim("40Gi", "40Gi"), "refused", "SpoolResizing", "CannotGrow", "stays at 40Gi"),
    ],
)
def test_what_is_wrong_with_a_claim(what: Json, error: str, type_: str, expected: str, words: str) -> None:
    found = status(seen(claims=(what,), apply_error=error))
    assert reason(found, type_) == ("True", expected)
    assert words in of(found, type_).message


def test_claims_are_as_they_are() -> None:
    ending = claim(name="spool-ct-to-cloud-gw-0", deletionTimestamp="2026-01-02T03:00:00Z")
    others = changed(claim("60Gi", "", "spool-ct-to-cloud-gw-1"), "metadata.labels", {})
    found = status(seen(report(instances={"owed": 0}), claims=(others, ending)))
    assert [(one.name[-1], one.state, one.requested, one.capacity, one.left_over) for one in found.claims] == [
        ("0", "Terminating", "50Gi", "50Gi", False),
        ("1", "Pending", "60Gi", None, True),
    ]
    assert not any(one.type == "SpoolAtRisk" for one in found.conditions), "nothing is owed"


def test_a_paused_route_says_so_and_what_waits_for_the_end_of_that() -> None:
    document = changed(
        changed(route(), "metadata.generation", 7), "metadata.annotations", {"dicomroute.dev/paused": "true"}
    )
    model = DicomRoute.model_validate(document)
    told = changed(STATEFUL_SET, "metadata.annotations", {"dicomroute.dev/generation": "7"})
    found = route_status(model, (GOOD,), seen(stateful_set=told), NOW)
    assert reason(found, "Paused") == ("True", "PausedByAnnotation")
    assert reason(found, "Programmed") == ("True", "Programmed")
    older = changed(STATEFUL_SET, "metadata.annotations", {"dicomroute.dev/generation": "6"})
    found = route_status(model, (GOOD,), seen(stateful_set=older), NOW)
    assert reason(found, "Programmed") == ("False", "Paused")
    assert reason(found, "Stalled") == ("True", "NotInEffect")


def test_machines_are_told_when_the_newest_manifest_is_not_in_effect() -> None:
    found = status(seen(), BAD)
    assert reason(found, "Stalled") == ("True", "NotInEffect")
    assert "the older route has it" in of(found, "Stalled").message
    assert reason(found, "Ready") == ("True", "Ready")
    assert of(found, "Ready").message.count("is not in effect: Accepted is False, Conflicted") == 1
    again = status(seen(pods=(PodSeen(running("03:03:00")),)), BAD, before=found)
    assert of(again, "Ready").message == of(found, "Ready").message
    starting = status(seen(report(ready=False)))
    assert reason(starting, "Reconciling") == ("True", "Progressing")
    broken = status(
        seen(report(ready=False, problems=[{"section": "spool", "reason": "SpoolCorrupt", "message": "m"}]))
    )
    assert {one.type for one in broken.conditions} == {"Accepted", "Programmed", "Ready"}


@pytest.mark.parametrize(
    ("what", "findings", "expected"),
    [
        (seen(configuration_hash="other"), (GOOD,), ("False", "Pending")),
        (seen(apply_error="no"), (GOOD,), ("False", "ApplyFailed")),
        (seen(), (BAD,), ("False", "NotAccepted")),
        (
            seen(report(configuration={"hash": "wanted", "findings": [{"reason": "RuleInvalid", "message": "m"}]})),
            (GOOD,),
            ("False", "RuleInvalid"),
        ),
        (
            seen(
                report(configuration={"hash": "wanted", "findings": [{"reason": "RuleInvalid", "message": "m"}]}),
                unsupported="no pod has reported yet that its gateway can do that",
            ),
            (GOOD,),
            ("False", "TreatmentNotInForce"),
        ),
    ],
)
def test_why_a_route_is_not_programmed(
    what: RouteSeen, findings: tuple[Finding, ...], expected: tuple[str, str]
) -> None:
    assert reason(status(what, *findings), "Programmed") == expected


def test_conditions_that_are_there_only_while_true() -> None:
    destination = {"kind": "CloudTarget", "name": "archive", "pending": 4}
    error = {"reason": "ServerError", "status": 503, "time": "2026-01-02T03:00:00Z"}
    bad = report(
        oldestOwedTime="2026-01-02T03:00:00Z",
        destinations=[{**destination, "lastError": error}],
        deliveries={"held": 2},
        spool={"usedBytes": 95, "capacityBytes": 100, "watermarkBytes": 90},
    )
    found = status(seen(bad))
    assert reason(found, "DeliveryStalled") == ("True", "DestinationFailing")
    assert "4 deliveries wait" in of(found, "DeliveryStalled").message
    assert "status 503;" in of(found, "DeliveryStalled").message
    said = {**error, "message": "https://archive.example: no connection in time"}
    with_sentence = report(destinations=[{**destination, "lastError": said}]).destinations
    told = status(seen(bad.model_copy(update={"destinations": with_sentence})))
    assert "ServerError with status 503 (https://archive.example: no conn" in of(told, "DeliveryStalled").message
    assert told.destinations[0].last_error is not None
    assert told.destinations[0].last_error.message == said["message"]
    assert reason(found, "SpoolPressure") == ("True", "AboveWatermark")
    assert reason(found, "Held") == ("True", "DeliveriesHeld")
    paused = {**destination, "lastError": error, "pausedReason": "Forbidden", "pausedTime": "2026-01-02T02:00:00Z"}
    found = status(seen(report(oldestOwedTime="2026-01-02T03:00:00Z", destinations=[paused])))
    assert reason(found, "DeliveryStalled") == ("True", "DestinationPaused")
    assert "Forbidden since 2026-01-02T02:00:00Z" in of(found, "DeliveryStalled").message
    assert found.destinations[0].paused_reason == "Forbidden"
    waits = {**destination, "state": "Waiting", "lastError": {**error, "time": "2026-01-01T01:00:00Z"}}
    found = status(seen(report(oldestOwedTime="2026-01-02T03:00:00Z", destinations=[waits])))
    assert reason(found, "DeliveryStalled") == ("True", "DestinationFailing"), "a server may ask for hours"
    sent = {**destination, "pending": 0, "inFlight": 0, "unconfirmed": 5, "lastError": {**error, "reason": "NotFound"}}
    found = status(seen(report(oldestOwedTime="2026-01-02T03:00:00Z", destinations=[sent])))
    assert reason(found, "DeliveryStalled") == ("True", "NotConfirmed")
    assert "has not confirmed 5 instances" in of(found, "DeliveryStalled").message
    assert found.destinations[0].unconfirmed == 5
    quick = {**destination, "lastError": error, "oldestOwedTime": "2026-01-02T03:03:55Z"}
    window = {**destination, "lastError": error, "heldReason": "OutsideWindow"}
    found = status(seen(report(oldestOwedTime="2026-01-02T03:00:00Z", destinations=[quick, window])))
    assert not any(one.type == "DeliveryStalled" for one in found.conditions), "what others are owed is not its fault"
    fresh = replace(seen(bad.model_copy(update={"oldest_owed_time": NOW - timedelta(seconds=10)})))
    assert not any(one.type == "DeliveryStalled" for one in status(fresh).conditions)


def test_an_archive_that_does_not_answer_is_told_while_it_does_not() -> None:
    failing = {"kind": "CloudTarget", "name": "cloud", "reason": "TimedOut", "message": "no page in 20 s"}
    since = "2026-01-02T03:00:00Z"
    found = status(
        seen(report(failingArchives=[{**failing, "since": since, **more} for more in ({}, {"name": "other"})]))
    )
    assert reason(found, "ArchiveUnreachable") == ("True", "ArchiveFailing")
    assert of(found, "ArchiveUnreachable").message == (
        f"CloudTarget cloud has not answered queries since {since}: TimedOut (no page in 20 s); the gateway retries "
        "until it answers (and 1 more)"
    )
    assert not any(one.type == "ArchiveUnreachable" for one in status(seen(report())).conditions)


@pytest.mark.parametrize(
    ("used", "rate", "before", "expected"),
    [
        (30, 11, False, "within 2 h"),
        (30, 1, False, "within 24 h"),
        (30, 0.5, False, None),
        (30, 0.5, True, "within 48 h"),
        (30, 0.2, True, None),
        (10, 10, False, None),  # not a quarter full: a burst
        (30, -10, True, None),
        (95, 10, False, "senders get the status 0xA700"),
    ],
)
def test_a_spool_that_fills_says_when_it_is_full(used: int, rate: float, before: bool, expected: str | None) -> None:
    gib = 1 << 30
    spool = {"usedBytes": used * gib, "capacityBytes": 60 * gib, "watermarkBytes": 50 * gib}
    full = status(seen(report(spool={**spool, "usedBytes": 50 * gib})))
    filling = report(spool={**spool, "fillBytesPerSecond": round(rate * gib / 3600)})
    found = status(seen(filling), before=full if before else None)
    messages = [one.message for one in found.conditions if one.type == "SpoolPressure"]
    assert [expected in message for message in messages] == ([True] if expected else [])


def test_numbers_that_nobody_reports_stay_as_they_were() -> None:
    before = status(seen())
    silent = status(seen(pods=(PodSeen(POD),)), before=before)
    assert silent.instances == before.instances
    assert silent.observed_time == before.observed_time


def test_a_transition_time_moves_with_the_status_alone() -> None:
    before = status(seen())
    old = [one.model_copy(update={"last_transition_time": "2026-01-01T00:00:00Z"}) for one in before.conditions]
    after = status(seen(report(ready=False)), before=before.model_copy(update={"conditions": old}))
    assert of(after, "Accepted").last_transition_time == "2026-01-01T00:00:00Z"
    assert of(after, "Ready").last_transition_time == "2026-01-02T03:04:05Z"


def test_a_person_hears_of_faults_and_of_their_end_and_of_nothing_else() -> None:
    good = [condition(Ready.READY, True, "fine")]
    bad = [condition(Ready.SPOOL_CORRUPT, False, "look")]
    starting = [condition(Ready.STARTING, False, "soon")]
    assert transitions([], good) == [("Ready", "fine", False)]
    assert transitions(good, good) == []
    assert transitions(good, bad) == [("SpoolCorrupt", "look", True)]
    assert transitions(bad, bad) == []
    assert transitions(bad, good) == [("Ready", "fine", False)]
    assert transitions(good, starting) == []


@pytest.mark.parametrize(
    "end, reason",
    [
        ("2026-01-17T00:00:00Z", ""),
        ("2026-01-15T00:00:00Z", "ExpiresSoon"),
        ("2026-01-02T03:04:04Z", "Expired"),
        ("soon", ""),
        (None, ""),
    ],
)
def test_a_credential_that_ends_within_a_fortnight(end: str | None, reason: str) -> None:
    one = {"kind": "CloudTarget", "name": "archive", "credentialExpiresTime": end}
    found = {one.type: one for one in status(seen(report(destinations=[one]))).conditions}
    assert ("CredentialsExpiring" in found) == bool(reason)
    if reason:
        assert found["CredentialsExpiring"].reason == reason
        assert f"CloudTarget archive {'expired' if reason == 'Expired' else 'expires'} at {end}" in (
            found["CredentialsExpiring"].message
        )


def test_a_listener_whose_certificate_ends() -> None:
    plain = {"name": "dicom", "port": 11112, "associations": 0}
    listeners = [plain, {**plain, "name": "dicom-tls", "credentialExpiresTime": "2026-01-03T00:00:00Z"}]
    found = {one.type: one for one in status(seen(report(listeners=listeners))).conditions}
    assert found["CredentialsExpiring"].reason == "ExpiresSoon"
    assert "listener dicom-tls expires at 2026-01-03T00:00:00Z" in found["CredentialsExpiring"].message
