"""A target says how it stands for the routes that use it: the worst wins, with the route and what to do."""

from datetime import UTC, datetime
from typing import Any

import pytest
from gateway_status import status_document
from manifests import changed, route, target

from dicomroute_client.documents.status import StatusDocument
from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget, CloudTargetStatus
from dicomroute_operator.checks.finding import Finding
from dicomroute_operator.reconcile.publish import transitions
from dicomroute_operator.reconcile.world import Key, World
from dicomroute_operator.status.observed import PodSeen
from dicomroute_operator.status.said import Said, said_of, silent_seconds
from dicomroute_operator.status.target import target_status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GOOD = Finding("CloudTarget", "archive", Accepted.ACCEPTED, True, "fine")
TARGET = Key("CloudTarget", "default", "archive")
POD: dict[str, Any] = {"metadata": {"name": "ct-to-cloud-gw-0"}, "status": {}}

WORKS = {
    "reachable": {"status": "True", "reason": "Reachable", "message": "it answers"},
    "authenticated": {"status": "True", "reason": "Authenticated", "message": "it knows the credential"},
    "ready": {"status": "True", "reason": "Ready", "message": "it answers queries"},
}
REFUSES = {
    **WORKS,
    "authenticated": {"status": "False", "reason": "Unauthorized", "message": "HTTP 401: correct spec.auth"},
    "ready": {"status": "False", "reason": "Unauthorized", "message": "HTTP 401: correct spec.auth"},
}
DOUBTFUL = {**WORKS, "ready": {"status": "Unknown", "reason": "QueryNotAllowed", "message": "HTTP 405"}}


def body(document: dict[str, Any], version: int = 1) -> dict[str, Any]:
    meta = {"namespace": "default", "uid": document["kind"], "resourceVersion": str(version), "generation": version}
    return {**document, "metadata": {**document["metadata"], **meta}}


def reporting(probe: dict[str, Any] | None, **fields: Any) -> StatusDocument:
    whole = {"time": "2026-01-02T03:00:00Z", "steps": [], **probe} if probe is not None else None
    one = {"kind": "CloudTarget", "name": "archive", "probe": whole, **fields}
    return status_document(destinations=[one])


def said(probe: dict[str, Any] | None, name: str = "ct-to-cloud", silent: float = 0.0, **fields: Any) -> Said:
    now = NOW.timestamp()
    pod = PodSeen(POD, reporting(probe, **fields), now - silent, now - 60, "no answer" if silent else "")
    return said_of(name, [("CloudTarget", "archive")], [pod], now)[("CloudTarget", "archive")]


def status(*what: Said, before: CloudTargetStatus | None = None, generation: int = 7) -> CloudTargetStatus:
    model = CloudTarget.model_validate(changed(target(), "metadata.generation", generation))
    return target_status(model.model_copy(update={"status": before}), [GOOD], what, NOW)


def of(found: CloudTargetStatus, type_: str) -> Condition:
    return next(one for one in found.conditions if one.type == type_)


def words(found: CloudTargetStatus) -> tuple[str, ...]:
    three = (of(found, type_) for type_ in ("Reachable", "Authenticated", "Ready"))
    return tuple(f"{one.status}/{one.reason}" for one in three)


OK = ("True/Reachable", "True/Authenticated", "True/Ready")
STALE = ("Unknown/StatusStale",) * 3


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ([], ("Unknown/NotUsed",) * 3),
        ([said(WORKS)], OK),
        ([said(WORKS), said(WORKS, "other")], OK),
        ([said(REFUSES)], ("True/Reachable", "False/Unauthorized", "False/Unauthorized")),
        ([said(WORKS, "a"), said(REFUSES, "b")], ("True/Reachable", "False/Unauthorized", "False/Unauthorized")),
        ([said(WORKS, "a"), said(DOUBTFUL, "b")], ("True/Reachable", "True/Authenticated", "Unknown/QueryNotAllowed")),
        ([said(None)], ("Unknown/NotTested",) * 3),
        ([Said("ct-to-cloud")], ("Unknown/NotTested",) * 3),
        ([said(WORKS, silent=31)], STALE),
        ([said(WORKS, "a"), said(WORKS, "b", silent=31)], STALE),
        ([said(REFUSES, "a"), said(WORKS, "b", silent=31)], (STALE[0], "False/Unauthorized", "False/Unauthorized")),
        ([said(WORKS, silent=29)], OK),
    ],
)
def test_how_a_target_stands(what: list[Said], expected: tuple[str, ...]) -> None:
    found = status(*what)
    assert words(found) == expected
    assert [one.type for one in found.conditions] == ["Accepted", "Reachable", "Authenticated", "Ready"]
    assert {one.observed_generation for one in found.conditions} == {7} == {found.observed_generation}


