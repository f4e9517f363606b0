"""The reports on storage commitment that are awaited, on whatever association they come (PS3.4 J.3.3)."""

import threading
from collections.abc import Callable

import structlog

from dicomroute_gateway.dimse.command import Status
from dicomroute_gateway.dimse.storage_commitment import CommitmentReport, NotCommitment, decode_commitment_report

log = structlog.get_logger(__name__)


class Reports:
    """Who waits for the report on which transaction. Safe to use from several threads.

    A transaction UID is random and given to one node alone: who reports on it was told it.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._awaited: dict[str, Callable[[CommitmentReport], None]] = {}

    def expect(self, transaction_uid: str, tell: Callable[[CommitmentReport], None]) -> None:
        """Let `tell` be told the report on a transaction, in the thread in which it comes."""
        with self._mutex:
            self._awaited[transaction_uid] = tell

    def forget(self, transaction_uid: str) -> None:
        """Wait for no report on a transaction any more."""
        with self._mutex:
            self._awaited.pop(transaction_uid, None)

    def take(self, data_set: bytes, transfer_syntax: str) -> tuple[Status, str]:
        """Take a report; return the status and the comment that answer it.

        One that nobody waits for is answered with success, too: it says nothing new, and its sender would only repeat
        it. What it speaks of has been asked for anew, with another transaction UID.
        """
        try:
            report = decode_commitment_report(data_set, transfer_syntax)
        except NotCommitment as error:
            return Status.INVALID_ARGUMENT_VALUE, str(error)
        with self._mutex:
            tell = self._awaited.pop(report.transaction_uid, None)
        if tell is None:
            log.info("commitment.report_not_awaited", committed=len(report.committed), failed=len(report.failed))
        else:
            tell(report)
        return Status.SUCCESS, ""
