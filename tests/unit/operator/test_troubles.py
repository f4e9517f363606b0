"""The cluster's Events are asked for when something is wrong alone, and the newest that says something is told."""

from datetime import UTC, datetime
from typing import Any

import pytest
from manifests import Json, changed

from dicomroute_operator.status.observed import PodSeen, RouteSeen
from dicomroute_operator.status.troubles import sentence, troubled

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SET: Json = {"kind": "StatefulSet", "metadata": {"name": "set", "uid": "set"}, "spec": {"replicas": 1}}
POD: Json = {"kind": "Pod", "metadata": {"name": "pod", "uid": "pod"}, "status": {"phase": "Running"}}
SERVICE: Json = {
    "kind": "Service",
    "metadata": {"name": "service", "uid": "service"},
    "spec": {"type": "LoadBalancer"},
    "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}},
}
CLAIM: Json = {
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "claim", "uid": "claim"},
    "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
}


def seen(**fields: Any) -> RouteSeen:
    base = {
        "pods": (PodSeen(POD),),
        "service": SERVICE,
        "claims": (CLAIM,),
        "configuration_hash": "",
        "stateful_set": SET,
    }
    return RouteSeen(**{**base, **fields})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"pods": ()}, ["set"]),
        ({"pods": (PodSeen(changed(POD, "status.phase", "Pending")),)}, ["pod"]),
        ({"service": changed(SERVICE, "status", {})}, ["service"]),
        ({"service": changed(changed(SERVICE, "status", {}), "spec.type", "ClusterIP")}, []),
        ({"claims": (changed(CLAIM, "status", {"phase": "Pending"}),)}, ["claim"]),
        ({"claims": (changed(CLAIM, "spec.resources.requests.storage", "2Gi"),)}, ["claim"]),
    ],
)
def test_what_is_not_as_it_should_be_is_asked_about(fields: dict[str, Any], expected: list[str]) -> None:
    assert [one["metadata"]["uid"] for one in troubled(seen(**fields))] == expected


def event(reason: str, when: str, kind: str = "Warning") -> Json:
    message = f"{reason}\n  happened"
    return {"metadata": {}, "type": kind, "reason": reason, "message": message, "lastTimestamp": f"2026-01-02T{when}Z"}


def test_the_newest_warning_comes_first_and_what_says_nothing_is_left_out() -> None:
    old, new = event("FailedMount", "03:00:00"), event("FailedAttachVolume", "03:03:00")
    pulls = event("Pulling", "03:04:00", "Normal")
    scheduled = event("Scheduled", "03:04:01", "Normal")
    assert sentence([old, new, pulls, scheduled], NOW) == "FailedAttachVolume: FailedAttachVolume happened"
    assert sentence([pulls, scheduled], NOW) == "Pulling: Pulling happened"
    assert sentence([scheduled], NOW) == ""
    assert sentence([event("FailedCreate", "02:00:00")], NOW) == "", "an hour ago"


def test_an_event_that_is_repeated_counts_by_when_that_was_last() -> None:
    series = {"lastObservedTime": "2026-01-02T03:04:00.123456Z"}
    repeated = {**event("FailedCreate", "01:00:00"), "series": series}
    assert sentence([repeated], NOW).startswith("FailedCreate")
