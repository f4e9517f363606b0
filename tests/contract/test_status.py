"""The operator reads the status that the gateway writes, of its own version and of an older one."""

import re
from datetime import UTC, datetime
from pathlib import Path

from dicomroute_gateway.admin.model import (
    ConfigurationDocument,
    DeliveriesDocument,
    DestinationDocument,
    FindingDocument,
    InstancesDocument,
    LastErrorDocument,
    ProbeDocument,
    ProbeFindingDocument,
    RouteDocument,
    SpoolDocument,
    StatusDocument,
    StepDocument,
)
from dicomroute_gateway.configuration.load import configuration_hash as gateways_hash
from dicomroute_gateway.probes import steps
from dicomroute_gateway.probes.findings import ANSWER_REASONS, CREDENTIAL_REASONS
from dicomroute_gateway.probes.steps import ADVICE, answered
from dicomroute_operator.api.gateway_report import GatewayReport
from dicomroute_operator.api.target_conditions import Authenticated, Reachable, TargetReady
from dicomroute_operator.render.gateway_configuration import configuration_hash as operators_hash

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COUNTS = {
    "received_total": 6,
    "owed": 1,
    "dead_lettered": 1,
    "skipped_total": 1,
    "delivered_total": 2,
    "discarded_total": 1,
}
DELIVERIES = {"pending": 1, "in_flight": 2, "held": 3, "skipped": 4, "dead_lettered": 5, "delivered_total": 6}
PROBE = ProbeDocument(
    time=NOW,
    steps=[StepDocument(step="TLS", result="Failed", reason="TLSExpired", message="m", milliseconds=3)],
    reachable=ProbeFindingDocument(status="False", reason="TLSExpired", message="m"),
    authenticated=ProbeFindingDocument(status="Unknown", reason="NotTested", message="n"),
    ready=ProbeFindingDocument(status="True", reason="Ready", message="o"),
)


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
        spool=SpoolDocument(used_bytes=1, capacity_bytes=2, watermark_bytes=3, fill_bytes_per_second=4),
        unmounted_secrets=["archive/password"],
    )
    read = GatewayReport.model_validate_json(document.model_dump_json(by_alias=True))
    assert read.ready
    assert read.problems[0].model_dump() == finding.model_dump()
    assert read.configuration is not None
    assert (read.configuration.hash, read.configuration.findings[0].reason) == ("h", "RuleInvalid")
    assert read.instances is not None
    assert read.instances.model_dump() == COUNTS
    assert read.deliveries is not None
    assert read.deliveries.model_dump() == DELIVERIES
    (destination,) = read.destinations
    assert {name: getattr(destination, name) for name in DELIVERIES} == DELIVERIES
    assert destination.last_error is not None
    assert (destination.last_error.status, destination.last_error.time) == (503, "2026-01-02T03:04:05Z")
    assert destination.last_error.message == "m" * 512
    assert LastErrorDocument.model_fields.keys() <= type(destination.last_error).model_fields.keys()
    assert destination.credential_expires_time == "2026-01-02T03:04:05Z"
    assert (destination.paused_reason, destination.paused_time) == ("Forbidden", "2026-01-02T03:04:05Z")
    assert destination.probe is not None
    for name in ("reachable", "authenticated", "ready"):
        assert getattr(destination.probe, name).model_dump() == getattr(PROBE, name).model_dump()
    assert read.spool is not None
    assert (read.spool.watermark_bytes, read.spool.fill_bytes_per_second) == (3, 4)
    assert read.oldest_owed_time == "2026-01-02T03:04:05Z"
    assert read.unmounted_secrets == ["archive/password"]


def test_the_status_of_an_older_gateway_is_read_too() -> None:
    """As the first version answered it, before it said which Secret files it misses."""
    text = """{"statusVersion": 1, "gatewayVersion": "0.1.0", "ready": true,
        "route": {"namespace": "n", "name": "r", "uid": "u"}, "problems": [],
        "configuration": {"hash": "h", "generation": 3, "findings": []}, "listeners": [], "associations": null,
        "instances": null, "deliveries": null, "oldestOwedTime": null, "destinations": [], "spool": null}"""
    read = GatewayReport.model_validate_json(text)
    assert read.ready
    assert read.unmounted_secrets == []


def test_every_reason_of_a_probe_is_declared_by_the_operator() -> None:
    declared = {reason.value for reasons in (Reachable, Authenticated, TargetReady) for reason in reasons}
    answers = {answered(status, "text/html")[0] for status in range(200, 600)} - {""}
    assert answers | CREDENTIAL_REASONS | ANSWER_REASONS | ADVICE.keys() <= declared
    raised = re.findall(r'(?:TransportFailed|Finding)\(\s*(?:True|False|None)?,?\s*"(\w+)"', _sources())
    assert {"DNSFailed", "TLSExpired", "NotProven"} <= set(raised)
    assert set(raised) <= declared


def _sources() -> str:
    folder = Path(steps.__file__).parent
    return "".join(file.read_text() for file in (*folder.glob("*.py"), folder.parent / "dicomweb" / "faults.py"))


def test_both_name_a_configuration_alike() -> None:
    assert operators_hash("{}\n") == gateways_hash("{}\n")
