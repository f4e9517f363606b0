"""The Storage Commitment service of the listeners: requests, and reports of those that we ask (PS3.4 J.3).

One SOP class serves both: who calls as its SCU asks, and who calls as its SCP reports.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from dicomroute_gateway.configuration.commitment import StorageCommitment
from dicomroute_gateway.configuration.destinations import ConfirmBy
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.dimse.admission import Refusal
from dicomroute_gateway.dimse.associate import AssociateRequest
from dicomroute_gateway.dimse.command import CommandField, Status
from dicomroute_gateway.dimse.services import Answered, Call, EventReport, Exchange, Offer, Proposal, Reply, Responder
from dicomroute_gateway.dimse.storage_commitment import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    TRANSFER_SYNTAXES,
    CommitmentRequest,
    NotCommitment,
    decode_commitment_request,
    encode_commitment_report,
)
from dicomroute_gateway.node.reports import Reports
from dicomroute_gateway.spool.errors import SpoolFailed

from .transactions import OtherContent, TooManyRequests, Transaction, Transactions

MOST_DATA_SET_BYTES: Final = 4 << 20
"""Of a request or a report: 10 000 references take a megabyte."""
_LOAD_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 60.0
"""How long the answer to a report on the same association is waited for, before it is sent on another."""

log = structlog.get_logger(__name__)


class CommitmentService:
    """Takes requests on the listeners that the route names, and reports where a destination is asked for commitment."""

    is_storage = False

    def __init__(
        self, configuration: Callable[[], Configuration], transactions: Transactions, reports: Reports
    ) -> None:
        self._configuration = configuration
        self._transactions = transactions
        self._reports = reports

    def offer(self, proposal: Proposal) -> Offer | None:
        """Take the SOP class in the role that is asked for; a node that proposes none may report all the same."""
        if proposal.context.abstract_syntax != PUSH_MODEL:
            return None
        commits, asks = self._commits_on(proposal.listener) is not None, self._awaits_reports()
        if not commits and not asks:
            return None
        roles = None
        if proposal.roles is not None:
            roles = (proposal.roles[0] and commits, proposal.roles[1] and asks)
        syntax = next((one for one in TRANSFER_SYNTAXES if one in proposal.context.transfer_syntaxes), None)
        return Offer(syntax, roles)

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        """Have nothing against anybody."""
        return None

    def begin(self, call: Call) -> Exchange:
        """Take a request or a report."""
        command = call.command
        if command.field == CommandField.N_EVENT_REPORT_RQ:
            return _Report(self._reports, call)
        if command.field != CommandField.N_ACTION_RQ:
            return Answered(Status.UNRECOGNIZED_OPERATION)
        settings = self._commits_on(call.association.listener)
        if settings is None:
            return Answered(Status.NOT_AUTHORIZED, "this listener commits to nothing")
        if command.requested_sop_class_uid != PUSH_MODEL:
            return Answered(Status.NO_SUCH_SOP_CLASS, "the SOP class is not the one of its context")
        if command.requested_sop_instance_uid != PUSH_MODEL_INSTANCE:
            return Answered(Status.NO_SUCH_OBJECT_INSTANCE, "not the well-known SOP instance")
        if command.action_type != REQUEST:
            return Answered(Status.NO_SUCH_ACTION, "the Action Type ID is not 1")
        if not command.has_data_set:
            return Answered(Status.INVALID_ARGUMENT_VALUE, "the request has no Action Information")
        return _Request(self._transactions, settings, call)

    def _commits_on(self, listener: str) -> StorageCommitment | None:
        settings = self._configuration().storage_commitment
        return settings if settings is not None and listener in settings.listeners else None

    def _awaits_reports(self) -> bool:
        by_commitment = ConfirmBy.STORAGE_COMMITMENT
        confirms = (one.confirm for one in self._configuration().destinations)
        return any(one is not None and one.by is by_commitment for one in confirms)


class _Bounded:
    """An exchange that keeps a data set up to a bound."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_too_long = False

    def write(self, data: memoryview) -> None:
        """Keep the next bytes."""
        self.is_too_long = self.is_too_long or len(self.data) + len(data) > MOST_DATA_SET_BYTES
        if not self.is_too_long:
            self.data += data

    def flush(self) -> None:
        """Nothing is kept as a view."""

    def discard(self) -> None:
        """Forget the bytes."""
        self.data.clear()


class _Request(_Bounded):
    """One request for commitment."""

    def __init__(self, transactions: Transactions, settings: StorageCommitment, call: Call) -> None:
        super().__init__()
        self._transactions = transactions
        self._settings = settings
        self._call = call

    def answer(self, responder: Responder) -> None:
        """Take the request, say so, and report at once where that is possible before the peer says more."""
        try:
            request = self._taken()
        except TooManyRequests as error:
            self._refuse(responder, Status.RESOURCE_LIMITATION, str(error))
        except (NotCommitment, OtherContent) as error:
            self._refuse(responder, Status.INVALID_ARGUMENT_VALUE, str(error))
        except (SpoolFailed, OSError) as error:
            log.error("commitment.not_taken", error=str(error))
            self._refuse(responder, Status.PROCESSING_FAILURE, "the request could not be kept")
        else:
            responder.respond(Reply(Status.SUCCESS))
            self._report(responder, request.transaction_uid)

    def _taken(self) -> CommitmentRequest:
        """Return the request once it is on stable storage."""
        if self.is_too_long:
            raise TooManyRequests("the request is too long")
        request = decode_commitment_request(bytes(self.data), self._call.context.transfer_syntax)
        if not self._transactions.loaded.wait(_LOAD_SECONDS):
            raise TooManyRequests("the gateway is starting")
        facts = self._call.association
        is_new = self._transactions.begin(
            Transaction(request, facts.calling_ae_title, facts.called_ae_title, facts.listener, time.time()),
            claim_seconds=self._settings.same_association_seconds + 1,
        )
        log.info(
            "commitment.asked",
            association=facts.identifier,
            calling_ae_title=facts.calling_ae_title,
            references=len(request.references),
            is_new=is_new,
        )
        return request

    def _refuse(self, responder: Responder, status: Status, comment: str) -> None:
        responder.respond(Reply(status, comment))

    def _report(self, responder: Responder, transaction_uid: str) -> None:
        """Stay quiet with the peer for a while, and report on this association if it is decided until then."""
        ends = time.monotonic() + self._settings.same_association_seconds
        while time.monotonic() < ends and responder.is_quiet(_LOOK_SECONDS):
            transaction = self._transactions.get(transaction_uid)
            if transaction is None:
                return
            report = transaction.report
            if report is not None:
                self._transactions.claim(transaction_uid, _ANSWER_SECONDS)
                data_set = encode_commitment_report(report, self._call.context.transfer_syntax)
                event = EventReport(PUSH_MODEL, PUSH_MODEL_INSTANCE, report.event_type, data_set)
                responder.report(event, self._transactions.reported(transaction_uid))
                return
        self._transactions.claim(transaction_uid, 0)


class _Report(_Bounded):
    """One report."""

    def __init__(self, reports: Reports, call: Call) -> None:
        super().__init__()
        self._reports = reports
        self._call = call

    def answer(self, responder: Responder) -> None:
        """Take the report, and answer it in any case: who gets no answer reports again and again."""
        if self.is_too_long:
            responder.respond(Reply(Status.RESOURCE_LIMITATION, "the report is too long"))
            return
        status, comment = self._reports.take(bytes(self.data), self._call.context.transfer_syntax)
        responder.respond(Reply(status, comment))