def test_what_is_wrong_says_which_route_and_what_to_do() -> None:
    message = of(status(said(WORKS, "a"), said(REFUSES, "b")), "Ready").message
    assert message == (
        "route b: HTTP 401: correct spec.auth. Run `dicomroute test target archive -n default` to test it now"
    )
    assert "dicomroute test target archive -n default" in of(status(), "Reachable").message


def test_silence_makes_nothing_good_and_nothing_new() -> None:
    before = status(said(REFUSES, credentialExpiresTime="2026-01-03T00:00:00Z"))
    assert status(Said("ct-to-cloud"), before=before) == before
    assert words(status(Said("ct-to-cloud"), before=before, generation=8)) == ("Unknown/NotTested",) * 3
    assert words(status(Said("ct-to-cloud"), before=status())) == ("Unknown/NotTested",) * 3
    assert status(said(REFUSES, credentialExpiresTime="2026-01-03T00:00:00Z"), before=before) == before


@pytest.mark.parametrize(("ready", "expected"), [("True", None), ("False", 65.0), ("Unknown", 65.0)])
def test_a_route_that_is_not_ready_may_say_nothing(ready: str, expected: float | None) -> None:
    since = "2026-01-02T03:03:00Z"
    one = {"type": "Ready", "status": ready, "reason": "r", "message": "m", "lastTransitionTime": since}
    model = DicomRoute.model_validate({**route(), "status": {"conditions": [one]}})
    assert silent_seconds(model, NOW) == expected


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("2026-01-10T00:00:00Z", "ExpiresSoon"),
        ("2026-01-01T00:00:00Z", "Expired"),
        ("2026-02-10T00:00:00Z", None),
        (None, None),
    ],
)
def test_a_credential_that_ends(end: str | None, expected: str | None) -> None:
    found = status(said(WORKS, credentialExpiresTime=end))
    assert [one.reason for one in found.conditions if one.type == "CredentialsExpiring"] == (
        [expected] * bool(expected)
    )


def test_a_reason_of_a_newer_gateway_is_shown_as_it_is() -> None:
    new = {**WORKS, "ready": {"status": "False", "reason": "NeverHeardOf", "message": "m"}}
    assert words(status(said(new)))[2] == "False/NeverHeardOf"


def test_only_what_a_probe_found_is_news() -> None:
    one = said(WORKS | {"time": "2026-01-02T02:00:00Z"}, pending=1, deliveredTotal=3)
    assert one == said(WORKS, pending=0, deliveredTotal=4)
    assert one != said(REFUSES, pending=0, deliveredTotal=4)


def test_events_tell_one_fault_once_and_no_silence() -> None:
    works, refuses = status(said(WORKS)), status(said(REFUSES))
    assert [one[0] for one in transitions([], status().conditions)] == []
    assert {one[0] for one in transitions(works.conditions, refuses.conditions)} == {"Unauthorized"}
    assert [one[0] for one in transitions(works.conditions, status(said(WORKS, silent=31)).conditions)] == [
        "StatusStale"
    ]


def test_a_route_that_begins_or_ceases_to_use_a_target_concerns_it() -> None:
    world = World()
    key = Key("DicomRoute", "default", "ct-to-cloud")
    world.observe("CloudTarget", body(target()), deleted=False)
    assert world.runs(TARGET) == []
    assert world.observe("DicomRoute", body(route()), deleted=False) == {key, TARGET}
    assert world.runs(TARGET) == [key]
    assert world.observe("DicomRoute", body(route(mode="HoldDeliveries"), 2), deleted=False) == {key}
    assert world.observe("DicomRoute", body(route(gateway={"replicas": 0}), 3), deleted=False) == {key, TARGET}
    assert world.runs(TARGET) == []
    world.observe("DicomRoute", body(route(), 4), deleted=False)
    other = route(rules=[{"name": "r", "destinations": [{"kind": "CloudTarget", "name": "other"}]}])
    assert world.observe("DicomRoute", body(other, 5), deleted=False) == {key, TARGET}
    assert world.runs(TARGET) == []
    world.observe("DicomRoute", body(route(), 6), deleted=False)
    assert world.observe("DicomRoute", body(route(), 7), deleted=True) == {key, TARGET}
    assert (world.runs(TARGET), world.users) == ([], {})
