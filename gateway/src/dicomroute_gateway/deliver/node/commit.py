"""Storage commitment of a DicomNode as its SCU: who has taken instances says that it keeps them (PS3.4 annex J)."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from dicomroute_gateway.configuration.destinations import DicomNodeDestination
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.deliver.transport import Item, Sent
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.dimse.command import Status
from dicomroute_gateway.dimse.failures import RequestorFailure
from dicomroute_gateway.dimse.requestor import Requestor
from dicomroute_gateway.dimse.storage_commitment import (
    CONTEXTS,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    CommitmentReport,
    CommitmentRequest,
    Reference,
    encode_commitment_request,
)
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.node.calling import Peer, associate, peer_of
from dicomroute_gateway.node.reports import Reports
from dicomroute_gateway.node.threads import in_thread
from dicomroute_gateway.reasons import Reason

_ASSOCIATIONS: Final = 2
"""How many associations ask side by side: the others are for instances."""
_STAY_SECONDS: Final = 15.0
"""How long an association waits for the report: some nodes report on that of the request alone."""
_LOOK_SECONDS: Final = 0.2
_FIRST_WAIT_SECONDS: Final = 900.0
"""After so long without a report the same is asked for in another transaction, later and later; any report counts."""
_LEAST_SECONDS: Final = 30.0

log = structlog.get_logger(__name__)


class CommitmentConfirmation:
    """Asks a DicomNode to commit to what it was sent. `node` returns it as it is configured at the moment, if it is."""

    batch_instances = 1000

    def __init__(
        self,
        destination: Destination,
        node: Callable[[], DicomNodeDestination | None],
        reports: Reports,
        contexts: TlsContexts,
    ) -> None:
        self._destination = destination
        self._node = node
        self._reports = reports
        self._contexts = contexts
        self._asking = asyncio.Semaphore(_ASSOCIATIONS)
        self._open: set[Requestor] = set()
        self._mutex = threading.Lock()

    async def ask(self, items: Sequence[Item], seconds: float) -> Sent:
        """Ask for commitment to `items`, and return what the report says of each, on whatever association it comes."""
        node = self._node()
        if node is None:
            return _all(items, Reason.NO_SUCH_DESTINATION, "")
        references = tuple(
            dict.fromkeys(Reference(item.parcel.sop_class_uid, item.parcel.sop_instance_uid) for item in items)
        )
        told: asyncio.Future[CommitmentReport] = asyncio.get_running_loop().create_future()
        is_told = threading.Event()
        ends, wait = time.monotonic() + max(seconds, _LEAST_SECONDS), _FIRST_WAIT_SECONDS
        transactions: list[str] = []
        try:
            while True:
                request = CommitmentRequest(f"2.25.{uuid.uuid4().int}", references)
                transactions.append(request.transaction_uid)
                loop = asyncio.get_running_loop()
                self._reports.expect(request.transaction_uid, partial(_tell, loop, told, is_told))
                fault = await self._request(peer_of(node), request, is_told)
                if fault is not None and not told.done():
                    return Sent([fault[0]] * len(items), fault[1])
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, min(wait, ends - time.monotonic()))):
                        return _outcomes(items, await asyncio.shield(told))
                if time.monotonic() >= ends:
                    sentence = "the node accepted a request for storage commitment, but sent no report in time"
                    return _all(items, Reason.NO_COMMITMENT_REPORT, sentence)
                wait *= 4
        finally:
            for transaction in transactions:
                self._reports.forget(transaction)

    async def close(self) -> None:
        """End what is open."""
        with self._mutex:
            for requestor in self._open:
                requestor.interrupt()

    async def _request(
        self, peer: Peer, request: CommitmentRequest, is_told: threading.Event
    ) -> tuple[AttemptOutcome, str] | None:
        async with self._asking:
            if is_told.is_set():
                return None
            try:
                return await in_thread(
                    partial(self._call, peer, request, is_told), f"ask for commitment {self._destination}"
                )
            except RequestorFailure as failure:
                return AttemptOutcome(
                    Verdict.RETRY, failure.reason
                ), f"storage commitment could not be requested: {failure}"

    def _call(
        self, peer: Peer, request: CommitmentRequest, is_told: threading.Event
    ) -> tuple[AttemptOutcome, str] | None:
        """Ask, and stay for the report for a while; return why the node does not take the request. In a thread."""
        requestor = associate(peer, CONTEXTS, self._contexts)
        with self._mutex:
            self._open.add(requestor)
        try:
            syntaxes = next((one for one in CONTEXTS if requestor.refusal(one) is None), CONTEXTS[0])
            data_set = encode_commitment_request(request, syntaxes.transfer_syntax)
            response = requestor.action(syntaxes, PUSH_MODEL_INSTANCE, REQUEST, data_set)
            if response.status != Status.SUCCESS:
                sentence = f"the node refuses a request for storage commitment with status {response.status:04X}H"
                return AttemptOutcome(Verdict.RETRY, Reason.COMMITMENT_REFUSED, response.status), sentence
            with suppress(RequestorFailure):  # how it ends is of no moment: the report may come on another one
                self._stay(requestor, is_told)
            return None
        finally:
            with self._mutex:
                self._open.discard(requestor)
            requestor.release()

    def _stay(self, requestor: Requestor, is_told: threading.Event) -> None:
        ends = time.monotonic() + _STAY_SECONDS
        while not is_told.is_set() and time.monotonic() < ends:
            event = requestor.await_event(_LOOK_SECONDS)
            if event is None:
                continue
            command, syntaxes, data_set = event
            status, comment = self._reports.take(data_set, syntaxes.transfer_syntax)
            requestor.answer_event(command, syntaxes, status, comment)


def _tell(
    loop: asyncio.AbstractEventLoop,
    told: "asyncio.Future[CommitmentReport]",
    is_told: threading.Event,
    report: CommitmentReport,
) -> None:
    is_told.set()
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(lambda: None if told.done() else told.set_result(report))


def _outcomes(items: Sequence[Item], report: CommitmentReport) -> Sent:
    """Return what a report says of each instance."""
    committed, failed = set(report.committed), dict(report.failed)
    outcomes, sentence = [], ""
    for item in items:
        reference = Reference(item.parcel.sop_class_uid, item.parcel.sop_instance_uid)
        reason = failed.get(reference)
        if reason is not None:
            outcomes.append(_failure(reason))
            sentence = f"the node does not commit to the instance: Failure Reason {reason:04X}H"
        elif reference in committed:
            outcomes.append(AttemptOutcome(Verdict.DELIVERED, Reason.COMMITTED))
        else:
            outcomes.append(AttemptOutcome(Verdict.RETRY, Reason.NOT_IN_REPORT))
            sentence = sentence or "the node's report omits an instance of the request"
    return Sent(outcomes, sentence)


def _failure(reason: int) -> AttemptOutcome:
    """Return what a Failure Reason (0008,1197) of a report means (PS3.3 C.14.1.1)."""
    if reason in (Status.RESOURCE_LIMITATION, Status.DUPLICATE_TRANSACTION_UID):
        return AttemptOutcome(Verdict.RETRY, Reason.NOT_COMMITTED, reason)
    definite = reason in (Status.SOP_CLASS_NOT_SUPPORTED, Status.CLASS_INSTANCE_CONFLICT)
    return AttemptOutcome(Verdict.REFUSED if definite else Verdict.DOUBTFUL, Reason.NOT_COMMITTED, reason)


def _all(items: Sequence[Item], reason: Reason, sentence: str) -> Sent:
    return Sent([AttemptOutcome(Verdict.RETRY, reason)] * len(items), sentence)
