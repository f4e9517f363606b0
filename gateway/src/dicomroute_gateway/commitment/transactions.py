"""The open transactions of storage commitment: each a file of the spool, from its N-ACTION to its report's answer.

`commitments/DIGEST.json` is written and synced before a request is answered with success, and written anew with what is
reported before that is said to anybody: after a crash at any step the same report is sent, or sent again. It goes once
the requestor has answered the report, or the time to report is over.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog
from pydantic import TypeAdapter

from dicomroute_gateway.dimse.storage_commitment import CommitmentReport, CommitmentRequest, Reference
from dicomroute_gateway.measures import CommitmentMeasures
from dicomroute_gateway.spool.spool import Spool

FOLDER: Final = "commitments"
MOST_REFERENCES: Final = 10_000
"""Of one request."""
MOST_OPEN: Final = 1_000
MOST_OPEN_REFERENCES: Final = 200_000
"""Of all open transactions: they are in memory."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A request that is to be reported on: who asked, on which listener, when, and what is reported once that is known.

    Times are in seconds since 1970.
    """

    request: CommitmentRequest
    calling_ae_title: str
    called_ae_title: str
    listener: str
    time: float
    report: CommitmentReport | None = None
    decided_time: float = 0.0


@dataclass(slots=True)
class Open:
    """A transaction under way, and until when, on the monotonic clock, an association has its report for itself."""

    transaction: Transaction
    claimed_until: float = 0.0
    due: float = 0.0
    """When it is looked at next, on the monotonic clock: decided, or reported."""
    waits_for: Reference | None = None
    """One that was not decided when all were looked at: while it waits, so does the transaction."""
    failures: int = 0


class NotTaken(Exception):
    """A request is not taken; the message says why, in at most 64 characters."""


class TooManyRequests(NotTaken):
    """There is no room for a request (0213)."""


class OtherContent(NotTaken):
    """Its transaction is open, for something else."""


_ADAPTER: Final[TypeAdapter[Transaction]] = TypeAdapter(Transaction)


class Transactions:
    """The open transactions of one spool. Safe to use from several threads."""

    def __init__(self, spool: Spool, measures: CommitmentMeasures) -> None:
        self._spool = spool
        self._measures = measures
        self._mutex = threading.RLock()
        self._open: dict[str, Open] = {}
        self._references = 0
        self.changed = threading.Event()
        """Set when a transaction has come, or is to be looked at."""
        self.loaded = threading.Event()
        """Set when those of before the start are known."""

    def load(self) -> None:
        """Read those of before. One that cannot be read is told of, and left where it is."""
        for name in self._spool.commitments.names():
            try:
                transaction = _ADAPTER.validate_json(self._spool.commitments.read(name))
            except (OSError, ValueError) as error:
                log.error("commitment.unreadable", file=f"{FOLDER}/{name}", error=str(error)[:200])
                continue
            with self._mutex:
                self._open[transaction.request.transaction_uid] = Open(transaction)
                self._references += len(transaction.request.references)
        self.loaded.set()
        self.changed.set()

    def begin(self, transaction: Transaction, *, claim_seconds: float) -> bool:
        """Return when a transaction is on stable storage; and whether it is new: an equal one that is open goes on.

        Its report is left to the association of the request for `claim_seconds`. Raises TooManyRequests, OtherContent,
        SpoolFailed, OSError.
        """
        uid, references = transaction.request.transaction_uid, transaction.request.references
        if len(references) > MOST_REFERENCES:
            raise TooManyRequests(f"more than {MOST_REFERENCES} references in a request")
        with self._mutex:
            known = self._open.get(uid)
            if known is not None:
                asked = (known.transaction.calling_ae_title, set(known.transaction.request.references))
                if asked != (transaction.calling_ae_title, set(references)):
                    raise OtherContent("the transaction is open for other instances")
                known.claimed_until = time.monotonic() + claim_seconds
                return False
            full = len(self._open) >= MOST_OPEN or self._references + len(references) > MOST_OPEN_REFERENCES
            if full:
                raise TooManyRequests("too many transactions are open")
            self._put(transaction)
            self._open[uid] = Open(transaction, claimed_until=time.monotonic() + claim_seconds)
            self._references += len(references)
        self.changed.set()
        return True

    def all(self) -> list[Open]:
        """Return those that are open."""
        with self._mutex:
            return list(self._open.values())

    def get(self, transaction_uid: str) -> Transaction | None:
        """Return a transaction that is open."""
        with self._mutex:
            found = self._open.get(transaction_uid)
            return found.transaction if found is not None else None

    def decide(self, one: Open, report: CommitmentReport) -> None:
        """Return when what is reported is on stable storage: it is never decided again. Raises OSError, SpoolFailed."""
        with self._mutex:
            transaction = replace(one.transaction, report=report, decided_time=time.time())
            self._put(transaction)
            one.transaction, one.due, one.failures = transaction, 0.0, 0

    def finish(self, transaction_uid: str) -> None:
        """Forget a transaction: its report was answered, or is given up. Raises OSError."""
        with self._mutex:
            one = self._open.pop(transaction_uid, None)
            if one is not None:
                self._references -= len(one.transaction.request.references)
                self._spool.commitments.remove(_name(transaction_uid))

    def claim(self, transaction_uid: str, seconds: float) -> None:
        """Leave the report to an association for so long; 0: no longer."""
        with self._mutex:
            one = self._open.get(transaction_uid)
            if one is not None:
                one.claimed_until = time.monotonic() + seconds
                one.due = 0.0
        self.changed.set()

    def reported(self, transaction_uid: str) -> Callable[[int | None], None]:
        """Return what takes the answer to a report that was sent on the association of its request."""

        def told(status: int | None) -> None:
            try:
                self._measures.reported("Answered" if status == 0 else "Failed")
                if status == 0:
                    self.finish(transaction_uid)
                    return
            except OSError as error:
                log.error("commitment.not_removed", error=str(error))
            self.claim(transaction_uid, 0)

        return told

    def _put(self, transaction: Transaction) -> None:
        name = _name(transaction.request.transaction_uid)
        self._spool.commitments.put(name, _ADAPTER.dump_json(transaction))


def _name(transaction_uid: str) -> str:
    """Return the name of a transaction's file: a UID is a stranger's text, and no name of a file."""
    return f"{hashlib.sha256(transaction_uid.encode()).hexdigest()[:32]}.json"
