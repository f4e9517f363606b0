"""What the log says of each delivery that was attempted."""

from collections.abc import Sequence

import structlog

from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState

from .outcome import AttemptOutcome
from .transport import Due

log = structlog.get_logger(__name__)


def names_of(batch: Sequence[Due]) -> dict[str, list[str] | list[int]]:
    """Return what every log line about these instances says of them."""
    associations = dict.fromkeys(item.received.sender.association for item in batch)
    return {"instances": [item.received.id for item in batch], "associations": list(associations)}


def log_attempted(item: Due, outcome: AttemptOutcome, record: DeliveryRecord, message: str, seconds: float) -> None:
    """Log what came of an attempt of `seconds` that `record` notes; `message` is what the destination said."""
    facts = {"destination": item.delivery.destination, "instance": item.received.id}
    if outcome.warning is not None:
        log.info("delivery.warning", **facts, warning=outcome.warning)
    association = item.received.sender.association
    if record.state not in (DeliveryState.DELIVERED, DeliveryState.UNCONFIRMED):
        log.warning(
            "delivery.failed",
            **facts,
            association=association,
            verdict=outcome.verdict.value,
            reason=outcome.reason,
            status=outcome.status,
            message=message,
            attempts=record.attempts,
            state=record.state,
        )
    else:
        log.debug(
            "delivery.made",
            **facts,
            association=association,
            reason=outcome.reason,
            status=outcome.status,
            attempts=record.attempts,
            state=record.state,
            seconds=round(seconds, 3),
        )
