"""What a probe and the deliveries beside it say of a target."""

import pytest

from dicomroute_gateway.probes.findings import (
    Findings,
    ProbeFinding,
    Stores,
    findings,
    node_findings,
    within_milliseconds,
)
from dicomroute_gateway.probes.steps import Probed, ProbeStep, StepName, StepResult, advised, answered

TIME = 1000.0
NEVER = Stores()
BEFORE, SINCE = Stores(taken_time=TIME - 60), Stores(taken_time=TIME + 1)
REFUSED = Stores(refused="NotFound", refused_message="HTTP 404", is_waiting=True)
FORBIDDEN = Stores(refused="Forbidden", refused_message="HTTP 403", is_waiting=True)


def probed(**failed: str) -> Probed:
    """Return a probe in which the named steps failed for these reasons, and what follows was not tried."""
    steps: list[ProbeStep] = []
    is_reached = is_known = True
    for name in StepName:
        reason = failed.get(name.lower(), "")
        is_tried = is_known and is_reached if name is StepName.QUERY else is_reached or name is StepName.CREDENTIAL
        if reason:
            steps.append(ProbeStep(name, StepResult.FAILED, reason, f"{reason} says", 0.1))
            is_known, is_reached = (False, is_reached) if name is StepName.CREDENTIAL else (is_known, False)
        else:
            steps.append(ProbeStep(name, StepResult.PASSED if is_tried else StepResult.NOT_TRIED))
    return Probed(TIME, tuple(steps))


def words(found: Findings) -> tuple[str, str, str]:
    def word(one: ProbeFinding) -> str:
        return f"{one.status}/{one.reason}"

    return word(found.reachable), word(found.authenticated), word(found.ready)


OK = ("True/Reachable", "True/Authenticated", "True/Ready")


@pytest.mark.parametrize(
    ("probe", "stores", "expected"),
    [
        (probed(), NEVER, OK),
        (probed(dns="DNSFailed"), NEVER, ("False/DNSFailed", "None/NotTested", "False/DNSFailed")),
        (probed(dns="DNSFailed"), BEFORE, ("False/DNSFailed", "None/NotTested", "False/DNSFailed")),
        (probed(dns="DNSFailed"), SINCE, OK),
        (probed(tls="TLSExpired"), NEVER, ("False/TLSExpired", "None/NotTested", "False/TLSExpired")),
        (probed(tls="SecretMissing"), NEVER, ("None/NotTested", "False/SecretMissing", "False/SecretMissing")),
        (
            probed(tcp="TimedOut", credential="TokenRefused"),
            NEVER,
            ("False/TimedOut", "False/TokenRefused", "False/TimedOut"),
        ),
        (probed(credential="TokenRefused"), NEVER, ("True/Reachable", "False/TokenRefused", "False/TokenRefused")),
        (probed(credential="TokenRefused"), SINCE, OK),
        (probed(query="Unauthorized"), NEVER, ("True/Reachable", "False/Unauthorized", "False/Unauthorized")),
        (probed(query="Unauthorized"), BEFORE, ("True/Reachable", "False/Unauthorized", "False/Unauthorized")),
        (probed(query="TokenRefused"), NEVER, ("True/Reachable", "False/TokenRefused", "False/TokenRefused")),
        (
            probed(query="TLSClientCertificateRequired"),
            NEVER,
            ("False/TLSClientCertificateRequired", "None/NotTested", "False/TLSClientCertificateRequired"),
        ),
        (probed(query="QueryNotAllowed"), NEVER, ("True/Reachable", "None/NotProven", "None/QueryNotAllowed")),
        (probed(query="QueryNotAllowed"), BEFORE, ("True/Reachable", "True/Authenticated", "True/QueryNotAllowed")),
        (probed(query="QueryNotAllowed"), FORBIDDEN, ("True/Reachable", "False/Forbidden", "False/Forbidden")),
        (probed(query="QueryFailed"), NEVER, ("True/Reachable", "None/NotProven", "None/QueryFailed")),
        (probed(query="NotDICOMweb"), NEVER, ("True/Reachable", "None/NotProven", "False/NotDICOMweb")),
        (probed(query="NotDICOMweb"), BEFORE, ("True/Reachable", "True/Authenticated", "True/QueryNotAllowed")),
        (probed(query="Busy"), NEVER, ("True/Reachable", "None/NotProven", "False/Busy")),
        (probed(), REFUSED, ("True/Reachable", "True/Authenticated", "False/StoreRefused")),
        (probed(), FORBIDDEN, ("True/Reachable", "False/Forbidden", "False/Forbidden")),
        (probed(), Stores(taken_time=TIME + 1, is_waiting=True), OK),
        (Probed(TIME, ()), NEVER, ("None/NotTested", "None/NotTested", "None/NotTested")),
    ],
)
def test_findings(probe: Probed, stores: Stores, expected: tuple[str, str, str]) -> None:
    found = findings(probe, stores)
    assert words(found) == expected
    assert all((found.reachable.message, found.authenticated.message, found.ready.message))


