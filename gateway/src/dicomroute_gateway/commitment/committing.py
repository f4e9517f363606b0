"""Decides open transactions of storage commitment, and reports on them until their requestors have answered.

A thread of its own looks at what is due; each report goes out in a thread, on an association that the gateway opens,
with the title that was called as its own, and itself as SCP by role selection (PS3.4 J.3.3, PS3.7 D.3.3.4).
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import structlog

from dicomroute_gateway.configuration.commitment import CommitmentRequestor, StorageCommitment
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.dimse.failures import RequestorFailure
from dicomroute_gateway.dimse.requestor import Called, Requestor, Timeouts
from dicomroute_gateway.dimse.storage_commitment import (
    CONTEXTS,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    CommitmentReport,
    Reference,
    encode_commitment_report,
)
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.measures import CommitmentMeasures
from dicomroute_gateway.node.calling import Peer, associate
from dicomroute_gateway.spool.errors import SpoolFailed
from dicomroute_gateway.spool.spool import Spool

from .decide import CommitmentVerdict, FailureReason, Known, Promise, decide
from .transactions import Open, Transaction, Transactions

_REPORTS: Final = 4
"""How many reports are under way side by side."""
_LOOK_SECONDS: Final = 0.5
_COST: Final = 20.0
"""It is looked again after so many times as long as the look took: 10 000 references cost others little."""
_MOST_BACKOFF_SECONDS: Final = 300.0
_CONNECT_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


class Committing:
    """Decides and reports the transactions of one spool."""

    def __init__(
        self,
        spool: Spool,
        transactions: Transactions,
        configuration: Callable[[], Configuration],
        contexts: TlsContexts,
        measures: CommitmentMeasures,
    ) -> None:
        self._measures = measures
        self._spool = spool
        self._transactions = transactions
        self._configuration = configuration
        self._contexts = contexts
        self._reporting = ThreadPoolExecutor(_REPORTS, thread_name_prefix="report-commitment")
        self._under_way: set[str] = set()
        self._mutex = threading.Lock()
        self._open: set[Requestor] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="commit", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is open goes on with the next gateway. Waits for a look that is under way, and for no report."""
        self._closing = True
        self._transactions.changed.set()
        with self._mutex:
            for requestor in self._open:
                requestor.interrupt()
        self._reporting.shutdown(wait=False, cancel_futures=True)
        if self._thread.is_alive():
            self._thread.join(_LOOK_SECONDS)

    def _work(self) -> None:
        self._transactions.load()
        while not self._closing:
            self._transactions.changed.wait(_LOOK_SECONDS)
            self._transactions.changed.clear()
            if not self._spool.is_loaded:
                continue
            settings = self._configuration().storage_commitment
            everything = self._transactions.all()
            self._measures.open = len(everything)
            due = [one for one in everything if one.due <= time.monotonic()]
            waiting = self._waiting(due, settings)
            for one in due:
                if self._closing:
                    return
                if one.transaction.request.transaction_uid in waiting:
                    continue
                try:
                    if one.transaction.report is None:
                        self._decide(one, settings)
                    elif one.claimed_until <= time.monotonic():
                        self._report(one, settings)
                except (SpoolFailed, OSError) as error:
                    one.due = time.monotonic() + _MOST_BACKOFF_SECONDS / 10
                    log.error("commitment.not_written", error=str(error))
                except Exception:
                    one.due = time.monotonic() + _MOST_BACKOFF_SECONDS
                    log.exception("commitment.error")

    # -- deciding --------------------------------------------------------------------------------------------

    def _waiting(self, due: Iterable[Open], settings: StorageCommitment | None) -> set[str]:
        """Return the transactions, by UID, that are not decided for sure: what they waited for waits still.

        To look at one reference of each costs a thousandth of looking at all: these are tens of thousands while a
        destination is down.
        """
        promise, now = self._promise(settings), time.time()
        asked = {
            one.transaction.request.transaction_uid: one.waits_for
            for one in due
            if one.waits_for is not None
            and one.transaction.report is None
            and not _is_over(one.transaction, settings, now)
        }
        entries = self._spool.newest({reference.sop_instance_uid for reference in asked.values()}) if asked else {}
        waiting = set[str]()
        for transaction_uid, reference in asked.items():
            entry = entries.get(reference.sop_instance_uid)
            if entry is None or entry.received.superseded:
                continue
            if (
                decide(reference, Known(entry.received, entry.deliveries, entry.hold), promise)
                is CommitmentVerdict.WAITS
            ):
                waiting.add(transaction_uid)
        return waiting

    def _decide(self, one: Open, settings: StorageCommitment | None) -> None:
        """Decide a transaction if every instance of it is decided, or the time is over."""
        began, transaction = time.monotonic(), one.transaction
        is_over = _is_over(transaction, settings, time.time())
        promise = self._promise(settings)
        references = dict.fromkeys(transaction.request.references)
        known = self._known(reference.sop_instance_uid for reference in references)
        committed: list[Reference] = []
        failed: list[tuple[Reference, int]] = []
        waiting: list[Reference] = []
        for reference in references:
            said = decide(reference, known.get(reference.sop_instance_uid), promise)
            if said is CommitmentVerdict.COMMITTED:
                committed.append(reference)
            elif said is not CommitmentVerdict.WAITS:
                failed.append((reference, int(said)))
            elif is_over:
                failed.append((reference, int(FailureReason.PROCESSING_FAILURE)))
            else:
                waiting.append(reference)
        if waiting:
            # Deliveries are made in the order of receipt: what came last is decided last.
            one.waits_for = max(waiting, key=lambda reference: known[reference.sop_instance_uid].received.id)
            now = time.monotonic()
            one.due = now + max(_LOOK_SECONDS, _COST * (now - began))
            return
        report = CommitmentReport(transaction.request.transaction_uid, tuple(committed), tuple(failed))
        self._transactions.decide(one, report)
        self._measures.decided(len(committed), (reason for _, reason in failed))
        log.info(
            "commitment.decided",
            calling_ae_title=transaction.calling_ae_title,
            committed=len(committed),
            failed=len(failed),
            reasons=sorted({f"{reason:04X}" for _, reason in failed}),
            seconds=round(time.time() - transaction.time, 3),
        )

    def _promise(self, settings: StorageCommitment | None) -> Promise:
        configuration = self._configuration()
        named = frozenset(one.destination for one in settings.destinations) if settings is not None else frozenset()
        return Promise(named, {one.key for one in configuration.destinations if not one.required})

    def _known(self, uids: Iterable[str]) -> dict[str, Known]:
        """Return the newest version of instances: of the spool, and where it has none any more, of the history."""
        wanted = set(uids)
        entries = self._spool.newest(wanted)
        found = {uid: Known(entry.received, entry.deliveries, entry.hold) for uid, entry in entries.items()}
        # After the spool: what left it meanwhile is in the history, and so may be a later version than one that stays.
        overtaken = {uid for uid, entry in entries.items() if entry.received.superseded}
        for uid, record in self._spool.history.newest((wanted - found.keys()) | overtaken).items():
            if uid not in found or found[uid].received.id < record.received.id:
                found[uid] = Known(record.received, {delivery.destination: delivery for delivery in record.deliveries})
        return found

    # -- reporting -------------------------------------------------------------------------------------------

    def _report(self, one: Open, settings: StorageCommitment | None) -> None:
        """Begin to report on a transaction, unless that is under way, or its time is over."""
        transaction = one.transaction
        uid = transaction.request.transaction_uid
        report_for = settings.report_for_seconds if settings is not None else 0
        if time.time() >= transaction.decided_time + report_for and one.failures:
            self._measures.reported("GivenUp")
            log.error("commitment.not_reported", calling_ae_title=transaction.calling_ae_title, attempts=one.failures)
            self._transactions.finish(uid)
            return
        requestor = _requestor_of(settings, transaction)
        with self._mutex:
            if uid in self._under_way or len(self._under_way) >= _REPORTS:
                return
            self._under_way.add(uid)
        with suppress(RuntimeError):  # it is ending
            self._reporting.submit(self._try, one, requestor)

    def _try(self, one: Open, settings: CommitmentRequestor | None) -> None:
        transaction = one.transaction
        uid = transaction.request.transaction_uid
        try:
            fault = self._send(transaction, settings)
            if not fault:
                self._transactions.finish(uid)
                self._measures.reported("Answered")
                log.info("commitment.reported", calling_ae_title=transaction.calling_ae_title)
                return
        except RequestorFailure as failure:
            fault = str(failure)
        except Exception as error:
            log.exception("commitment.error")
            fault = f"the gateway failed: {type(error).__name__}"
        finally:
            with self._mutex:
                self._under_way.discard(uid)
        one.failures += 1
        self._measures.reported("Failed")
        wait = min(_MOST_BACKOFF_SECONDS, 2.0 ** min(one.failures, 16))
        one.due = time.monotonic() + wait
        log.warning(
            "commitment.report_failed",
            calling_ae_title=transaction.calling_ae_title,
            message=fault,
            attempts=one.failures,
            seconds=wait,
        )

    def _send(self, transaction: Transaction, settings: CommitmentRequestor | None) -> str:
        """Report on a transaction on a new association; return why that was in vain. Raises RequestorFailure."""
        assert transaction.report is not None
        if settings is None:
            return "no DicomNode of the listener with this AE title has a host: add spec.host"
        called = Called(settings.host, settings.port, settings.called_ae_title, transaction.called_ae_title)
        timeouts = Timeouts(
            connect=_CONNECT_SECONDS,
            acse=settings.acse_timeout_seconds,
            stall=settings.stall_timeout_seconds,
            response=settings.response_timeout_seconds,
        )
        roles = {PUSH_MODEL: (False, True)}
        requestor = associate(Peer(called, timeouts, settings.tls), CONTEXTS, self._contexts, roles)
        with self._mutex:
            self._open.add(requestor)
        try:
            syntaxes = next((pair for pair in CONTEXTS if requestor.refusal(pair) is None), CONTEXTS[0])
            data_set = encode_commitment_report(transaction.report, syntaxes.transfer_syntax)
            response = requestor.event_report(syntaxes, PUSH_MODEL_INSTANCE, transaction.report.event_type, data_set)
            return (
                "" if response.status == 0 else f"the requestor answers the report with status {response.status:04X}H"
            )
        finally:
            with self._mutex:
                self._open.discard(requestor)
            requestor.release()


def _is_over(transaction: Transaction, settings: StorageCommitment | None, now: float) -> bool:
    """Return whether a transaction is decided now, whatever waits still; `now` is in seconds since 1970."""
    return now >= transaction.time + (settings.wait_seconds if settings is not None else 0)


def _requestor_of(settings: StorageCommitment | None, transaction: Transaction) -> CommitmentRequestor | None:
    """Return how who asked is called; None where nobody says that."""
    if settings is None:
        return None
    named = (one for one in settings.requestors if transaction.calling_ae_title in one.calling_ae_titles)
    return next(named, None)
