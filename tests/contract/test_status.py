"""The operator reads the status that the gateway writes, of its own version and of an older one."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gateway_status import status_document
from manifests import route
from pydantic import BaseModel

from dicomroute_client import calls
from dicomroute_client.documents.document import text_of
from dicomroute_client.documents.status import (
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
    StatusDocument,
    StepDocument,
)
from dicomroute_gateway.configuration.load import configuration_hash as gateways_hash
from dicomroute_gateway.dimse import failures
from dicomroute_gateway.probes import steps
from dicomroute_gateway.probes.echo import ECHO_FAILED, VERIFICATION_NOT_ACCEPTED
from dicomroute_gateway.probes.findings import ANSWER_REASONS, CREDENTIAL_REASONS
from dicomroute_gateway.probes.steps import ADVICE, answered
from dicomroute_gateway.reasons import Reason
from dicomroute_operator.api.node_conditions import NodeReachable
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target_conditions import Authenticated, Reachable, TargetReady
from dicomroute_operator.gateways.news import is_news
from dicomroute_operator.render.gateway_configuration import configuration_hash as operators_hash
from dicomroute_operator.status.observed import PodSeen, RouteSeen
from dicomroute_operator.status.route import route_status
from dicomroute_operator.status.said import said_of

RECORDED = Path(__file__).parent / "recorded"
ANSWERS: dict[str, calls.Call[Any]] = {
    "status": calls.status(),
    "queue": calls.queue(),
    "instance": calls.instance(1),
    "ledger": calls.ledger(),
    "report": calls.report(),
    "refused": calls.refused(),
    "probe": calls.probe("CloudTarget", "archive"),
    "change": calls.change(calls.Operation.RETRY, {}),
}
POD: dict[str, Any] = {"metadata": {"name": "ct-to-cloud-gw-0"}, "status": {}}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COUNTS = {
    "received_total": 6,
    "owed": 1,
    "dead_lettered": 1,
    "skipped_total": 1,
    "delivered_total": 2,
    "discarded_total": 1,
}
DELIVERIES = {
    "pending": 1,
    "in_flight": 2,
    "unconfirmed": 7,
    "waiting": 8,
    "held": 3,
    "skipped": 4,
    "dead_lettered": 5,
    "delivered_total": 6,
}
PROBE = ProbeDocument(
    time=NOW,
    within_milliseconds=20,
    round_trip_milliseconds=12.5,
    steps=[StepDocument(step="TLS", result="Failed", reason="TLSExpired", message="m", milliseconds=3)],
    reachable=ProbeFindingDocument(status="False", reason="TLSExpired", message="m"),
    authenticated=ProbeFindingDocument(status="Unknown", reason="NotTested", message="n"),
    ready=ProbeFindingDocument(status="True", reason="Ready", message="o"),
)


class RouteDocumentTime(BaseModel):
    """A time as pydantic writes it into any document."""

    time: datetime


def test_every_number_and_sentence_arrives() -> None:
    finding = FindingDocument(section="rules", reason="RuleInvalid", message="m")
    document = StatusDocument(
        gateway_version="1",
        route=RouteDocument(namespace="n", name="r", uid="u"),
        ready=True,
        problems=[finding],
        started_time=NOW,
        time=NOW,
        configuration=ConfigurationDocument(hash="h", generation=3, findings=[finding]),
        instances=InstancesDocument(**COUNTS),
        deliveries=DeliveriesDocument(**DELIVERIES),
        oldest_owed_time=NOW,
        listeners=[ListenerDocument(name="dicom", port=11112, associations=1, credential_expires_time=NOW)],
        destinations=[
            DestinationDocument(
                **DELIVERIES,
                kind="CloudTarget",
                name="archive",
                last_error=LastErrorDocument(reason="ServerError", status=503, time=NOW, message="m" * 600),
                credential_expires_time=NOW,
                state="Paused",
                paused_reason="Forbidden",
                paused_time=NOW,
                probe=PROBE,
            )
        ],
        failing_archives=[
            FailingArchiveDocument(kind="CloudTarget", name="cloud", reason="TimedOut", message="m", since=NOW)
        ],
        studies=OpenStudiesDocument(open=9, complete=1),
        spool=SpoolDocument(used_bytes=1, capacity_bytes=2, watermark_bytes=3, fill_bytes_per_second=4),
        unmounted_secrets=["archive/password"],
    )
    read = calls.status().read(document.model_dump_json(by_alias=True).encode()).document
    assert read == document
    seen = RouteSeen(pods=(PodSeen(POD, read, 1.0, 1.0),), service=None, claims=(), configuration_hash="h")
    status = route_status(DicomRoute.model_validate(route()), [], seen, NOW)
    assert status.instances is not None
    assert status.instances.model_dump() == COUNTS
    assert status.deliveries is not None
    under_way = DELIVERIES["pending"] + DELIVERIES["in_flight"]
    assert status.studies is not None
    assert status.studies.open == 9
    expected = {**DELIVERIES, "pending": under_way}
    assert status.deliveries.model_dump() == {name: expected[name] for name in type(status.deliveries).model_fields}
    (destination,) = status.destinations
    assert {name: getattr(destination, name) for name in type(status.deliveries).model_fields} == (
        status.deliveries.model_dump()
    )
    assert destination.last_error is not None
    assert (destination.last_error.status, destination.last_error.time) == (503, "2026-01-02T03:04:05Z")
    assert destination.last_error.message == "m" * 512
    assert LastErrorDocument.model_fields.keys() <= type(destination.last_error).model_fields.keys()
    assert (destination.paused_reason, destination.paused_time) == ("Forbidden", "2026-01-02T03:04:05Z")
    assert status.oldest_owed_time == "2026-01-02T03:04:05Z"
    (unreachable,) = [one for one in status.conditions if one.type == "ArchiveUnreachable"]
    assert unreachable.message.startswith(
        "CloudTarget cloud has not answered queries since 2026-01-02T03:04:05Z: TimedOut (m)"
    )
    said = said_of("r", [("CloudTarget", "archive")], seen.pods, 1.0)[("CloudTarget", "archive")].destinations[0]
    assert said.credential_expires_time == NOW
    assert said.within_milliseconds == 20
    assert (said.reachable, said.authenticated, said.ready) == (PROBE.reachable, PROBE.authenticated, PROBE.ready)


def test_every_time_is_written_as_the_gateway_writes_it() -> None:
    for moment in (NOW, NOW.replace(microsecond=123000)):
        written = RouteDocumentTime(time=moment).model_dump(mode="json")["time"]
        assert text_of(moment) == written


def test_a_report_is_news_when_it_says_something_new_and_not_when_time_goes_by() -> None:
    destination = {"kind": "CloudTarget", "name": "archive", "probe": PROBE.model_dump(by_alias=True)}
    before = status_document(destinations=[destination])
    later = PROBE.model_copy(update={"time": NOW.replace(year=2027)}).model_dump(by_alias=True)
    assert not is_news(
        before, status_document(time="2026-01-02T03:04:15Z", destinations=[{**destination, "probe": later}])
    )
    assert is_news(None, before)
    assert is_news(before, status_document(destinations=[{**destination, "pending": 1}]))
    assert is_news(before, status_document(destinations=[destination], ready=False))


def test_what_a_later_release_says_breaks_no_reader() -> None:
    """It has more fields, and words that this one does not know."""
    document = status_document(destinations=[{"kind": "CloudTarget", "name": "archive"}]).model_dump(
        by_alias=True, mode="json"
    )
    document |= {"statusVersion": 2, "weather": {"sunny": True}}
    probe = PROBE.model_dump(by_alias=True, mode="json")
    probe["ready"] = {**probe["ready"], "status": "Perhaps", "since": "yesterday"}
    document["destinations"][0] |= {"state": "Resting", "mood": "good", "probe": probe}
    read = calls.status().read(json.dumps(document).encode())
    (destination,) = read.document.destinations
    assert destination.state == "Resting"
    assert destination.probe is not None
    assert destination.probe.ready.status == "Perhaps"
    assert read.data == document, "what is printed as it came keeps what this release does not know"


@pytest.mark.parametrize("file", sorted(RECORDED.glob("*/*.json")), ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_what_a_release_answered_is_read(file: Path) -> None:
    read = ANSWERS[file.stem].read(file.read_bytes())
    written = json.loads(read.document.model_dump_json(by_alias=True))
    assert _without_more(written, read.data) == read.data, "nothing that it said is lost"


def _without_more(written: Any, recorded: Any) -> Any:
    """Return a document without the fields that later releases have added to it."""
    if isinstance(written, dict) and isinstance(recorded, dict):
        return {name: _without_more(written[name], one) for name, one in recorded.items() if name in written}
    if isinstance(written, list) and isinstance(recorded, list):
        return [_without_more(*pair) for pair in zip(written, recorded, strict=True)]
    return written


def test_the_status_of_an_older_gateway_is_read_too() -> None:
    """As the first version answered it, before it said which Secret files it misses."""
    text = """{"statusVersion": 1, "gatewayVersion": "0.1.0", "ready": true,
        "startedTime": "2026-01-02T03:04:05Z", "time": "2026-01-02T03:04:05Z",
        "route": {"namespace": "n", "name": "r", "uid": "u"}, "problems": [],
        "configuration": {"hash": "h", "generation": 3, "findings": []}, "listeners": [], "associations": null,
        "instances": null, "deliveries": null, "oldestOwedTime": null, "destinations": [], "spool": null}"""
    read = calls.status().read(text.encode()).document
    assert read.ready
    assert read.unmounted_secrets == []


def test_every_reason_of_a_probe_is_declared_by_the_operator() -> None:
    declared = {reason.value for reasons in (Reachable, Authenticated, TargetReady) for reason in reasons}
    answers = {answered(status, "text/html")[0] for status in range(200, 600)} - {""}
    assert answers | CREDENTIAL_REASONS | ANSWER_REASONS | ADVICE.keys() <= declared
    raised = _words(r"(?:TransportFailed|Finding)\(\s*(?:True|False|None)?,?\s*Reason\.(\w+)", _sources())
    assert {"DNSFailed", "TLSExpired", "NotProven"} <= raised
    assert raised <= declared


def test_every_reason_of_a_connection_test_is_declared_by_the_operator() -> None:
    declared = {reason.value for reason in NodeReachable}
    folder = Path(failures.__file__).parent
    sources = "".join((folder / name).read_text() for name in ("failures.py", "connect.py", "requestor.py"))
    of_node = (folder / "tls_failures.py").read_text().partition("def of_node")[2]
    raised = _words(
        r"(?:NotConnected|HandshakeFailed|exchange|super\(\).__init__)\(\s*Reason\.(\w+)", sources + of_node
    )
    raised |= {reason for reason, _ in failures._REJECTIONS.values()} | {VERIFICATION_NOT_ACCEPTED, ECHO_FAILED}
    raised |= {"ProtocolViolation", "UnexpectedResponse"}
    assert {"ConnectionRefused", "TLSNotYetValid", "CallingAETitleNotRecognized", "ResponseTimedOut"} <= raised
    assert raised - {"Interrupted", "SpoolUnreadable", "EventStalled"} <= declared


def _words(pattern: str, sources: str) -> set[str]:
    """Return the reasons that sources name where a pattern finds them."""
    return {Reason[name].value for name in re.findall(pattern, sources)}


def _sources() -> str:
    folder = Path(steps.__file__).parent
    return "".join(file.read_text() for file in (*folder.glob("*.py"), folder.parent / "dicomweb" / "faults.py"))


def test_both_name_a_configuration_alike() -> None:
    assert operators_hash("{}\n") == gateways_hash("{}\n")
