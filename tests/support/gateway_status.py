"""Status documents of gateways, with what a test does not speak of filled in."""

from typing import Any

from dicomroute_client.documents.status import StatusDocument

COUNTS = {"receivedTotal": 0, "owed": 0, "deadLettered": 0, "skippedTotal": 0, "deliveredTotal": 0, "discardedTotal": 0}
DOCUMENT: dict[str, Any] = {
    "gatewayVersion": "0.1.0",
    "route": {"namespace": "default", "name": "ct-to-cloud", "uid": "u"},
    "ready": True,
    "startedTime": "2026-01-02T03:00:00Z",
    "time": "2026-01-02T03:04:05Z",
}


def status_document(**fields: Any) -> StatusDocument:
    """Return a status with these fields, in the API's spelling; counts of instances that are not named are 0."""
    if fields.get("instances"):
        fields["instances"] = COUNTS | fields["instances"]
    if fields.get("configuration"):
        found = [{"section": "", **one} for one in fields["configuration"].get("findings", [])]
        fields["configuration"] = {"generation": 1, **fields["configuration"], "findings": found}
    return StatusDocument.model_validate(DOCUMENT | fields)
