"""The ledger: what became of instances, and what each source sent on a day."""

from datetime import date

from pydantic import Field

from .document import Document
from .queue import InstanceDocument


class LedgerDocument(Document):
    """Instances that were asked for, the newest first; `truncated` says that there are more."""

    items: list[InstanceDocument]
    truncated: bool


class SourceReport(Document):
    """What one calling AE title sent on a day; `receivedTotal` is the sum of the counts behind it."""

    calling_ae_title: str = Field(alias="callingAETitle")
    studies: int
    bytes: int
    received_total: int
    owed: int
    dead_lettered: int
    skipped_total: int
    delivered_total: int
    discarded_total: int
    dead_lettered_deliveries: int = 0
    """Of all of them, those that are owed to others still included."""


class ReportDocument(Document):
    """What became, until now, of what was received on a day (UTC), by its source.

    `complete` is false where the ledger does not reach back to that day.
    """

    day: date
    complete: bool
    sources: list[SourceReport]
    total: SourceReport
