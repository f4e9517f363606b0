"""What the console's pages say of a study and of a route, from what gateways and the operator say."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dicomroute_client.documents.queue import InstanceDocument
from dicomroute_console.pages.advice import ADVICE, advice
from dicomroute_console.pages.model import Found, counts, row_of_resource, studies, study

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def delivery(destination: str, state: str, reason: str = "", attempts: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "instance": 1,
        "destination": destination,
        "state": state,
        "reason": reason,
        "attempts": attempts,
        "status": None,
        "lastAttemptTime": NOW + timedelta(seconds=9) if attempts else None,
        "receivedTime": NOW,
        "callingAETitle": "CT1",
        "sopInstanceUID": "1.2.3",
        "bytes": 7,
        "earlierAttempts": [],
        **fields,
    }


def instance(number: int, outcome: str, *deliveries: dict[str, Any], uid: str = "1.2") -> InstanceDocument:
    return InstanceDocument.model_validate(
        {
            "instance": number,
            "outcome": outcome,
            "receivedTime": NOW + timedelta(seconds=number),
            "sopClassUID": "1",
            "sopInstanceUID": f"1.2.3.{number}",
            "seriesInstanceUID": "1.2.3",
            "studyInstanceUID": uid,
            "transferSyntaxUID": "1",
            "bytes": 7,
            "digest": "blake3:00",
            "association": "a",
            "listener": "dicom",
            "callingAETitle": "CT1",
            "calledAETitle": "GATE",
            "address": "192.0.2.1",
            "generation": 1,
            "hold": "",
            "deliveries": list(deliveries),
        }
    )


def test_a_study_is_one_answer_of_all_gateways() -> None:
    north = Found("north", "ct", "192.0.2.7", [instance(1, "Delivered", delivery("CloudTarget/a", "Delivered"))])
    south = Found(
        "south",
        "ct",
        "192.0.2.8",
        [
            instance(1, "Owed", delivery("CloudTarget/a", "Pending", "ServerError")),
            instance(2, "Owed", delivery("CloudTarget/a", "Pending", "ServerError")),
            instance(3, "DeadLettered", delivery("DicomNode/pacs", "DeadLettered", "Refused")),
        ],
    )
    found = study("1.2", [north, south, Found("west", "ct", "192.0.2.9", [])])
    assert [(part.namespace, part.instances) for part in found.parts] == [("north", 1), ("south", 3)]
    assert found.verdict == (
        "4 instances received; 1 delivery made. Not done: 2 waiting for CloudTarget/a (ServerError); "
        "1 dead-lettered at DicomNode/pacs (Refused)."
    )
    assert not found.is_settled
    assert [event.time for event in found.events] == sorted((one.time for one in found.events), reverse=True)


def test_a_study_without_anything_left_is_settled_and_one_that_is_not_wholly_known_is_not() -> None:
    instances = [instance(1, "Delivered", delivery("CloudTarget/a", "Delivered"), delivery("CloudTarget/b", "Skipped"))]
    done = study("1.2", [Found("n", "r", "h", instances)])
    assert done.is_settled
    assert done.verdict == "1 instance received; 1 delivery made, 1 given up. All deliveries are finished."
    assert not study("1.2", [Found("n", "r", "h", instances, truncated=True)]).is_settled
    assert study("1.2", []).verdict == "None of the gateways that you may ask knows this study."


def test_who_gave_a_delivery_up_is_said_and_each_attempt_is_there() -> None:
    past = {"time": NOW, "reason": "ServerError", "status": 503}
    dropped = delivery("CloudTarget/a", "Skipped", "Refused", earlierAttempts=[past], decidedBy="ada")
    found = study("1.2", [Found("n", "r", "h", [instance(1, "Skipped", dropped)])])
    assert {(one.what, one.reason) for one in found.events} == {
        ("received from CT1", ""),
        ("attempt", "ServerError"),
        ("given up by ada", "Refused"),
    }


def test_studies_are_listed_once_however_many_gateways_know_them() -> None:
    one = Found("n", "a", "h", [instance(1, "Delivered"), instance(5, "Owed", uid="1.9")])
    other = Found("n", "b", "h", [instance(1, "Owed")])
    rows = studies([one, other])
    assert [(row.uid, row.instances, row.routes) for row in rows] == [("1.9", 1, ("n/a",)), ("1.2", 1, ("n/a", "n/b"))]


def test_deliveries_are_counted_the_most_first() -> None:
    held = instance(1, "Owed", *(delivery("a", "Held", "X") for _ in range(2)), delivery("b", "Pending")).deliveries
    assert counts(held) == [("a", "Held", "X", 2), ("b", "Pending", "", 1)]


def test_what_is_not_in_order_stands_in_the_row_of_a_route() -> None:
    def said(type_: str, status: str) -> dict[str, str]:
        return {"type": type_, "status": status, "reason": "R", "message": f"of {type_}"}

    conditions = [said("Accepted", "True"), said("ResolvedRefs", "False"), said("Ready", "True"), said("Held", "True")]
    resource = {"metadata": {"namespace": "n", "name": "r"}, "status": {"conditions": conditions}}
    row = row_of_resource(resource)
    assert (row.ready, row.troubles) == ("True", ("ResolvedRefs: of ResolvedRefs", "Held: of Held"))
    fresh = row_of_resource({"metadata": {"namespace": "n", "name": "r"}})
    assert (fresh.ready, fresh.owed) == ("Unknown", None)


def test_there_is_advice_for_what_waits_and_none_for_what_is_done() -> None:
    assert "release" in advice("Held", "Unmatched")
    assert advice("Pending", "SomethingNew")
    assert advice("DeadLettered", "SomethingNew")
    assert advice("Delivered", "Stored") == advice("Pending", "") == ""
    assert all(sentence.endswith(".") for sentence in ADVICE.values())
