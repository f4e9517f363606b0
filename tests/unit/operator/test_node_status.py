"""A node says whether the routes that deliver to it reach it: the worst is shown, and each is listed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from gateway_status import status_document
from manifests import changed, node, route

from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.node import DicomNode, DicomNodeStatus
from dicomroute_operator.checks.node import check_node
from dicomroute_operator.reconcile.publish import transitions
from dicomroute_operator.reconcile.world import Key, World
from dicomroute_operator.status.node import node_status
from dicomroute_operator.status.observed import PodSeen
from dicomroute_operator.status.said import Said, said_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PACS = Key("DicomNode", "default", "pacs")
POD: dict[str, Any] = {"metadata": {"name": "ct-to-pacs-gw-0"}, "status": {}}


def probe(status: str, reason: str, within: int | None = None, message: str = "a sentence") -> dict[str, Any]:
    return {"reachable": {"status": status, "reason": reason, "message": message}, "withinMilliseconds": within}


ANSWERS = probe("True", "Reachable", 5, "it answers a C-ECHO within 5 ms")
SLOW = probe("True", "Reachable", 200, "it answers a C-ECHO within 200 ms")
REFUSED = probe("False", "ConnectionRefused", message="pacs:104 refuses connections")


def said(found: dict[str, Any] | None, name: str = "ct-to-pacs", silent: float = 0.0, **fields: Any) -> Said:
    unknown = {"status": "Unknown", "reason": "NotTested", "message": ""}
    whole = {"time": "2026-01-02T03:00:00Z", "steps": [], "authenticated": unknown, "ready": unknown, **(found or {})}
    one = {"kind": "DicomNode", "name": "pacs", "probe": whole if found else None, **fields}
    report = status_document(destinations=[one])
    now = NOW.timestamp()
    pod = PodSeen(POD, report, now - silent, now - 60, "no answer" if silent else "")
    return said_of(name, [("DicomNode", "pacs")], [pod], now)[("DicomNode", "pacs")]


def status(
    *what: Said, before: DicomNodeStatus | None = None, generation: int = 7, seconds: int = 300
) -> DicomNodeStatus:
    document = node(aeTitle="PACS", host="pacs", connectionTestSeconds=seconds)
    document["metadata"] = {"name": "pacs", "generation": generation}
    model = DicomNode.model_validate(document).model_copy(update={"status": before})
    return node_status(model, check_node(model), what, NOW)


def reachable(found: DicomNodeStatus) -> Condition:
    return next(one for one in found.conditions if one.type == "Reachable")


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ([], "Unknown/NotUsed"),
        ([said(ANSWERS)], "True/Reachable"),
        ([said(probe("True", "VerificationNotAccepted"))], "True/VerificationNotAccepted"),
        ([said(ANSWERS, "a"), said(REFUSED, "b")], "False/ConnectionRefused"),
        ([said(ANSWERS, "a"), said(None, "b")], "True/Reachable"),
        ([said(None)], "Unknown/NotTested"),
        ([Said("ct-to-pacs")], "Unknown/NotTested"),
        ([said(ANSWERS, silent=31)], "Unknown/StatusStale"),
        ([said(REFUSED, "a"), said(ANSWERS, "b", silent=31)], "False/ConnectionRefused"),
        ([said(ANSWERS, silent=29)], "True/Reachable"),
        ([said(probe("False", "NeverHeardOf"))], "False/NeverHeardOf"),
    ],
)
def test_how_a_node_stands(what: list[Said], expected: str) -> None:
    found = status(*what)
    one = reachable(found)
    assert f"{one.status}/{one.reason}" == expected
    assert [one.type for one in found.conditions] == ["Accepted", "Reachable"]
    assert {one.observed_generation for one in found.conditions} == {7} == {found.observed_generation}


def test_each_route_is_listed_with_what_it_found_and_the_worst_says_what_to_do() -> None:
    found = status(said(SLOW, "a"), said(REFUSED, "b"), said(None, "c"))
    assert [(one.route, one.reachable, one.reason, one.within_milliseconds) for one in found.connection_tests] == [
        ("a", "True", "Reachable", 200),
        ("b", "False", "ConnectionRefused", None),
    ]
    message = reachable(found).message
    assert message == "route b: pacs:104 refuses connections. Run `dicomroute test node pacs -n default` to test it now"
    assert reachable(status(said(ANSWERS))).message == "it answers a C-ECHO within 5 ms"
    assert "dicomroute test node pacs -n default" in reachable(status()).message


def test_silence_makes_nothing_good_and_nothing_new() -> None:
    before = status(said(REFUSED))
    assert status(Said("ct-to-pacs"), before=before) == before
    assert status(said(REFUSED), before=before) == before
    assert reachable(status(Said("ct-to-pacs"), before=before, generation=8)).reason == "NotTested"
    assert reachable(status(Said("ct-to-pacs"), before=status())).reason == "NotTested"


def test_where_nothing_is_to_be_tested_that_is_said() -> None:
    found = status(said(None), seconds=0, before=status(said(REFUSED)), generation=8)
    assert (reachable(found).status, reachable(found).reason) == ("Unknown", "NotTested")
    assert "connectionTestSeconds is 0" in reachable(found).message
    assert found.connection_tests == []


@pytest.mark.parametrize(
    ("end", "expected"),
    [("2026-01-10T00:00:00Z", "ExpiresSoon"), ("2026-01-01T00:00:00Z", "Expired"), ("2026-02-10T00:00:00Z", None)],
)
def test_a_certificate_that_ends(end: str, expected: str | None) -> None:
    found = status(said(ANSWERS, credentialExpiresTime=end))
    of_it = [one for one in found.conditions if one.type == "CredentialsExpiring"]
    assert [one.reason for one in of_it] == [expected] * bool(expected)
    assert all(
        f"DicomNode pacs {'expired' if expected == 'Expired' else 'expires'} at {end}" in one.message for one in of_it
    )
    assert status(Said("ct-to-pacs"), before=found).conditions == found.conditions


def test_a_name_that_nobody_looks_at_is_said() -> None:
    bundle = {"kind": "ConfigMap", "name": "authorities", "key": "ca.crt"}
    for tls, expected in (({"caBundleRef": bundle}, []), ({"caBundleRef": bundle, "verifyName": "None"}, ["AnyName"])):
        model = DicomNode.model_validate(changed(node(aeTitle="PACS", host="pacs", tls=tls), "metadata.name", "pacs"))
        found = [one for one in node_status(model, check_node(model), [], NOW).conditions if "Name" in one.type]
        assert [one.reason for one in found] == expected
        assert all("ConfigMap authorities" in one.message for one in found)


def test_only_what_a_test_found_is_news() -> None:
    assert said(ANSWERS, pending=1) == said({**ANSWERS, "roundTripMilliseconds": 4.2}, pending=3)
    assert said(ANSWERS) != said(REFUSED)


def test_an_event_tells_that_it_is_gone() -> None:
    answers, refused = status(said(ANSWERS)), status(said(REFUSED))
    assert {one[0] for one in transitions(answers.conditions, refused.conditions)} == {"ConnectionRefused"}


def test_a_route_that_begins_or_ceases_to_deliver_to_a_node_concerns_it() -> None:
    def body(document: dict[str, Any], version: int = 1) -> dict[str, Any]:
        meta = {"namespace": "default", "uid": document["kind"], "resourceVersion": str(version)}
        return {**document, "metadata": {**document["metadata"], **meta}}

    world, key = World(), Key("DicomRoute", "default", "ct-to-cloud")
    to_pacs = route(rules=[{"name": "r", "destinations": [{"kind": "DicomNode", "name": "pacs"}]}])
    world.observe("DicomNode", body(changed(node(aeTitle="P", host="p"), "metadata.name", "pacs")), deleted=False)
    assert world.observe("DicomRoute", body(to_pacs), deleted=False) == {key, PACS}
    assert world.runs(PACS) == [key]
    assert world.observe("DicomRoute", body(route(), 2), deleted=False) == {key, PACS}
    assert world.runs(PACS) == []