def test_a_delivery_that_failed_since_is_no_proof() -> None:
    waits = Stores(taken_time=TIME - 60, is_waiting=True)
    assert words(findings(probed(query="QueryNotAllowed"), waits))[2] == "None/QueryNotAllowed"


def test_only_what_certainly_does_not_work_fails() -> None:
    assert findings(probed(tcp="TimedOut"), NEVER).fails
    assert findings(probed(query="NotDICOMweb"), NEVER).fails
    assert not findings(probed(), NEVER).fails
    assert not findings(probed(query="QueryNotAllowed"), NEVER).fails


def of_node(*steps: ProbeStep) -> Probed:
    """Return a test of a node in which the association came about."""
    return Probed(TIME, (ProbeStep(StepName.ASSOCIATION, StepResult.PASSED), *steps))


def test_a_node_is_reachable_where_it_answers_or_takes_what_is_delivered() -> None:
    answers = of_node(ProbeStep(StepName.ECHO, StepResult.PASSED, seconds=0.0042))
    takes_none = of_node(ProbeStep(StepName.ECHO, StepResult.NOT_NEEDED, "VerificationNotAccepted", "it associates"))
    silent = of_node(ProbeStep(StepName.ECHO, StepResult.FAILED, "ResponseTimedOut", "no answer"))
    assert node_findings(answers, NEVER).reachable == ProbeFinding(
        True, "Reachable", "the node answers a C-ECHO within 5 ms"
    )
    assert node_findings(answers, SINCE).reachable == node_findings(answers, NEVER).reachable
    assert node_findings(takes_none, NEVER).reachable == ProbeFinding(True, "VerificationNotAccepted", "it associates")
    assert node_findings(silent, NEVER).reachable == ProbeFinding(False, "ResponseTimedOut", "no answer")
    assert node_findings(silent, BEFORE).fails
    assert node_findings(silent, SINCE).reachable == ProbeFinding(True, "Reachable", "the node accepts deliveries")
    assert node_findings(silent, Stores(taken_time=TIME + 1, is_waiting=True)).fails


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(0.0, 1), (0.001, 1), (0.0011, 2), (0.0042, 5), (0.0051, 10), (0.02, 20), (0.3, 500), (0.6, 1000), (1.5, 2000)],
)
def test_round_trips_are_rounded_up_so_that_each_is_no_news(seconds: float, milliseconds: int) -> None:
    assert within_milliseconds(seconds) == milliseconds


def test_a_step_that_is_not_needed_passes() -> None:
    steps = (ProbeStep(StepName.DNS, StepResult.NOT_NEEDED), ProbeStep(StepName.TCP, StepResult.PASSED))
    assert Probed(TIME, steps).passed
    assert not Probed(TIME, (*steps, ProbeStep(StepName.TLS, StepResult.NOT_TRIED))).passed


@pytest.mark.parametrize(
    ("status", "content_type", "reason"),
    [
        (200, "application/dicom+json", ""),
        (200, "Application/JSON; charset=utf-8", ""),
        (200, 'multipart/related; type="application/dicom+xml"', ""),
        (204, "", ""),
        (200, "text/html", "NotDICOMweb"),
        (200, "", "NotDICOMweb"),
        (301, "", "Redirected"),
        (401, "", "Unauthorized"),
        (403, "", "QueryNotAllowed"),
        (404, "text/html", "NotDICOMweb"),
        (405, "", "QueryNotAllowed"),
        (410, "", "NotDICOMweb"),
        (429, "", "Throttled"),
        (501, "", "QueryNotAllowed"),
        (503, "", "Busy"),
        (502, "", "ServerError"),
        (400, "", "QueryFailed"),
        (406, "", "QueryFailed"),
    ],
)
def test_answers_to_the_query(status: int, content_type: str, reason: str) -> None:
    found, message = answered(status, content_type)
    assert found == reason
    assert bool(message) == bool(reason)


def test_a_fault_says_what_to_do() -> None:
    assert advised("TLSExpired", "it ended") == (
        "it ended: renew the server's certificate, or correct the clock that is wrong"
    )
    assert advised("SecretMissing", "create it") == "create it"
